"""Processes that start without importing TensorFlow again."""

import contextlib
import multiprocessing

_CONTEXT = multiprocessing.get_context("forkserver")
# The server has imported everything; it runs nothing, so that forking is safe.
_CONTEXT.set_forkserver_preload(["tests.metaopt.runs"])


@contextlib.contextmanager
def started(function, *args):
  """A process that runs a function of a module; ended with the context."""
  process = _CONTEXT.Process(target=function, args=args, daemon=True)
  process.start()
  try:
    yield process
  finally:
    process.kill()
    process.join()


def finish(function, *args, timeout=300):
  """The exit status of a process that runs a function to its end."""
  with started(function, *args) as process:
    process.join(timeout)
    return process.exitcode

"""A lock on a run's folder, so that two processes do not train in it."""

import contextlib
import fcntl
import os
import pathlib
from collections.abc import Iterator

from absl import logging

from learned_optimizer.metaopt.errors import RunError


@contextlib.contextmanager
def held(folder: pathlib.Path) -> Iterator[None]:
  """Holds the lock of a folder; the system releases it if the process dies.

  Where the file system knows no locks, nothing is held.

  Raises:
    RunError: somebody else holds it.
  """
  path = folder / ".lock"
  descriptor = _acquire(path)
  try:
    yield
  finally:
    path.unlink(missing_ok=True)
    os.close(descriptor)


def _acquire(path) -> int:
  while True:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
      fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
      if _is(descriptor, path):
        return descriptor
    except BlockingIOError as error:
      os.close(descriptor)
      raise RunError(
        f"Another process is training in {path.parent}; wait for it, or give"
        " another folder."
      ) from error
    except OSError as error:
      logging.warning("%s cannot be locked (%s).", path.parent, error)
      return descriptor
    # Its last holder removed the file after it was opened here.
    os.close(descriptor)


def _is(descriptor, path) -> bool:
  try:
    return os.path.samestat(os.fstat(descriptor), os.stat(path))
  except FileNotFoundError:
    return False

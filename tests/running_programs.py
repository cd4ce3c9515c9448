"""Runs metarun and metatest as their users do."""

import contextlib
import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import NamedTuple

import learned_optimizer

_ROOT = pathlib.Path(learned_optimizer.__file__).parents[1]

# Runs one program per line of input, each in a fork of this process: TensorFlow
# is imported once for all of them.
_SERVER = """
import json, os, runpy, sys
import learned_optimizer.metaopt.training
import learned_optimizer.metaopt.report

def run(module, arguments, cwd, environment, stdout, stderr):
  os.chdir(cwd)
  os.environ.update(environment)
  for number, path in ((1, stdout), (2, stderr)):
    os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
  sys.argv = [module, *arguments]
  sys.stdin.close()
  runpy.run_module(
    f"learned_optimizer.{module}", run_name="__main__", alter_sys=True
  )

print("ready", flush=True)
for line in iter(sys.stdin.readline, ""):
  request = json.loads(line)
  child = os.fork()
  if not child:
    run(**request)
    sys.exit(0)
  _, status = os.waitpid(child, 0)
  print(os.waitstatus_to_exitcode(status), flush=True)
"""


class Done(NamedTuple):
  """How a program ended."""

  status: int
  stdout: str
  stderr: str


def environment(**changes):
  """The variables of a program, without those that the tests run with."""
  inherited = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith(("BUILD_", "TF_"))
  }
  inherited["PYTHONPATH"] = os.pathsep.join([str(_ROOT), *sys.path])
  return inherited | changes


def command(module, *arguments, cwd, **variables):
  """Runs a program from its start, as a user does."""
  done = subprocess.run(
    [sys.executable, "-m", f"learned_optimizer.{module}", *arguments],
    cwd=cwd,
    env=environment(**variables),
    capture_output=True,
    text=True,
  )
  return Done(done.returncode, done.stdout, done.stderr)


@contextlib.contextmanager
def fork_server(folder: pathlib.Path) -> Iterator[Callable[..., Done]]:
  """A function that runs a program quickly, as `command` does.

  Args:
    folder: for the output of the programs.
  """
  with subprocess.Popen(
    [sys.executable, "-c", _SERVER],
    env=environment(TF_CPP_MIN_LOG_LEVEL="3"),
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
    stderr=subprocess.DEVNULL,
    text=True,
  ) as server:
    assert server.stdout.readline() == "ready\n"

    def run(module, *arguments, cwd, **variables):
      paths = {name: str(folder / name) for name in ("stdout", "stderr")}
      request = {
        "module": module,
        "arguments": [str(argument) for argument in arguments],
        "cwd": str(cwd),
        "environment": variables,
        **paths,
      }
      server.stdin.write(json.dumps(request) + "\n")
      server.stdin.flush()
      status = int(server.stdout.readline())
      return Done(
        status, *(pathlib.Path(path).read_text() for path in paths.values())
      )

    yield run
    server.stdin.close()


def contents(folder):
  """The files of a folder: bytes by relative path."""
  return {
    path.relative_to(folder): path.read_bytes()
    for path in folder.rglob("*")
    if path.is_file()
  }


def assert_refused(done, *words):
  """Status, and one line on standard error that has the words."""
  assert done.status == 1, done
  (line,) = done.stderr.splitlines()
  for word in words:
    assert word in line, line

"""Finds the data files that come with the code."""

import os

from runfiles import runfiles

_WORKSPACE = "learned_optimizer_ws"  # As in the file WORKSPACE.
_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def path(name: str) -> str:
  """Returns the absolute path of a data file.

  The file lies in Bazel's runfiles where a program runs under Bazel, and else
  where the package does: in the checkout or in the installed wheel.

  Args:
    name: The file, relative to the directory that holds the package:
      `"learned_optimizer/data/..."`, or, for tests, `"tests/golden/..."`.

  Raises:
    FileNotFoundError: There is no such file, or Bazel was not told of it.
  """
  tree = runfiles.Create()
  found = tree and tree.Rlocation(f"{_WORKSPACE}/{name}")
  # Another program's runfiles, inherited from its environment, lack the file.
  for candidate in (found, os.path.join(_ROOT, name)):
    if candidate and os.path.exists(candidate):
      return os.path.abspath(candidate)
  raise FileNotFoundError(
    f"The data file {name} is not with the package in {_ROOT}; under Bazel it "
    "has to be among the target's data."
  )

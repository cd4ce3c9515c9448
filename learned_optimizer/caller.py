"""Paths as the person who started a program means them."""

import os


def caller_path(path: str) -> str:
  """Makes a path from a flag absolute, counted from the caller's directory.

  `bazel run` starts programs in a directory of its own and tells the caller's
  in `BUILD_WORKING_DIRECTORY`.

  Args:
    path: A path; the empty string, an absolute path and a URL (`gs://...`)
      are returned as they are.

  Returns:
    The absolute path.
  """
  if not path or "://" in path:
    return path
  directory = os.environ.get("BUILD_WORKING_DIRECTORY") or os.getcwd()
  return os.path.normpath(os.path.join(directory, path))

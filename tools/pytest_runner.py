"""Runs the given test files with pytest, as Bazel wants its tests run.

pytest finds its settings in pyproject.toml, as it does without Bazel.
"""

import os
import sys
import tempfile

import pytest


class Shard:
  """Keeps every TEST_TOTAL_SHARDS-th test, starting at TEST_SHARD_INDEX."""

  def pytest_collection_modifyitems(self, config, items):
    """Deselects the tests of the other shards."""
    index = int(os.environ["TEST_SHARD_INDEX"])
    total = int(os.environ["TEST_TOTAL_SHARDS"])
    config.hook.pytest_deselected(
      items=[t for i, t in enumerate(items) if i % total != index]
    )
    items[:] = items[index::total]


def main(argv):
  """Runs the tests and returns pytest's exit status."""
  scratch = os.environ["TEST_TMPDIR"]
  # The user's own settings must not change results, nor can caches be written
  # elsewhere.
  os.environ["HOME"] = scratch
  args = ["-c", "pyproject.toml", "-p", "no:cacheprovider"]
  args += ["--basetemp", os.path.join(scratch, "pytest")]
  args += ["--junitxml", os.environ["XML_OUTPUT_FILE"]]
  if "TESTBRIDGE_TEST_ONLY" in os.environ:
    args += ["-k", os.environ["TESTBRIDGE_TEST_ONLY"]]
  plugins = []
  if "TEST_SHARD_STATUS_FILE" in os.environ:
    open(os.environ["TEST_SHARD_STATUS_FILE"], "w").close()
    plugins.append(Shard())
  # Not below the scratch folder, whose path is too long for a socket's name.
  with tempfile.TemporaryDirectory() as temporary:
    os.environ["TMPDIR"] = temporary
    status = pytest.main(args + argv, plugins)
  if plugins and status == pytest.ExitCode.NO_TESTS_COLLECTED:
    status = 0  # More shards than tests.
  return status


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))

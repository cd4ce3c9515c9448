"""Every Python file of the checkout is linted and formatted."""

import pathlib
import subprocess
import sys

import pytest

# Bazel runs a link to this file; ruff has to see the tree around the original.
_CHECKOUT = pathlib.Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("command", [["check"], ["format", "--check"]])
def test_ruff_has_nothing_to_say(command):
  assert (_CHECKOUT / "WORKSPACE").exists(), "The checkout is out of sight."
  done = subprocess.run(
    [sys.executable, "-m", "ruff", *command, "--no-cache", "."],
    cwd=_CHECKOUT,
    capture_output=True,
    text=True,
  )
  assert done.returncode == 0, done.stdout + done.stderr

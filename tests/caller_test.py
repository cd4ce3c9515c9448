"""Relative paths in flags count from where the caller stands."""

import os

import pytest

from learned_optimizer.caller import caller_path


def test_counts_from_the_working_directory(monkeypatch, tmp_path):
  monkeypatch.delenv("BUILD_WORKING_DIRECTORY", raising=False)
  monkeypatch.chdir(tmp_path)
  assert caller_path("out/run") == os.path.join(os.getcwd(), "out", "run")


def test_counts_from_the_callers_directory_under_bazel_run(monkeypatch):
  monkeypatch.setenv("BUILD_WORKING_DIRECTORY", "/home/ada")
  assert caller_path("out") == "/home/ada/out"
  assert caller_path("../eve/out") == "/home/eve/out"
  assert caller_path(".") == "/home/ada"


@pytest.mark.parametrize("path", ["", "/absolute/out", "gs://bucket/out"])
def test_leaves_what_is_not_relative(monkeypatch, path):
  monkeypatch.setenv("BUILD_WORKING_DIRECTORY", "/home/ada")
  assert caller_path(path) == path

"""What the programs set for XLA, beside what a user has set."""

import os

import pytest

from learned_optimizer import xla_settings


@pytest.fixture
def cache(tmp_path, monkeypatch):
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
  # Set first, so that what the tests set is taken back.
  monkeypatch.setenv("TF_XLA_FLAGS", "")
  monkeypatch.delenv("TF_XLA_FLAGS")
  return tmp_path / "learned_optimizer"


def test_flags_of_the_user_come_last(monkeypatch):
  monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_use_fusion_emitters=true")
  xla_settings.compile_quickly()
  first, *_, last = os.environ["XLA_FLAGS"].split()
  assert first == "--xla_cpu_use_fusion_emitters=false"
  assert last == "--xla_cpu_use_fusion_emitters=true"


def test_a_file_of_flags_stands(monkeypatch):
  monkeypatch.setenv("XLA_FLAGS", "flags.txt")
  xla_settings.compile_quickly()
  assert os.environ["XLA_FLAGS"] == "flags.txt"


def test_programs_are_kept_in_the_cache_folder(cache):
  xla_settings.keep_programs()
  (folder,) = cache.iterdir()
  directory, _ = os.environ["TF_XLA_FLAGS"].split()
  assert directory == f"--tf_xla_persistent_cache_directory={folder}"


def test_the_oldest_programs_are_removed(cache, monkeypatch):
  xla_settings.keep_programs()
  monkeypatch.delenv("TF_XLA_FLAGS")
  (folder,) = cache.iterdir()
  for age in range(203):
    path = folder / f"{age}.pb"
    path.touch()
    os.utime(path, (10_000 - age, 10_000 - age))
  xla_settings.keep_programs()
  kept = sorted(int(path.stem) for path in folder.iterdir())
  assert kept == [*range(200)]


def test_flags_of_the_user_stand(cache, monkeypatch):
  monkeypatch.setenv("TF_XLA_FLAGS", "--tf_xla_clustering_debug")
  xla_settings.keep_programs()
  assert os.environ["TF_XLA_FLAGS"] == "--tf_xla_clustering_debug"
  assert not cache.exists()


def test_without_a_place_nothing_is_kept(cache, monkeypatch):
  cache.touch()
  xla_settings.keep_programs()
  assert "TF_XLA_FLAGS" not in os.environ


def test_where_xla_cannot_write_nothing_is_kept(cache, monkeypatch):
  def fail(dir):
    raise PermissionError(dir)

  monkeypatch.setattr(xla_settings.tempfile, "TemporaryFile", fail)
  xla_settings.keep_programs()
  assert "TF_XLA_FLAGS" not in os.environ


def test_without_a_home_nothing_is_kept(cache, monkeypatch):
  def fail():
    raise RuntimeError("Could not determine home directory.")

  monkeypatch.delenv("XDG_CACHE_HOME")
  monkeypatch.setattr(xla_settings.pathlib.Path, "home", fail)
  xla_settings.keep_programs()
  assert "TF_XLA_FLAGS" not in os.environ

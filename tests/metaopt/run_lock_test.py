"""One process at a time trains in a folder."""

import errno
import fcntl
import time

import pytest

from learned_optimizer import metaopt
from learned_optimizer.metaopt import run_lock
from tests.metaopt import processes, runs


def test_a_second_run_in_a_folder_fails_and_writes_nothing(tmp_path):
  with run_lock.held(tmp_path):
    with pytest.raises(metaopt.RunError, match="Another process") as error:
      runs.train(tmp_path, settings={"some": "setting"})
    assert str(tmp_path) in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]
    runs.train(tmp_path / "other", num_problems=1)
  assert not (tmp_path / ".lock").exists()
  runs.train(tmp_path, num_problems=1)
  assert not (tmp_path / ".lock").exists()


def test_a_run_that_fails_releases_its_folder(tmp_path):
  negative = (runs.Spec(runs.Negative, (), {}), None, None)
  with pytest.raises(metaopt.RunError, match="Negative"):
    runs.train(tmp_path, entries=[negative])
  with run_lock.held(tmp_path):
    pass


def test_a_process_that_dies_releases_its_folder(tmp_path):
  settings = dict(num_problems=1, num_meta_iterations=1)
  endless = settings | dict(unrolls=10, steps=100_000)
  with processes.started(runs.train_in_process, tmp_path, endless) as process:
    end = time.monotonic() + 120
    out = tmp_path / "out.txt"
    while not (out.exists() and "Took" in out.read_text()):
      assert process.is_alive()
      assert time.monotonic() < end
      time.sleep(0.01)
    with pytest.raises(metaopt.RunError, match="Another process"):
      runs.train(tmp_path, **settings)
    process.kill()
    process.join()
  assert (tmp_path / ".lock").exists()
  result, _ = runs.train(tmp_path, **settings)
  assert not result.already_finished


def test_a_file_system_without_locks_is_no_obstacle(
  tmp_path, monkeypatch, caplog
):
  def unknown(descriptor, operation):
    raise OSError(errno.ENOLCK, "No locks available")

  monkeypatch.setattr(fcntl, "flock", unknown)
  runs.train(tmp_path, num_problems=1)
  assert f"{tmp_path} cannot be locked" in caplog.text


def test_a_lock_that_is_removed_while_it_is_opened_is_none(
  tmp_path, monkeypatch
):
  flock = fcntl.flock
  calls = []

  def released_meanwhile(descriptor, operation):
    calls.append(descriptor)
    if len(calls) == 1:
      (tmp_path / ".lock").unlink()
    flock(descriptor, operation)

  monkeypatch.setattr(fcntl, "flock", released_meanwhile)
  with run_lock.held(tmp_path):
    assert len(calls) == 2
    with pytest.raises(metaopt.RunError), run_lock.held(tmp_path):
      pass

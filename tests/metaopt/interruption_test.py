"""Processes that are asked to stop, and processes that are killed."""

import os
import signal
import threading
import time

import numpy as np
import pytest

from learned_optimizer.metaopt import interruption, resume
from tests.metaopt import processes, runs

_SMALL = dict(
  entries=[runs.quadratic(2), runs.softmax()],
  num_problems=8,
  num_meta_iterations=3,
  unrolls=runs.exactly(2),
  save_seconds=0.0,
)


def _small(**changes):
  """Settings that can be sent to another process."""
  return {**_SMALL, "unrolls": 2, **changes}


def _wait_for(process, condition, seconds=120):
  end = time.monotonic() + seconds
  while not condition():
    assert process.is_alive(), process.exitcode
    assert time.monotonic() < end
    time.sleep(0.01)


def _lines(folder, beginning):
  path = folder / "out.txt"
  text = path.read_text() if path.exists() else ""
  return sum(line.startswith(beginning) for line in text.splitlines())


def test_killed_at_any_moment_it_goes_on_from_a_whole_point(tmp_path):
  runs.train(tmp_path / "whole", **_small())
  folder = tmp_path / "killed"
  folder.mkdir()
  generator = np.random.default_rng(4)
  kills, positions = 0, []
  while True:
    with processes.started(runs.train_in_process, folder, _small()) as process:
      if kills < 4:
        # The first one dies while it starts, the others while they train.
        if kills:
          _wait_for(process, lambda: _lines(folder, "  ["))
        time.sleep(generator.uniform(0, 0.3))
        process.kill()
        process.join()
        assert process.exitcode in (-signal.SIGKILL, 0)
        kills += 1
      else:
        process.join()
        assert process.exitcode == 0
        break
    (folder / "out.txt").unlink(missing_ok=True)
    point = resume.load(folder)
    if point is not None:
      state = point.state
      positions.append((state["problem_index"], state["meta_iteration"]))
  assert positions == sorted(positions)
  assert len(set(positions)) > 1, positions
  runs.assert_equal(runs.published(folder), runs.published(tmp_path / "whole"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_asked_to_stop_it_saves_the_last_meta_iteration(tmp_path, number):
  settings = _small(
    entries=[runs.quadratic(2)],
    num_problems=2,
    num_meta_iterations=80,
    unrolls=5,
    save_seconds=1e9,
  )
  folder = tmp_path / "stopped"
  folder.mkdir()
  with processes.started(runs.train_in_process, folder, settings) as process:
    _wait_for(process, lambda: _lines(folder, "  [") > 5)
    os.kill(process.pid, number)
    process.join(60)
    assert process.exitcode == 128 + number
  point = resume.load(folder)
  done = 80 * point.state["problem_index"] + point.state["meta_iteration"]
  assert 5 < done < 160
  assert done == _lines(folder, "  [")
  # It fell back to the end of a meta-iteration, and saved and published that.
  assert point.variables["global_step"] == 5 * done
  runs.assert_equal(runs.published(folder), point.variables)
  runs.train(folder, **settings)
  runs.train(tmp_path / "whole", **settings)
  runs.assert_equal(runs.published(folder), runs.published(tmp_path / "whole"))


def test_asked_twice_it_ends_at_once(tmp_path):
  settings = _small(
    entries=[runs.quadratic(2)],
    num_problems=1,
    num_meta_iterations=1,
    unrolls=10,
    steps=100_000,
  )
  with processes.started(runs.train_in_process, tmp_path, settings) as process:
    _wait_for(process, lambda: _lines(tmp_path, "Took"))
    time.sleep(0.5)
    os.kill(process.pid, signal.SIGINT)
    time.sleep(0.5)
    assert process.is_alive()  # It is within its unroll.
    os.kill(process.pid, signal.SIGINT)
    process.join(1)
    assert process.exitcode == 130
  assert resume.load(tmp_path).state["meta_iteration"] == 0


def test_handlers_are_put_back():
  # What runs in the background of a shell may start with interrupts ignored.
  inherited = signal.signal(signal.SIGINT, signal.default_int_handler)
  before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
  with interruption.watch() as asked:
    assert asked.signal is None
    signal.raise_signal(signal.SIGTERM)
    end = time.monotonic() + 10
    while asked.signal is None and time.monotonic() < end:
      time.sleep(0.01)
    assert asked.signal == signal.SIGTERM
  after = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
  assert after == before
  assert signal.set_wakeup_fd(-1) == -1
  with pytest.raises(KeyboardInterrupt):
    signal.raise_signal(signal.SIGINT)
  signal.signal(signal.SIGINT, inherited)


def test_other_threads_watch_nothing():
  seen = []

  def run():
    with interruption.watch() as asked:
      seen.append(asked.signal)

  thread = threading.Thread(target=run)
  thread.start()
  thread.join()
  assert seen == [None]

"""Runs that were stopped go on as if they had not been."""

import json
import shutil

import numpy as np
import pytest

from learned_optimizer import metaopt
from learned_optimizer.metaopt import resume, schedule
from learned_optimizer.metaopt.meta_graph import MetaGraph
from learned_optimizer.metaopt.meta_iterations import MetaIterations
from learned_optimizer.metaopt.program import Program
from tests.metaopt import runs

_RUN = dict(
  entries=[runs.quadratic(3), runs.softmax(), runs.quadratic(2)],
  num_problems=4,
  num_meta_iterations=3,
  unrolls=runs.between(1, 3),
  steps=runs.between(1, 6),
  save_seconds=0.0,
)


class Crash(Exception):
  """The process dies; nothing is cleaned up."""


def _crash_at(monkeypatch, number):
  """Lets the run die when the given meta-iteration, from 0, would start."""
  run = MetaIterations.run
  count = 0

  def counted(self, *args):
    nonlocal count
    if count == number:
      raise Crash
    count += 1
    return run(self, *args)

  monkeypatch.setattr(MetaIterations, "run", counted)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
  """What the run ends with if nothing stops it, and what it printed."""
  folder = tmp_path_factory.mktemp("uninterrupted")
  _, output = runs.train(folder, **_RUN)
  return runs.published(folder), output


def _objectives(output):
  """The parts of the lines that do not tell times."""
  return [
    (line.split(",")[0], line.split("seconds")[-1])
    for line in output.splitlines()
    if line.startswith("  [")
  ]


@pytest.mark.parametrize("number", [0, 1, 3, 11])
def test_goes_on_exactly_from_the_last_saved_point(
  tmp_path, monkeypatch, uninterrupted, number
):
  with monkeypatch.context() as patch:
    _crash_at(patch, number)
    with pytest.raises(Crash):
      runs.train(tmp_path, **_RUN)
  state = json.loads((runs.points(tmp_path)[-1] / "state.json").read_text())
  # With state kept between meta-iterations, an inner one is worth saving.
  position = 3 * state["problem_index"] + state["meta_iteration"]
  assert position == number
  # What a point holds is not drawn again: another seed changes nothing.
  result, output = runs.train(tmp_path, **{**_RUN, "seed": 99})
  values, whole = uninterrupted
  assert not result.already_finished
  assert _objectives(output) == _objectives(whole)[number:]
  runs.assert_equal(runs.published(tmp_path), values)


def test_carried_state_matters_in_these_runs(tmp_path, monkeypatch):
  """Losing it would be noticed above."""
  values = []
  settings = dict(num_problems=1, num_meta_iterations=3, save_seconds=0.0)
  for name in ("kept", "lost"):
    with monkeypatch.context() as patch:
      _crash_at(patch, 2)
      with pytest.raises(Crash):
        runs.train(tmp_path / name, **settings)
    with monkeypatch.context() as patch:
      if name == "lost":
        patch.setattr(Program, "restore_carried", lambda self, arrays: None)
      runs.train(tmp_path / name, **settings)
    values.append(runs.published(tmp_path / name)["Momentum/learning_rate"])
  assert values[0] != values[1]


def test_more_problems_continue_a_finished_run(tmp_path):
  for folder, numbers in (("parts", (1, 4)), ("whole", (4,))):
    for number in numbers:
      runs.train(tmp_path / folder, **{**_RUN, "num_problems": number})
  runs.assert_equal(
    runs.published(tmp_path / "parts"), runs.published(tmp_path / "whole")
  )
  result, output = runs.train(tmp_path / "whole", **_RUN)
  assert result.already_finished
  assert not output


def test_without_a_seed_the_order_survives(tmp_path):
  entries = [runs.quadratic(n) for n in (1, 2, 3, 4, 5, 6)]
  names = []
  for number in (2, 3, 6):
    _, output = runs.train(
      tmp_path,
      entries=entries,
      num_problems=number,
      num_meta_iterations=1,
      unrolls=1,
      seed=None,
      select_random_problems=False,
    )
    names += [line for line in output.splitlines() if line[:4] == "Quad"]
  assert sorted(names) == [f"Quadratic({n})" for n in range(1, 7)]


def test_the_hierarchical_rnn_goes_on_exactly(tmp_path, monkeypatch):
  settings = dict(
    optimizer=runs.hierarchical_rnn((3,)),
    num_problems=1,
    num_meta_iterations=3,
    save_seconds=0.0,
  )
  runs.train(tmp_path / "whole", **settings)
  with monkeypatch.context() as patch:
    _crash_at(patch, 2)
    with pytest.raises(Crash):
      runs.train(tmp_path / "parts", **settings)
  assert resume.load(tmp_path / "parts").state["meta_iteration"] == 2
  runs.train(tmp_path / "parts", **settings)
  runs.assert_equal(
    runs.published(tmp_path / "parts"), runs.published(tmp_path / "whole")
  )


def _compiled(monkeypatch):
  """Records whether the program of each problem is to be compiled."""
  compiled = []
  meta_program = MetaGraph.meta_program

  def recorded(self, task, jit_compile):
    compiled.append(jit_compile)
    return meta_program(self, task, jit_compile)

  monkeypatch.setattr(MetaGraph, "meta_program", recorded)
  return compiled


@pytest.mark.parametrize("first", [False, True])
def test_a_longer_run_keeps_the_choice_whether_to_compile(
  tmp_path, monkeypatch, first
):
  compiled = _compiled(monkeypatch)
  settings = dict(num_meta_iterations=1, unrolls=1, xla="auto")
  # The first part has 4 steps, both together have 8.
  for number, limit in ((1, 4 if first else 5), (2, 9 if first else 8)):
    monkeypatch.setattr(schedule, "_STEPS_THAT_PAY_FOR_COMPILING", limit)
    runs.train(tmp_path, num_problems=number, **settings)
  assert compiled == [first, first]
  # Whoever asks for it gets it.
  settings["xla"] = "never" if first else "always"
  runs.train(tmp_path, num_problems=3, **settings)
  assert compiled[2:] == [not first]


def test_what_does_not_compile_goes_on_exactly(tmp_path, monkeypatch):
  settings = dict(
    entries=[runs.dawson()],
    num_problems=1,
    num_meta_iterations=3,
    save_seconds=0.0,
  )
  runs.train(tmp_path / "whole", **settings)
  with monkeypatch.context() as patch:
    _crash_at(patch, 2)
    with pytest.raises(Crash):
      runs.train(tmp_path / "parts", **settings, xla="always")
  runs.train(tmp_path / "parts", **settings, xla="always")
  runs.assert_equal(
    runs.published(tmp_path / "parts"), runs.published(tmp_path / "whole")
  )


def test_saves_at_times(tmp_path, monkeypatch):
  saved = []
  save = resume.save

  def recorded(folder, point):
    saved.append((point.state["problem_index"], point.state["meta_iteration"]))
    save(folder, point)

  monkeypatch.setattr(resume, "save", recorded)
  runs.train(tmp_path / "often", save_seconds=0.0)
  assert [*dict.fromkeys(saved)] == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)] + [
    (1, 2),
    (2, 0),
  ]
  saved.clear()
  runs.train(tmp_path / "seldom", save_seconds=1e9)
  assert saved == [(0, 0), (1, 0), (2, 0)]


# The files.


def test_keeps_two_points_without_pickles(tmp_path):
  runs.train(tmp_path, num_problems=5)
  points = runs.points(tmp_path)
  assert [p.name for p in points] == ["resume-5", "resume-6"]
  for point in points:
    names = {path.name for path in point.iterdir()}
    assert names == {"variables.npz", "inner.npz", "state.json"}
    for name in ("variables.npz", "inner.npz"):
      with np.load(point / name, allow_pickle=False) as arrays:
        assert all(array.dtype != object for array in dict(arrays).values())
    json.loads((point / "state.json").read_text())


def _copy(folder, target):
  shutil.copytree(folder, target)
  return target


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
  """The folder of a run that ended within its third problem."""
  folder = tmp_path_factory.mktemp("stopped")
  with pytest.MonkeyPatch.context() as patch:
    _crash_at(patch, 8)
    with pytest.raises(Crash):
      runs.train(folder, **_RUN)
  return folder


@pytest.mark.parametrize("name", ["variables.npz", "inner.npz", "state.json"])
@pytest.mark.parametrize("damage", ["cut", "empty", "gone", "flipped"])
def test_a_damaged_point_falls_back_to_the_one_before(
  tmp_path, stopped, uninterrupted, name, damage
):
  folder = _copy(stopped, tmp_path / "run")
  before, newest = runs.points(folder)
  path = newest / name
  content = path.read_bytes()
  if damage == "cut":
    path.write_bytes(content[: len(content) // 2])
  elif damage == "empty":
    path.write_bytes(b"")
  elif damage == "gone":
    path.unlink()
  else:
    path.write_bytes(bytes(b ^ 255 for b in content))
  expected = json.loads((before / "state.json").read_text())
  assert resume.load(folder).state == expected
  if damage == "cut":
    runs.train(folder, **_RUN)
    runs.assert_equal(runs.published(folder), uninterrupted[0])


@pytest.mark.parametrize("damaged", [0, 1])
def test_two_whole_points_are_kept(tmp_path, stopped, damaged):
  folder = _copy(stopped, tmp_path / "run")
  points = runs.points(folder)
  (points[damaged] / "state.json").write_text("{")
  whole = points[1 - damaged]
  point = resume.load(folder)
  resume.save(folder, point)
  number = int(points[1].name.split("-")[1]) + 1
  kept = [whole.name, f"resume-{number}"]
  assert [path.name for path in runs.points(folder)] == kept
  shutil.rmtree(folder / kept[1])
  assert resume.load(folder).state == point.state


def test_a_flipped_byte_does_not_go_unnoticed(tmp_path, stopped):
  folder = _copy(stopped, tmp_path / "run")
  before, newest = runs.points(folder)
  path = newest / "variables.npz"
  content = bytearray(path.read_bytes())
  with np.load(path) as arrays:
    value = arrays["Momentum/learning_rate"].tobytes()
  content[content.index(value)] ^= 1
  path.write_bytes(content)
  expected = json.loads((before / "state.json").read_text())
  assert resume.load(folder).state == expected


def test_points_that_are_all_damaged_are_an_error(tmp_path, stopped):
  folder = _copy(stopped, tmp_path / "run")
  for point in runs.points(folder):
    (point / "state.json").write_text("{")
  before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
  with pytest.raises(metaopt.RunError, match="No saved point in") as error:
    runs.train(folder, **_RUN, settings={"some": "setting"})
  assert "\n" not in str(error.value)
  after = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
  assert after == before


def test_ignores_what_is_no_point(tmp_path, stopped, uninterrupted):
  folder = _copy(stopped, tmp_path / "run")
  newest = runs.points(folder)[-1]
  number = int(newest.name.split("-")[1])
  partial = folder / f".resume-{number + 1}.partial"
  partial.mkdir()
  (partial / "variables.npz").write_bytes(b"half")
  (partial / "more").mkdir()
  (folder / "resume-copy").mkdir()
  (folder / "resume-9.old").mkdir()
  runs.train(folder, **_RUN)
  runs.assert_equal(runs.published(folder), uninterrupted[0])
  assert not partial.exists()


@pytest.mark.parametrize("damage", ["data", "index", "list", "all", "cut"])
def test_a_damaged_published_checkpoint_is_written_again(
  tmp_path, stopped, damage
):
  folder = _copy(stopped, tmp_path / "run")
  newest = runs.published(folder)
  step = newest["global_step"]
  data = folder / f"model.ckpt-{step}.data-00000-of-00001"
  if damage == "data":
    data.write_bytes(bytes(b ^ 255 for b in data.read_bytes()))
  elif damage == "cut":
    data.write_bytes(data.read_bytes()[:3])
  elif damage == "index":
    (folder / f"model.ckpt-{step}.index").unlink()
  elif damage == "list":
    (folder / "checkpoint").write_bytes(b"\xff\xfe\x00")
  else:
    for path in folder.glob("model*"):
      path.unlink()
    (folder / "checkpoint").unlink()
  result, output = runs.train(folder, **{**_RUN, "num_problems": 1})
  assert result.already_finished, output
  runs.assert_equal(runs.published(folder), newest)


def test_a_whole_published_checkpoint_is_left_alone(tmp_path, stopped):
  folder = _copy(stopped, tmp_path / "run")
  names = ("model.ckpt", "checkpoint")
  before = {
    p: p.stat().st_mtime_ns
    for p in folder.iterdir()
    if p.name.startswith(names)
  }
  runs.train(folder, **{**_RUN, "num_problems": 1})
  after = {
    p: p.stat().st_mtime_ns
    for p in folder.iterdir()
    if p.name.startswith(names)
  }
  assert after == before


# Other settings.


def test_other_problems_start_anew_where_the_old_one_does_not_fit(
  tmp_path, stopped
):
  state = resume.load(stopped).state
  assert state["meta_iteration"] == 2
  index = state["problem_index"]
  # Of other sizes; or fewer, so that the old one's index stands for none.
  for count in (3, 1):
    folder = _copy(stopped, tmp_path / str(count))
    entries = count * [runs.quadratic(9)]
    _, output = runs.train(folder, **{**_RUN, "entries": entries})
    assert f"Problem #{index} " in output.splitlines()[0]
    assert len(_objectives(output)) == 3 * (4 - index)


def test_another_optimizer_is_refused(tmp_path, stopped):
  folder = _copy(stopped, tmp_path / "run")
  before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
  with pytest.raises(ValueError, match="no variable Adam/learning_rate"):
    runs.train(
      folder, **_RUN, optimizer=runs.baseline("Adam"), settings={"a": 1}
    )
  after = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
  assert after == before


def test_settings_are_recorded_once_the_run_starts(tmp_path):
  runs.train(tmp_path, settings={"some": "setting"})
  recorded = json.loads((tmp_path / "settings.json").read_text())
  assert recorded == {"some": "setting"}

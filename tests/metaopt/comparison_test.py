"""Comparisons: what is selected, and table, CSV and picture of it."""

import csv
import pickle

import numpy as np
import pytest
import tensorflow as tf
from matplotlib import image

from learned_optimizer.metaopt import comparison, plotting, report
from learned_optimizer.metaopt.comparison import Contestant, Curves
from learned_optimizer.metaopt.evaluation import Losses
from learned_optimizer.optimizer.baselines import BASELINES
from tests.metaopt import runs

_STEPS = (2, 5)
# All take the same way; one compilation each.
_GRIDS = [BASELINES[name] for name in ("SGD", "Momentum", "Adam")]


@pytest.fixture(scope="module")
def compared():
  """Curves of two problems over three seeds, and the progress told."""
  spec = runs.baseline("Momentum")
  told = []
  curves = comparison.compare(
    {"bowl": runs.quadratic(2), "regression": runs.softmax()},
    [
      Contestant(name, spec, {"Momentum/learning_rate": np.float32(rate)})
      for name, rate in (("fast", 0.1), ("still", 0.0))
    ],
    _GRIDS,
    5,
    _STEPS,
    (1, 2, 3),
    told.append,
  )
  return curves, told


def test_compares_with_the_default_and_the_best_of_the_grid(compared):
  curves, told = compared
  problems = [*dict.fromkeys(c.problem for c in curves)]
  assert problems == ["bowl", "regression"]
  assert [*dict.fromkeys(c.title for c in curves)] == [
    "bowl: Quadratic(2)",
    "regression: SoftmaxRegression(3, 2)",
  ]
  assert sum(told) == comparison.num_runs(2, 2, _GRIDS, 3)
  for problem in problems:
    mine = [c for c in curves if c.problem == problem]
    assert [c.label for c in mine[:2]] == ["fast", "still"]
    assert {c.optimizer for c in mine[2:]} == {*("SGD", "Momentum", "Adam")}
    still = mine[1].losses.on_data
    np.testing.assert_allclose(still, np.tile(still[:, :1], 6), rtol=1e-6)
    for c in mine:
      np.testing.assert_array_equal(c.steps, np.arange(6))
      assert c.losses.on_data.shape == (3, 6)
      assert c.losses.on_batches.shape == (3, 6)
      # All start at the same parameters and see the same batches.
      for all_losses, expected in zip(c.losses, mine[1].losses, strict=True):
        np.testing.assert_allclose(all_losses[:, 0], expected[:, 0], rtol=1e-6)
    for name, default in (("SGD", 0.01), ("Adam", 0.001)):
      notes = {c.learning_rate: c.note for c in mine if c.optimizer == name}
      assert "default" in notes[default]
      for step in _STEPS:
        assert sum(f"best at {step}" in note for note in notes.values()) == 1
  fast, momentum = (
    next(c for c in curves if (c.optimizer, c.learning_rate) == key)
    for key in (("fast", None), ("Momentum", 0.1))
  )
  np.testing.assert_allclose(
    fast.losses.on_data, momentum.losses.on_data, rtol=1e-5
  )


def test_runs_do_not_end_where_training_would():
  spec = runs.baseline("SGD")._replace(
    kwargs={"obj_train_max_multiplier": 1.0001}
  )
  (curves,) = comparison.compare(
    {"bowl": runs.quadratic(2)},
    [Contestant("rising", spec, {"SGD/learning_rate": np.float32(-0.1)})],
    *([], 4, [4], (1,)),
  )
  assert np.all(np.diff(curves.losses.on_data) > 0)


def _curves(on_data, optimizer="A", rate=None, note="", problem="P"):
  on_data = np.array(on_data, np.float32)
  steps = np.arange(on_data.shape[1])
  losses = Losses(on_data, on_data)
  return Curves(problem, "p()", optimizer, rate, note, steps, losses)


def test_a_run_that_diverged_is_infinitely_bad():
  curves = _curves([[4, 1], [4, np.nan], [4, 2], [4, np.nan], [4, np.inf]])
  low, median, high = curves.quartiles()
  np.testing.assert_array_equal(low, [4, 2])
  np.testing.assert_array_equal(median, [4, np.inf])
  np.testing.assert_array_equal(high, [4, np.inf])


def test_the_best_rate_has_the_lowest_median_at_each_step():
  curves = [
    _curves(losses, "Rule", rate)
    for rate, losses in {
      0.001: [[9, 3, 8], [9, 3, 8], [9, 3, 8]],
      0.01: [[9, 4, 7], [9, 4, 7], [9, 4, 7]],
      0.1: [[9, 1, 1], [9, np.nan, np.nan], [9, np.nan, np.nan]],
      0.3: [[9, 5, 6], [9, 5, 6], [9, 5, np.nan]],
    }.items()
  ]
  selected = comparison._selection(curves, 0.01, (1, 2))
  assert {c.learning_rate: c.note for c in selected} == {
    0.01: "default",
    0.001: "best at 1",
    0.3: "best at 2",
  }
  selected = comparison._selection(curves, 0.01, (0,))
  assert len(selected) <= 2


def test_the_table_shows_medians_and_quartiles():
  curves = [
    _curves([[3, loss] for loss in (1, 2, 4, 8, 16)]),
    _curves([[3, 0.5]] * 3 + [[3, np.nan]] * 2, "Adam", 0.1, "best at 1"),
    _curves([[7, 6.0]] * 5, "Adam", 1e-4, problem="Q"),
  ]
  # Where a table's step is among the points does not matter.
  curves = [c._replace(steps=np.array([0, 70])) for c in curves]
  lines = comparison.table(curves, [70]).splitlines()
  assert lines == [
    "P: p()",
    "optimizer             loss after 70 steps",
    "A                     4 [2, 8]",
    "Adam 0.1 (best at 1)  0.5 [0.5, inf]",
    "",
    "Q: p()",
    "optimizer    loss after 70 steps",
    "Adam 0.0001  6 [6, 6]",
    "",
    "Median [quartiles] over 5 seeds, loss on all data.",
  ]


def test_the_csv_holds_every_point(tmp_path, compared):
  curves, _ = compared
  curves = [c._replace(steps=10 * c.steps) for c in curves]
  path = tmp_path / "curves.csv"
  comparison.write_csv(path, curves)
  with path.open() as file:
    rows = [*csv.DictReader(file)]
  assert len(rows) == 6 * len(curves)
  for i, c in enumerate(curves):
    quartiles = c.quartiles()
    for point in range(6):
      row = rows[6 * i + point]
      for name in ("problem", "description", "optimizer", "note"):
        assert row[name] == getattr(c, name)
      rate = row["learning_rate"]
      assert (float(rate) if rate else None) == c.learning_rate
      assert int(row["step"]) == 10 * point
      names = ("lower_quartile", "median", "upper_quartile")
      values = [float(row[name]) for name in names]
      np.testing.assert_allclose(values, quartiles[:, point], rtol=1e-6)
  assert [path.name for path in tmp_path.iterdir()] == ["curves.csv"]


@pytest.mark.filterwarnings("error")
def test_the_picture_shows_a_panel_per_problem(tmp_path, compared):
  curves, _ = compared
  diverged, solved = (
    _curves(losses, name, 1.0, "default")._replace(
      problem=curves[0].problem, description=curves[0].description
    )
    for name, losses in (
      ("Bad", np.full([3, 6], np.nan)),
      ("Good", [[3, 1, 0, 0, 0, 0]] * 3),
    )
  )
  pictures = {"both": curves, "one": [curves[0], diverged, solved]}
  half = diverged._replace(
    losses=Losses(np.array([[3, 1]] + [[3, np.nan]] * 2), np.zeros([3, 1])),
    steps=np.arange(2),
  )
  others = {"bad": [diverged], "half": [half]}
  for name, shown in {**pictures, **others}.items():
    plotting.write_png(tmp_path / f"{name}.png", shown)
  both, one = (image.imread(tmp_path / f"{name}.png") for name in pictures)
  assert both.shape[0] == 2 * one.shape[0]
  for picture in (both, one):
    colours = {tuple(c) for c in np.round(picture[:, :, :3], 1).reshape(-1, 3)}
    assert len(colours) > 20
    assert 0.001 < np.mean(np.any(picture[:, :, :3] < 0.9, axis=2)) < 0.5


# The report.


def test_a_report_restores_and_writes(tmp_path, capsys):
  spec = runs.baseline("SGD")
  runs.train(tmp_path / "run", optimizer=spec)
  rate = runs.published(tmp_path / "run")["SGD/learning_rate"]
  trained, path = report.trained(spec, tmp_path / "run")
  assert path == tf.train.latest_checkpoint(str(tmp_path / "run"))
  output = tmp_path / "output"
  output.mkdir()
  curves = report.compare(
    {"bowl": runs.quadratic(2)},
    [trained, report.untrained(spec)],
    [BASELINES["SGD"]],
    *(6, _STEPS, (1, 2)),
  )
  report.write(curves, _STEPS, output)
  printed = capsys.readouterr().out
  assert "RuleOptimizer untrained" in printed
  assert comparison.table(curves, _STEPS) in printed
  with (output / "evaluation.csv").open() as file:
    rows = [*csv.DictReader(file)]
  assert {row["step"] for row in rows} == {*"0123456"}
  assert rate != np.float32(0.01)
  mine, untrained, sgd = (
    [
      float(row["median"])
      for row in rows
      if row["optimizer"] == name and ("default" in row["note"]) == default
    ]
    for name, default in (
      ("RuleOptimizer", False),
      ("RuleOptimizer untrained", False),
      ("SGD", True),
    )
  )
  assert mine[0] == untrained[0]
  assert mine[1] != untrained[1]
  np.testing.assert_allclose(untrained, sgd, rtol=1e-5)
  assert {path.name for path in output.iterdir()} == {
    *("evaluation.csv", "evaluation.png")
  }


def test_a_report_names_the_checkpoint_that_it_wants(tmp_path):
  spec = runs.baseline("SGD")
  with pytest.raises(ValueError, match="no checkpoint in"):
    report.trained(spec, tmp_path)
  runs.train(tmp_path, optimizer=spec)
  with pytest.raises(ValueError, match="model.ckpt-77 cannot be read"):
    report.trained(spec, tmp_path, "model.ckpt-77")
  with pytest.raises(ValueError, match="no variable Adam/"):
    report.trained(runs.baseline("Adam"), tmp_path)


def _record(path, number=np.float32):
  record = pickle.loads(path.read_bytes())
  assert type(record) is list
  assert {type(loss) for loss in record} == {number}
  return record


def test_records_are_those_of_the_original(tmp_path, capsys):
  first = _curves([[3, 2, 1], [7, np.nan, np.nan]])
  report.write_records([first], (6, 12), tmp_path, "mt")
  names = [f"seed{seed}_eval_loss_record.pickle-mt" for seed in (6, 12)]
  assert {path.name for path in tmp_path.iterdir()} == {*names}
  assert _record(tmp_path / names[0]) == [3, 2]
  np.testing.assert_array_equal(_record(tmp_path / names[1]), [7, np.nan])
  (line,) = capsys.readouterr().err.splitlines()
  assert line.startswith("Warning: A diverged on P with seeds 12;")
  second = _curves([[5, 4, 3], [6, 5, 4]], problem="Q")
  report.write_records([first, second], (6, 12), tmp_path, "mt")
  assert _record(tmp_path / f"{names[0]}-P") == [3, 2]
  assert _record(tmp_path / f"{names[1]}-Q") == [6, 5]
  assert len([*tmp_path.iterdir()]) == 6


def test_records_of_l2o_dm(tmp_path, capsys):
  """Losses after each step; with one seed, the names are the original's."""
  curves = _curves([[3, 2, 1]])
  report.write_records([curves], (6,), tmp_path, "mnist", of_l2o_dm=True)
  name = "L2L_eval_loss_record.pickle-mnist"
  assert _record(tmp_path / name, float) == [2.0, 1.0]
  assert capsys.readouterr().out == f"Records: {tmp_path}/{name}\n"
  curves = _curves([[3, 2, 1], [7, 6, np.nan]])
  report.write_records([curves], (6, 12), tmp_path, "mnist", of_l2o_dm=True)
  assert _record(tmp_path / f"seed6_{name}", float) == [2.0, 1.0]
  diverged = _record(tmp_path / f"seed12_{name}", float)
  np.testing.assert_array_equal(diverged, [6.0, np.nan])
  assert "with seeds 12;" in capsys.readouterr().err
  assert len([*tmp_path.iterdir()]) == 3

"""Comparisons: what is selected, and table, CSV and picture of it."""

import csv

import numpy as np
import pytest
from matplotlib import image

from learned_optimizer.metaopt import comparison, plotting, report
from learned_optimizer.metaopt.comparison import Curves
from tests.metaopt import runs

_STEPS = (2, 5)


@pytest.fixture(scope="module")
def compared():
  """Curves of two problems over three seeds, and the progress told."""
  spec = runs.baseline("Momentum")
  told = []
  curves = comparison.compare(
    spec,
    {
      "fast": {"Momentum/learning_rate": np.float32(0.1)},
      "still": {"Momentum/learning_rate": np.float32(0.0)},
    },
    [runs.quadratic(2), runs.softmax()],
    _STEPS,
    (1, 2, 3),
    told.append,
  )
  return curves, told


def test_compares_with_the_default_and_the_best_of_the_grid(compared):
  curves, told = compared
  problems = [*dict.fromkeys(c.problem for c in curves)]
  assert problems == ["Quadratic(2)", "SoftmaxRegression(3, 2)"]
  assert sum(told) == comparison.num_runs(2, 2, (1, 2, 3))
  for problem in problems:
    mine = [c for c in curves if c.problem == problem]
    assert [c.label for c in mine[:2]] == ["fast", "still"]
    assert {c.optimizer for c in mine[2:]} == {
      *("SGD", "Momentum", "RMSProp", "Adam")
    }
    still = mine[1].losses
    np.testing.assert_allclose(still, np.tile(still[:, :1], 6), rtol=1e-6)
    for c in mine:
      assert c.losses.shape == (3, 6)
      # All start at the same parameters.
      np.testing.assert_allclose(c.losses[:, 0], still[:, 0], rtol=1e-6)
    for name, default in (("SGD", 0.01), ("Adam", 0.001)):
      notes = {c.learning_rate: c.note for c in mine if c.optimizer == name}
      assert "default" in notes[default]
      for step in _STEPS:
        assert sum(f"best at {step}" in note for note in notes.values()) == 1
  fast, momentum = (
    next(c for c in curves if (c.optimizer, c.learning_rate) == key)
    for key in (("fast", None), ("Momentum", 0.1))
  )
  np.testing.assert_allclose(fast.losses, momentum.losses, rtol=1e-5)


def _curves(losses, optimizer="A", rate=None, note="", problem="P"):
  return Curves(problem, optimizer, rate, note, np.array(losses, np.float32))


def test_a_run_that_diverged_is_infinitely_bad():
  curves = _curves([[4, 1], [4, np.nan], [4, 2], [4, np.nan], [4, np.inf]])
  low, median, high = curves.quartiles()
  np.testing.assert_array_equal(low, [4, 2])
  np.testing.assert_array_equal(median, [4, np.inf])
  np.testing.assert_array_equal(high, [4, np.inf])


def test_the_best_rate_has_the_lowest_median_at_each_step():
  class Rule:
    name = "Rule"
    learning_rate = 0.01

  losses = {
    0.001: np.array([[9, 3, 8], [9, 3, 8], [9, 3, 8]], np.float32),
    0.01: np.array([[9, 4, 7], [9, 4, 7], [9, 4, 7]], np.float32),
    0.1: np.array([[9, 1, 1], [9, np.nan, np.nan], [9, np.nan, np.nan]]),
    0.3: np.array([[9, 5, 6], [9, 5, 6], [9, 5, np.nan]], np.float32),
  }
  selected = comparison._selection("P", Rule, losses, (1, 2))
  assert {c.learning_rate: c.note for c in selected} == {
    0.01: "default",
    0.001: "best at 1",
    0.3: "best at 2",
  }
  selected = comparison._selection("P", Rule, losses, (0,))
  assert len(selected) <= 2


def test_the_table_shows_medians_and_quartiles():
  curves = [
    _curves([[3, loss] for loss in (1, 2, 4, 8, 16)]),
    _curves([[3, 0.5]] * 3 + [[3, np.nan]] * 2, "Adam", 0.1, "best at 1"),
    _curves([[7, 6.0]] * 5, problem="Q"),
  ]
  lines = comparison.table(curves, [1]).splitlines()
  assert lines == [
    "P",
    "optimizer             loss after 1 steps",
    "A                     4 [2, 8]",
    "Adam 0.1 (best at 1)  0.5 [0.5, inf]",
    "",
    "Q",
    "optimizer  loss after 1 steps",
    "A          6 [6, 6]",
    "",
    "Median [quartiles] over 5 seeds, loss on all data.",
  ]


def test_the_csv_holds_every_step(tmp_path, compared):
  curves, _ = compared
  path = tmp_path / "curves.csv"
  comparison.write_csv(path, curves)
  with path.open() as file:
    rows = [*csv.DictReader(file)]
  assert len(rows) == 6 * len(curves)
  for i, c in enumerate(curves):
    quartiles = c.quartiles()
    for step in range(6):
      row = rows[6 * i + step]
      assert (row["problem"], row["optimizer"]) == (c.problem, c.optimizer)
      rate = row["learning_rate"]
      assert (float(rate) if rate else None) == c.learning_rate
      assert (int(row["step"]), row["note"]) == (step, c.note)
      names = ("lower_quartile", "median", "upper_quartile")
      values = [float(row[name]) for name in names]
      np.testing.assert_allclose(values, quartiles[:, step], rtol=1e-6)
  assert [path.name for path in tmp_path.iterdir()] == ["curves.csv"]


@pytest.mark.filterwarnings("error")
def test_the_picture_shows_a_panel_per_problem(tmp_path, compared):
  curves, _ = compared
  diverged = _curves(
    np.full([3, 6], np.nan), "Bad", 1.0, "default", curves[0].problem
  )
  solved = _curves(
    [[3, 1, 0, 0, 0, 0]] * 3, "Good", 1.0, "default", curves[0].problem
  )
  for name, shown in (("both", curves), ("one", [curves[0], diverged, solved])):
    plotting.write_png(tmp_path / f"{name}.png", shown)
  both, one = (image.imread(tmp_path / f"{n}.png") for n in ("both", "one"))
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
  report.evaluate(
    tmp_path / "run",
    spec,
    [runs.quadratic(2)],
    _STEPS,
    (1, 2),
    tmp_path / "new" / "folder",
  )
  output = capsys.readouterr().out
  assert "RuleOptimizer untrained" in output
  with (tmp_path / "new" / "folder" / "evaluation.csv").open() as file:
    rows = [*csv.DictReader(file)]
  rates = [float(row["learning_rate"]) for row in rows if row["learning_rate"]]
  assert rates
  assert rate != np.float32(0.01)
  mine = {
    name: [float(row["median"]) for row in rows if row["optimizer"] == name]
    for name in ("RuleOptimizer", "RuleOptimizer untrained")
  }
  assert mine["RuleOptimizer"][0] == mine["RuleOptimizer untrained"][0]
  assert mine["RuleOptimizer"][1] != mine["RuleOptimizer untrained"][1]
  sgd = [
    float(row["median"])
    for row in rows
    if row["optimizer"] == "SGD" and "default" in row["note"]
  ]
  np.testing.assert_allclose(mine["RuleOptimizer untrained"], sgd, rtol=1e-5)


def test_a_report_names_the_checkpoint_that_it_wants(tmp_path):
  spec = runs.baseline("SGD")
  output = tmp_path / "out"
  rest = ([runs.quadratic(2)], _STEPS, (1,), output)
  with pytest.raises(ValueError, match="no checkpoint in"):
    report.evaluate(tmp_path, spec, *rest)
  runs.train(tmp_path, optimizer=spec)
  with pytest.raises(ValueError, match="model.ckpt-77 cannot be read"):
    report.evaluate(tmp_path, spec, *rest, "model.ckpt-77")
  with pytest.raises(ValueError, match="no variable Adam/"):
    report.evaluate(tmp_path, runs.baseline("Adam"), *rest)
  assert not output.exists()

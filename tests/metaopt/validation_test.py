"""Validation during training: without effect on it, and the best is kept."""

import json

import numpy as np
import pytest

from learned_optimizer.metaopt import meta_graph
from learned_optimizer.metaopt.training import Validation
from tests.metaopt import runs

_RUN = dict(
  entries=[runs.quadratic(3), runs.softmax()],
  num_problems=3,
  num_meta_iterations=2,
  learning_rate=0.02,
  save_seconds=0.0,
)
_VALIDATION = Validation(period=1, epochs=3, num_steps=5)


class Stop(Exception):
  pass


@pytest.fixture(scope="module")
def validated(tmp_path_factory):
  """The folder of a run that validated, and what it printed and returned."""
  folder = tmp_path_factory.mktemp("validated")
  return folder, *runs.train(folder, **_RUN, validation=_VALIDATION)


def _costs(output):
  return [
    float(line.split()[-1])
    for line in output.splitlines()
    if line.startswith("  validation cost")
  ]


def _best(folder):
  (best,) = folder.glob("best-*")
  return best


def test_has_no_effect_on_training(tmp_path, validated):
  folder, result, _ = validated
  other, _ = runs.train(tmp_path, **_RUN)
  runs.assert_equal(runs.published(folder), runs.published(tmp_path))
  assert other.best_cost is None
  assert result.best_cost is not None
  assert not [*tmp_path.glob("best-*")]


def test_keeps_the_best_weights(validated):
  folder, result, output = validated
  costs = _costs(output)
  assert len(costs) == 6
  assert len(set(costs)) > 1
  best = _best(folder)
  cost = json.loads((best / "validation.json").read_text())["cost"]
  assert cost == result.best_cost == pytest.approx(min(costs), abs=1e-6)
  # Two unrolls are trained on between validations.
  step = 2 * (int(np.argmin(costs)) + 1)
  assert best.name == f"best-{step}"
  assert runs.published(best)["global_step"] == step
  assert [path.name for path in best.glob("*.index")] == [
    f"model.ckpt-{step}.index"
  ]
  assert not [*folder.glob(".*partial")]
  summaries = [
    (event.step, value.simple_value)
    for event in runs.events(folder)
    for value in event.summary.value
    if value.tag == "ValidationCost"
  ]
  np.testing.assert_allclose([v for _, v in summaries], costs, atol=1e-5)
  assert [step for step, _ in summaries] == [2, 4, 6, 8, 10, 12]


def test_the_best_changes_only_for_a_lower_cost(tmp_path, monkeypatch):
  kept = []
  keep = meta_graph.MetaGraph.keep_best

  def recorded(self, folder, cost):
    kept.append(cost)
    keep(self, folder, cost)

  monkeypatch.setattr(meta_graph.MetaGraph, "keep_best", recorded)
  _, output = runs.train(tmp_path, **_RUN, validation=_VALIDATION)
  costs = _costs(output)
  lowest = np.minimum.accumulate(costs)
  assert len(kept) == len(set(lowest))
  np.testing.assert_allclose(kept, [*dict.fromkeys(lowest)], atol=1e-6)


def test_survives_a_restart(tmp_path, monkeypatch, validated):
  folder, result, output = validated
  keep = meta_graph.MetaGraph.values
  count = 0

  def stopping(self):
    nonlocal count
    count += 1
    if count == 5:  # After the best was kept, before that point is saved.
      raise Stop
    return keep(self)

  with monkeypatch.context() as patch:
    patch.setattr(meta_graph.MetaGraph, "values", stopping)
    with pytest.raises(Stop):
      runs.train(tmp_path, **_RUN, validation=_VALIDATION)
  again, rest = runs.train(tmp_path, **_RUN, validation=_VALIDATION)
  costs = _costs(rest)
  assert 0 < len(costs) < 6
  assert costs == _costs(output)[-len(costs) :]
  assert again.best_cost == result.best_cost
  assert _best(tmp_path).name == _best(folder).name
  runs.assert_equal(
    runs.published(_best(tmp_path)), runs.published(_best(folder))
  )


def test_the_period_counts_over_problems(tmp_path):
  validation = Validation(period=3, epochs=1, num_steps=1)
  _, output = runs.train(
    tmp_path,
    num_problems=3,
    num_meta_iterations=2,
    unrolls=1,
    validation=validation,
  )
  lines = [line[:12] for line in output.splitlines() if line[:2] == "  "]
  validations = [i for i, line in enumerate(lines) if "valid" in line]
  assert validations == [3, 7]


def test_equal_weights_cost_the_same_every_time(tmp_path):
  _, output = runs.train(
    tmp_path,
    **{**_RUN, "learning_rate": 1e-30},
    validation=_VALIDATION,
  )
  costs = _costs(output)
  assert len(set(costs)) == 1
  assert np.isfinite(costs[0])
  assert _best(tmp_path).name == "best-2"


def test_divergence_is_never_the_best(tmp_path):
  result, output = runs.train(
    tmp_path,
    entries=[runs.quadratic(150)],
    optimizer=runs.baseline("SGD"),
    num_problems=1,
    learning_rate=1e-30,
    validation=Validation(period=1, epochs=1, num_steps=100),
  )
  costs = _costs(output)
  assert len(costs) == 2
  assert not np.any(np.isfinite(costs))
  assert result.best_cost is None
  assert not [*tmp_path.glob("best-*")]

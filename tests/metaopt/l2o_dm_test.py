"""The loop of L2O-DM and RNNProp, by hand on a small problem."""

import numpy as np
import pytest

from learned_optimizer.metaopt import run_log
from learned_optimizer.metaopt.curriculum import Curriculum
from learned_optimizer.metaopt.procedure import L2O_DM
from learned_optimizer.metaopt.program import Purpose
from learned_optimizer.metaopt.selection import Selection
from learned_optimizer.metaopt.training_settings import Imitation
from learned_optimizer.metaopt.validation import Validation
from learned_optimizer.optimizer import teachers
from learned_optimizer.optimizer.baselines import BASELINES
from learned_optimizer.optimizer.rule_optimizer import RuleOptimizer
from learned_optimizer.problems.problem_spec import Spec
from learned_optimizer.problems.random_scaling import RandomScaling
from tests.metaopt import runs
from tests.metaopt.l2o_scale_test import (
  Crash,
  Watch,
  assert_same_end,
  centre,
  crash_at,
  numbers,
  state_of,
)

TRAIN, IMITATE, EVALUATE = Purpose.TRAIN, Purpose.IMITATE, Purpose.EVALUATE
_NAME = "Momentum/learning_rate"
_RATE = 0.01


def train(folder, **settings):
  """A run on one problem, in unrolls of three steps."""
  optimizer = Spec(
    RuleOptimizer, (BASELINES["Momentum"],), {"use_second_derivatives": False}
  )
  defaults = dict(
    entries=[centre()],
    optimizer=optimizer,
    num_problems=1,
    num_meta_iterations=2,
    unrolls=2,
    steps=3,
    learning_rate=1e-3,
    gradient_clip=np.inf,
    reset_rnn_params=False,
    procedure=L2O_DM,
  )
  return runs.train(folder, **{**defaults, **settings})


class Inner:
  """Inner training with momentum, from where a trial starts."""

  def __init__(self, trial):
    self.params = trial.init_params[0].astype(np.float64)
    self.momentum = np.zeros_like(self.params)

  def step(self, data, rows, rate):
    """A step on a batch; the objective there, its gradient, the momentum."""
    objective, gradient = self.objective(data, rows)
    self.momentum = 0.9 * self.momentum + gradient
    self.params = self.params - rate * self.momentum
    return objective, gradient, self.momentum

  def objective(self, data, rows):
    """The objective on a batch, and its gradient."""
    differences = self.params - data[rows]
    objective = 0.5 * np.mean(np.sum(differences**2, axis=1))
    return objective, differences.mean(axis=0)


class Adam:
  """The textbook's Adam with epsilon hat, on one number."""

  def __init__(self, value):
    self.value, self.first, self.second, self.count = value, 0.0, 0.0, 0

  def descend(self, gradient):
    self.count += 1
    self.first += 0.1 * (gradient - self.first)
    self.second += 0.001 * (gradient**2 - self.second)
    factor = np.sqrt(1 - 0.999**self.count) / (1 - 0.9**self.count)
    self.value -= 1e-3 * factor * self.first / (np.sqrt(self.second) + 1e-8)


@pytest.mark.parametrize("xla", ["never", "always"])
def test_meta_loss(tmp_path, monkeypatch, xla):
  """Sums of four objectives, each on a batch of its own, and their descent."""
  watch = Watch(monkeypatch)
  metadata = {}
  train(tmp_path, xla=xla, callbacks=[lambda *args: metadata.update(args[-1])])
  assert len(watch.unrolls) == 4
  rows = []
  weight = Adam(_RATE)
  for index, unroll in enumerate(watch.unrolls):
    np.testing.assert_allclose(unroll["rate"], weight.value, rtol=1e-5)
    trial, data, rate = (unroll[key] for key in ("trial", "data", "rate"))
    if unroll["first"]:
      inner = Inner(trial)
      assert np.all(inner.params != 0)
    # What the weight has changed of the parameters in this unroll; gradients
    # are constants.
    influence, meta_gradient = 0.0, 0.0
    objectives = []
    for step in range(unroll["start"], unroll["start"] + 3):
      rows.append(trial.batches[step])
      objective, gradient, momentum = inner.step(data, rows[-1], rate)
      objectives.append(objective)
      meta_gradient += gradient @ np.broadcast_to(influence, 3)
      influence = influence - momentum
    rows.append(trial.last_batches[unroll["start"] + 2])
    objective, gradient = inner.objective(data, rows[-1])
    objectives.append(objective)
    meta_gradient += gradient @ influence
    result = unroll["result"]
    np.testing.assert_allclose(result["objectives"], objectives, rtol=1e-5)
    np.testing.assert_allclose(
      result["meta_objective"], sum(objectives), rtol=1e-5
    )
    recorded = metadata["meta_grads_and_params"][index // 2][index % 2]
    np.testing.assert_allclose(recorded[_NAME], meta_gradient, rtol=1e-4)
    weight.descend(meta_gradient)
  np.testing.assert_allclose(
    runs.read(tmp_path / "model.ckpt-2")[_NAME], weight.value, rtol=1e-5
  )
  # Batches are drawn one by one, with replacement.
  assert len({tuple(batch) for batch in rows}) == 16


def test_imitation_in_turn(tmp_path, monkeypatch):
  """The loss is a sum over steps; each teacher has slots of its own."""
  watch = Watch(monkeypatch)
  teacher = teachers.in_turn(["Nesterov", "RMSProp"])
  train(
    tmp_path,
    num_meta_iterations=3,
    imitation=Imitation(teacher, 1.0, num_turns=2),
  )
  assert {u["purpose"] for u in watch.unrolls} == {IMITATE}
  slots = {}
  turn = 1
  for unroll in watch.unrolls:
    if unroll["first"]:
      turn = 1 - turn
      learner, momentum, rms = Inner(unroll["trial"]), 0.0, 1.0
    trial, data, rate = (unroll[key] for key in ("trial", "data", "rate"))
    if turn not in slots:
      # Adam of a turn that begins knows nothing of other turns.
      slots[turn] = Adam(rate)
    slots[turn].value = rate
    loss, meta_gradient = 0.0, 0.0
    for step in range(unroll["start"], unroll["start"] + 3):
      before = learner.params
      _, gradient, own = learner.step(data, trial.batches[step], rate)
      momentum = 0.9 * momentum + gradient
      rms = 0.9 * rms + 0.1 * gradient**2
      led = (
        gradient / np.sqrt(rms + 1e-10) if turn else gradient + 0.9 * momentum
      )
      learner.params = before - 0.01 * led
      difference = rate * own - 0.01 * led
      loss += 0.5 * np.mean(difference**2)
      meta_gradient += np.mean(difference * own)
    np.testing.assert_allclose(
      unroll["result"]["meta_objective"], loss, rtol=1e-4
    )
    slots[turn].descend(meta_gradient)
    unroll["descended"] = slots[turn].value
  for unroll, following in zip(watch.unrolls, watch.unrolls[1:], strict=False):
    np.testing.assert_allclose(
      following["rate"], unroll["descended"], rtol=1e-5
    )
  values = runs.read(tmp_path / "model.ckpt-3")
  assert values[f"{_NAME}/Adam"] == 0
  assert values[f"{_NAME}/Imitation0Adam"] != 0
  assert values[f"{_NAME}/Imitation1Adam"] != 0


def test_ratio_of_imitation_depends_on_the_level():
  imitation = Imitation(teachers.in_turn(["Adam"]), 0.3, (0.0, 0.1, 0.4), 1)
  levels = [None, 0, 1, 2, 3, 6]
  ratios = [imitation.ratio_at(level) for level in levels]
  assert ratios == [0.3, 0.0, 0.1, 0.4, 0.4, 0.4]
  assert imitation._replace(level_ratios=()).ratio_at(2) == 0.3


def test_scaling_is_drawn_anew_and_not_in_validation(tmp_path, monkeypatch):
  watch = Watch(monkeypatch)
  train(
    tmp_path,
    num_meta_iterations=3,
    imitation=Imitation(teachers.in_turn(["Adam"]), 0.5, num_turns=1),
    procedure=L2O_DM._replace(scale_bound=2.0),
    validation=Validation(period=1, epochs=2, num_steps=4),
    seed=2,
  )
  assert {*watch.purposes()} == {TRAIN, IMITATE, EVALUATE}
  for unroll in watch.of(EVALUATE):
    assert type(unroll["program"].task.problem).__name__ == "Centre"
  firsts = [u for u in watch.of(TRAIN, IMITATE) if u["first"]]
  assert {type(u["problem"]) for u in firsts} == {RandomScaling}
  scales = [u["problem"].constants["scale_0"] for u in firsts]
  assert len({scale.tobytes() for scale in scales}) == 3
  # The factors are those that the objective has.
  for unroll, scale in zip(firsts, scales, strict=True):
    if unroll["purpose"] is TRAIN:
      inner = Inner(unroll["trial"])
      inner.params = inner.params * scale
      objective, _ = inner.objective(unroll["data"], unroll["trial"].batches[0])
      initial = unroll["result"]["objectives"][0]
      np.testing.assert_allclose(initial, objective, rtol=1e-5)


def test_validation_on_batches(tmp_path, monkeypatch):
  """The mean objective on one batch after the last step, from fresh starts."""
  watch = Watch(monkeypatch)
  costs = []
  monkeypatch.setattr(
    run_log.RunLog, "validation", lambda self, cost, level: costs.append(cost)
  )
  train(tmp_path, validation=Validation(period=1, epochs=3, num_steps=4))
  validating = watch.of(EVALUATE)
  assert len(validating) == 6
  for cost, unrolls in zip(
    costs, (validating[:3], validating[3:]), strict=True
  ):
    lasts = []
    for unroll in unrolls:
      trial, inner = unroll["trial"], Inner(unroll["trial"])
      *batches, last = trial.batches
      assert len(batches) == 4
      for batch in batches:
        inner.step(unroll["data"], batch, unroll["rate"])
      lasts.append(inner.objective(unroll["data"], last)[0])
    np.testing.assert_allclose(cost, np.mean(lasts), rtol=1e-5)
  # Other ones each time, as in the original.
  starts = {u["trial"].init_params[0].tobytes() for u in validating}
  assert len(starts) == 6


def test_validation_draws_instances(tmp_path, monkeypatch):
  watch = Watch(monkeypatch)
  train(
    tmp_path,
    entries=[runs.quadratic(3)],
    validation=Validation(period=1, epochs=2, num_steps=2),
  )
  seeds = [u["problem"].random_seed for u in watch.unrolls if u["first"]]
  assert len(seeds) == len({*seeds}) == 2 + 2 * 2


# By meta-iteration and level; where a level begins there are two.
COSTS = {
  (1, 0): 3.0,
  (2, 0): 2.0,
  (3, 0): 2.5,
  (3, 1): 9.0,
  (4, 1): 8.0,
  (5, 1): 8.5,
  (6, 1): 8.5,
}
CURRICULUM = dict(
  curriculum=Curriculum(3, horizons=(6, 9, 12)),
  validation=Validation(period=1, epochs=1),
  num_meta_iterations=20,
  save_seconds=0.0,
  imitation=Imitation(
    teachers.in_turn(["Adam", "Nesterov"]), 0.0, (0.4, 0.6), num_turns=2
  ),
  procedure=L2O_DM._replace(scale_bound=1.0),
)


@pytest.fixture
def told(monkeypatch):
  """Validations that run, but cost what is written above.

  Returns:
    A list of all variables at the time of each.
  """
  real = Selection._cost
  values = []

  def cost(selection, iterations):
    values.append(selection._graph.values())
    assert np.isfinite(real(selection, iterations))
    position = selection._position
    return COSTS[position.meta_iteration, position.level]

  monkeypatch.setattr(Selection, "_cost", cost)
  return values


def test_levels(tmp_path, monkeypatch, told):
  watch = Watch(monkeypatch)
  result, output = train(tmp_path, **CURRICULUM)
  assert len(told) == len(COSTS)
  lengths = [u["length"] - 1 for u in watch.of(EVALUATE)]
  assert lengths == 3 * [9] + 4 * [12]
  starts = [u["start"] for u in watch.of(TRAIN, IMITATE)]
  assert starts == 3 * [0, 3] + 3 * [0, 3, 6]
  # The weights of the best come back, and Adam goes on from where it is.
  entered, best, failed = told[3], told[1], told[2]
  assert entered[_NAME] == best[_NAME] != failed[_NAME]
  for name in entered:
    if name != _NAME:
      np.testing.assert_array_equal(entered[name], failed[name], err_msg=name)
  slots = [name for name in entered if name.startswith(f"{_NAME}/")]
  assert len(slots) == 6
  assert any(failed[name] != best[name] for name in slots)
  assert numbers(tmp_path) == ([0, 1], 0)
  runs.assert_equal(runs.read(tmp_path / "model.ckpt-0"), told[4])
  assert result.best_cost == 8.0
  assert "curriculum, level 1: the last level is over" in output


def test_resumes(tmp_path, monkeypatch, told):
  """Teachers' turns, their slots, factors and the level are kept."""
  with monkeypatch.context() as patch:
    watch = Watch(patch)
    train(tmp_path / "whole", **CURRICULUM)
  assert watch.purposes().count(IMITATE) > 1
  folder = tmp_path / "parts"
  with monkeypatch.context() as patch:
    crash_at(patch, 4)
    with pytest.raises(Crash):
      train(folder, **CURRICULUM)
  assert state_of(folder)["meta_iteration"] == 4
  train(folder, **CURRICULUM)
  assert_same_end(folder, tmp_path / "whole")


@pytest.mark.parametrize(
  "imitation",
  [
    Imitation(teachers.in_turn(["Adam"]), 1.5),
    Imitation(teachers.in_turn(["Adam"]), 0.5, (0.0, 1.5)),
  ],
)
def test_wrong_ratios(tmp_path, imitation):
  with pytest.raises(ValueError, match="imitation.ratio is 1.5; 0 to 1 is"):
    train(tmp_path, imitation=imitation)

"""The learned schedule of learning rates: its contract, length, start."""

import numpy as np
import pytest
import tensorflow as tf

from learned_optimizer.optimizer.learning_rate_schedule import (
  LearningRateSchedule,
  LearningRateScheduleRule,
)
from learned_optimizer.optimizer.rule import Slots
from tests.optimizer import reference
from tests.optimizer.rule_contract import RuleContract
from tests.optimizer.unroller import Unroller


class TestLearningRateSchedule(RuleContract):
  # Shorter than an unroll of the contract.
  settings = dict(initial_rate=[0.1, 0.2], n_steps=2)

  def make_rule(self):
    return LearningRateScheduleRule(**self.settings)

  def make_optimizer(self):
    return LearningRateSchedule(**self.settings)

  def slot_shapes(self, shape):
    return {"itr": ()}


def test_the_last_rate_of_a_schedule_stays():
  rule = LearningRateScheduleRule([1.0, 2.0, 4.0], 3)
  weights, params = rule.init_weights(), [tf.constant(0.0)]
  state = rule.init_state(weights, params, [])
  trajectory = []
  for _ in range(5):
    update = rule.update(weights, params, [tf.constant(1.0)], state)
    params, state = update.params, update.state
    trajectory.append(float(params[0]))
  assert trajectory == [-1, -3, -7, -11, -15]
  assert state["itr"].numpy().tolist() == [5]


def test_each_tensor_counts_its_own_steps():
  rule = LearningRateScheduleRule([1.0, 2.0, 4.0], 3)
  params = [tf.constant(0.0), tf.constant([0.0])]
  slots = Slots([{"itr": tf.constant(0)}, {"itr": tf.constant(2)}], [])
  update = rule.update(
    rule.init_weights(),
    params,
    [tf.ones([]), tf.ones([1])],
    rule.from_slots(slots, params),
  )
  assert float(update.params[0]) == -1
  assert update.params[1].numpy().tolist() == [-4]
  slots = rule.to_slots(update.state, params).per_tensor
  assert [slot["itr"].numpy() for slot in slots] == [1, 3]
  assert slots[0]["itr"].dtype == tf.int32


@pytest.mark.parametrize(
  "initial_rate, expected",
  [
    (0.25, [0.25] * 4),
    ([1.0, 2.0, 3.0, 4.0], [1, 2, 3, 4]),
    (np.array([1.0, 2.0]), [1, 2, 2, 2]),
  ],
)
def test_initial_rates(initial_rate, expected):
  weights = LearningRateScheduleRule(initial_rate, 4).init_weights()
  np.testing.assert_array_equal(weights["LOL/learning_rates"], expected)


def test_default_schedule():
  rates = LearningRateScheduleRule().init_weights()["LOL/learning_rates"]
  assert rates.shape == [1000]
  assert not np.any(rates)


@pytest.mark.parametrize(
  "settings, named",
  [
    (dict(n_steps=0), "n_steps is 0"),
    (dict(n_steps=2.5), "n_steps is 2.5"),
    (dict(initial_rate=[]), "initial_rate"),
    (dict(initial_rate=[1.0, 2.0, 3.0], n_steps=2), "initial_rate"),
    (dict(initial_rate=[[1.0]]), "initial_rate"),
  ],
)
def test_settings_out_of_range(settings, named):
  with pytest.raises(ValueError, match=named):
    LearningRateScheduleRule(**settings)


@pytest.mark.parametrize("jit_compile", [False, True], ids=["plain", "xla"])
def test_a_diverging_unroll_spoils_only_the_rates_that_it_used(jit_compile):
  unroller = Unroller(
    reference.rosenbrock(),
    reference.NO_DATA,
    jit_compile,
    make_optimizer=LearningRateSchedule,
    initial_rate=0.01,
    n_steps=12,
    use_log_objective=True,
  )
  result = unroller.run(20)
  # Stops after the first objective that is not finite.
  assert np.all(np.isfinite(result["objs"][:-1]))
  assert result["objs"].shape == (7,)
  assert np.isposinf(result["objs"][-1])
  assert np.isposinf(result["metaobj"])
  gradient = result["grads"]["LOL/learning_rates"]
  assert np.all(np.isnan(gradient[:6]))
  assert not np.any(gradient[6:])


def test_tf1_optimizer_takes_the_original_arguments():
  with tf.Graph().as_default():
    optimizer = LearningRateSchedule(0.25, 7, cell_sizes="ignored")
    variable = tf.compat.v1.get_variable("x", [2, 3])
    optimizer.apply_gradients([(tf.ones([2, 3]), variable)])
    names = {v.op.name for v in tf.compat.v1.global_variables()}
  assert optimizer.rule == LearningRateScheduleRule(0.25, 7)
  assert names == {"x", "x/LRS_itr", "LOL/learning_rates"}

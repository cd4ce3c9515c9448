"""The trainable Adam: its contract, and both of its second moments."""

import math

import numpy as np
import pytest
import tensorflow as tf

from learned_optimizer.optimizer.trainable_adam import (
  TrainableAdam,
  TrainableAdamRule,
)
from tests.optimizer import reference
from tests.optimizer.rule_contract import RuleContract


class TestDefault(RuleContract):
  settings = dict(learning_rate=0.1)

  def make_rule(self):
    return TrainableAdamRule(**self.settings)

  def make_optimizer(self):
    return TrainableAdam(**self.settings)

  def slot_shapes(self, shape):
    return dict.fromkeys("mtv", (math.prod(shape), 1))


class TestFaithful(TestDefault):
  # The parity tests compile unrolls.
  compiles_unroll = False
  settings = dict(learning_rate=1e-6, faithful_second_moment=True)


def _run(rule, grads, param=0.0):
  """The parameters after each of some gradients, and the last state."""
  weights = rule.init_weights()
  params = [tf.fill(np.shape(grads[0]), np.float32(param))]
  state = rule.init_state(weights, params, [])
  trajectory = []
  for grad in grads:
    update = rule.update(
      weights, params, [tf.constant(grad, tf.float32)], state
    )
    params, state = update.params, update.state
    trajectory.append(params[0].numpy())
  return np.array(trajectory), state


@pytest.mark.parametrize(
  "settings",
  [
    {},
    dict(learning_rate=0.1, beta1=0.5, beta2=0.9, epsilon=1e-3),
    dict(beta2=0.9999999),
  ],
  ids=["defaults", "others", "beta2 close to 1"],
)
def test_default_second_moment_is_that_of_adam(settings):
  rule = TrainableAdamRule(**settings)
  grads = np.random.default_rng(0).normal(size=[50, 3, 2]) * [1.0, 1e-4]
  actual, state = _run(rule, grads)
  beta1, beta2, m, v, param = rule.beta1, rule.beta2, 0.0, 0.0, 0.0
  for t, grad in enumerate(grads.astype(np.float32).astype(np.float64), 1):
    m = beta1 * m + (1 - beta1) * grad
    v = beta2 * v + (1 - beta2) * grad**2
    root = np.sqrt(v / (1 - beta2**t) + 1e-10)
    step = m / (1 - beta1**t) / (root + rule.epsilon + 1e-10)
    param = param - rule.learning_rate * step
    reference.assert_tensor(actual[t - 1], param, relative=1e-4)
  assert np.all(state["t"] == 50)


def test_first_step_is_one_learning_rate_long():
  trajectory, _ = _run(TrainableAdamRule(), [[1e-2, -1.0, 1e10, 0.0]])
  np.testing.assert_allclose(
    trajectory[0], [-1e-3, 1e-3, -1e-3, 0.0], rtol=1e-4
  )


def test_faithful_second_moment_stays_zero():
  """So that steps grow with gradients, by the root of 1e-10."""
  rule = TrainableAdamRule(learning_rate=1e-8, faithful_second_moment=True)
  trajectory, state = _run(rule, [[0.5, -2.0]])
  np.testing.assert_allclose(trajectory[0], [-0.5e-3, 2e-3], rtol=2e-3)
  assert not np.any(state["v"])


def test_faithful_second_moment_has_the_equation_of_the_original():
  rule = TrainableAdamRule(beta2=0.75, faithful_second_moment=True)
  params = [tf.zeros([2])]
  weights = rule.init_weights()
  state = rule.init_state(weights, params, []) | {"v": tf.constant([[2.0, 3]])}
  state = rule.update(weights, params, [tf.constant([0.5, 2.0])], state).state
  expected = np.array([2, 3]) / (1 - np.array([0.25, 4.0]) ** 0.75)
  np.testing.assert_allclose(state["v"][0], expected, rtol=1e-5)


def test_a_gradient_of_one():
  """Divides zero by zero in the original."""
  trajectory, _ = _run(
    TrainableAdamRule(faithful_second_moment=True), [[1.0, -1.0, 0.5]]
  )
  np.testing.assert_array_equal(np.isnan(trajectory[0]), [True, True, False])
  trajectory, _ = _run(TrainableAdamRule(), [[1.0, -1.0, 0.5]])
  assert np.all(np.isfinite(trajectory))


@pytest.mark.parametrize(
  "setting, value",
  [
    ("learning_rate", 0.0),
    ("learning_rate", -1.0),
    ("epsilon", 0.0),
    ("epsilon", math.inf),
    ("beta1", 0.0),
    ("beta1", 1.0),
    ("beta2", 1.5),
    ("beta2", math.nan),
  ],
)
def test_settings_out_of_range(setting, value):
  with pytest.raises(ValueError, match=f"{setting} is {value}"):
    TrainableAdamRule(**{setting: value})


def test_tf1_optimizer_takes_the_original_arguments():
  with tf.Graph().as_default():
    optimizer = TrainableAdam(0.1, 0.5, 0.75, 1e-3, cell_sizes="ignored")
    variable = tf.compat.v1.get_variable("x", [2, 3])
    optimizer.apply_gradients([(tf.ones([2, 3]), variable)])
    names = {v.op.name for v in tf.compat.v1.global_variables()}
  assert optimizer.rule == TrainableAdamRule(0.1, 0.5, 0.75, 1e-3)
  assert names == {
    "x",
    "x/Adam_m",
    "x/Adam_t",
    "x/Adam_v",
    "LOL/log_learning_rate",
    "LOL/beta1_logit",
    "LOL/beta2_logit",
    "LOL/log_epsilon",
  }

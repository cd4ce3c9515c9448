"""RNNProp: its contract, inputs, steps, weights and settings."""

import math

import numpy as np
import pytest
import tensorflow as tf

from learned_optimizer.optimizer.rnnprop import RNNProp, RNNPropRule
from tests.optimizer import dm_vectors
from tests.optimizer.dm_vectors import filled
from tests.optimizer.rule_contract import RuleContract

WEIGHTS = {
  "LOL/input_projection/w": filled((2, 20), 0.5, 7),
  "LOL/input_projection/b": filled((20,), 0.1, 8),
  "LOL/lstm_1/w_gates": filled((40, 80), 0.3, 1),
  "LOL/lstm_1/b_gates": filled((80,), 0.1, 2),
  "LOL/lstm_2/w_gates": filled((40, 80), 0.2, 3),
  "LOL/lstm_2/b_gates": filled((80,), 0.1, 4),
  "LOL/linear/w": filled((20, 1), 0.3, 5),
  "LOL/linear/b": filled((1,), 0.1, 6),
}
CHANGES = [
  [5.67789e-4, 4.394165e-4, 5.677885e-4, 5.00355e-4],
  [1.2713522e-3, 9.816689e-4, 1.1882316e-3, 1.1525005e-3],
  [1.8309917e-3, 1.5006945e-3, 1.6708987e-3, 1.590765e-3],
]
# First moments and gradients, both scaled.
FEATURES = [
  [[1, -1, 1, 0], [1, -1, 1, 0]],
  [
    [0.947894629, -0.947894049, -0.025640769, 0.298826448],
    [0.637377423, -0.637377033, -0.99999, 0.582711574],
  ],
  [
    [0.859835802, 0.039393377, -0.016312564, -0.591933022],
    [0.310958051, 1.375954387, 0.012408424, -1.688649366],
  ],
]


class TestRNNProp(RuleContract):
  def make_rule(self):
    return RNNPropRule([4, 3])

  def make_optimizer(self):
    return RNNProp([4, 3])

  def slot_shapes(self, shape):
    column = (math.prod(shape), 1)
    return {"m": column, "rnn": (column[0], 14), "t": column, "v": column}


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
def test_features(dtype):
  rule = RNNPropRule()
  state = dict.fromkeys("mtv", tf.zeros([1, 4], dtype))
  for grad, expected, tolerance in zip(
    dm_vectors.GRADIENTS, FEATURES, (2e-5, 1e-6, 1e-6), strict=True
  ):
    grad = tf.constant([grad], dtype)
    state, features = rule.moments(grad, state)
    np.testing.assert_allclose(features, expected, tolerance)


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
def test_steps(dtype):
  dm_vectors.assert_changes(RNNPropRule(), WEIGHTS, CHANGES, dtype)


def test_derivative_where_there_has_been_no_gradient():
  state = dict.fromkeys("mtv", tf.zeros([1, 2]))
  grad = tf.constant([[0.0, 1e-25]])
  with tf.GradientTape() as tape:
    tape.watch(grad)
    _, features = RNNPropRule().moments(grad, state)
  np.testing.assert_allclose(tape.gradient(features, grad), [[2e8, 2e8]], 1e-5)


def test_initial_weights():
  weights = RNNPropRule().init_weights(seed=1)
  assert {k: tuple(v.shape) for k, v in weights.items()} == {
    k: v.shape for k, v in WEIGHTS.items()
  }
  assert sum(np.size(v) for v in weights.values()) == 6641
  largest = np.abs(weights["LOL/input_projection/w"]).max()
  assert 1.0 < largest * math.sqrt(2) <= 2.0
  np.testing.assert_array_equal(weights["LOL/input_projection/b"], [0] * 20)


def test_optimizer_takes_the_decays():
  with tf.Graph().as_default():
    optimizer = RNNProp(beta2=0.5, cell_sizes=[10, 20])
    assert optimizer.rule == RNNPropRule([20, 20], 0.95, 0.5)
    assert optimizer.get_name() == "RNNProp"


@pytest.mark.parametrize(
  "settings, message",
  [
    ({"layers": ()}, r"layers is \(\); one or more positive integers"),
    ({"beta1": 1.0}, "beta1 is 1.0; a number between 0 and 1 is accepted"),
    ({"beta2": 0}, "beta2 is 0; a number between 0 and 1 is accepted"),
  ],
)
def test_settings_out_of_range(settings, message):
  with pytest.raises(ValueError, match=message):
    RNNPropRule(**settings)

"""L2O-DM: its contract, preprocessing, steps, weights and settings."""

import math

import numpy as np
import pytest
import tensorflow as tf

from learned_optimizer.optimizer import teachers
from learned_optimizer.optimizer.l2o_dm import L2ODM, L2ODMRule, log_and_sign
from tests.optimizer import dm_vectors
from tests.optimizer.dm_vectors import filled
from tests.optimizer.rule_contract import RuleContract

WEIGHTS = {
  "LOL/lstm_1/w_gates": filled((22, 80), 0.3, 1),
  "LOL/lstm_1/b_gates": filled((80,), 0.1, 2),
  "LOL/lstm_2/w_gates": filled((40, 80), 0.2, 3),
  "LOL/lstm_2/b_gates": filled((80,), 0.1, 4),
  "LOL/linear/w": filled((20, 1), 0.3, 5),
  "LOL/linear/b": filled((1,), 0.1, 6),
}
CHANGES = [
  [4.955224e-4, 4.205518e-4, 4.247479e-4, 4.224805e-4],
  [1.1017292e-3, 9.224826e-4, 9.334436e-4, 9.32071e-4],
  [1.5640421e-3, 1.3244337e-3, 1.3049847e-3, 1.3040112e-3],
]


class TestL2ODM(RuleContract):
  def make_rule(self):
    return L2ODMRule([4, 3])

  def make_optimizer(self):
    return L2ODM([4, 3])

  def slot_shapes(self, shape):
    return {"rnn": (math.prod(shape), 14)}


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
def test_preprocessing(dtype):
  expected = {
    0.5: (-0.1386293884, 1),
    -0.02: (-0.7824034090, -1),
    1e-3: (-1, 0.1484131591),
    0: (-1, 0),
    0.25: (-0.2772587769, 1),
    0.03: (-0.7013107847, 1),
    1e-8: (-1, 1.484131591e-6),
  }
  features = log_and_sign(tf.constant([[*expected]], dtype))
  relative = 1e-9 if dtype == tf.float64 else 1e-6
  np.testing.assert_allclose(
    np.transpose(features), [*expected.values()], rtol=relative
  )


def test_preprocessing_has_no_upper_limit():
  log, sign = log_and_sign(tf.constant([[math.exp(15), math.inf]]))
  np.testing.assert_allclose(log, [3, math.inf], rtol=1e-6)
  np.testing.assert_array_equal(sign, [1, 1])


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
def test_steps(dtype):
  dm_vectors.assert_changes(L2ODMRule(), WEIGHTS, CHANGES, dtype)


def test_identity_and_scale():
  """An input that is the gradient, and an output that is not scaled."""
  rule = L2ODMRule([1], preprocess="identity", output_scale=1.0)
  weights = {
    "LOL/lstm_1/w_gates": tf.constant([[0.0, 2.0, 0.0, 0.0], [0.0] * 4]),
    "LOL/lstm_1/b_gates": tf.zeros([4]),
    "LOL/linear/w": tf.constant([[4.0]]),
    "LOL/linear/b": tf.constant([-1.0]),
  }
  params = [tf.constant([1.0])]
  state = rule.init_state(weights, params, [])
  update = rule.update(weights, params, [tf.constant([0.3])], state)
  hidden = 0.5 * math.tanh(0.5 * math.tanh(0.6))
  np.testing.assert_allclose(update.params[0], [4 * hidden], rtol=1e-6)


def test_initial_weights():
  rule = L2ODMRule()
  weights = {k: v.numpy() for k, v in rule.init_weights(seed=1).items()}
  assert {k: v.shape for k, v in weights.items()} == {
    k: v.shape for k, v in WEIGHTS.items()
  }
  assert [*weights] == [*WEIGHTS]
  assert sum(v.size for v in weights.values()) == 5141
  for name, fan_in in (
    ("lstm_1/w_gates", 22),
    ("lstm_1/b_gates", 22),
    ("lstm_2/w_gates", 40),
    ("lstm_2/b_gates", 40),
    ("linear/w", 20),
  ):
    value = weights[f"LOL/{name}"] * math.sqrt(fan_in)
    assert 1.0 < np.abs(value).max() <= 2.0
    if value.size > 1000:
      # A normal distribution without what is beyond two deviations.
      assert 0.85 < np.std(value) < 0.91
      assert np.abs(value).max() > 1.99
  np.testing.assert_array_equal(weights["LOL/linear/b"], [0])


def test_initial_weights_in_a_graph_repeat_with_their_seed():
  values = []
  for seed in (3, 3, 4):
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
      optimizer = L2ODM([2], random_seed=seed)
      session.run(tf.compat.v1.global_variables_initializer())
      values.append(session.run(optimizer.weights["LOL/lstm_1/w_gates"]))
  np.testing.assert_array_equal(values[0], values[1])
  assert np.all(values[0] != values[2])


def test_optimizer_ignores_settings_of_others():
  with tf.Graph().as_default():
    optimizer = L2ODM(cell_sizes=[10, 20], init_lr_range=(1, 2))
    assert optimizer.rule == L2ODMRule()
    assert optimizer.get_name() == "L2ODM"


@pytest.mark.parametrize(
  "settings, message",
  [
    ({"layers": []}, r"layers is \[\]; one or more positive integers"),
    (
      {"layers": [20, 0]},
      r"layers is \[20, 0\]; one or more positive integers",
    ),
    (
      {"preprocess": "clamp"},
      "preprocess is 'clamp'; log_and_sign and identity are accepted",
    ),
  ],
)
def test_settings_out_of_range(settings, message):
  with pytest.raises(ValueError, match=message):
    L2ODMRule(**settings)


def test_loss_of_imitation():
  """The sum over three steps, with labels that are recorded."""
  rule = L2ODMRule()
  weights = {name: tf.constant(value) for name, value in WEIGHTS.items()}
  params = [tf.zeros([4], tf.float64)]
  state = rule.init_state(weights, params, [])
  teacher = teachers.by_name("Adam")
  losses = []
  for gradient, label in zip(
    dm_vectors.GRADIENTS, filled((3, 4), 0.01, 7), strict=True
  ):
    update = rule.update(
      weights, params, [tf.constant(gradient, tf.float64)], state
    )
    state = update.state
    losses.append(teacher.loss(update.steps, [-label]))
  np.testing.assert_allclose(sum(losses), 8.345525928655e-5, rtol=1e-9)

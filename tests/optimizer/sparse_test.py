"""Sparse gradients: rows that a batch does not touch stay as they are."""

import numpy as np
import pytest
import tensorflow as tf

from learned_optimizer.optimizer import sparse
from learned_optimizer.optimizer.coordinatewise_rnn import CoordinatewiseRNN
from learned_optimizer.optimizer.global_learning_rate import GlobalLearningRate
from learned_optimizer.optimizer.hierarchical_rnn import HierarchicalRNN
from learned_optimizer.optimizer.trainable_adam import TrainableAdam
from tests.optimizer import reference
from tests.optimizer.unroller import Unroller

TABLE = np.linspace(-2, 2, 15, dtype=np.float32).reshape(5, 3)
SHIFT = np.array([0.5, -1.0], np.float32)
IDS = reference.Data(
  np.array([0, 1, 2, 3], np.int32), np.array([0, 0, 0, 0], np.int32)
)
# Row 2 is seen twice, row 0 in every step, rows 3 and 4 never.
BATCHES = np.array([[0, 2], [0, 1], [0, 2], [0, 1]])
SEEN = [range(4), (1, 3), (0, 2), (), ()]


def _lookup():
  """Rows of a table are looked up; another tensor has dense gradients."""

  def objective(constants, params, data, labels):
    table, shift = params
    rows = tf.gather(table, data)
    return tf.reduce_sum(tf.square(rows - 3.0)) + tf.reduce_sum(
      tf.square(shift)
    )

  return reference.ToyProblem(objective, [TABLE, SHIFT])


def _expected(rule, weights, draws):
  """Every row trained alone, in the steps that see it."""
  rows = []
  for i, steps in enumerate(SEEN):
    params = [tf.constant(TABLE[i : i + 1])]
    own = [draws[0][i : i + 1]] if draws else []
    state = rule.init_state(weights, params, own)
    for _ in steps:
      update = rule.update(weights, params, [2.0 * (params[0] - 3.0)], state)
      params, state = update.params, update.state
    slots = rule.to_slots(state, params).per_tensor[0]
    rows.append((params[0].numpy(), {k: v.numpy() for k, v in slots.items()}))
  return rows


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize(
  ("make_optimizer", "settings"),
  [
    (CoordinatewiseRNN, dict(cell_sizes=[3], init_lr_range=(1e-2, 1e-1))),
    (TrainableAdam, dict(learning_rate=0.1)),
  ],
)
def test_unseen_rows_keep_their_state(make_optimizer, settings, jit_compile):
  unroller = Unroller(
    _lookup(), IDS, jit_compile, make_optimizer=make_optimizer, **settings
  )
  rule = unroller.optimizer.rule
  weights = rule.init_weights(seed=1)
  unroller.load({name: value.numpy() for name, value in weights.items()})
  params = [tf.constant(TABLE), tf.constant(SHIFT)]
  draws = rule.draws(params, np.random.default_rng(2))
  draws = [np.asarray(draw, np.float32) for draw in draws]
  result = unroller.run(4, BATCHES, state_draws=draws)
  for i, (row, slots) in enumerate(_expected(rule, weights, draws)):
    reference.assert_tensor(result["params"][0][i : i + 1], row)
    for key, slot in slots.items():
      reference.assert_tensor(result["slots"][0][key][3 * i : 3 * i + 3], slot)
  np.testing.assert_array_equal(result["params"][0][3:], TABLE[3:])
  assert np.all(result["params"][1] != SHIFT)
  assert all(np.isfinite(g).all() for g in result["grads"].values())
  assert any(np.any(g) for g in result["grads"].values())


@pytest.mark.parametrize(
  ("make_optimizer", "settings"),
  [
    (HierarchicalRNN, dict(level_sizes=[4, 5, 6])),
    (GlobalLearningRate, dict(initial_rate=0.1)),
  ],
)
def test_other_rules_see_zero_gradients(make_optimizer, settings):
  with tf.Graph().as_default():
    rule = make_optimizer(**settings).rule
  weights = rule.init_weights(1)
  params = [tf.constant(TABLE)]
  state = rule.init_state(
    weights, params, rule.draws(params, np.random.default_rng(2))
  )
  rows = tf.constant([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
  dense = np.zeros_like(TABLE)
  dense[3] = [5.0, 7.0, 9.0]
  given = tf.IndexedSlices(rows, tf.constant([3, 3]))
  update = sparse.update(rule, weights, params, [given], state)
  expected = rule.update(weights, params, [tf.constant(dense)], state)
  np.testing.assert_array_equal(update.params[0], expected.params[0])


def test_prescribed_steps_move_every_row():
  """And the state of unseen rows stays."""
  with tf.Graph().as_default():
    rule = TrainableAdam().rule
  weights = rule.init_weights(1)
  params = [tf.constant(TABLE)]
  state = rule.init_state(weights, params, [])
  given = tf.IndexedSlices(tf.ones([1, 3]), tf.constant([3]))
  steps = [tf.ones([5, 3])]
  update = sparse.update(rule, weights, params, [given], state, steps)
  np.testing.assert_array_equal(update.params[0], TABLE - 1)
  counts = rule.to_slots(update.state, params).per_tensor[0]["t"]
  np.testing.assert_array_equal(
    np.reshape(counts, [5, 3]),
    np.eye(5, dtype=np.float32)[3][:, None] + [[0] * 3],
  )

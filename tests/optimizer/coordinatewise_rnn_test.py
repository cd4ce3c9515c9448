"""The coordinatewise RNN: its contract, weights, start and settings."""

import math

import numpy as np
import pytest
import tensorflow as tf

from learned_optimizer.optimizer.coordinatewise_rnn import (
  CoordinatewiseRNN,
  CoordinatewiseRNNRule,
)
from tests.optimizer.rule_contract import RuleContract

LSTM_SHAPES = {
  "LOL/update_weights": (20, 1),
  "LOL/decay_weights": (20, 1),
  "LOL/decay_bias": (1,),
  "LOL/learning_rate_weights": (20, 1),
  "LOL/learning_rate_bias": (1,),
  "LOL/init_vector": (1, 100),
  "LOL/multi_rnn_cell/cell_0/lstm_cell/kernel": (11, 40),
  "LOL/multi_rnn_cell/cell_0/lstm_cell/bias": (40,),
  "LOL/multi_rnn_cell/cell_1/lstm_cell/kernel": (30, 80),
  "LOL/multi_rnn_cell/cell_1/lstm_cell/bias": (80,),
  "LOL/multi_rnn_cell/cell_2/lstm_cell/kernel": (40, 80),
  "LOL/multi_rnn_cell/cell_2/lstm_cell/bias": (80,),
}


class CoordinatewiseRNNContract(RuleContract):
  """The contract of one set of settings."""

  settings = dict(cell_sizes=[4, 3], init_lr_range=(1e-3, 1e-1))
  num_states = 14
  # The parity tests compile unrolls.
  compiles_unroll = False

  def make_rule(self):
    return CoordinatewiseRNNRule(**self.settings)

  def make_optimizer(self):
    return CoordinatewiseRNN(**self.settings)

  def slot_shapes(self, shape):
    column = (math.prod(shape), 1)
    return {
      "decay": column,
      "learning_rate": column,
      "rms": column,
      "rnn": (math.prod(shape), self.num_states),
    }


class TestLSTM(CoordinatewiseRNNContract):
  pass


class TestGRU(CoordinatewiseRNNContract):
  settings = dict(cell_sizes=[4, 3], cell_cls="GRUCell")
  num_states = 7


class TestOneBasicCellWithFixedLearningRateAndDecay(CoordinatewiseRNNContract):
  settings = dict(
    cell_sizes=[4],
    cell_cls="BasicRNNCell",
    dynamic_output_scale=False,
    learnable_decay=False,
  )
  num_states = 4


def _shapes(rule):
  return {name: spec.shape for name, spec in rule.weight_specs().items()}


def test_names_and_shapes_of_weights():
  rule = CoordinatewiseRNNRule([10, 20, 20])
  assert list(_shapes(rule).items()) == list(LSTM_SHAPES.items())
  basic = CoordinatewiseRNNRule([10, 20, 20], "BasicLSTMCell")
  assert _shapes(basic) == {
    name.replace("/lstm_", "/basic_lstm_"): shape
    for name, shape in LSTM_SHAPES.items()
  }
  fixed = CoordinatewiseRNNRule(
    [10, 20, 20], dynamic_output_scale=False, learnable_decay=False
  )
  assert _shapes(fixed) == {
    name: shape
    for name, shape in LSTM_SHAPES.items()
    if "learning_rate" not in name and "decay" not in name
  }


def test_initial_weights():
  rule = CoordinatewiseRNNRule([30, 50], "GRUCell")
  weights = {k: v.numpy() for k, v in rule.init_weights(seed=1).items()}
  std = 0.5 / math.sqrt(50)
  for name in ("update_weights", "decay_weights", "learning_rate_weights"):
    assert 0.6 * std < np.std(weights[f"LOL/{name}"]) < 1.4 * std
  np.testing.assert_array_equal(weights["LOL/decay_bias"], np.float32([2.2]))
  np.testing.assert_array_equal(weights["LOL/learning_rate_bias"], [0])
  assert 0.9 < np.abs(weights["LOL/init_vector"]).max() < 1
  for i, inputs in enumerate([31, 80]):
    cell = f"LOL/multi_rnn_cell/cell_{i}/gru_cell"
    assert np.all(weights[f"{cell}/gates/bias"] == 1)
    assert np.all(weights[f"{cell}/candidate/bias"] == 0)
    for kernel in ("gates/kernel", "candidate/kernel"):
      values = weights[f"{cell}/{kernel}"]
      assert values.shape[0] == inputs
      limit = math.sqrt(6 / sum(values.shape))
      assert 0.95 * limit < np.abs(values).max() <= limit * (1 + 1e-6)


def test_settings_of_initial_weights():
  rule = CoordinatewiseRNNRule(
    [50],
    zero_init_lr_weights=True,
    crnn_rnn_readout_scale=7.0,
    crnn_default_decay_var_init=-1.0,
  )
  weights = {k: v.numpy() for k, v in rule.init_weights(seed=1).items()}
  assert not np.any(weights["LOL/learning_rate_weights"])
  assert 0.6 < np.std(weights["LOL/update_weights"]) < 1.4
  assert weights["LOL/decay_bias"] == [-1]
  assert not np.any(weights["LOL/multi_rnn_cell/cell_0/lstm_cell/bias"])


def _start(rule, params, seed=0):
  weights = rule.init_weights(seed=1)
  draws = rule.draws(params, np.random.default_rng(seed))
  return weights, rule.init_state(weights, params, draws)


def test_fresh_state():
  params = [tf.zeros([40, 50]), tf.zeros([])]
  rule = CoordinatewiseRNNRule([4], init_lr_range=(1e-6, 1e-2))
  weights, state = _start(rule, params)
  slots = rule.to_slots(state, params).per_tensor
  logs = np.log10(slots[0]["learning_rate"])
  assert -6 <= logs.min() < -5.9 < -2.1 < logs.max() <= -2
  np.testing.assert_allclose(np.mean(logs), -4, atol=0.1)
  for slot in slots:
    assert np.all(slot["rms"] == 1)
    assert np.all(slot["decay"] == 1)
    for row in slot["rnn"]:
      np.testing.assert_array_equal(row, weights["LOL/init_vector"][0])

  rule = CoordinatewiseRNNRule([4], init_lr_range=(0.01, 0.01))
  _, state = _start(rule, params)
  assert np.all(state["learning_rate"] == np.float32(0.01))


def test_fixed_learning_rate_and_decay():
  rule = CoordinatewiseRNNRule(
    [4],
    init_lr_range=(1e-3, 1e-1),
    dynamic_output_scale=False,
    learnable_decay=False,
    crnn_default_decay_var_init=1.5,
  )
  params = [tf.ones([3])]
  weights, state = _start(rule, params)
  new = rule.update(weights, params, [tf.constant([1.0, 2, 3])], state).state
  np.testing.assert_array_equal(new["learning_rate"], state["learning_rate"])
  np.testing.assert_allclose(new["decay"], [[1 / (1 + math.exp(-1.5))] * 3])


def test_a_mean_square_begins_where_it_is_zero_for_a_whole_tensor():
  rule = CoordinatewiseRNNRule([4])
  params = [tf.zeros([2]), tf.zeros([2])]
  weights, state = _start(rule, params)
  state = state | {
    "rms": tf.constant([[0.0, 0.0, 0.0, 4.0]]),
    "decay": tf.constant([[0.75] * 4]),
  }
  grads = [tf.constant([2.0, 0.0]), tf.constant([2.0, 1.0])]
  rms = rule.update(weights, params, grads, state).state["rms"]
  np.testing.assert_allclose(rms, [[4.0, 1e-12, 1.0, 0.25 + 3.0]], rtol=1e-6)


def test_the_first_gradient_is_seen_unscaled():
  """A very negative one is -inf by the original's asinh, and still finite."""
  rule = CoordinatewiseRNNRule([4])
  params = [tf.zeros([3])]
  weights, state = _start(rule, params)
  grads = [tf.constant([-5000.0, -1e4, -1e10])]
  update = rule.update(weights, params, grads, state)
  assert np.all(np.isfinite(update.params[0]))
  assert len(set(np.array(update.params[0]))) == 1


def test_coordinates_do_not_see_each_other():
  rule = CoordinatewiseRNNRule([4, 3])
  params = [tf.zeros([2]), tf.zeros([1])]
  weights, state = _start(rule, params)
  one = rule.update(
    weights, params, [tf.constant([1.0, 2.0]), tf.constant([3.0])], state
  )
  two = rule.update(
    weights, params, [tf.constant([3.0, 2.0]), tf.constant([7.0])], state
  )
  np.testing.assert_allclose(one.params[1][0], two.params[0][0], rtol=1e-6)
  np.testing.assert_allclose(one.params[0][1], two.params[0][1], rtol=1e-6)
  assert abs(one.params[0][0] - two.params[0][0]) > 1e-4


@pytest.mark.parametrize(
  "settings, named",
  [
    (dict(cell_sizes=[]), "cell_sizes"),
    (dict(cell_sizes=[4, 0]), "cell_sizes"),
    (dict(cell_sizes=[4.5]), "cell_sizes"),
    (dict(cell_sizes=[4], cell_cls="GRU"), "cell_cls is 'GRU'"),
    (dict(cell_sizes=[4], init_lr_range=(1.0,)), "init_lr_range"),
    (dict(cell_sizes=[4], init_lr_range=(1.0, 0.1)), "init_lr_range"),
    (dict(cell_sizes=[4], init_lr_range=(0.0, 0.1)), "init_lr_range"),
  ],
)
def test_settings_out_of_range(settings, named):
  with pytest.raises(ValueError, match=named):
    CoordinatewiseRNNRule(**settings)


def test_tf1_optimizer_takes_the_original_arguments():
  class GRUCell:
    """Stands for the class that old code passes."""

  with tf.Graph().as_default():
    optimizer = CoordinatewiseRNN(
      [4, 3],
      GRUCell,
      (1e-3, 1e-2),
      False,
      False,
      True,
      use_log_objective=True,
      crnn_rnn_readout_scale=0.25,
      level_sizes="ignored",
    )
    variable = tf.compat.v1.get_variable("x", [2, 3])
    optimizer.apply_gradients([(tf.ones([2, 3]), variable)])
    names = {v.op.name for v in tf.compat.v1.global_variables()}
  assert optimizer.rule == CoordinatewiseRNNRule(
    cell_sizes=[4, 3],
    cell_cls="GRUCell",
    init_lr_range=(1e-3, 1e-2),
    dynamic_output_scale=False,
    learnable_decay=False,
    zero_init_lr_weights=True,
    crnn_rnn_readout_scale=0.25,
  )
  assert optimizer.unroll_settings.use_log_objective
  slots = {f"x/cRNN_{key}" for key in optimizer.rule.slot_keys()}
  assert names == {"x"} | slots | set(optimizer.rule.weight_specs())

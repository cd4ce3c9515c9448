"""The learned learning rate: its contract and its equation."""

import numpy as np
import tensorflow as tf

from learned_optimizer.optimizer.global_learning_rate import (
  GlobalLearningRate,
  GlobalLearningRateRule,
)
from tests.optimizer.rule_contract import RuleContract


class TestGlobalLearningRate(RuleContract):
  def make_rule(self):
    return GlobalLearningRateRule(0.1)

  def make_optimizer(self):
    return GlobalLearningRate(0.1)

  def slot_shapes(self, shape):
    return {}


def test_global_learning_rate():
  rule = GlobalLearningRateRule()
  weights = rule.init_weights()
  assert {k: v.numpy() for k, v in weights.items()} == {
    "LOL/global_learning_rate": np.float32(1e-3)
  }
  update = rule.update(
    {"LOL/global_learning_rate": tf.constant(0.5)},
    [tf.constant([1.0, 2.0]), tf.constant(3.0)],
    [tf.constant([4.0, -2.0]), tf.constant(1.0)],
    {},
  )
  np.testing.assert_array_equal(update.params[0], [-1, 3])
  assert update.params[1] == 2.5


def test_tf1_optimizer_takes_the_original_argument():
  with tf.Graph().as_default():
    optimizer = GlobalLearningRate(0.5, cell_sizes="ignored")
    variable = tf.compat.v1.get_variable("x", [2, 3])
    optimizer.apply_gradients([(tf.ones([2, 3]), variable)])
    names = {v.op.name for v in tf.compat.v1.global_variables()}
  assert optimizer.rule == GlobalLearningRateRule(0.5)
  assert names == {"x", "LOL/global_learning_rate"}

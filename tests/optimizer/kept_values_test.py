"""Checkpointing of meta-gradients changes what is kept, and no number."""

import numpy as np
import pytest
import tensorflow as tf

from learned_optimizer.optimizer.global_learning_rate import GlobalLearningRate
from learned_optimizer.optimizer.hierarchical_rnn import HierarchicalRNN
from learned_optimizer.optimizer.kept_values import recomputed, with_gradient
from tests.optimizer import reference
from tests.optimizer.unroller import Unroller

HIERARCHICAL = dict(
  make_optimizer=HierarchicalRNN,
  level_sizes=[2, 2, 2],
  init_lr_range=(0.1, 0.1),
  use_log_objective=True,
  random_seed=1,
)
GLOBAL = dict(make_optimizer=GlobalLearningRate, initial_rate=0.1)


@pytest.mark.parametrize(
  "settings",
  [
    HIERARCHICAL,
    GLOBAL | {"jit_compile": True},
    # It diverges, and stops within a segment that is not the first.
    GLOBAL | {"initial_rate": 1.2, "obj_train_max_multiplier": 1e4},
  ],
  ids=["hierarchical", "compiled", "stopped"],
)
def test_an_unroll_in_segments(settings):
  plain, segmented = (
    Unroller(
      reference.bowls(),
      reference.NO_DATA,
      checkpoint_gradients=checkpoint_gradients,
      **settings,
    )
    for checkpoint_gradients in (False, True)
  )
  segmented.load(plain.session.run(plain.optimizer.weights))
  # Neither a square nor the length of what is fed.
  expected, actual = (
    unroller.run(11, capacity=13) for unroller in (plain, segmented)
  )
  if "obj_train_max_multiplier" in settings:
    assert 4 < len(expected["objs"]) < 12
  assert any(np.any(grad) for grad in expected["grads"].values())
  reference.assert_meta_gradients(actual.pop("grads"), expected.pop("grads"))
  for a, e in zip(
    tf.nest.flatten(actual), tf.nest.flatten(expected), strict=True
  ):
    np.testing.assert_allclose(a, e, rtol=1e-6)


def test_what_came_before_a_divergence_stands():
  plain, segmented = (
    Unroller(
      reference.bowls(),
      reference.NO_DATA,
      checkpoint_gradients=checkpoint_gradients,
      **GLOBAL | {"initial_rate": 1e4},
    ).run(11)["objs"]
    for checkpoint_gradients in (False, True)
  )
  # In the second segment of four steps.
  assert 5 < len(plain) < 9
  assert np.all(np.isfinite(plain[:-1]))
  assert not np.isfinite(plain[-1])
  np.testing.assert_allclose(segmented, plain, rtol=1e-6)


def test_nothing_is_kept_but_the_arguments():
  calls = []

  def function(x, nest):
    calls.append(x)
    return {"a": tf.sin(x) * nest["y"], "n": nest["n"] + 1}

  x, nest = tf.constant(0.5), {"y": tf.constant(2.0), "n": tf.constant(3)}
  with tf.GradientTape() as tape:
    tape.watch([x, nest["y"]])
    result = recomputed(function)(x, nest)
  assert result["n"] == 4
  gradients = tape.gradient(result["a"], [x, nest["y"]])
  np.testing.assert_allclose(gradients, [2 * np.cos(0.5), np.sin(0.5)])
  assert len(calls) == 2


def test_a_gradient_is_computed_with_the_objective():
  calls = []

  def objective(params, data, labels):
    calls.append(params)
    table, unused, weight = params
    del unused
    return weight * tf.reduce_sum(tf.gather(table, labels) * data)

  params = [np.ones([3, 2], np.float32), np.ones([1], np.float32), 2.0]
  labels, data = [2, 0, 2], np.arange(6, dtype=np.float32).reshape(3, 2)

  @tf.function(autograph=False)
  def run(*params):
    return tf.gradients(
      3.0 * with_gradient(objective)(params, data, labels), params
    )

  gradients = run(*map(tf.constant, params))
  assert len(calls) == 1
  np.testing.assert_allclose(gradients[0], [[12, 18], [0, 0], [24, 36]])
  np.testing.assert_allclose(gradients[1], [0])
  np.testing.assert_allclose(gradients[2], 3 * data.sum())

"""Gradients of four coordinates, and what L2O-DM and RNNProp do with them.

The numbers were computed in float64 with the original networks; `shared` holds
the released models that some of them belong to.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from learned_optimizer.optimizer.rule import Rule

GRADIENTS = [
  [0.5, -0.02, 1e-3, 0.0],
  [0.25, -0.01, -1e-3, 1e-8],
  [0.1, 0.03, 1e-5, -1e-4],
]


def filled(shape: Sequence[int], amplitude: float, start: float) -> np.ndarray:
  """The k-th element, row by row, is amplitude * sin(start + k)."""
  values = amplitude * np.sin(start + np.arange(math.prod(shape)))
  return values.reshape(shape)


def assert_changes(
  rule: Rule,
  weights: Mapping[str, np.ndarray],
  changes: Sequence[Sequence[float]],
  dtype: tf.DType = tf.float32,
) -> None:
  """The rule changes parameters by these, new minus old, to 1e-5 of each.

  Args:
    rule: the rule.
    weights: its weights by checkpoint name.
    changes: those of the four coordinates, for each of the gradients.
    dtype: what is computed in.
  """
  weights = {name: tf.cast(value, dtype) for name, value in weights.items()}
  # Two tensors, so that each coordinate is found again.
  params = [tf.zeros([2, 1], dtype), tf.zeros([2], dtype)]
  state = rule.init_state(weights, params, [])
  for gradient, expected in zip(GRADIENTS, changes, strict=True):
    first, second = tf.split(tf.constant(gradient, dtype), 2)
    grads = [tf.reshape(first, [2, 1]), second]
    update = rule.update(weights, params, grads, state)
    state = update.state
    actual = -np.concatenate([np.ravel(step) for step in update.steps])
    # The last digit of small ones is not given.
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-9)

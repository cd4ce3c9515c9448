"""Layers of matrices and biases, on examples that are columns of a matrix.

With a few features and a thousand examples, products of matrices take about a
third of the time that they take on examples that are rows, and so do those of
their gradients.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorflow as tf

from learned_optimizer.problems import problem

# From how many examples on to compute sigmoids in two parts.
_MANY = 256
_ELEMENTWISE = (tf.nn.elu, tf.nn.relu, tf.nn.sigmoid, tf.nn.tanh)


class Columns(NamedTuple):
  """Examples as the columns of a matrix.

  Attributes:
    matrix: [features, batch].
  """

  matrix: tf.Tensor

  @classmethod
  def of(cls, data: "problem.Array | Columns", n_features: int) -> "Columns":
    """Turns examples [batch, ...] of `n_features` elements; Columns stay."""
    if isinstance(data, Columns):
      return data
    return cls(tf.transpose(tf.reshape(data, [-1, n_features])))


@tf.custom_gradient
def transpose(matrix: tf.Tensor) -> tf.Tensor:
  """Transposes; unlike `tf.transpose` differentiable any times in loops."""
  return tf.transpose(matrix), transpose


def outputs(
  parameters: Sequence[tf.Tensor],
  columns: Columns,
  activation: Callable[[tf.Tensor], tf.Tensor],
) -> tf.Tensor:
  """The outputs of the last layer, [outputs, batch].

  Args:
    parameters: matrix [inputs, outputs] and bias [outputs] of each layer.
    columns: the examples.
    activation: function of [batch, units], applied to the output of every layer
      but the last.
  """
  w, b, *further = parameters
  values = _affine(w, b, tf.cast(columns.matrix, w.dtype))
  for w, b in zip(further[::2], further[1::2], strict=True):
    values = _affine(w, b, _activate(activation, values))
  return values


def _affine(w, b, values):
  return tf.matmul(w, values, transpose_a=True) + tf.expand_dims(b, 1)


def _activate(activation, values):
  if activation not in _ELEMENTWISE:
    # It may take all units of an example together.
    return transpose(activation(transpose(values)))
  units, batch = values.shape
  if activation is not tf.nn.sigmoid or units < 2 or (batch or 0) < _MANY:
    return activation(values)
  # XLA puts what it computes of all of a matrix in its place, and LLVM then
  # finds no vector instructions for it.
  halves = tf.split(values, [units // 2, -1], axis=0)
  return tf.concat([*map(activation, halves)], axis=0)

"""Perceptrons on examples that are columns of matrices.

A product of matrices of ten features and a thousand examples takes a third of
the time with the examples along the rows in memory, one way and the other.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorflow as tf

from learned_optimizer.problems import problem

# From how many examples on to compute sigmoids in two parts.
_MANY = 256


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


def perceptron(
  parameters: Sequence[tf.Tensor],
  columns: Columns,
  activation: Callable[[tf.Tensor], tf.Tensor],
) -> tf.Tensor:
  """The outputs of the last layer, [outputs, batch].

  Args:
    parameters: matrix [inputs, outputs] and bias [outputs] of each layer.
    columns: the examples.
    activation: function applied to the output of every layer but the last.
  """
  w, b, *further = parameters
  outputs = _affine(w, b, tf.cast(columns.matrix, w.dtype))
  for w, b in zip(further[::2], further[1::2], strict=True):
    outputs = _affine(w, b, _activate(activation, outputs))
  return outputs


def _affine(w, b, columns):
  return tf.matmul(w, columns, transpose_a=True) + b[:, tf.newaxis]


def _activate(activation, outputs):
  """The activation, made quick where it is the sigmoid of many examples.

  XLA puts the result of a whole matrix where the matrix lay, and then does not
  use vector instructions.
  """
  units, batch = outputs.shape
  if activation is not tf.nn.sigmoid or units < 2 or (batch or 0) < _MANY:
    return activation(outputs)
  halves = tf.split(outputs, [units // 2, -1], axis=0)
  return tf.concat([*map(activation, halves)], axis=0)

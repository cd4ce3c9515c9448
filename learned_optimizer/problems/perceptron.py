"""Layers of matrices and biases, on examples that are columns of a matrix.

With a few features and a thousand examples, products of matrices and those of
their gradients take far less time than on examples that are rows.
"""

import dataclasses
from collections.abc import Callable, Sequence

import tensorflow as tf

from learned_optimizer.problems import problem

# From how many examples on to compute sigmoids in two parts.
_MANY = 256
_ELEMENTWISE = (tf.nn.elu, tf.nn.relu, tf.nn.sigmoid, tf.nn.tanh)


@dataclasses.dataclass(frozen=True)
class Columns:
  """Examples as the columns of a matrix; no tensor, nor taken for one.

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
  """Transposes; unlike `tf.transpose` differentiable any times in loops.

  XLA leaves out two of them in a row, and two in a row of their gradients.
  """
  return tf.transpose(matrix), lambda upstream: transpose(
    tf.convert_to_tensor(upstream)
  )


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
  shape = values.shape
  are_many = shape.is_fully_defined() and shape[1] >= _MANY
  if activation is tf.nn.sigmoid and are_many and shape[0] > 1:
    return _sigmoid_in_parts(values)
  return activation(values)


@tf.custom_gradient
def _sigmoid_in_parts(values):
  """The sigmoid of a matrix of at least two rows.

  XLA puts what it computes of all of a matrix in its place, and LLVM then finds
  no vector instructions for it.
  """
  parts = tf.split(values, [values.shape[0] // 2, -1], axis=0)

  def gradient(upstream):
    # Not what is computed already, whose gradient would be that of the parts.
    # XLA finds that it is the same.
    sigmoid = _sigmoid_in_parts(values)
    return upstream * (sigmoid * (1.0 - sigmoid))

  return tf.concat([*map(tf.sigmoid, parts)], axis=0), gradient

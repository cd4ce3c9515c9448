"""RNN cells of the recurrent rules, with features along the rows."""

from collections.abc import Mapping
from typing import NamedTuple

import tensorflow as tf

from learned_optimizer.optimizer.rule import Weights


class Affine(NamedTuple):
  """An affine map: `matrix` [inputs, outputs] and `bias` [outputs]."""

  matrix: tf.Tensor
  bias: tf.Tensor

  @classmethod
  def of(cls, weights: Weights, scope: str) -> "Affine":
    """The map of the weights `LOL/<scope>/Affine/{Matrix,Bias}`."""
    scope = f"LOL/{scope}/Affine"
    return cls(weights[f"{scope}/Matrix"], weights[f"{scope}/Bias"])

  @classmethod
  def read_out(cls, weights: Weights, kind: str) -> "Affine":
    """The map of the weights `LOL/<kind>_weights` and `LOL/<kind>_bias`."""
    return cls(weights[f"LOL/{kind}_weights"], weights[f"LOL/{kind}_bias"])

  @classmethod
  def constant(cls, columns: tf.Tensor, value: float) -> "Affine":
    """A map of columns to a constant, where there is nothing learned.

    Its weights are zero rather than none, so that NaN passes as when learned.
    """
    matrix = tf.zeros([columns.shape[0], 1], columns.dtype)
    return cls(matrix, tf.constant([value], columns.dtype))

  def __call__(self, columns: tf.Tensor) -> tf.Tensor:
    """Maps [inputs, M] to [outputs, M]."""
    product = tf.matmul(self.matrix, columns, transpose_a=True)
    return product + tf.expand_dims(self.bias, 1)


def apply_together(
  maps: Mapping[str, Affine], columns: tf.Tensor
) -> dict[str, tf.Tensor]:
  """Several affine maps [inputs, 1] of columns [inputs, M]: rows [1, M]."""
  together = Affine(
    tf.concat([one.matrix for one in maps.values()], axis=1),
    tf.concat([one.bias for one in maps.values()], axis=0),
  )
  rows = tf.split(together(columns), len(maps), axis=0)
  return dict(zip(maps, rows, strict=True))


class BiasGRU(NamedTuple):
  """A GRU cell whose gates take an extra bias from outside.

  Attributes:
    gates: affine map of [input; state] to [reset; update].
    candidate: affine map of [input; reset * state] to the candidate state.
  """

  gates: Affine
  candidate: Affine

  @classmethod
  def of(cls, weights: Weights, scope: str) -> "BiasGRU":
    """The cell of the weights below `LOL/<scope>/BiasGRUCell`."""
    scope = f"{scope}/BiasGRUCell"
    return cls(
      Affine.of(weights, f"{scope}/gates"),
      Affine.of(weights, f"{scope}/candidate"),
    )

  def __call__(
    self, inputs: tf.Tensor, state: tf.Tensor, bias: tf.Tensor | None = None
  ) -> tf.Tensor:
    """The new state.

    Args:
      inputs: [inputs, M].
      state: [units, M].
      bias: [3 * units, M] or [3 * units, 1], added to the pre-activations of
        reset gate, update gate and candidate in this order.

    Returns:
      [units, M].
    """
    gates = self.gates(tf.concat([inputs, state], axis=0))
    units = state.shape[0]
    if bias is not None:
      gates += bias[: 2 * units]
    gates = tf.sigmoid(gates)
    candidate = self.candidate(
      tf.concat([inputs, _reset(gates, state)], axis=0)
    )
    if bias is not None:
      candidate += bias[2 * units :]
    return _updated(gates, tf.tanh(candidate), state)


# The gradients of these two need nothing but their arguments. Those that are
# derived operation by operation would have a loop keep every half of the gates,
# and other values, besides. They split the gates again, since a loop keeps what
# they take from outside.


@tf.custom_gradient
def _reset(gates, state):
  """What the reset gate leaves of the state, [units, M]."""
  reset, _ = tf.split(gates, 2, axis=0)

  def gradient(upstream):
    reset, _ = tf.split(gates, 2, axis=0)
    to_reset = upstream * state
    to_gates = tf.concat([to_reset, tf.zeros_like(to_reset)], axis=0)
    return to_gates, upstream * reset

  return reset * state, gradient


@tf.custom_gradient
def _updated(gates, candidate, state):
  """The new state, [units, M]."""
  _, update = tf.split(gates, 2, axis=0)

  def gradient(upstream):
    _, update = tf.split(gates, 2, axis=0)
    to_update = upstream * state - upstream * candidate
    to_gates = tf.concat([tf.zeros_like(to_update), to_update], axis=0)
    to_candidate = upstream * (1.0 - update)
    return to_gates, to_candidate, upstream * update

  return update * state + (1.0 - update) * candidate, gradient


class LSTM(NamedTuple):
  """An LSTM cell without peepholes; its state is [cell; hidden].

  Attributes:
    gates: affine map of [input; hidden] to input gate, candidate, forget gate
      and output gate. The forget gate's bias counts from 1.
  """

  gates: Affine

  def __call__(self, inputs: tf.Tensor, state: tf.Tensor) -> tf.Tensor:
    """The new state [2 * units, M] from inputs [inputs, M] and the old one."""
    cell, hidden = tf.split(state, 2, axis=0)
    gates = self.gates(tf.concat([inputs, hidden], axis=0))
    input_gate, candidate, forget_gate, output_gate = tf.split(gates, 4, axis=0)
    cell = tf.sigmoid(forget_gate + 1.0) * cell + tf.sigmoid(
      input_gate
    ) * tf.tanh(candidate)
    hidden = tf.sigmoid(output_gate) * tf.tanh(cell)
    return tf.concat([cell, hidden], axis=0)


class BasicRNN(NamedTuple):
  """A fully connected recurrent cell.

  Attributes:
    affine: affine map of [input; state] to the pre-activation of the state.
  """

  affine: Affine

  def __call__(self, inputs: tf.Tensor, state: tf.Tensor) -> tf.Tensor:
    """The new state [units, M] from inputs [inputs, M] and the old one."""
    return tf.tanh(self.affine(tf.concat([inputs, state], axis=0)))

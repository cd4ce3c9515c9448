"""RNN cells of the recurrent rules, with features along the rows."""

from typing import NamedTuple

import tensorflow as tf

from learned_optimizer.optimizer.rule import Weights


class Affine(NamedTuple):
  """An affine map: `matrix` [inputs, outputs] and `bias` [outputs]."""

  matrix: tf.Tensor
  bias: tf.Tensor

  def __call__(self, columns: tf.Tensor) -> tf.Tensor:
    """Maps [inputs, M] to [outputs, M]."""
    product = tf.matmul(self.matrix, columns, transpose_a=True)
    return product + self.bias[:, tf.newaxis]


def read_out(
  weights: Weights,
  kind: str,
  hidden: tf.Tensor,
  learned: bool,
  constant: float,
) -> tf.Tensor:
  """An affine map of the hidden states to one row.

  Args:
    weights: with `LOL/<kind>_weights` [units, 1] and `LOL/<kind>_bias` [1].
    kind: what is read out.
    hidden: [units, M].
    learned: whether there are such weights.
    constant: the result where there are none.

  Returns:
    [1, M].
  """
  if learned:
    readout = Affine(
      weights[f"LOL/{kind}_weights"], weights[f"LOL/{kind}_bias"]
    )
  else:
    # Zero weights rather than none, so that NaN passes as when learned.
    matrix = tf.zeros([hidden.shape[0], 1], hidden.dtype)
    readout = Affine(matrix, tf.constant([constant], hidden.dtype))
  return readout(hidden)


class BiasGRU(NamedTuple):
  """A GRU cell whose gates take an extra bias from outside.

  Attributes:
    gates: affine map of [input; state] to [reset; update].
    candidate: affine map of [input; reset * state] to the candidate state.
  """

  gates: Affine
  candidate: Affine

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
    reset, update = tf.split(tf.sigmoid(gates), 2, axis=0)
    candidate = self.candidate(tf.concat([inputs, reset * state], axis=0))
    if bias is not None:
      candidate += bias[2 * units :]
    return update * state + (1.0 - update) * tf.tanh(candidate)


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

"""The network that L2O-DM and RNNProp have in common."""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from learned_optimizer import generators
from learned_optimizer.optimizer.rnn_cells import LSTM, Affine
from learned_optimizer.optimizer.rule import Weights, WeightSpec


@dataclasses.dataclass(frozen=True)
class LSTMStack:
  """Layers of LSTM cells and a linear map of the last one's output.

  Attributes:
    num_inputs: number of input features.
    layers: number of units of each layer, bottom first.
  """

  num_inputs: int
  layers: tuple[int, ...]

  @property
  def num_states(self) -> int:
    """S, the number of state rows, [cell; hidden] of each layer in turn."""
    return 2 * sum(self.layers)

  def weight_specs(self) -> dict[str, WeightSpec]:
    """The weights by checkpoint name, in order of creation."""
    specs = {}
    inputs = self.num_inputs
    for i, units in enumerate(self.layers):
      fan_in = inputs + units
      for name, shape in (
        ("w_gates", (fan_in, 4 * units)),
        ("b_gates", (4 * units,)),
      ):
        specs[f"LOL/lstm_{i + 1}/{name}"] = truncated_normal(shape, fan_in)
      inputs = units
    return specs | linear_specs("linear", inputs, 1)

  def __call__(
    self, weights: Weights, inputs: tf.Tensor, state: tf.Tensor
  ) -> tuple[tf.Tensor, tf.Tensor]:
    """One step.

    Args:
      weights: by checkpoint name; others are ignored.
      inputs: [num_inputs, M].
      state: [S, M].

    Returns:
      The new state [S, M], and the output [1, M].
    """
    heights = [2 * units for units in self.layers]
    new_states = []
    for i, old in enumerate(tf.split(state, heights, axis=0)):
      scope = f"LOL/lstm_{i + 1}"
      gates = Affine(weights[f"{scope}/w_gates"], weights[f"{scope}/b_gates"])
      new_states.append(LSTM(gates)(inputs, old))
      inputs = new_states[-1][self.layers[i] :]
    return tf.concat(new_states, axis=0), linear(weights, "linear")(inputs)


def checked_layers(layers: Sequence[int]) -> tuple[int, ...]:
  """The sizes of layers as a tuple.

  Raises:
    ValueError: there are none, or one is not a positive integer.
  """
  if not layers or not all(isinstance(n, int) and n > 0 for n in layers):
    raise ValueError(
      f"layers is {layers}; one or more positive integers are accepted."
    )
  return tuple(layers)


def linear_specs(
  scope: str, inputs: int, outputs: int
) -> Mapping[str, WeightSpec]:
  """The weights of a linear layer."""
  return {
    f"LOL/{scope}/w": truncated_normal((inputs, outputs), inputs),
    f"LOL/{scope}/b": WeightSpec.constant((outputs,), 0.0),
  }


def linear(weights: Weights, scope: str) -> Affine:
  """The linear layer of the weights `LOL/<scope>/{w,b}`."""
  return Affine(weights[f"LOL/{scope}/w"], weights[f"LOL/{scope}/b"])


def truncated_normal(shape: tuple[int, ...], fan_in: int) -> WeightSpec:
  """A weight that starts normally distributed, up to two deviations from 0.

  Args:
    shape: its shape.
    fan_in: number of inputs; the deviation before truncation is its square
      root's inverse.
  """
  std = 1.0 / math.sqrt(fan_in)

  def draw(generator: np.random.Generator):
    values = generator.normal(0.0, std, shape)
    far = np.abs(values) > 2.0 * std
    while np.any(far):
      values[far] = generator.normal(0.0, std, np.count_nonzero(far))
      far = np.abs(values) > 2.0 * std
    return [values]

  return WeightSpec(
    shape, lambda generator: generators.draw_on_host(generator, draw)[0]
  )

"""RNNProp (arXiv 1703.03633)."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from learned_optimizer.generators import Generator
from learned_optimizer.optimizer import columns, lstm_stack
from learned_optimizer.optimizer.columns_rule import ColumnsRule
from learned_optimizer.optimizer.layout import Layout
from learned_optimizer.optimizer.rule import (
  Draws,
  State,
  Update,
  Weights,
  WeightSpec,
  moved,
)
from learned_optimizer.optimizer.rule_optimizer import RuleOptimizer

# Units between the two features and the first LSTM layer.
_PROJECTED = 20
_PROJECTION = "input_projection"
_OUTPUT_SCALE = 0.01
_EPSILON = 1e-8
# Its root is nothing beside epsilon.
_TINY = 1e-37


@dataclasses.dataclass(frozen=True)
class RNNPropRule(ColumnsRule):
  """The update rule of RNNProp.

  With g the gradient, per coordinate:

    t' = t + 1
    m' = beta1 m + (1 - beta1) g
    v' = beta2 v + (1 - beta2) g^2
    scale = sqrt(v' / (1 - beta2^t')) + 1e-8
    x = ELU([m' / (1 - beta1^t'), g] / scale . w_in + b_in)
    h' = LSTM(... LSTM(x))
    param' = param + 0.01 tanh(h' . w + b)

  The paper has a factor of 0.1; this is that of the code.

  The state is a dictionary of matrices with one column per coordinate: `rnn`
  [S, N], the states [cell; hidden] of all layers, bottom first, and the rows
  `m`, `t` and `v` [1, N]. It is zero at first.

  Rows that a sparse gradient lacks stay as they are: to the LSTM a gradient of
  zero is one like any other, which moves the parameter.

  Attributes:
    layers: number of units of each LSTM layer, bottom first.
    beta1: the decay of the first moment, between 0 and 1.
    beta2: the decay of the second moment, between 0 and 1.

  Raises:
    ValueError: if a setting is out of range.
  """

  name = "RNNProp"
  keeps_unseen_rows = True

  layers: Sequence[int] = (20, 20)
  beta1: float = 0.95
  beta2: float = 0.95

  def __post_init__(self):
    # Rules are keys of what is compiled for them.
    layers = lstm_stack.checked_layers(self.layers)
    object.__setattr__(self, "layers", layers)
    for setting in ("beta1", "beta2"):
      value = getattr(self, setting)
      if not 0.0 < value < 1.0:
        raise ValueError(
          f"{setting} is {value}; a number between 0 and 1 is accepted."
        )

  @property
  def network(self) -> lstm_stack.LSTMStack:
    """What runs on the projected features of every coordinate."""
    return lstm_stack.LSTMStack(_PROJECTED, self.layers)

  def weight_specs(self) -> Mapping[str, WeightSpec]:
    projection = lstm_stack.linear_specs(_PROJECTION, 2, _PROJECTED)
    return projection | self.network.weight_specs()

  def draws(self, params: Sequence[Any], generator: Generator) -> Draws:
    return []

  def init_state(
    self, weights: Weights, params: Sequence[tf.Tensor], draws: Draws
  ) -> State:
    num_columns = Layout.of(params).num_columns
    heights = {"m": 1, "rnn": self.network.num_states, "t": 1, "v": 1}
    return {
      key: tf.zeros([height, num_columns], params[0].dtype)
      for key, height in heights.items()
    }

  def slot_keys(self) -> list[str]:
    return ["m", "rnn", "t", "v"]

  def update(
    self,
    weights: Weights,
    params: Sequence[tf.Tensor],
    grads: Sequence[tf.Tensor],
    state: State,
    prescribed_steps: Sequence[tf.Tensor] | None = None,
  ) -> Update:
    layout = Layout.of(params)
    new_state, _ = columns.apply(
      _CoordinateCell(self),
      layout,
      weights,
      {},
      state | {"grad": layout.flatten(grads)},
    )
    steps = layout.unflatten(new_state.pop("step"))
    new_params = moved(params, steps, prescribed_steps)
    return Update(new_params, new_params, steps, new_state)

  def moments(
    self, grad: tf.Tensor, state: Mapping[str, tf.Tensor]
  ) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
    """The new moments and the features that are made of them.

    Args:
      grad: [1, M].
      state: `m`, `t` and `v` [1, M]; others are ignored.

    Returns:
      The new `m`, `t` and `v`, and the features [2, M]: first moment and
      gradient, both in units of the second moment's root.
    """
    t = state["t"] + 1.0
    m = self.beta1 * state["m"] + (1.0 - self.beta1) * grad
    v = self.beta2 * state["v"] + (1.0 - self.beta2) * tf.square(grad)
    # These are 1 - beta^t without cancellation.
    m_debias = -tf.math.expm1(math.log(self.beta1) * t)
    v_debias = -tf.math.expm1(math.log(self.beta2) * t)
    # The root has no derivative at 0, where there has been no gradient yet.
    root = tf.sqrt(tf.maximum(v / v_debias, _TINY))
    features = tf.concat([m / m_debias, grad], axis=0) / (root + _EPSILON)
    return {"m": m, "t": t, "v": v}, features


@dataclasses.dataclass(frozen=True)
class _CoordinateCell:
  """The step of each coordinate, as `columns.apply` takes it.

  `columns` has the gradient, `grad` [1, N], and the rule's state. It returns
  the new state and `step`; nothing is given per tensor, and nothing summed.
  """

  rule: RNNPropRule

  def __call__(self, shared, per_tensor, columns, spread):
    """See `columns.Cell`."""
    grad = columns["grad"]
    moments, features = self.rule.moments(grad, columns)
    projection = lstm_stack.linear(shared, _PROJECTION)
    rnn, output = self.rule.network(
      shared, tf.nn.elu(projection(features)), columns["rnn"]
    )
    step = -_OUTPUT_SCALE * tf.tanh(output)
    return moments | {"rnn": rnn, "step": step}, grad[:0]


class RNNProp(RuleOptimizer):
  """RNNProp as a TF1 optimizer; slots are `RNNProp_<key>`."""

  def __init__(
    self,
    layers: Sequence[int] = (20, 20),
    beta1: float = 0.95,
    beta2: float = 0.95,
    **kwargs,
  ):
    """Builds the optimizer and its `LOL/` variables in the current graph.

    Args:
      layers: number of units of each LSTM layer, bottom first.
      beta1: the decay of the first moment.
      beta2: the decay of the second moment.
      **kwargs: arguments of `RuleOptimizer` and settings of
        `TrainableOptimizer`; others are ignored, so that one set of settings
        fits every optimizer.
    """
    super().__init__(
      RNNPropRule, layers=layers, beta1=beta1, beta2=beta2, **kwargs
    )

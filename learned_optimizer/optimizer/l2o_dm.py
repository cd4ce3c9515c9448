"""L2O-DM, the LSTM optimizer of arXiv 1606.04474."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
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

# The range of gradients that the logarithm tells apart, exp(-k) to 1.
_EXPONENT = 5.0
_FLOAT32_EPSILON = float(np.finfo(np.float32).eps)


def log_and_sign(grad: tf.Tensor) -> tf.Tensor:
  """The size and the sign of gradients as two features of moderate size.

  With k = 5 and epsilon that of float32 (arXiv 1606.04474, appendix A, which
  has k = 10):

    log = max(ln(|g| + epsilon) / k, -1)
    sign = min(max(g e^k, -1), 1)

  Args:
    grad: [1, M].

  Returns:
    [2, M], the log first.
  """
  log = tf.math.log(tf.abs(grad) + _FLOAT32_EPSILON) / _EXPONENT
  sign = grad * float(np.exp(_EXPONENT))
  return tf.concat(
    [tf.maximum(log, -1.0), tf.minimum(tf.maximum(sign, -1.0), 1.0)], axis=0
  )


# The features of a gradient, and how many they are.
_PREPROCESSING = {
  "log_and_sign": (log_and_sign, 2),
  "identity": (tf.identity, 1),
}


@dataclasses.dataclass(frozen=True)
class L2ODMRule(ColumnsRule):
  """The update rule of L2O-DM.

  With g the gradient, per coordinate:

    h' = LSTM(... LSTM(preprocess(g)))
    param' = param + output_scale (h' . w + b)

  The state is a dictionary of one matrix with one column per coordinate,
  `rnn` [S, N], the states [cell; hidden] of all layers, bottom first. It is
  zero at first.

  Rows that a sparse gradient lacks stay as they are: to the LSTM a gradient of
  zero is one like any other, which moves the parameter.

  Attributes:
    layers: number of units of each LSTM layer, bottom first.
    preprocess: the features of a gradient: "log_and_sign", or "identity", the
      gradient itself.
    output_scale: what outputs are multiplied by. The original has 1 for the
      problems, such as quadratic, for which it has "identity".

  Raises:
    ValueError: if a setting is out of range.
  """

  name = "L2ODM"
  keeps_unseen_rows = True

  layers: Sequence[int] = (20, 20)
  preprocess: str = "log_and_sign"
  output_scale: float = 0.01

  def __post_init__(self):
    # Rules are keys of what is compiled for them.
    layers = lstm_stack.checked_layers(self.layers)
    object.__setattr__(self, "layers", layers)
    if self.preprocess not in _PREPROCESSING:
      raise ValueError(
        f"preprocess is {self.preprocess!r}; {' and '.join(_PREPROCESSING)} are"
        " accepted."
      )
    if not 0 < abs(self.output_scale) < math.inf:
      raise ValueError(
        f"output_scale is {self.output_scale}; a finite number other than 0 is"
        " accepted."
      )

  @property
  def network(self) -> lstm_stack.LSTMStack:
    """What runs on every coordinate."""
    _, num_features = _PREPROCESSING[self.preprocess]
    return lstm_stack.LSTMStack(num_features, self.layers)

  def features(self, grad: tf.Tensor) -> tf.Tensor:
    """The network's inputs for gradients [1, M]."""
    function, _ = _PREPROCESSING[self.preprocess]
    return function(grad)

  def weight_specs(self) -> Mapping[str, WeightSpec]:
    return self.network.weight_specs()

  def draws(self, params: Sequence[Any], generator: Generator) -> Draws:
    return []

  def init_state(
    self, weights: Weights, params: Sequence[tf.Tensor], draws: Draws
  ) -> State:
    shape = [self.network.num_states, Layout.of(params).num_columns]
    return {"rnn": tf.zeros(shape, params[0].dtype)}

  def slot_keys(self) -> list[str]:
    return ["rnn"]

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


@dataclasses.dataclass(frozen=True)
class _CoordinateCell:
  """The step of each coordinate, as `columns.apply` takes it.

  `columns` has the gradient, `grad` [1, N], and the rule's state. It returns
  the new state and `step`; nothing is given per tensor, and nothing summed.
  """

  rule: L2ODMRule

  def __call__(self, shared, per_tensor, columns, spread):
    """See `columns.Cell`."""
    grad = columns["grad"]
    rnn, output = self.rule.network(
      shared, self.rule.features(grad), columns["rnn"]
    )
    new_columns = {"rnn": rnn, "step": -self.rule.output_scale * output}
    return new_columns, grad[:0]


class L2ODM(RuleOptimizer):
  """L2O-DM as a TF1 optimizer; its slot is `L2ODM_rnn`."""

  def __init__(
    self,
    layers: Sequence[int] = (20, 20),
    preprocess: str = "log_and_sign",
    output_scale: float = 0.01,
    **kwargs,
  ):
    """Builds the optimizer and its `LOL/` variables in the current graph.

    Args:
      layers: number of units of each LSTM layer, bottom first.
      preprocess: the features of a gradient, "log_and_sign" or "identity".
      output_scale: what outputs are multiplied by.
      **kwargs: arguments of `RuleOptimizer` and settings of
        `TrainableOptimizer`; others are ignored, so that one set of settings
        fits every optimizer.
    """
    super().__init__(
      L2ODMRule,
      layers=layers,
      preprocess=preprocess,
      output_scale=output_scale,
      **kwargs,
    )

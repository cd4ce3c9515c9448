"""Adam (arXiv 1412.6980) with learned hyperparameters."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from learned_optimizer.generators import Generator
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


@dataclasses.dataclass(frozen=True)
class TrainableAdamRule(ColumnsRule):
  """Adam whose learning rate, decays and epsilon are weights.

  With g the gradient, per coordinate:

    t' = t + 1
    m' = beta1 m + (1 - beta1) g
    v' = beta2 v + (1 - beta2) g^2
    param' = param - learning_rate (m' / (1 - beta1^t'))
             / (sqrt(v' / (1 - beta2^t') + 1e-10) + epsilon + 1e-10)

  The original code has v' = v / (1 - (g^2)^beta2) instead, with which v stays
  at 0 from the start: steps are about 1e5 times as long and do not depend on
  the size of past gradients, and a gradient of exactly 1 or -1 makes the
  parameter NaN. `faithful_second_moment` brings that back, for optimizers
  that were trained with it.

  The state is a dictionary of rows [1, N], `m`, `t` and `v`; all are zero at
  first.

  Attributes:
    learning_rate: its initial value, positive.
    beta1: the initial decay of the first moment, between 0 and 1.
    beta2: the initial decay of the second moment, between 0 and 1.
    epsilon: its initial value, positive.
    faithful_second_moment: compute the second moment as the original does.

  Raises:
    ValueError: if a setting is out of range.
  """

  name = "Adam"
  keeps_unseen_rows = True

  learning_rate: float = 1e-3
  beta1: float = 0.9
  beta2: float = 0.999
  epsilon: float = 1e-8
  faithful_second_moment: bool = False

  def __post_init__(self):
    for setting in ("learning_rate", "epsilon"):
      value = getattr(self, setting)
      if not 0.0 < value < math.inf:
        raise ValueError(
          f"{setting} is {value}; a positive number is accepted."
        )
    for setting in ("beta1", "beta2"):
      value = getattr(self, setting)
      if not 0.0 < value < 1.0:
        raise ValueError(
          f"{setting} is {value}; a number between 0 and 1 is accepted."
        )

  def weight_specs(self) -> Mapping[str, WeightSpec]:
    values = {
      "log_learning_rate": math.log(self.learning_rate),
      "beta1_logit": math.log(self.beta1 / (1.0 - self.beta1)),
      "beta2_logit": math.log(self.beta2 / (1.0 - self.beta2)),
      "log_epsilon": math.log(self.epsilon),
    }
    return {
      f"LOL/{name}": WeightSpec.constant((), value)
      for name, value in values.items()
    }

  def draws(self, params: Sequence[Any], generator: Generator) -> Draws:
    return []

  def init_state(
    self, weights: Weights, params: Sequence[tf.Tensor], draws: Draws
  ) -> State:
    row = tf.zeros([1, Layout.of(params).num_columns], params[0].dtype)
    return dict.fromkeys(self.slot_keys(), row)

  def slot_keys(self) -> list[str]:
    return ["m", "t", "v"]

  def update(
    self,
    weights: Weights,
    params: Sequence[tf.Tensor],
    grads: Sequence[tf.Tensor],
    state: State,
    prescribed_steps: Sequence[tf.Tensor] | None = None,
  ) -> Update:
    layout = Layout.of(params)
    grad = layout.flatten(grads)
    beta1 = tf.sigmoid(weights["LOL/beta1_logit"])
    logit2 = weights["LOL/beta2_logit"]
    beta2 = tf.sigmoid(logit2)
    t = state["t"] + 1.0
    # The first moment has the original's arithmetic. The second has 1 - beta2
    # and 1 - beta2^t without cancellation, as beta2 is close to 1.
    m = beta1 * state["m"] + (1.0 - beta1) * grad
    m_debias = 1.0 - tf.pow(beta1, t)
    if self.faithful_second_moment:
      v = state["v"] / (1.0 - tf.pow(tf.square(grad), beta2))
    else:
      v = beta2 * state["v"] + tf.sigmoid(-logit2) * tf.square(grad)
    v_debias = -tf.math.expm1(-t * tf.math.softplus(-logit2))
    epsilon = tf.exp(weights["LOL/log_epsilon"]) + 1e-10
    learning_rate = tf.exp(weights["LOL/log_learning_rate"])
    steps = layout.unflatten(
      learning_rate * (m / m_debias) / (tf.sqrt(v / v_debias + 1e-10) + epsilon)
    )
    new_params = moved(params, steps, prescribed_steps)
    return Update(new_params, new_params, steps, {"m": m, "t": t, "v": v})


class TrainableAdam(RuleOptimizer):
  """Adam with learned hyperparameters as a TF1 optimizer."""

  def __init__(
    self,
    learning_rate: float = 1e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
    **kwargs,
  ):
    """Builds the optimizer and its `LOL/` variables in the current graph.

    Args:
      learning_rate: its initial value.
      beta1: initial decay of the first moment.
      beta2: initial decay of the second moment.
      epsilon: its initial value.
      **kwargs: settings of `TrainableAdamRule` and `TrainableOptimizer`;
        others are ignored, so that one set of settings fits every optimizer.
    """
    super().__init__(
      TrainableAdamRule,
      learning_rate=learning_rate,
      beta1=beta1,
      beta2=beta2,
      epsilon=epsilon,
      **kwargs,
    )

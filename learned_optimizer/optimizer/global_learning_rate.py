"""Gradient descent with one learned learning rate."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from learned_optimizer.generators import Generator
from learned_optimizer.optimizer.rule import (
  Draws,
  Rule,
  Slots,
  State,
  Update,
  Weights,
  WeightSpec,
  moved,
)
from learned_optimizer.optimizer.rule_optimizer import RuleOptimizer


@dataclasses.dataclass(frozen=True)
class GlobalLearningRateRule(Rule):
  """param' = param - global_learning_rate * gradient; there is no state.

  Attributes:
    initial_rate: the initial learning rate.
  """

  name = "GLR"

  initial_rate: float = 1e-3

  def weight_specs(self) -> Mapping[str, WeightSpec]:
    spec = WeightSpec.constant((), self.initial_rate)
    return {"LOL/global_learning_rate": spec}

  def draws(self, params: Sequence[Any], generator: Generator) -> Draws:
    return []

  def init_state(
    self, weights: Weights, params: Sequence[tf.Tensor], draws: Draws
  ) -> State:
    return {}

  def slot_keys(self) -> list[str]:
    return []

  def to_slots(self, state: State, params: Sequence[tf.Tensor]) -> Slots:
    return Slots([{} for _ in params], [])

  def from_slots(self, slots: Slots, params: Sequence[tf.Tensor]) -> State:
    return {}

  def update(
    self,
    weights: Weights,
    params: Sequence[tf.Tensor],
    grads: Sequence[tf.Tensor],
    state: State,
    prescribed_steps: Sequence[tf.Tensor] | None = None,
  ) -> Update:
    rate = weights["LOL/global_learning_rate"]
    steps = [rate * grad for grad in grads]
    new_params = moved(params, steps, prescribed_steps)
    return Update(new_params, new_params, steps, state)


class GlobalLearningRate(RuleOptimizer):
  """Gradient descent with one learned learning rate as a TF1 optimizer."""

  def __init__(self, initial_rate: float = 1e-3, **kwargs):
    """Builds the optimizer and its `LOL/` variable in the current graph.

    Args:
      initial_rate: the initial learning rate.
      **kwargs: settings of `RuleOptimizer`; others are ignored, so that one set
        of settings fits every optimizer.
    """
    super().__init__(
      GlobalLearningRateRule, initial_rate=initial_rate, **kwargs
    )

"""Gradient descent with a learned learning rate for every step."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
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
class LearningRateScheduleRule(Rule):
  """param' = param - learning_rates[min(itr, n_steps - 1)] * gradient.

  The state is `itr`, int32 [T], the number of steps so far of each tensor.

  Attributes:
    initial_rate: the initial learning rate of all steps, or a list of those of
      the first steps, whose last one also holds for the steps that follow.
    n_steps: length of the schedule; its last rate then stays in force.

  Raises:
    ValueError: if `n_steps` is not positive, or there is no initial rate or
      more than `n_steps` of them.
  """

  name = "LRS"

  initial_rate: float | Sequence[float] = 0.0
  n_steps: int = 1000

  def __post_init__(self):
    if not isinstance(self.n_steps, int) or self.n_steps < 1:
      raise ValueError(
        f"n_steps is {self.n_steps}; a positive integer is accepted."
      )
    shape = np.shape(self.initial_rate)
    if shape and (len(shape) > 1 or not 1 <= shape[0] <= self.n_steps):
      raise ValueError(
        f"initial_rate has shape {list(shape)}; a number or a list of 1 to"
        f" {self.n_steps} numbers is accepted."
      )

  def weight_specs(self) -> Mapping[str, WeightSpec]:
    rates = np.atleast_1d(np.asarray(self.initial_rate, np.float32))
    rates = np.pad(rates, (0, self.n_steps - rates.size), "edge")
    return {"LOL/learning_rates": WeightSpec.constant(rates.shape, rates)}

  def draws(self, params: Sequence[Any], generator: Generator) -> Draws:
    return []

  def init_state(
    self, weights: Weights, params: Sequence[tf.Tensor], draws: Draws
  ) -> State:
    return {"itr": tf.zeros([len(params)], tf.int32)}

  def slot_keys(self) -> list[str]:
    return ["itr"]

  def to_slots(self, state: State, params: Sequence[tf.Tensor]) -> Slots:
    itrs = tf.unstack(state["itr"], len(params))
    return Slots([{"itr": itr} for itr in itrs], [])

  def from_slots(self, slots: Slots, params: Sequence[tf.Tensor]) -> State:
    return {"itr": tf.stack([slot["itr"] for slot in slots.per_tensor])}

  def update(
    self,
    weights: Weights,
    params: Sequence[tf.Tensor],
    grads: Sequence[tf.Tensor],
    state: State,
    prescribed_steps: Sequence[tf.Tensor] | None = None,
  ) -> Update:
    itr = state["itr"]
    rates = tf.gather(
      weights["LOL/learning_rates"], tf.minimum(itr, self.n_steps - 1)
    )
    steps = [
      rate * grad
      for rate, grad in zip(tf.unstack(rates, len(grads)), grads, strict=True)
    ]
    new_params = moved(params, steps, prescribed_steps)
    return Update(new_params, new_params, steps, {"itr": itr + 1})


class LearningRateSchedule(RuleOptimizer):
  """Gradient descent with a learned schedule as a TF1 optimizer."""

  def __init__(
    self,
    initial_rate: float | Sequence[float] = 0.0,
    n_steps: int = 1000,
    **kwargs,
  ):
    """Builds the optimizer and its `LOL/` variable in the current graph.

    Args:
      initial_rate: the initial learning rate of all steps, or a list of those
        of the first steps.
      n_steps: length of the schedule.
      **kwargs: settings of `RuleOptimizer`; others are ignored, so that one set
        of settings fits every optimizer.
    """
    super().__init__(
      LearningRateScheduleRule,
      initial_rate=initial_rate,
      n_steps=n_steps,
      **kwargs,
    )

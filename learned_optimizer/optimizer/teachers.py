"""The teachers of imitation by the names that options of the programs have."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from learned_optimizer.generators import Generator
from learned_optimizer.optimizer.baselines import (
  AdamRule,
  NesterovRule,
  RMSPropRule,
)
from learned_optimizer.optimizer.imitation import Teacher
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

# A constant of the original code, whose only teacher is Adam.
_LEARNING_RATE = 0.01

_RULES: dict[str, type[Rule]] = {
  rule.name: rule for rule in (AdamRule, RMSPropRule, NesterovRule)
}
_RANDOM = "random"
NAMES = (*_RULES, _RANDOM)


def by_name(name: str, num_steps: int = 1) -> Teacher:
  """Makes the teacher of this name.

  Args:
    name: one of `NAMES`; "random" draws one of the others for every fresh
      state.
    num_steps: how many of its steps make up one step of the learner.

  Raises:
    ValueError: an argument that cannot be used.
  """
  if name not in NAMES:
    raise ValueError(
      f"mt_teacher is {name!r}; one of {', '.join(NAMES)} is accepted."
    )
  if name == _RANDOM:
    rule = RandomChoice([rule_class() for rule_class in _RULES.values()])
  else:
    rule = _RULES[name]()
  return _teacher(rule, num_steps)


def in_turn(names: Sequence[str], num_steps: int = 1) -> Teacher:
  """Makes a teacher that has several rules, to be taken in turn.

  Its draws have to be those of `turn`.

  Args:
    names: of the rules, in the order of turns; some of `NAMES` but "random".
    num_steps: how many of its steps make up one step of the learner.

  Raises:
    ValueError: an argument that cannot be used.
  """
  if not names or len({*names}) < len(names) or not {*names} <= {*_RULES}:
    raise ValueError(
      f"names is {[*names]}; one or several different ones of"
      f" {', '.join(_RULES)} are accepted."
    )
  return _teacher(RandomChoice([_RULES[name]() for name in names]), num_steps)


def turn(number: int, num_turns: int) -> Draws:
  """The draws by which a teacher's rule is the one whose turn it is.

  Args:
    number: counts the turns from 0.
    num_turns: the number of rules.
  """
  return [np.float32((number % num_turns + 0.5) / num_turns)]


def _teacher(rule, num_steps):
  weights = dict.fromkeys(rule.weight_specs(), _LEARNING_RATE)
  return Teacher(rule, weights, num_steps)


class RandomChoice(Rule):
  """One of several rules, drawn together with each fresh state.

  All of them see every gradient and keep their states up to date; the steps
  are those of the one that was drawn. So a state has the same tensors whichever
  that is. What becomes of the states of the others, infinite or NaN, is without
  an effect.

  The state is a dictionary: `choice`, an int32 scalar, is the index of the
  rule, and `states` is the list of their states.
  """

  name = "RandomChoice"

  def __init__(self, rules: Sequence[Rule]):
    """Takes rules of different names without draws and global state."""
    self.rules = tuple(rules)

  def weight_specs(self) -> Mapping[str, WeightSpec]:
    specs = {}
    for rule in self.rules:
      specs |= rule.weight_specs()
    return specs

  def draws(self, params: Sequence[Any], generator: Generator) -> Draws:
    return [generator.uniform(0.0, 1.0, ())]

  def init_state(
    self, weights: Weights, params: Sequence[tf.Tensor], draws: Draws
  ) -> State:
    number = len(self.rules)
    choice = tf.cast(tf.convert_to_tensor(draws[0]) * number, tf.int32)
    return {
      # A number just below 1 may have been rounded to 1 on its way.
      "choice": tf.minimum(choice, number - 1),
      "states": [rule.init_state(weights, params, []) for rule in self.rules],
    }

  def slot_keys(self) -> list[str]:
    return sorted(
      f"{rule.name}_{key}" for rule in self.rules for key in rule.slot_keys()
    )

  def to_slots(self, state: State, params: Sequence[tf.Tensor]) -> Slots:
    per_tensor = [{} for _ in params]
    for rule, rule_state in zip(self.rules, state["states"], strict=True):
      slots = rule.to_slots(rule_state, params).per_tensor
      for merged, own in zip(per_tensor, slots, strict=True):
        merged |= {f"{rule.name}_{key}": slot for key, slot in own.items()}
    return Slots(per_tensor, [state["choice"]])

  def from_slots(self, slots: Slots, params: Sequence[tf.Tensor]) -> State:
    (choice,) = slots.global_state
    states = []
    for rule in self.rules:
      own = [
        {key: merged[f"{rule.name}_{key}"] for key in rule.slot_keys()}
        for merged in slots.per_tensor
      ]
      states.append(rule.from_slots(Slots(own, []), params))
    return {"choice": choice, "states": states}

  def update(
    self,
    weights: Weights,
    params: Sequence[tf.Tensor],
    grads: Sequence[tf.Tensor],
    state: State,
    prescribed_steps: Sequence[tf.Tensor] | None = None,
  ) -> Update:
    choice = state["choice"]
    updates = [
      rule.update(weights, params, grads, rule_state)
      for rule, rule_state in zip(self.rules, state["states"], strict=True)
    ]
    steps = updates[0].steps
    for index, update in enumerate(updates[1:], start=1):
      # Selected, not multiplied with 0 and 1: 0 times infinity is NaN.
      steps = [
        tf.where(tf.equal(choice, index), own, chosen)
        for own, chosen in zip(update.steps, steps, strict=True)
      ]
    new_params = moved(params, steps, prescribed_steps)
    new_state = {
      "choice": choice,
      "states": [update.state for update in updates],
    }
    return Update(new_params, new_params, steps, new_state)

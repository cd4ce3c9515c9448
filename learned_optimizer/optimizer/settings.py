"""Rules by the names of their optimizers, and their settings as JSON values."""

import dataclasses
import inspect
import math
import numbers
from collections.abc import Mapping, Sequence
from typing import Any

from learned_optimizer.optimizer.coordinatewise_rnn import CoordinatewiseRNNRule
from learned_optimizer.optimizer.global_learning_rate import (
  GlobalLearningRateRule,
)
from learned_optimizer.optimizer.hierarchical_rnn import HierarchicalRNNRule
from learned_optimizer.optimizer.l2o_dm import L2ODMRule
from learned_optimizer.optimizer.learning_rate_schedule import (
  LearningRateScheduleRule,
)
from learned_optimizer.optimizer.rnnprop import RNNPropRule
from learned_optimizer.optimizer.rule import Rule
from learned_optimizer.optimizer.trainable_adam import TrainableAdamRule

# The learned rules; the name is that of the optimizer's class.
RULES: dict[str, type[Rule]] = {
  "HierarchicalRNN": HierarchicalRNNRule,
  "CoordinatewiseRNN": CoordinatewiseRNNRule,
  "GlobalLearningRate": GlobalLearningRateRule,
  "LearningRateSchedule": LearningRateScheduleRule,
  "TrainableAdam": TrainableAdamRule,
  "L2ODM": L2ODMRule,
  "RNNProp": RNNPropRule,
}


def _is_integer(value):
  return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value):
  is_real = isinstance(value, numbers.Real) and not isinstance(value, bool)
  return is_real and not math.isnan(value)


def _is_list(value, of):
  return isinstance(value, list | tuple) and all(map(of, value))


# Which values settings of a type can have, and how to say so.
_KINDS = {
  bool: (lambda value: isinstance(value, bool), "True or False"),
  int: (_is_integer, "an integer"),
  float: (_is_number, "a number"),
  str: (lambda value: isinstance(value, str), "a string"),
  Sequence[int]: (
    lambda value: _is_list(value, _is_integer),
    "a list of integers",
  ),
  tuple[float, float]: (
    lambda value: _is_list(value, _is_number) and len(value) == 2,
    "a list of two numbers",
  ),
  float | Sequence[float]: (
    lambda value: _is_number(value) or _is_list(value, _is_number),
    "a number or a list of numbers",
  ),
}


def rule_class(optimizer_name: str) -> type[Rule]:
  """The rule of the optimizer of this name.

  Raises:
    ValueError: there is none.
  """
  if not (isinstance(optimizer_name, str) and optimizer_name in RULES):
    raise ValueError(
      f"optimizer is {optimizer_name!r}; one of {', '.join(RULES)} is accepted."
    )
  return RULES[optimizer_name]


def make_rule(optimizer_name: str, settings: Mapping[str, Any]) -> Rule:
  """The rule with these settings.

  Args:
    optimizer_name: a key of `RULES`.
    settings: arguments of the rule's class. JSON's lists stand for tuples.

  Raises:
    ValueError: there is no such optimizer or setting, one is missing, or a
      value is not accepted.
  """
  rule = rule_class(optimizer_name)
  if not isinstance(settings, Mapping):
    raise ValueError(f"settings is {settings!r}; values by name are accepted.")
  fields = {field.name: field for field in dataclasses.fields(rule)}
  for name, value in settings.items():
    if name not in fields:
      raise ValueError(
        f"{name} is not a setting of {optimizer_name}; those are"
        f" {', '.join(fields)}."
      )
    fits, accepted_values = _KINDS[fields[name].type]
    if not fits(value):
      raise ValueError(f"{name} is {value!r}; {accepted_values} is accepted.")
  for name, field in fields.items():
    if field.default is dataclasses.MISSING and name not in settings:
      raise ValueError(f"{name} is missing, which {optimizer_name} needs.")
  return rule(**{name: _frozen(v) for name, v in settings.items()})


def optimizer_name(rule: Rule) -> str:
  """The name of a learned rule's optimizer."""
  (name,) = (name for name, kind in RULES.items() if type(rule) is kind)
  return name


def settings_of(rule: Rule) -> dict[str, Any]:
  """All settings of a rule as JSON has them, lists for tuples."""
  values = dataclasses.asdict(rule).items()
  return {
    name: [*value] if isinstance(value, list | tuple) else value
    for name, value in values
  }


def accepted(
  optimizer_name: str, arguments: Mapping[str, Any]
) -> dict[str, Any]:
  """Those arguments of a TF1 optimizer that are settings of its rule.

  Raises:
    ValueError: there is no such optimizer.
  """
  names = inspect.signature(rule_class(optimizer_name)).parameters
  return {name: v for name, v in arguments.items() if name in names}


def split(
  arguments: Mapping[str, Any],
) -> tuple[dict[str, Any], dict[str, Any]]:
  """The arguments that are settings of a rule, and the others.

  `learning_rate` is with the others: what multiplies the steps of any Keras
  optimizer, not the initial value of Adam's weight.
  """
  names = {f.name for rule in RULES.values() for f in dataclasses.fields(rule)}
  names.remove("learning_rate")
  return (
    {name: value for name, value in arguments.items() if name in names},
    {name: value for name, value in arguments.items() if name not in names},
  )


def _frozen(value):
  return tuple(value) if isinstance(value, list) else value

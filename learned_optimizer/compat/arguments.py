"""Arguments of the Keras optimizers, whatever the version of Keras."""

import dataclasses
import difflib
import math
import numbers
import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from learned_optimizer.compat import weights_text
from learned_optimizer.compat.learned_rule import LearnedRule
from learned_optimizer.optimizer import settings as rule_settings
from learned_optimizer.optimizer.rule import draw_weights

# Settings of rules by the name of the argument: `learning_rate` is what Keras
# multiplies the steps by.
_RENAMED = {"TrainableAdam": {"initial_rate": "learning_rate"}}

_NOT_NEGATIVE = "a finite number that is not negative"
# What values of arguments of Keras have to fulfil, and how to say so.
_OF_KERAS = {
  **dict.fromkeys(
    ("weight_decay", "clipnorm", "clipvalue", "global_clipnorm"),
    (lambda value: 0 <= value < math.inf, _NOT_NEGATIVE),
  ),
  "ema_momentum": (lambda value: 0 <= value <= 1, "a number from 0 to 1"),
  "ema_overwrite_frequency": (
    lambda value: isinstance(value, numbers.Integral) and value >= 1,
    "an integer from 1 on",
  ),
  "loss_scale_factor": (
    lambda value: 0 < value < math.inf,
    "a finite positive number",
  ),
  # A step of one gradient is what there is without this argument.
  "gradient_accumulation_steps": (
    lambda value: isinstance(value, numbers.Integral) and value >= 2,
    "an integer from 2 on",
  ),
}
# Those that tf_keras lacks.
_OF_KERAS_3 = ("loss_scale_factor", "gradient_accumulation_steps")


def checked_learning_rate(
  value: Any, library: str, schedule: type, takes_functions: bool
) -> Any:
  """A number as a float; a schedule or a function as it is.

  Args:
    value: the argument `learning_rate`.
    library: what users call this Keras, for messages.
    schedule: its class of schedules.
    takes_functions: whether it takes functions without arguments.

  Raises:
    ValueError: it is something else, or a number that is negative or not
      finite.
  """
  if _is_number(value) and 0 <= value < math.inf:
    return float(value)
  if isinstance(value, schedule):
    return value
  # Schedules of another Keras can be called, but not without arguments.
  foreign = _schedule_package(value)
  if takes_functions and callable(value) and foreign is None:
    return value
  given = repr(value)
  if foreign is not None:
    given = f"the schedule {type(value).__name__} of {foreign}"
  function = ", or a function without arguments" if takes_functions else ""
  raise ValueError(
    f"learning_rate is {given}; {_NOT_NEGATIVE}, or a schedule of"
    f" {library}{function} is accepted."
  )


def learned_rule(
  optimizer_name: str,
  of_rule: Mapping[str, Any],
  of_keras: Mapping[str, Any],
  weights: Mapping[str, Any] | str | None,
  seed: int | None,
) -> tuple[LearnedRule, int]:
  """The rule that arguments of an optimizer describe, and the seed.

  Args:
    optimizer_name: the name of the rule in
      `learned_optimizer.optimizer.settings`.
    of_rule: settings of the rule, as the optimizer calls them.
    of_keras: arguments that Keras has, which are checked.
    weights: the learned weights by checkpoint name, their text, or None to draw
      those of an optimizer that has learned nothing.
    seed: of weights that are drawn; None takes one from Python's generator,
      which Keras seeds.

  Raises:
    ValueError: there is no such argument, or a value is not accepted.
  """
  check_names(
    of_rule,
    optimizer_name,
    _names(optimizer_name).values(),
    ["learning_rate", "weights", "seed", *of_keras],
  )
  _check_of_keras(of_keras)
  if seed is None:
    seed = random.randrange(2**31)
  check_seed(seed)
  rule = _make_rule(optimizer_name, of_rule)
  if weights is None:
    weights = draw_weights(rule.weight_specs(), np.random.default_rng(seed))
  elif isinstance(weights, str):
    weights = weights_text.decode(weights, rule)
  settings = rule_settings.settings_of(rule)
  return LearnedRule(optimizer_name, settings, weights), int(seed)


def check_names(
  names: Iterable[str],
  optimizer_name: str,
  settings: Iterable[str],
  of_keras: Sequence[str],
) -> None:
  """Checks that an optimizer has arguments of these names.

  Args:
    names: the names.
    optimizer_name: the optimizer, for messages.
    settings: the names of its settings.
    of_keras: those of its other arguments; empty where Keras is not used.

  Raises:
    ValueError: it does not have one of them.
  """
  accepted = [*of_keras, *settings]
  for name in names:
    if name in accepted:
      continue
    # Keras 3 has them among its arguments.
    if of_keras and name in _OF_KERAS_3:
      raise ValueError(
        f"tf_keras has no {name}; the optimizers for Keras 3, which are in"
        " learned_optimizer.compat.keras, accept it."
      )
    close = difflib.get_close_matches(name, accepted, 1)
    hint = f" (did you mean {close[0]}?)" if close else ""
    others = f"{', '.join(of_keras)}, and " if of_keras else ""
    raise ValueError(
      f"{name} is not an argument of {optimizer_name}{hint}; accepted are"
      f" {others}its settings {', '.join(settings)}."
    )


def check_seed(seed: Any) -> None:
  """Raises ValueError unless random numbers can be drawn with this seed."""
  if not isinstance(seed, numbers.Integral) or seed < 0:
    raise ValueError(
      f"seed is {seed!r}; an integer that is not negative is accepted."
    )


def settings_of(learned: LearnedRule) -> dict[str, Any]:
  """Settings of a rule as its optimizer calls them."""
  names = _names(learned.optimizer_name)
  return {names[k]: value for k, value in learned.settings.items()}


def _names(optimizer_name):
  """What an optimizer calls the settings of its rule, by their names there."""
  renamed = _RENAMED.get(optimizer_name, {})
  names = {theirs: ours for ours, theirs in renamed.items()}
  fields = dataclasses.fields(rule_settings.rule_class(optimizer_name))
  return {field.name: names.get(field.name, field.name) for field in fields}


def _make_rule(optimizer_name, of_rule):
  """The rule; messages name settings as the optimizer does."""
  renamed = _RENAMED.get(optimizer_name, {})
  settings = {renamed.get(k, k): value for k, value in of_rule.items()}
  try:
    return rule_settings.make_rule(optimizer_name, settings)
  except ValueError as error:
    message = str(error)
    for ours, theirs in renamed.items():
      message = message.replace(theirs, ours)
    raise ValueError(message) from error


def _check_of_keras(arguments):
  """Raises ValueError if Keras cannot do anything sensible with a value."""
  for name, (fits, accepted) in _OF_KERAS.items():
    value = arguments.get(name)
    if value is None and name != "ema_momentum":
      continue
    if not (_is_number(value) and fits(value)):
      raise ValueError(f"{name} is {value!r}; {accepted} is accepted.")


def _is_number(value):
  return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _schedule_package(value):
  """The package of the Keras that an object is a schedule of, or None."""
  for kind in type(value).__mro__:
    if kind.__name__ == "LearningRateSchedule":
      return kind.__module__.partition(".")[0]
  return None

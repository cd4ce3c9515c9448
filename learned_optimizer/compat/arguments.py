"""Arguments of the Keras optimizers, whatever the version of Keras."""

import numbers
import random
from collections.abc import Mapping
from typing import Any

import numpy as np

from learned_optimizer.compat import weights_text
from learned_optimizer.compat.learned_rule import LearnedRule
from learned_optimizer.optimizer import settings as rule_settings
from learned_optimizer.optimizer.rule import draw_weights

# Settings of rules by the name of the argument: `learning_rate` is what Keras
# multiplies the steps by.
_RENAMED = {"TrainableAdam": {"initial_rate": "learning_rate"}}


def seed_or_drawn(seed: int | None) -> int:
  """The seed, or one from Python's generator, which Keras seeds.

  Raises:
    ValueError: it is no integer, or negative.
  """
  if seed is None:
    return random.randrange(2**31)
  if not isinstance(seed, numbers.Integral) or seed < 0:
    raise ValueError(
      f"seed is {seed!r}; an integer that is not negative is accepted."
    )
  return int(seed)


def plain_number(learning_rate: Any) -> Any:
  """Whole numbers and those of NumPy as a float, anything else as it is.

  Raises:
    ValueError: it is True or False.
  """
  if isinstance(learning_rate, bool):
    raise ValueError(
      f"learning_rate is {learning_rate}; a number or a schedule is accepted."
    )
  is_number = isinstance(learning_rate, numbers.Real)
  return float(learning_rate) if is_number else learning_rate


def learned_rule(
  optimizer_name: str,
  arguments: Mapping[str, Any],
  weights: Mapping[str, Any] | str | None,
  seed: int,
) -> LearnedRule:
  """The rule that arguments of an optimizer describe.

  Args:
    optimizer_name: the name of the rule in
      `learned_optimizer.optimizer.settings`.
    arguments: settings of the rule, as the optimizer calls them.
    weights: the learned weights by checkpoint name, their text, or None to draw
      those of an optimizer that has learned nothing.
    seed: of weights that are drawn.

  Raises:
    ValueError: an argument is not accepted.
  """
  renamed = _RENAMED.get(optimizer_name, {})
  settings = {renamed.get(k, k): value for k, value in arguments.items()}
  rule = rule_settings.make_rule(optimizer_name, settings)
  if weights is None:
    generator = np.random.default_rng(seed)
    weights = draw_weights(rule.weight_specs(), generator)
  elif isinstance(weights, str):
    weights = weights_text.decode(weights, rule)
  return LearnedRule(optimizer_name, rule_settings.settings_of(rule), weights)


def settings_of(learned: LearnedRule) -> dict[str, Any]:
  """Settings of a rule as its optimizer calls them."""
  renamed = _RENAMED.get(learned.optimizer_name, {})
  names = {theirs: ours for ours, theirs in renamed.items()}
  return {names.get(k, k): value for k, value in learned.settings.items()}

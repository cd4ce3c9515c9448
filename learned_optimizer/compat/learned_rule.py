"""A learned optimizer as data: its rule's settings and its weights."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from learned_optimizer.optimizer import settings as rule_settings
from learned_optimizer.optimizer.checkpoints import CheckpointError
from learned_optimizer.optimizer.rule import Rule


@dataclasses.dataclass(frozen=True, eq=False)
class LearnedRule:
  """An update rule together with the weights that it learned.

  Attributes:
    optimizer_name: the name of the optimizer, a key of
      `learned_optimizer.optimizer.settings.RULES`.
    settings: arguments of the rule's class, JSON values.
    weights: finite float32 arrays by checkpoint name, in the order of the
      rule's `weight_specs`.
    training: what is known of the meta-training, JSON values; empty where
      nothing is.

  Raises:
    ValueError: the settings do not make a rule, or the weights are not those
      of this rule, or not finite.
  """

  optimizer_name: str
  settings: Mapping[str, Any]
  weights: Mapping[str, np.ndarray]
  training: Mapping[str, Any] = dataclasses.field(default_factory=dict)

  def __post_init__(self):
    check_weights(self.rule, self.weights)
    weights = {}
    for name in self.rule.weight_specs():
      weights[name] = np.asarray(self.weights[name], np.float32)
      if not np.isfinite(weights[name]).all():
        raise ValueError(
          f"weights[{name!r}] has values that are NaN or infinite; finite ones"
          " are accepted."
        )
    object.__setattr__(self, "weights", weights)

  @classmethod
  def of_file(
    cls,
    rule: Rule,
    weights: Mapping[str, np.ndarray],
    path: str,
    training: Mapping[str, Any],
  ) -> "LearnedRule":
    """The rule with weights that were read from a file.

    Args:
      rule: the rule.
      weights: all that are in the file, by name.
      path: the file, for messages.
      training: see above.

    Raises:
      CheckpointError: the weights are not those of the rule, or not finite.
    """
    name = rule_settings.optimizer_name(rule)
    settings = rule_settings.settings_of(rule)
    try:
      return cls(name, settings, weights, training)
    except ValueError as error:
      raise CheckpointError(f"{path} cannot be used: {error}") from error

  @functools.cached_property
  def rule(self) -> Rule:
    """The update rule with these settings."""
    return rule_settings.make_rule(self.optimizer_name, self.settings)


def check_weights(rule: Rule, weights: Mapping[str, Any]) -> None:
  """Checks that weights have the names and shapes that a rule's have.

  Args:
    rule: the rule.
    weights: arrays or tensors by checkpoint name.

  Raises:
    ValueError: they do not.
  """
  if not isinstance(weights, Mapping):
    raise ValueError(
      f"weights is {weights!r}; a mapping from checkpoint names is accepted."
    )
  optimizer = rule_settings.optimizer_name(rule)
  specs = rule.weight_specs()
  for name, spec in specs.items():
    if name not in weights:
      raise ValueError(
        f"weights has no {name} of shape {tuple(spec.shape)}, which"
        f" {optimizer} with these settings needs."
      )
    shape = tf.TensorShape(np.shape(weights[name]))
    if not shape.is_compatible_with(spec.shape):
      raise ValueError(
        f"weights[{name!r}] has shape {shape}; with these settings"
        f" {tuple(spec.shape)} is accepted."
      )
  for name in weights:
    if name not in specs:
      raise ValueError(
        f"weights has {name} of shape {np.shape(weights[name])}, which"
        f" {optimizer} with these settings lacks."
      )

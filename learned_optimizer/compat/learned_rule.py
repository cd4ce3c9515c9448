"""A learned optimizer as data: its rule's settings and its weights."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import numpy as np

from learned_optimizer.optimizer import checkpoints
from learned_optimizer.optimizer import settings as rule_settings
from learned_optimizer.optimizer.rule import Rule


@dataclasses.dataclass(frozen=True, eq=False)
class LearnedRule:
  """An update rule together with the weights that it learned.

  Attributes:
    optimizer_name: the name of the optimizer, a key of
      `learned_optimizer.optimizer.settings.RULES`.
    settings: arguments of the rule's class, JSON values.
    weights: float32 arrays by checkpoint name, in the order of the rule's
      `weight_specs`.
    training: what is known of the meta-training, JSON values; empty where
      nothing is.

  Raises:
    ValueError: the settings do not make a rule, or the weights are not those
      of this rule.
  """

  optimizer_name: str
  settings: Mapping[str, Any]
  weights: Mapping[str, np.ndarray]
  training: Mapping[str, Any] = dataclasses.field(default_factory=dict)

  def __post_init__(self):
    weights = {}
    for name, spec in self.rule.weight_specs().items():
      if name not in self.weights:
        raise ValueError(
          f"weights has no {name}, which {self.optimizer_name} with these"
          " settings needs."
        )
      weights[name] = np.asarray(self.weights[name], np.float32)
      if weights[name].shape != tuple(spec.shape):
        raise ValueError(
          f"weights[{name!r}] has shape {weights[name].shape}; with these"
          f" settings {tuple(spec.shape)} is accepted."
        )
    unknown = [name for name in self.weights if name not in weights]
    if unknown:
      raise ValueError(
        f"weights has {', '.join(unknown)}, which {self.optimizer_name} with"
        " these settings lacks."
      )
    object.__setattr__(self, "weights", weights)

  @classmethod
  def of_variables(
    cls,
    rule: Rule,
    variables: Mapping[str, np.ndarray],
    path: str,
    training: Mapping[str, Any],
  ) -> "LearnedRule":
    """The rule with weights that were read from a file.

    Args:
      rule: the rule.
      variables: all that are weights in the file, by name.
      path: the file, for messages.
      training: see above.

    Raises:
      CheckpointError: the weights are not those of the rule.
    """
    shapes = {n: tuple(s.shape) for n, s in rule.weight_specs().items()}
    weights = checkpoints.matching(variables, shapes, path)
    unknown = sorted(variables.keys() - weights.keys())
    if unknown:
      raise checkpoints.CheckpointError(
        f"The checkpoint {path} has the variable {unknown[0]} of shape"
        f" {variables[unknown[0]].shape}, which there is not with these"
        " settings."
      )
    return cls(
      rule_settings.optimizer_name(rule),
      rule_settings.settings_of(rule),
      weights,
      training,
    )

  @functools.cached_property
  def rule(self) -> Rule:
    """The update rule with these settings."""
    return rule_settings.make_rule(self.optimizer_name, self.settings)

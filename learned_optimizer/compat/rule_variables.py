"""A learned rule in the variables of an optimizer."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from learned_optimizer.compat import arguments, weights_text
from learned_optimizer.compat.joint_update import JointUpdate
from learned_optimizer.compat.learned_rule import LearnedRule


class RuleVariables:
  """The learned weights and the state of a rule, whatever holds them.

  Attributes:
    weights: variables of the weights, in the order of `Rule.weight_specs`;
      empty before `make`.
    state: variables of the state, in the order of `Held.state`; empty before
      `make`.
  """

  def __init__(self, learned: LearnedRule, seed: int):
    """Takes note of their values.

    Args:
      learned: the rule and the weights to start with.
      seed: of the random numbers in a fresh state.
    """
    self._learned = learned
    self._seed = seed
    self.weights = []
    self.state = []

  def make(
    self,
    joint: JointUpdate,
    params: Sequence[tf.Tensor],
    add: Callable[[Any, str], Any],
  ) -> None:
    """Makes the variables.

    Args:
      joint: the steps of the rule.
      params: the model's parameters.
      add: makes a variable of the optimizer from its value and name.
    """
    weights = self._learned.weights
    state = joint.fresh_state(weights, params, self._seed)
    self.weights = [
      add(value, name.replace("/", "_")) for name, value in weights.items()
    ]
    self.state = [add(value, name) for name, value in state.items()]

  def weight_values(self) -> dict[str, np.ndarray]:
    """The learned weights by checkpoint name, float32."""
    weights = self._learned.weights
    if not self.weights:
      return dict(weights)
    return {
      name: variable.numpy()
      for name, variable in zip(weights, self.weights, strict=True)
    }

  def config(self) -> dict[str, Any]:
    """The arguments that an optimizer with these weights is made from, as JSON.

    The weights are part of it, so that a clone is as well trained.
    """
    weights = weights_text.encode(self.weight_values(), self._learned.rule)
    return {
      **arguments.settings_of(self._learned),
      "seed": self._seed,
      "weights": weights,
    }


def check_saved(
  saved: Mapping[str, Sequence[int]],
  expected: Sequence[Sequence[int]],
  name: str,
  settings: str,
) -> None:
  """Checks that saved values are those of an optimizer's variables.

  Args:
    saved: the shapes of the values by index, which is text as in files.
    expected: the shapes of the variables.
    name: the name of the optimizer.
    settings: which settings decide on the variables, for the message.

  Raises:
    ValueError: they are not.
  """
  if saved != {str(i): tuple(shape) for i, shape in enumerate(expected)}:
    raise ValueError(
      f"The saved optimizer has {len(saved)} variables that are not those of"
      f" {name}, which has {len(expected)}: it was another optimizer, or one of"
      f" a model with other trainable variables, or with {settings}. To load a"
      " model's weights alone, load them before compile."
    )


def check_strategy(
  variables: Sequence[tf.Variable], own: tf.Variable, name: str
) -> None:
  """Checks that variables were made in the scope that an optimizer was made in.

  Args:
    variables: the model's variables.
    own: a variable of the optimizer.
    name: the name of the optimizer.

  Raises:
    ValueError: they were not.
  """
  for variable in variables:
    # What no strategy distributes has no such attribute.
    scopes = [getattr(v, "distribute_strategy", None) for v in (variable, own)]
    if scopes[0] is not scopes[1]:
      theirs, ours = (
        "outside of any scope"
        if scope is None
        else f"in the scope of a {type(scope).__name__}"
        for scope in scopes
      )
      raise ValueError(
        f"The variable {variable.name} was made {theirs}, the optimizer {name}"
        f" {ours}; make both within one `with strategy.scope():`."
      )

"""The tf_keras optimizers by name."""

import os
from collections.abc import Sequence
from typing import Any

import tf_keras

from learned_optimizer.compat import arguments as optimizer_arguments
from learned_optimizer.compat import sources
from learned_optimizer.compat.learned_rule import LearnedRule
from learned_optimizer.compat.tf_keras.optimizer import LearnedOptimizer

# Not the name under which Keras 3 knows its own, which it could not tell apart.
_register = tf_keras.saving.register_keras_serializable(
  "learned_optimizer.tf_keras"
)


@_register
class HierarchicalRNN(LearnedOptimizer):
  """The hierarchical RNN; settings are those of `HierarchicalRNNRule`."""

  _rule_name = "HierarchicalRNN"

  def __init__(self, level_sizes: Sequence[int], **arguments):
    """Builds the optimizer.

    Args:
      level_sizes: number of units of one, two or three levels, lowest first.
      **arguments: further settings of the rule, and arguments of
        `LearnedOptimizer`.
    """
    super().__init__(level_sizes=level_sizes, **arguments)


@_register
class CoordinatewiseRNN(LearnedOptimizer):
  """The coordinatewise RNN; settings are those of `CoordinatewiseRNNRule`."""

  _rule_name = "CoordinatewiseRNN"

  def __init__(
    self,
    cell_sizes: Sequence[int],
    cell_cls: str | type = "LSTMCell",
    **arguments,
  ):
    """Builds the optimizer.

    Args:
      cell_sizes: number of units of each cell, bottom first.
      cell_cls: the name of the cells' class, or a class of such a name.
      **arguments: further settings of the rule, and arguments of
        `LearnedOptimizer`.
    """
    super().__init__(
      cell_sizes=cell_sizes,
      cell_cls=getattr(cell_cls, "__name__", cell_cls),
      **arguments,
    )


@_register
class GlobalLearningRate(LearnedOptimizer):
  """Gradient descent with one learned learning rate."""

  _rule_name = "GlobalLearningRate"

  def __init__(self, initial_rate: float = 1e-3, **arguments):
    """Builds the optimizer.

    Args:
      initial_rate: the learning rate without learned weights.
      **arguments: arguments of `LearnedOptimizer`.
    """
    super().__init__(initial_rate=initial_rate, **arguments)


@_register
class LearningRateSchedule(LearnedOptimizer):
  """Gradient descent with a learned schedule.

  Not to be confused with the schedules of tf_keras, which can multiply its
  steps.
  """

  _rule_name = "LearningRateSchedule"

  def __init__(
    self,
    initial_rate: float | Sequence[float] = 0.0,
    n_steps: int = 1000,
    **arguments,
  ):
    """Builds the optimizer.

    Args:
      initial_rate: the learning rate of all steps, or a list of those of the
        first steps, without learned weights.
      n_steps: length of the schedule.
      **arguments: arguments of `LearnedOptimizer`.
    """
    super().__init__(initial_rate=initial_rate, n_steps=n_steps, **arguments)


@_register
class TrainableAdam(LearnedOptimizer):
  """Adam with learned hyperparameters.

  What is `learning_rate` in the rule is `initial_rate` here, because
  `learning_rate` is what tf_keras multiplies the steps by.
  """

  _rule_name = "TrainableAdam"

  def __init__(self, initial_rate: float = 1e-3, **arguments):
    """Builds the optimizer.

    Args:
      initial_rate: the learning rate without learned weights.
      **arguments: `beta1`, `beta2`, `epsilon`, `faithful_second_moment`, and
        arguments of `LearnedOptimizer`.
    """
    super().__init__(initial_rate=initial_rate, **arguments)


@_register
class L2ODM(LearnedOptimizer):
  """L2O-DM; settings are those of `L2ODMRule`."""

  _rule_name = "L2ODM"

  def __init__(self, layers: Sequence[int] = (20, 20), **arguments):
    """Builds the optimizer.

    Args:
      layers: number of units of each LSTM layer, bottom first.
      **arguments: further settings of the rule, and arguments of
        `LearnedOptimizer`.
    """
    super().__init__(layers=layers, **arguments)


@_register
class RNNProp(LearnedOptimizer):
  """RNNProp; settings are those of `RNNPropRule`."""

  _rule_name = "RNNProp"

  def __init__(self, layers: Sequence[int] = (20, 20), **arguments):
    """Builds the optimizer.

    Args:
      layers: number of units of each LSTM layer, bottom first.
      **arguments: further settings of the rule, and arguments of
        `LearnedOptimizer`.
    """
    super().__init__(layers=layers, **arguments)


# By the names of their rules.
_OPTIMIZERS = {
  optimizer._rule_name: optimizer
  for optimizer in LearnedOptimizer.__subclasses__()
}


def from_learned(
  learned: LearnedRule, seed: int | None = None, **arguments: Any
) -> LearnedOptimizer:
  """The tf_keras optimizer with these settings and weights.

  Args:
    learned: the rule and what it learned.
    seed: see `LearnedOptimizer`.
    **arguments: arguments of `LearnedOptimizer` other than these.
  """
  optimizer = _OPTIMIZERS[learned.optimizer_name]
  settings = optimizer_arguments.settings_of(learned)
  return optimizer(**settings, weights=learned.weights, seed=seed, **arguments)


def load(
  path_or_name: str | os.PathLike, seed: int | None = None, **settings
) -> LearnedOptimizer:
  """Loads a learned optimizer as a tf_keras optimizer.

  Args:
    path_or_name: as for `learned_optimizer.load`.
    seed: see `LearnedOptimizer`.
    **settings: arguments of `LearnedOptimizer`, and settings of the update
      rule, as for `learned_optimizer.load`.

  Raises:
    TypeError: `path_or_name` is neither a string nor a path.
    ValueError: there is no such optimizer, it is damaged, or an argument is not
      accepted.
  """
  learned, arguments = sources.read_for(
    LearnedOptimizer, path_or_name, settings
  )
  return from_learned(learned, seed=seed, **arguments)

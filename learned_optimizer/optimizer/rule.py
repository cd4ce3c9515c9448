"""What an update rule is: the mathematics of an optimizer as pure functions.

A rule holds settings and no variables. Everything that holds variables (the
TF1 optimizer, the differentiable unroll, the Keras optimizers) is a thin shell
that calls `Rule.update` and stores what comes back.
"""

import abc
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from learned_optimizer.generators import Generator

# A nest (dicts, lists, tuples) of tensors, laid out as the rule likes it.
State = Any
# A nest of arrays or tensors: the random numbers that a fresh state needs.
Draws = Any
Weights = Mapping[str, tf.Tensor]


class WeightSpec(NamedTuple):
  """One learned weight.

  Attributes:
    shape: its static shape.
    initializer: draws its initial value from a generator. None where the
      initial value is that of another weight, `copy_of`.
    copy_of: the checkpoint name of that other, earlier weight.
  """

  shape: tuple[int, ...]
  initializer: Callable[[Generator], Any] | None
  copy_of: str | None = None

  @classmethod
  def constant(cls, shape: tuple[int, ...], value: Any) -> "WeightSpec":
    """A weight with this initial value."""
    return cls(shape, lambda generator: np.full(shape, value, np.float32))

  @classmethod
  def normal(
    cls, shape: tuple[int, ...], std: float, mean: float = 0.0
  ) -> "WeightSpec":
    """A weight that starts normally distributed."""
    return cls(shape, lambda generator: generator.normal(mean, std, shape))

  @classmethod
  def uniform(cls, shape: tuple[int, ...], limit: float) -> "WeightSpec":
    """A weight that starts uniformly distributed between -limit and limit."""
    return cls(shape, lambda generator: generator.uniform(-limit, limit, shape))


class Slots(NamedTuple):
  """Optimizer state under the names and shapes of the original variables.

  Attributes:
    per_tensor: one mapping {slot key: tensor} per parameter tensor.
    global_state: tensors that belong to no single parameter tensor.
  """

  per_tensor: list[dict[str, tf.Tensor]]
  global_state: list[tf.Tensor]


class Update(NamedTuple):
  """The result of one optimizer step.

  Attributes:
    params: the new parameters.
    attended_params: where the next gradient is to be taken; the same tensors
      as `params` unless the rule attends elsewhere.
    steps: the rule's own old minus new parameters.
    state: the new state.
  """

  params: list[tf.Tensor]
  attended_params: list[tf.Tensor]
  steps: list[tf.Tensor]
  state: State


class Rule(abc.ABC):
  """An update rule. Instances are immutable."""

  # The TF1 optimizer's name; slot variables are called `<name>_<slot key>`.
  name: str

  # Whether rows that a sparse gradient lacks stay as they are, state included,
  # see `sparse.update`. The state then consists of matrices [rows, N] over all
  # coordinates, and parameters are not attended elsewhere.
  keeps_unseen_rows = False

  @abc.abstractmethod
  def weight_specs(self) -> Mapping[str, WeightSpec]:
    """The learned weights, by checkpoint name, in order of creation."""

  @abc.abstractmethod
  def draws(self, params: Sequence[Any], generator: Generator) -> Draws:
    """The random numbers that one fresh state for `params` needs.

    Args:
      params: the parameters, of which only the shapes matter.
      generator: a NumPy generator, or a `TensorGenerator` for graph code.
    """

  @abc.abstractmethod
  def init_state(
    self, weights: Weights, params: Sequence[tf.Tensor], draws: Draws
  ) -> State:
    """A fresh state for `params`."""

  @abc.abstractmethod
  def slot_keys(self) -> list[str]:
    """The sorted keys of each tensor's slots."""

  @abc.abstractmethod
  def to_slots(self, state: State, params: Sequence[tf.Tensor]) -> Slots:
    """The state under the original slot names and shapes."""

  @abc.abstractmethod
  def from_slots(self, slots: Slots, params: Sequence[tf.Tensor]) -> State:
    """The exact inverse of `to_slots`."""

  @abc.abstractmethod
  def update(
    self,
    weights: Weights,
    params: Sequence[tf.Tensor],
    grads: Sequence[tf.Tensor],
    state: State,
    prescribed_steps: Sequence[tf.Tensor] | None = None,
  ) -> Update:
    """One step.

    Pure and differentiable with respect to `weights`; works eagerly, in
    graphs, in `tf.function` and under XLA.

    Args:
      weights: the learned weights by checkpoint name.
      params: parameters, floating point, static shapes.
      grads: one dense gradient per parameter, of its shape and dtype, taken
        at the attended parameters.
      state: what `init_state` or the last step returned.
      prescribed_steps: where given, these move the parameters instead of the
        rule's own steps (imitation). The state follows the rule's own
        computation either way.
    """

  def init_weights(self, seed: int | None = None) -> dict[str, tf.Tensor]:
    """Fresh float32 weights; the same seed gives the same weights."""
    values = draw_weights(self.weight_specs(), np.random.default_rng(seed))
    return {k: tf.constant(v, tf.float32) for k, v in values.items()}


def moved(
  params: Sequence[tf.Tensor],
  steps: Sequence[tf.Tensor],
  prescribed_steps: Sequence[tf.Tensor] | None,
) -> list[tf.Tensor]:
  """The parameters after the prescribed steps, if any, else the own ones."""
  moves = steps if prescribed_steps is None else prescribed_steps
  return [param - move for param, move in zip(params, moves, strict=True)]


def check_learning_rates(init_lr_range: Sequence[float]) -> None:
  """Raises ValueError unless this is a smallest and a largest initial rate."""
  if len(init_lr_range) != 2 or not 0 < init_lr_range[0] <= init_lr_range[1]:
    raise ValueError(
      f"init_lr_range is {init_lr_range}; two positive numbers in ascending"
      " order are accepted."
    )


def draw_weights(
  specs: Mapping[str, WeightSpec], generator: Generator
) -> dict[str, Any]:
  """Draws an initial value for every weight, in order."""
  values = {}
  for name, spec in specs.items():
    values[name] = (
      values[spec.copy_of]
      if spec.initializer is None
      else spec.initializer(generator)
    )
  return values

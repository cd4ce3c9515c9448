"""What a regulariser is: a pure function of an objective's gradients."""

import abc
from collections.abc import Sequence
from typing import Any, ClassVar

import tensorflow as tf

from learned_optimizer.generators import Generator

Gradient = tf.Tensor | tf.IndexedSlices


class Regularizer(abc.ABC):
  """A scalar that tells how steep or how curved an objective is.

  A subclass is an immutable object: its settings are compared and hashed.

  Attributes:
    name: how the option of the programs calls it.
    draws_each_step: whether every inner step takes new random numbers, rather
      than all steps of a run the same ones.
  """

  name: ClassVar[str]
  draws_each_step: ClassVar[bool] = False

  def draws(
    self,
    shapes: Sequence[Sequence[int]],
    num_steps: int | tf.Tensor,
    generator: Generator,
  ) -> list[Any]:
    """Draws the random numbers of a run.

    Args:
      shapes: shapes of the parameter tensors.
      num_steps: number of inner steps, for regularisers whose
        `draws_each_step` is true.
      generator: the source of all random numbers, of NumPy or, in a graph, a
        `TensorGenerator`.

    Returns:
      float32 arrays or tensors. If `draws_each_step`, their first axis is
      `num_steps` long; `at_step` takes one entry of it. The last axis is over
      all coordinates of all parameter tensors, in order.
    """
    del shapes, num_steps, generator
    return []

  def at_step(
    self, draws: Sequence[tf.Tensor], step: int | tf.Tensor
  ) -> list[tf.Tensor]:
    """The random numbers of one step among those of a run."""
    if self.draws_each_step:
      return [draw[step] for draw in draws]
    return list(draws)

  @abc.abstractmethod
  def value(
    self,
    gradients: Sequence[Gradient],
    params: Sequence[tf.Tensor],
    draws: Sequence[tf.Tensor],
  ) -> tf.Tensor:
    """Computes the regulariser; graph code only.

    Args:
      gradients: exact gradients of the objective, without noise.
      params: what they were computed from and with respect to, tensors of
        static shapes; the value can be differentiated with respect to them.
      draws: the random numbers of this step.

    Returns:
      A scalar of the dtype of the parameters.

    Raises:
      ValueError: there is no parameter, a shape is not fully defined, or a
        gradient is missing.
    """


def check_positive(**arguments: int) -> None:
  """Raises ValueError, naming the argument, unless all are positive integers.

  Args:
    **arguments: values by the names that the error shall show.
  """
  for name, value in arguments.items():
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
      raise ValueError(f"{name} must be a positive integer, got {value!r}")

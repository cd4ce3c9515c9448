"""What an optimizer is run on."""

from typing import Any, NamedTuple

import numpy as np

from learned_optimizer.problems.datasets import EMPTY_DATASET, Dataset
from learned_optimizer.problems.problem import Problem
from learned_optimizer.problems.problem_spec import Spec


class Task(NamedTuple):
  """A problem with what it is trained on.

  Attributes:
    problem: the problem instance.
    dataset: its data.
    batch_size: rows per batch; 0 without data.
  """

  problem: Problem
  dataset: Dataset
  batch_size: int

  @classmethod
  def of(
    cls, problem: Problem, dataset: Dataset | None, batch_size: int | None
  ) -> "Task":
    """Replaces what a problem set leaves out by what stands for nothing."""
    if dataset is None:
      return cls(problem, EMPTY_DATASET, 0)
    return cls(problem, dataset, batch_size or dataset.size)

  @property
  def gains_from_compiling(self) -> bool:
    """Whether an unroll on it is faster compiled than op by op.

    Convolutions that XLA compiles for a processor are not.
    """
    return all(len(shape) != 4 for shape in self.problem.param_shapes)

  @property
  def structure(self) -> Any:
    """What a program depends on; equal for instances that can share one."""
    data, labels = (np.asarray(part) for part in self.dataset)
    shapes = (data.shape, str(data.dtype), labels.shape, str(labels.dtype))
    return (self.problem.structure, shapes)


def describe(spec: Spec) -> str:
  """A problem's `Spec` as one would write the call, for people to read."""

  def text(value):
    if isinstance(value, Spec):
      return describe(value)
    if isinstance(value, list | tuple):
      return f"[{', '.join(map(text, value))}]"
    return getattr(value, "__name__", None) or repr(value)

  arguments = [text(value) for value in spec.args]
  arguments += [f"{key}={text(value)}" for key, value in spec.kwargs.items()]
  return f"{text(spec.callable)}({', '.join(arguments)})"

"""Random scaling of coordinates, by which meta-training sees more problems."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from learned_optimizer import generators
from learned_optimizer.problems import adaptors, problem, problem_spec

# Factors of more are no float32 any more.
_LARGEST_BOUND = 80


class RandomScaling(adaptors.Adaptor):
  """A problem with each coordinate in a unit of its own: f(p) = inner(p s).

  Each element of s is exp(u), u uniform in [-bound, bound] (RNNProp, arXiv
  1703.03633, section 4.1). Parameters start at those of the inner problem
  divided by s, where the objective is that of the inner problem. The factors
  are constants, `scale_<i>` for tensor i.
  """

  def __init__(
    self,
    problem_spec: problem_spec.Spec,
    bound: float = 3.0,
    *,
    random_seed: generators.Seed = None,
  ) -> None:
    """Initialises the problem.

    Args:
      problem_spec: spec of the inner problem, whose noise is left out.
      bound: the largest logarithm of a factor, above 0 and at most 80.
      random_seed: fixes the inner problem and the factors.

    Raises:
      ValueError: an argument that cannot be used.
    """
    if not 0 < bound <= _LARGEST_BOUND:
      raise ValueError(
        f"bound must be positive and at most {_LARGEST_BOUND}, got {bound!r}"
      )
    self.bound = bound
    super().__init__([problem_spec], random_seed, 0.0)

  def _draw_constants(
    self, random_state: np.random.RandomState
  ) -> dict[str, problem.Array]:
    (inner,) = self.problems
    scales = {
      f"scale_{index}": np.float32(
        np.exp(random_state.uniform(-self.bound, self.bound, shape))
      )
      for index, shape in enumerate(inner.param_shapes)
    }
    return super()._draw_constants(random_state) | scales

  def _scales(self) -> list[problem.Array]:
    indices = range(len(self.param_shapes))
    return [self.constants[f"scale_{index}"] for index in indices]

  def _draw_parameters(self, generator: generators.Generator) -> list[Any]:
    values = self.problems[0]._draw_parameters(generator)
    return [
      value / scale for value, scale in zip(values, self._scales(), strict=True)
    ]

  def arranged(self, data: problem.Array) -> Any:
    """See base class."""
    return self.problems[0].arranged(data)

  def objective(
    self,
    parameters: Sequence[tf.Tensor],
    data: problem.Array | None = None,
    labels: problem.Array | None = None,
  ) -> tf.Tensor:
    """See base class."""
    scaled = [
      param * tf.cast(scale, param.dtype)
      for param, scale in zip(parameters, self._scales(), strict=True)
    ]
    return self.problems[0].objective(scaled, data, labels)

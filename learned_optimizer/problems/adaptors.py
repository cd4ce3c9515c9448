"""Problems made from other problems."""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

import numpy as np
import tensorflow as tf

from learned_optimizer import generators
from learned_optimizer.problems import problem, problem_spec


class Adaptor(problem.Problem):
  """Base class of problems made from others, whose parameters it takes over.

  The noise of the inner problems is never used, nor is their `init_fn`. Their
  constants are the constants of the adaptor: those of problem i begin with
  "<i>_".

  Attributes:
    problems: the inner problems, a tuple.
  """

  def __init__(
    self,
    problem_specs: Sequence[problem_spec.Spec],
    random_seed: generators.Seed,
    noise_stdev: float,
  ) -> None:
    """Builds the inner problems, then initialises the adaptor itself.

    Args:
      problem_specs: specs of the inner problems.
      random_seed: fixes all inner problems whose specs do not fix a seed. They
        get different seeds, derived from this one, or drawn in order from a
        stream, from which the adaptor then draws its own.
      noise_stdev: standard deviation of the noise added to gradients.

    Raises:
      ValueError: an argument that cannot be used.
    """
    for spec in problem_specs:
      if not isinstance(spec, problem_spec.Spec):
        raise ValueError(f"inner problems must be given as Spec, got {spec!r}")
    if isinstance(random_seed, generators.OriginalStream):
      inner_seeds = [random_seed] * len(problem_specs)
    else:
      random_seed = generators.resolve_seed(random_seed)
      sequence = np.random.SeedSequence(random_seed)
      inner_seeds = sequence.generate_state(len(problem_specs)).tolist()
    self.problems = tuple(
      spec.build(random_seed=seed)
      for spec, seed in zip(problem_specs, inner_seeds, strict=True)
    )
    param_shapes = [s for inner in self.problems for s in inner.param_shapes]
    super().__init__(param_shapes, random_seed, noise_stdev)

  def _draw_constants(
    self, random_state: np.random.RandomState
  ) -> dict[str, problem.Array]:
    del random_state
    return {
      f"{index}_{name}": value
      for index, inner in enumerate(self.problems)
      for name, value in inner.constants.items()
    }

  def with_constants(self, constants: Mapping[str, problem.Array]) -> Self:
    """See base class. The inner problems of the copy have them, too."""
    adaptor = super().with_constants(constants)
    adaptor.problems = tuple(
      inner.with_constants(
        {name: constants[f"{index}_{name}"] for name in inner.constants}
      )
      for index, inner in enumerate(self.problems)
    )
    return adaptor

  def _settings(self) -> dict[str, Any]:
    structures = tuple(inner.structure for inner in self.problems)
    return {**super()._settings(), "problems": structures}


class Rescale(Adaptor):
  """A problem in other units: f(p) = inner(p / scale).

  The parameters start at those of the inner problem, times scale. Gradients are
  those of the inner problem divided by scale; the noise is added to that.
  """

  def __init__(
    self,
    problem_spec: problem_spec.Spec,
    scale: float = 10.0,
    noise_stdev: float = 0,
    *,
    random_seed: generators.Seed = None,
  ) -> None:
    """Initialises the problem.

    Args:
      problem_spec: spec of the inner problem.
      scale: factor of the parameters, other than 0.
      noise_stdev: standard deviation of the noise added to gradients.
      random_seed: see base class.

    Raises:
      ValueError: an argument that cannot be used.
    """
    if not math.isfinite(scale) or not scale:
      raise ValueError(
        f"scale must be a finite number other than 0, got {scale!r}"
      )
    super().__init__([problem_spec], random_seed, noise_stdev)
    self.scale = scale

  def _draw_parameters(self, generator: generators.Generator) -> list[Any]:
    values = self.problems[0]._draw_parameters(generator)
    return [value * self.scale for value in values]

  def objective(
    self,
    parameters: Sequence[tf.Tensor],
    data: problem.Array | None = None,
    labels: problem.Array | None = None,
  ) -> tf.Tensor:
    """See base class."""
    scaled = [p / self.scale for p in parameters]
    return self.problems[0].objective(scaled, data, labels)


class SumTask(Adaptor):
  """The sum of several problems, each with parameters of its own.

  The inner problems are given no data: those that need data raise an error.
  """

  def __init__(
    self,
    problem_specs: Sequence[problem_spec.Spec],
    noise_stdev: float = 0,
    *,
    random_seed: generators.Seed = None,
  ) -> None:
    """Initialises the problem.

    Args:
      problem_specs: specs of the inner problems, at least one.
      noise_stdev: standard deviation of the noise added to gradients.
      random_seed: see base class.

    Raises:
      ValueError: an argument that cannot be used.
    """
    if not problem_specs:
      raise ValueError(
        f"problem_specs must hold at least one Spec, got {problem_specs!r}"
      )
    super().__init__(problem_specs, random_seed, noise_stdev)

  def _draw_parameters(self, generator: generators.Generator) -> list[Any]:
    return [
      value
      for inner in self.problems
      for value in inner._draw_parameters(generator)
    ]

  def objective(
    self,
    parameters: Sequence[tf.Tensor],
    data: problem.Array | None = None,
    labels: problem.Array | None = None,
  ) -> tf.Tensor:
    """See base class. Data are ignored."""
    rest: Iterable[tf.Tensor] = iter(parameters)
    return tf.add_n(
      [
        inner.objective(list(itertools.islice(rest, len(inner.param_shapes))))
        for inner in self.problems
      ]
    )


class LogObjective(Adaptor):
  """The logarithm of a problem: f(p) = log(inner(p) + 1e-6) - log(1e-6).

  There is no noise. The parameters start at N(0, 1), wherever those of the
  inner problem start, as in the original code.
  """

  def __init__(
    self,
    problem_spec: problem_spec.Spec,
    *,
    random_seed: generators.Seed = None,
  ) -> None:
    """Initialises the problem.

    Args:
      problem_spec: spec of the inner problem, which must not be negative.
      random_seed: see base class.

    Raises:
      ValueError: an argument that cannot be used.
    """
    super().__init__([problem_spec], random_seed, 0)

  def objective(
    self,
    parameters: Sequence[tf.Tensor],
    data: problem.Array | None = None,
    labels: problem.Array | None = None,
  ) -> tf.Tensor:
    """See base class."""
    value = self.problems[0].objective(parameters, data, labels)
    return tf.math.log(value + problem.EPSILON) - math.log(problem.EPSILON)


class SparseProblem(Adaptor):
  """A problem whose gradients, noise included, are mostly set to 0.

  The parameters start at N(0, 1), wherever those of the inner problem start, as
  in the original code.
  """

  def __init__(
    self,
    problem_spec: problem_spec.Spec,
    zero_probability: float = 0.99,
    random_seed: generators.Seed = None,
    noise_stdev: float = 0,
  ) -> None:
    """Initialises the problem.

    Args:
      problem_spec: spec of the inner problem.
      zero_probability: probability of each element of a gradient to be 0.
      random_seed: see base class.
      noise_stdev: standard deviation of the noise added to gradients.

    Raises:
      ValueError: an argument that cannot be used.
    """
    if not 0 <= zero_probability <= 1:
      raise ValueError(
        f"zero_probability must be from 0 to 1, got {zero_probability!r}"
      )
    super().__init__([problem_spec], random_seed, noise_stdev)
    self.zero_probability = zero_probability

  def objective(
    self,
    parameters: Sequence[tf.Tensor],
    data: problem.Array | None = None,
    labels: problem.Array | None = None,
  ) -> tf.Tensor:
    """See base class."""
    return self.problems[0].objective(parameters, data, labels)

  def draws(
    self, num_steps: int | tf.Tensor, generator: generators.Generator
  ) -> list[problem.Array]:
    """Draws the random numbers that `gradients` needs for some steps.

    Args:
      num_steps: number of calls of `gradients` that the numbers are for.
      generator: see base class.

    Returns:
      The draws of the base class for the noise, if there is any, and after them
      as many for the zeros: float32 arrays or tensors of numbers from 0 to 1.
    """
    return super().draws(num_steps, generator) + [
      problem.to_float32(generator.uniform(size=(num_steps, *shape)))
      for shape in self.param_shapes
    ]

  def gradients(
    self,
    objective: tf.Tensor,
    parameters: Sequence[tf.Tensor],
    draws: Sequence[problem.Array] | None = None,
  ) -> list[tf.Tensor]:
    """Computes noisy gradients with random zeros.

    An element is 0 where `zero_probability` is greater than its random number.

    Args:
      objective: scalar computed from the parameters.
      parameters: tensors or variables of shapes `param_shapes`.
      draws: one step of `self.draws`; None makes random ops instead, which
        compiled programs must not have.

    Returns:
      Dense gradients in the order of the parameters.

    Raises:
      ValueError: see base class.
    """
    noise, uniform = None, [None] * len(parameters)
    if draws is not None:
      expected = len(parameters) * (2 if self.noise_stdev else 1)
      if len(draws) != expected:
        raise ValueError(
          f"draws must be {expected} arrays, as from SparseProblem.draws, "
          f"got {len(draws)}"
        )
      noise, uniform = draws[: -len(parameters)], draws[-len(parameters) :]
    gradients = super().gradients(objective, parameters, noise)
    return [
      self._with_zeros(tf.convert_to_tensor(gradient), numbers)
      for gradient, numbers in zip(gradients, uniform, strict=True)
    ]

  def _with_zeros(
    self, gradient: tf.Tensor, numbers: problem.Array | None
  ) -> tf.Tensor:
    if numbers is None:
      numbers = tf.random.uniform(tf.shape(gradient))
    is_zero = self.zero_probability > numbers
    return tf.where(is_zero, tf.zeros_like(gradient), gradient)

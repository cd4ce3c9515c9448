"""Random numbers: seeds, and one interface to draw on the host or in a graph.

Compiled programs contain no random ops, so most numbers are drawn on the host
from a `numpy.random.Generator` and passed in. Plain TF1 graphs draw them with
ops instead. Code that draws through `Generator` is written once for both.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

MAX_SEED = 2**32 - 1


class OriginalStream:
  """The process-wide generator of the original code, as an object.

  There every unseeded problem and data set drew its seed from the global
  generator of NumPy, reseeded that generator, and drew its instance data from
  it; whatever came next went on from there. An object of this class in the
  place of a seed gives the same numbers and leaves the global generator alone.

  Attributes:
    random_state: the generator in its current state, for example to shuffle
      batches.
  """

  def __init__(self, random_seed: int) -> None:
    """Initialises the stream, as `numpy.random.seed` did."""
    self.random_state = np.random.RandomState(random_seed)


Seed = int | OriginalStream | None


def seeded(random_seed: Seed) -> tuple[int, np.random.RandomState]:
  """Returns a usable seed, and a generator that starts from it.

  Args:
    random_seed: an integer from 0 to `MAX_SEED`; None for a fresh seed from the
      entropy of the operating system; or a stream, which the seed is drawn
      from, and which is seeded with it.

  Returns:
    The seed and the generator.

  Raises:
    ValueError: the seed is not an integer or out of range.
  """
  if isinstance(random_seed, OriginalStream):
    random_state = random_seed.random_state
    seed = int(random_state.randint(MAX_SEED))
    random_state.seed(seed)
    return seed, random_state
  seed = resolve_seed(random_seed)
  return seed, np.random.RandomState(seed)


def resolve_seed(random_seed: int | None) -> int:
  """Returns a usable seed.

  Args:
    random_seed: an integer from 0 to `MAX_SEED`, or None for a fresh seed from
      the entropy of the operating system.

  Returns:
    The given seed, or the fresh one.

  Raises:
    ValueError: the seed is not an integer or out of range.
  """
  if random_seed is None:
    return int(np.random.default_rng().integers(MAX_SEED))
  if not isinstance(random_seed, int | np.integer):
    raise ValueError(
      f"random_seed must be an integer or None, got {random_seed!r}"
    )
  if not 0 <= random_seed <= MAX_SEED:
    raise ValueError(
      f"random_seed must be from 0 to {MAX_SEED}, got {random_seed}"
    )
  return int(random_seed)


class Generator(Protocol):
  """The two methods of `numpy.random.Generator` that draw initial values."""

  def normal(
    self,
    loc: float = 0.0,
    scale: float = 1.0,
    size: Sequence[int] | None = None,
  ) -> Any:
    """Draws from the normal distribution with mean loc and deviation scale."""

  def uniform(
    self,
    low: float = 0.0,
    high: float = 1.0,
    size: Sequence[int] | None = None,
  ) -> Any:
    """Draws from the uniform distribution over [low, high)."""


class TensorGenerator:
  """Draws with random ops of the current TF1 graph.

  Every call makes an op with the same op-level seed. In a graph without a
  graph-level seed the stream of an op depends on nothing but its op-level seed,
  so with a seed all draws of equal distribution begin with the same values:
  initial parameters are prefixes of one common vector. The original code did
  this, and numbers published for it depend on it. Without a seed the draws are
  independent, and differ from run to run.

  Executed eagerly, the same ops give other numbers.

  Attributes:
    seed: the op-level seed of every op, or None for unseeded ops.
  """

  def __init__(self, seed: int | None = None) -> None:
    """Initialises the generator.

    Args:
      seed: the op-level seed of every op, or None for unseeded ops.
    """
    self.seed = seed

  def normal(
    self,
    loc: float = 0.0,
    scale: float = 1.0,
    size: Sequence[int] | None = None,
  ) -> tf.Tensor:
    """Draws from the normal distribution.

    Args:
      loc: mean.
      scale: standard deviation.
      size: shape of the result; None for a scalar.

    Returns:
      A float32 tensor of that shape, drawn anew in every session run.
    """
    shape = () if size is None else size
    return tf.compat.v1.random_normal(shape, loc, scale, seed=self.seed)

  def uniform(
    self,
    low: float = 0.0,
    high: float = 1.0,
    size: Sequence[int] | None = None,
  ) -> tf.Tensor:
    """Draws from the uniform distribution.

    Args:
      low: lower bound, included.
      high: upper bound, excluded.
      size: shape of the result; None for a scalar.

    Returns:
      A float32 tensor of that shape, drawn anew in every session run.
    """
    shape = () if size is None else size
    return tf.compat.v1.random_uniform(shape, low, high, seed=self.seed)


def draw_on_host(
  generator: Generator,
  draw: Callable[[np.random.Generator], list[np.ndarray]],
) -> list[np.ndarray] | list[tf.Tensor]:
  """Draws what cannot be drawn by ops of a graph.

  Args:
    generator: the source of all random numbers. A `TensorGenerator` gives its
      seed to a generator of NumPy, and the numbers become constants of the
      current graph.
    draw: a function of a generator of NumPy.

  Returns:
    What draw returned, as tensors if the generator is a `TensorGenerator`.
  """
  if not isinstance(generator, TensorGenerator):
    return draw(generator)
  return [tf.constant(a) for a in draw(np.random.default_rng(generator.seed))]

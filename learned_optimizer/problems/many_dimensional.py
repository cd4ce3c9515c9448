"""Problems of any number of parameters, with nothing drawn from a seed."""

import math
from collections.abc import Sequence

import tensorflow as tf

from learned_optimizer import generators
from learned_optimizer.problems import arguments, problem


class _ManyDimensional(problem.Problem):
  """Base class of problems with one parameter tensor that starts at N(0, 1)."""

  def __init__(
    self,
    ndim: int,
    random_seed: generators.Seed = None,
    noise_stdev: float = 0,
  ) -> None:
    """Initialises the problem.

    Args:
      ndim: number of parameters, and of features of the data if there are any;
        `DependencyChain` has one parameter more.
      random_seed: see base class; without effect.
      noise_stdev: standard deviation of the noise added to gradients.

    Raises:
      ValueError: an argument that cannot be used.
    """
    arguments.check_positive(ndim=ndim)
    super().__init__([self._shape(ndim)], random_seed, noise_stdev)

  def _shape(self, ndim: int) -> tuple[int, ...]:
    """Returns the shape of the parameter tensor."""
    return (ndim,)


class DependencyChain(_ManyDimensional):
  """A chain in which each parameter must shrink before the one ahead of it.

  f(p) = sum for i = 1 ... ndim of p_0^2 + p_i^2 / (p_(i-1)^2 + 1e-6)

  p is one tensor [ndim + 1] that starts at N(0, 1). As in the original code
  p_0^2 counts ndim times. The minimum is 0 at the origin.
  """

  def _shape(self, ndim: int) -> tuple[int, ...]:
    return (ndim + 1,)

  def objective(
    self,
    parameters: Sequence[tf.Tensor],
    data: problem.Array | None = None,
    labels: problem.Array | None = None,
  ) -> tf.Tensor:
    """See base class."""
    squares = tf.square(parameters[0])
    links = squares[1:] / (squares[:-1] + problem.EPSILON)
    return tf.reduce_sum(squares[0] + links)


class MinMaxWell(_ManyDimensional):
  """Only the largest and the smallest parameter matter.

  f(p) = max(p^2) + 1 / min(p^2) - 2 + 1e-12

  p is one tensor [ndim] that starts at N(0, 1). The minimum is 1e-12 where all
  |p| are 1. Parameters that are equally large share the gradient.
  """

  def objective(
    self,
    parameters: Sequence[tf.Tensor],
    data: problem.Array | None = None,
    labels: problem.Array | None = None,
  ) -> tf.Tensor:
    """See base class."""
    squares = tf.square(parameters[0])
    extremes = tf.reduce_max(squares) + 1 / tf.reduce_min(squares)
    return extremes - 2 + 1e-12


class OutwardSnake(_ManyDimensional):
  """A winding path that leads away from the origin for ever.

  f(p) = sum over rows d of d_0 / (|p| + 1e-6)
         + sum for j >= 1 of ((p_j - pi cos(p_(j-1))) d_j)^2

  p is one tensor [ndim] that starts at N(0, 1). The rows are added, not
  averaged. The gradient at the origin is NaN, as in the original code.
  """

  def objective(
    self,
    parameters: Sequence[tf.Tensor],
    data: problem.Array | None = None,
    labels: problem.Array | None = None,
  ) -> tf.Tensor:
    """See base class. Data are needed, [batch, ndim]."""
    self._check_given(data=data)
    (p,) = parameters
    data = tf.cast(data, p.dtype)
    outward = data[:, 0] / (tf.norm(p) + problem.EPSILON)
    winding = (p[1:] - math.pi * tf.cos(p[:-1])) * data[:, 1:]
    return tf.reduce_sum(outward) + tf.reduce_sum(tf.square(winding))


class _DataQuadratic(_ManyDimensional):
  """Base class of quadratics of a data set, whose parameters are one row."""

  def _shape(self, ndim: int) -> tuple[int, ...]:
    return (1, ndim)


class ProjectionQuadratic(_DataQuadratic):
  """Projections of the data: f(p) = sum over rows d of sum_j (p_j d_j)^2.

  p is one tensor [1, ndim] that starts at N(0, 1). The minimum is 0.
  """

  def objective(
    self,
    parameters: Sequence[tf.Tensor],
    data: problem.Array | None = None,
    labels: problem.Array | None = None,
  ) -> tf.Tensor:
    """See base class. Data are needed, [batch, ndim]."""
    self._check_given(data=data)
    (p,) = parameters
    return tf.reduce_sum(tf.square(p * tf.cast(data, p.dtype)))


class SumOfQuadratics(_DataQuadratic):
  """One parabola per row d: f(p) = sum |p - d|^2 - sum |d|^2 + 1e-12.

  p is one tensor [1, ndim] that starts at N(0, 1). On data that hold -d for
  every d, f(p) is rows |p|^2 + 1e-12; there float32 rounding may give negative
  values near the origin. On parts of such data it may well be negative.
  """

  def objective(
    self,
    parameters: Sequence[tf.Tensor],
    data: problem.Array | None = None,
    labels: problem.Array | None = None,
  ) -> tf.Tensor:
    """See base class. Data are needed, [batch, ndim]."""
    self._check_given(data=data)
    (p,) = parameters
    data = tf.cast(data, p.dtype)
    distances = tf.reduce_sum(tf.square(p - data))
    return distances - tf.reduce_sum(tf.square(data)) + 1e-12

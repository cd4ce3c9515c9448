"""Quadratic functions of the parameters and a data set."""

from collections.abc import Sequence

import tensorflow as tf

from learned_optimizer import generators
from learned_optimizer.problems import problem


class _DataQuadratic(problem.Problem):
  """Base class: p is one tensor [1, ndim] that starts at N(0, 1)."""

  def __init__(
    self,
    ndim: int,
    random_seed: generators.Seed = None,
    noise_stdev: float = 0,
  ) -> None:
    """Initialises the problem.

    Args:
      ndim: number of parameters, and of features of the data.
      random_seed: see base class; without effect.
      noise_stdev: standard deviation of the noise added to gradients.

    Raises:
      ValueError: an argument that cannot be used.
    """
    problem.check_positive(ndim=ndim)
    super().__init__([(1, ndim)], random_seed, noise_stdev)


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

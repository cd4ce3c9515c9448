"""Quadratic problems, and other functions of a random linear residual."""

import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from learned_optimizer import generators
from learned_optimizer.problems import arguments, problem


class _LinearResidual(problem.Problem):
  """Base class of functions of the residual r = W p - y.

  W [ndim, ndim] and y [ndim, 1] are N(0, 1); p is one tensor [ndim, 1] that
  starts at N(0, 1).
  """

  def __init__(
    self,
    ndim: int,
    random_seed: generators.Seed = None,
    noise_stdev: float = 0,
  ) -> None:
    """Initialises the problem.

    Args:
      ndim: number of parameters.
      random_seed: see base class.
      noise_stdev: standard deviation of the noise added to gradients.

    Raises:
      ValueError: an argument that cannot be used.
    """
    arguments.check_positive(ndim=ndim)
    super().__init__([(ndim, 1)], random_seed, noise_stdev)

  def _draw_constants(
    self, random_state: np.random.RandomState
  ) -> dict[str, np.ndarray]:
    ((ndim, _),) = self.param_shapes
    return {
      "w": random_state.randn(ndim, ndim).astype(np.float32),
      "y": random_state.randn(ndim, 1).astype(np.float32),
    }

  def _residual(self, p: tf.Tensor) -> tf.Tensor:
    """Computes r [ndim, 1]."""
    w = tf.cast(self.constants["w"], p.dtype)
    y = tf.cast(self.constants["y"], p.dtype)
    return tf.matmul(w, p) - y


class Quadratic(_LinearResidual):
  """Least squares with a random matrix: f(p) = 1/2 |W p - y|^2.

  W [ndim, ndim] and y [ndim, 1] are N(0, 1); p is one tensor [ndim, 1] that
  starts at N(0, 1). The minimum is 0.
  """

  def objective(
    self,
    parameters: Sequence[tf.Tensor],
    data: problem.Array | None = None,
    labels: problem.Array | None = None,
  ) -> tf.Tensor:
    """See base class."""
    (p,) = parameters
    return 0.5 * tf.reduce_sum(tf.square(self._residual(p)))


class Norm(_LinearResidual):
  """A norm of a random residual: f(p) = (sum (|W p - y| + 1e-6)^q)^(1/q).

  q is `norm_power`; W, y, p as in `Quadratic`. The minimum is
  1e-6 ndim^(1/q), since the 1e-6 is inside the power.
  """

  def __init__(
    self,
    ndim: int,
    random_seed: generators.Seed = None,
    noise_stdev: float = 0,
    norm_power: float = 2.0,
  ) -> None:
    """Initialises the problem.

    Args:
      ndim: number of parameters.
      random_seed: see base class.
      noise_stdev: standard deviation of the noise added to gradients.
      norm_power: q, greater than 0. Below 1 the function is not convex, and
        steep where a residual is near 0.

    Raises:
      ValueError: an argument that cannot be used.
    """
    if not 0 < norm_power < math.inf:
      raise ValueError(
        f"norm_power must be a finite number above 0, got {norm_power!r}"
      )
    super().__init__(ndim, random_seed, noise_stdev)
    self.norm_power = norm_power

  def objective(
    self,
    parameters: Sequence[tf.Tensor],
    data: problem.Array | None = None,
    labels: problem.Array | None = None,
  ) -> tf.Tensor:
    """See base class."""
    (p,) = parameters
    # Keeps the power differentiable where a residual is 0.
    sizes = tf.abs(self._residual(p)) + problem.EPSILON
    total = tf.reduce_sum(tf.pow(sizes, self.norm_power))
    return tf.pow(total, 1 / self.norm_power)


class Lasso(_LinearResidual):
  """Sparse regression: f(p) = 1/2 |W p - y|^2 + lambda sum |p|.

  W, y, p as in `Quadratic`.
  """

  def __init__(
    self,
    ndim: int,
    lambda_: float = 1,
    random_seed: generators.Seed = None,
    noise_stdev: float = 0,
  ) -> None:
    """Initialises the problem.

    Args:
      ndim: number of parameters.
      lambda_: weight of the absolute values, at least 0.
      random_seed: see base class.
      noise_stdev: standard deviation of the noise added to gradients.

    Raises:
      ValueError: an argument that cannot be used.
    """
    if not 0 <= lambda_ < math.inf:
      raise ValueError(
        f"lambda_ must be a finite number of at least 0, got {lambda_!r}"
      )
    super().__init__(ndim, random_seed, noise_stdev)
    self.lambda_ = lambda_

  def objective(
    self,
    parameters: Sequence[tf.Tensor],
    data: problem.Array | None = None,
    labels: problem.Array | None = None,
  ) -> tf.Tensor:
    """See base class."""
    (p,) = parameters
    fit = 0.5 * tf.reduce_sum(tf.square(self._residual(p)))
    return fit + self.lambda_ * tf.reduce_sum(tf.abs(p))


class Rastrigin(_LinearResidual):
  """Least squares with ripples.

  f(p) = mean_i 1/2 (W p - y)_i^2 - alpha c^T cos(2 pi p) + alpha ndim^2

  W, y, p as in `Quadratic`; c [ndim, 1] is N(0, 1), drawn after them. The mean
  and the square of ndim are those of the original code. f is negative in places
  if the sum of |c| is large. The original code squares a norm; where a residual
  is exactly 0 the gradient is therefore NaN in compiled programs. (Op by op,
  today's TensorFlow makes it 0.)
  """

  def __init__(
    self,
    ndim: int,
    alpha: float = 10,
    random_seed: generators.Seed = None,
    noise_stdev: float = 0,
  ) -> None:
    """Initialises the problem.

    Args:
      ndim: number of parameters.
      alpha: height of the ripples.
      random_seed: see base class.
      noise_stdev: standard deviation of the noise added to gradients.

    Raises:
      ValueError: an argument that cannot be used.
    """
    if not math.isfinite(alpha):
      raise ValueError(f"alpha must be a finite number, got {alpha!r}")
    super().__init__(ndim, random_seed, noise_stdev)
    self.alpha = alpha

  def _draw_constants(
    self, random_state: np.random.RandomState
  ) -> dict[str, np.ndarray]:
    constants = super()._draw_constants(random_state)
    c = random_state.randn(*constants["y"].shape).astype(np.float32)
    return {**constants, "c": c}

  def objective(
    self,
    parameters: Sequence[tf.Tensor],
    data: problem.Array | None = None,
    labels: problem.Array | None = None,
  ) -> tf.Tensor:
    """See base class."""
    (p,) = parameters
    ((ndim, _),) = self.param_shapes
    c = tf.cast(self.constants["c"], p.dtype)
    # Not abs, whose gradient at 0 is 0: see above.
    norms = tf.sqrt(tf.square(self._residual(p)))
    fit = tf.reduce_mean(0.5 * tf.square(norms))
    ripples = tf.reduce_sum(c * tf.cos(2 * math.pi * p))
    return fit - self.alpha * ripples + self.alpha * ndim**2


class IsotropicQuadratic(problem.Problem):
  """The sum of the squares of all parameters, which start at N(0, 1)."""

  def objective(
    self,
    parameters: Sequence[tf.Tensor],
    data: problem.Array | None = None,
    labels: problem.Array | None = None,
  ) -> tf.Tensor:
    """See base class."""
    return tf.add_n([tf.reduce_sum(tf.square(p)) for p in parameters])

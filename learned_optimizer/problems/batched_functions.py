"""Functions of parameters without data, of L2O-DM and RNNProp.

All but `Simple` are means over a batch of small random functions, each of which
has a row of the parameters of its own.
"""

import abc
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from learned_optimizer import generators
from learned_optimizer.problems import arguments, problem

# Weight of the absolute values of the Lasso.
_L1_WEIGHT = 0.005
# Height of the ripples.
_ALPHA = 10.0


class Simple(problem.Problem):
  """The sum of the squares of scalars: f(x) = sum_i x_i^2, from x_i = 1.

  Each x_i is a tensor [] of its own. One is the original's `simple`, two are
  its `simple-multi`.
  """

  def __init__(
    self,
    num_scalars: int = 1,
    random_seed: generators.Seed = None,
    noise_stdev: float = 0,
  ) -> None:
    """Initialises the problem.

    Args:
      num_scalars: number of parameters.
      random_seed: see base class; without effect.
      noise_stdev: standard deviation of the noise added to gradients.

    Raises:
      ValueError: an argument that cannot be used.
    """
    arguments.check_positive(num_scalars=num_scalars)
    super().__init__([()] * num_scalars, random_seed, noise_stdev)

  def _draw_parameters(self, generator: generators.Generator) -> list[Any]:
    return generators.draw_on_host(
      generator, lambda _: [np.ones((), np.float32) for _ in self.param_shapes]
    )

  def objective(
    self,
    parameters: Sequence[tf.Tensor],
    data: problem.Array | None = None,
    labels: problem.Array | None = None,
  ) -> tf.Tensor:
    """See base class."""
    return tf.add_n([tf.square(x) for x in parameters])


class _BatchedFunction(problem.Problem):
  """Base class of means over b of functions of x_b and r_b = W_b x_b - y_b.

  The parameter is one tensor x [batch, ndim] that starts at N(0, 0.01**2).
  """

  def __init__(
    self,
    ndim: int,
    batch_size: int = 128,
    random_seed: generators.Seed = None,
    noise_stdev: float = 0,
  ) -> None:
    """Initialises the problem.

    Args:
      ndim: number of parameters of each function.
      batch_size: number of functions.
      random_seed: see base class.
      noise_stdev: standard deviation of the noise added to gradients.

    Raises:
      ValueError: an argument that cannot be used.
    """
    arguments.check_positive(ndim=ndim, batch_size=batch_size)
    super().__init__([(batch_size, ndim)], random_seed, noise_stdev)

  def _draw_constants(
    self, random_state: np.random.RandomState
  ) -> dict[str, np.ndarray]:
    ((batch_size, ndim),) = self.param_shapes
    return {
      "w": self._draw(random_state, (batch_size, ndim, ndim)),
      "y": self._draw(random_state, (batch_size, ndim)),
    }

  def _draw(
    self, random_state: np.random.RandomState, shape: Sequence[int]
  ) -> np.ndarray:
    """Draws a constant: from U[0, 1) unless a subclass differs."""
    return random_state.random_sample(shape).astype(np.float32)

  def _draw_parameters(self, generator: generators.Generator) -> list[Any]:
    return [generator.normal(0.0, 0.01, shape) for shape in self.param_shapes]

  def objective(
    self,
    parameters: Sequence[tf.Tensor],
    data: problem.Array | None = None,
    labels: problem.Array | None = None,
  ) -> tf.Tensor:
    """See base class."""
    (x,) = parameters
    residual = tf.linalg.matvec(self._constant("w", x), x)
    residual -= self._constant("y", x)
    return tf.reduce_mean(self._values(x, residual))

  def _constant(self, name: str, x: tf.Tensor) -> tf.Tensor:
    return tf.cast(self.constants[name], x.dtype)

  @abc.abstractmethod
  def _values(self, x: tf.Tensor, residual: tf.Tensor) -> tf.Tensor:
    """Computes the functions [batch] of x and of residual, [batch, ndim]."""


class BatchedQuadratic(_BatchedFunction):
  """Least squares: f(x) = mean_b |W_b x_b - y_b|^2.

  W [batch, ndim, ndim] and y [batch, ndim] are U[0, 1); x is one tensor
  [batch, ndim] that starts at N(0, 0.01**2). The original's `quadratic` has an
  ndim of 10.
  """

  def _values(self, x: tf.Tensor, residual: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(tf.square(residual), 1)


class BatchedLasso(_BatchedFunction):
  """Sparse regression: mean_b (1/2 |W_b x_b - y_b|^2 + 0.005 sum_i |x_bi|).

  W, y, x as in `BatchedQuadratic`. The original's `lasso` has an ndim of 2.
  """

  def _values(self, x: tf.Tensor, residual: tf.Tensor) -> tf.Tensor:
    fit = 0.5 * tf.reduce_sum(tf.square(residual), 1)
    return fit + _L1_WEIGHT * tf.reduce_sum(tf.abs(x), 1)


class SquareCos(_BatchedFunction):
  """Least squares with ripples.

  f(x) = mean_b (|W_b x_b - y_b|^2 - 10 sum_i (V_b cos(2 pi x_b))_i + 10 ndim)

  W, y, x as in `BatchedQuadratic`; V [batch, ndim, ndim] is U[0, 1), drawn
  after them. f is negative in places if the sum of V is large. The original's
  `square_cos` has an ndim of 2.
  """

  def _draw_constants(
    self, random_state: np.random.RandomState
  ) -> dict[str, np.ndarray]:
    constants = super()._draw_constants(random_state)
    return {**constants, "v": self._draw(random_state, constants["w"].shape)}

  def _values(self, x: tf.Tensor, residual: tf.Tensor) -> tf.Tensor:
    fit = tf.reduce_sum(tf.square(residual), 1)
    cosines = tf.cos(2 * math.pi * x)
    ripples = tf.linalg.matvec(self._constant("v", x), cosines)
    ndim = x.shape[1]
    return fit + _ALPHA * (ndim - tf.reduce_sum(ripples, 1))


class BatchedRastrigin(_BatchedFunction):
  """Rastrigin functions of random residuals.

  f(x) = mean_b (1/2 |W_b x_b - y_b|^2 - 10 c_b^T cos(2 pi x_b) + 10 ndim)

  W [batch, ndim, ndim], y and c [batch, ndim] are N(0, 1), x starts as in
  `BatchedQuadratic`. f is negative in places if the sum of |c| is large. The
  original's `rastrigin` has an ndim of 2.
  """

  def _draw(
    self, random_state: np.random.RandomState, shape: Sequence[int]
  ) -> np.ndarray:
    return random_state.standard_normal(shape).astype(np.float32)

  def _draw_constants(
    self, random_state: np.random.RandomState
  ) -> dict[str, np.ndarray]:
    constants = super()._draw_constants(random_state)
    return {**constants, "c": self._draw(random_state, constants["y"].shape)}

  def _values(self, x: tf.Tensor, residual: tf.Tensor) -> tf.Tensor:
    fit = 0.5 * tf.reduce_sum(tf.square(residual), 1)
    cosines = tf.cos(2 * math.pi * x)
    ripples = tf.reduce_sum(self._constant("c", x) * cosines, 1)
    ndim = x.shape[1]
    return fit + _ALPHA * (ndim - ripples)

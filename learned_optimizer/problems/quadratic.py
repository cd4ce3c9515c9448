"""Quadratic problems."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from learned_optimizer import generators
from learned_optimizer.problems import problem


class Quadratic(problem.Problem):
  """Least squares with a random matrix: f(p) = 1/2 |W p - y|^2.

  W [ndim, ndim] and y [ndim, 1] are N(0, 1); p is one tensor [ndim, 1] that
  starts at N(0, 1). The minimum is 0.
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
    problem.check_positive(ndim=ndim)
    super().__init__([(ndim, 1)], random_seed, noise_stdev)

  def _draw_constants(
    self, random_state: np.random.RandomState
  ) -> dict[str, np.ndarray]:
    ((ndim, _),) = self.param_shapes
    return {
      "w": random_state.randn(ndim, ndim).astype(np.float32),
      "y": random_state.randn(ndim, 1).astype(np.float32),
    }

  def objective(
    self,
    parameters: Sequence[tf.Tensor],
    data: problem.Array | None = None,
    labels: problem.Array | None = None,
  ) -> tf.Tensor:
    """See base class."""
    (p,) = parameters
    w = tf.cast(self.constants["w"], p.dtype)
    y = tf.cast(self.constants["y"], p.dtype)
    return 0.5 * tf.reduce_sum(tf.square(tf.matmul(w, p) - y))

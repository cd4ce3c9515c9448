"""Power iteration: towards the Hessian's eigenvalue of largest magnitude."""

import abc
import dataclasses

import numpy as np
import tensorflow as tf

from learned_optimizer.optimizer.regularizers import curvature, regularizer


@dataclasses.dataclass(frozen=True)
class PowerIteration(regularizer.Regularizer):
  """Base class of what is read off the last step of a power iteration.

  Every inner step starts from a new vector of N(0, 1). Gradients flow through
  the iterates.

  Attributes:
    num_iterations: how many products with the Hessian.
  """

  num_iterations: int = 10
  draws_each_step = True

  def __post_init__(self):
    regularizer.check_positive(num_iterations=self.num_iterations)

  def draws(self, shapes, num_steps, generator):
    """See base class; start vectors [num_steps, N]."""
    size = (num_steps, curvature.num_coordinates(shapes))
    draw = generator.normal(size=size)
    return [draw if isinstance(draw, tf.Tensor) else draw.astype(np.float32)]

  def value(self, gradients, params, draws):
    """See base class."""
    hessian = curvature.Hessian(gradients, params)
    (product,) = hessian.rows(draws[0])
    for _ in range(self.num_iterations):
      # Twice, as in the original: once is short of length one by 1e-6 / ||v||,
      # which matters where the eigenvalues are small.
      vector = curvature.normalize(curvature.normalize(product))
      product = hessian.times(vector)
    return self._eigenvalue(vector, product)

  @abc.abstractmethod
  def _eigenvalue(self, vector: tf.Tensor, product: tf.Tensor) -> tf.Tensor:
    """A scalar from the last vector [1, N] and the Hessian times it."""

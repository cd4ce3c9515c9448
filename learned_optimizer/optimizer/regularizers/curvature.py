"""Products with the Hessian, and the vectors that they are made with.

A vector is one row [1, N] over the N coordinates of all parameter tensors, so
that inner products and norms run over all of them in one operation.
"""

import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from learned_optimizer import generators
from learned_optimizer.optimizer import sparse
from learned_optimizer.optimizer.layout import Layout

_EPSILON = 1e-6


class Hessian:
  """The Hessian of an objective, never held as a matrix.

  Attributes:
    gradient: the gradient as a row [1, N].
    size: N.
  """

  def __init__(
    self,
    gradients: Sequence[tf.Tensor | tf.IndexedSlices],
    params: Sequence[tf.Tensor],
  ):
    """Takes the gradients of the objective and what they belong to.

    Raises:
      ValueError: there is no parameter, a shape is not fully defined, or a
        gradient is missing.
    """
    self._layout = Layout.of(params, padded=False)
    for index, gradient in enumerate(gradients):
      if gradient is None:
        raise ValueError(
          f"gradients[{index}] is None; every parameter must have one."
        )
    self._params = list(params)
    self._gradients = [
      sparse.densify(g, p) for g, p in zip(gradients, params, strict=True)
    ]
    self.gradient = self._layout.flatten(self._gradients)
    self.size = self._layout.num_coordinates

  def times(self, vector: tf.Tensor) -> tf.Tensor:
    """The product H v = d(g . v) / d params of a constant row v, [1, N]."""
    products = tf.gradients(
      self._gradients,
      self._params,
      grad_ys=self._layout.unflatten(vector),
      unconnected_gradients=tf.UnconnectedGradients.ZERO,
    )
    # A gradient that looks rows up in another table has slices of its own.
    return self._layout.flatten(
      [
        sparse.densify(h, p)
        for h, p in zip(products, self._params, strict=True)
      ]
    )

  def rows(self, draws: tf.Tensor) -> list[tf.Tensor]:
    """Cuts draws [K, N] or [N] into rows of the dtype of the parameters.

    Raises:
      ValueError: the draws are not for N coordinates.
    """
    draws = tf.convert_to_tensor(draws)
    if draws.shape[-1] != self.size:
      raise ValueError(
        f"draws must have {self.size} columns, got the shape {draws.shape}"
      )
    draws = tf.cast(draws, self.gradient.dtype)
    draws = tf.reshape(draws, [-1, self.size])
    return tf.split(draws, draws.shape[0])


def num_coordinates(shapes: Sequence[Sequence[int]]) -> int:
  """N, the number of coordinates of tensors of these shapes."""
  return sum(math.prod(shape) for shape in shapes)


def inner_product(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
  """The scalar a . b."""
  return tf.reduce_sum(a * b)


def norm(vector: tf.Tensor) -> tf.Tensor:
  """The length of a row, whose gradient is zero where the length is."""
  square = inner_product(vector, vector)
  positive = square > 0
  root = tf.sqrt(tf.where(positive, square, tf.ones_like(square)))
  return tf.where(positive, root, tf.zeros_like(root))


def normalize(vector: tf.Tensor) -> tf.Tensor:
  """The row v / (||v|| + 1e-6)."""
  return vector / (norm(vector) + _EPSILON)


def rademacher(
  num_probes: int,
  shapes: Sequence[Sequence[int]],
  generator: generators.Generator,
) -> np.ndarray | tf.Tensor:
  """Draws probes of plus and minus one, float32 [num_probes, N].

  Args:
    num_probes: how many.
    shapes: shapes of the parameter tensors.
    generator: of NumPy; a `TensorGenerator` gives constants of its graph.
  """
  size = (num_probes, num_coordinates(shapes))
  (probes,) = generators.draw_on_host(
    generator,
    lambda numpy_generator: [
      (2 * numpy_generator.integers(0, 2, size) - 1).astype(np.float32)
    ],
  )
  return probes

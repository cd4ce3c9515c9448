"""Finding algorithms that multiply small matrices with few products."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from learned_optimizer import generators
from learned_optimizer.problems import arguments, problem, problem_spec


class MatMulAlgorithm(problem.Problem):
  """A bilinear algorithm for n times n matrices with k products.

  It multiplies k linear combinations of the entries of a by as many of those of
  b, and combines the products: c = ((a theta_a) * (b theta_b)) theta_c, with a,
  b, c = a b flattened row by row. The parameters are theta_a and theta_b, both
  [n^2, k]; theta_c is the least-squares solution over all n^4 pairs of matrices
  with a single 1. With P [n^4, k] the products of all pairs,

  f = sum (P theta_c - c)^2, theta_c = (P^T P)^-1 P^T c

  which lies between 0 and n^3. It is 0 for an exact algorithm; Strassen's
  has n = 2, k = 7. The columns of the parameters start as normal vectors scaled
  to length 1.
  """

  def __init__(
    self, n: int, k: int, *, random_seed: generators.Seed = None
  ) -> None:
    """Initialises the problem. Its gradients have no noise.

    Args:
      n: number of rows and columns of the matrices, at least 2.
      k: number of products, from n^2 to n^3.
      random_seed: see base class; without effect.

    Raises:
      ValueError: an argument that cannot be used.
    """
    arguments.check_positive(n=n, k=k)
    if n < 2:
      raise ValueError(f"n must be at least 2, got {n}")
    if not n**2 <= k <= n**3:
      raise ValueError(f"k must be from n^2 = {n**2} to n^3 = {n**3}, got {k}")
    super().__init__([(n**2, k), (n**2, k)], random_seed, 0)
    self.n = n

  def _draw_parameters(self, generator: generators.Generator) -> list[Any]:
    # Sums over columns as a product, which arrays and tensors have in common.
    ones = np.ones((1, self.n**2), np.float32)
    values = super()._draw_parameters(generator)
    return [value / (ones @ value**2) ** 0.5 for value in values]

  def objective(
    self,
    parameters: Sequence[tf.Tensor],
    data: problem.Array | None = None,
    labels: problem.Array | None = None,
  ) -> tf.Tensor:
    """See base class."""
    theta_a, theta_b = parameters
    a, b, c = (
      tf.constant(matrices, theta_a.dtype) for matrices in _examples(self.n)
    )
    products = tf.matmul(a, theta_a) * tf.matmul(b, theta_b)
    gram = tf.matmul(products, products, transpose_a=True)
    projection = tf.matmul(tf.linalg.inv(gram), products, transpose_b=True)
    theta_c = tf.matmul(projection, c)
    return tf.reduce_sum(tf.square(tf.matmul(products, theta_c) - c))


def matmul_problem_sequence(
  n: int, k_min: int, k_max: int
) -> list[tuple[problem_spec.Spec, None, None]]:
  """Lists problems of growing numbers of products.

  Args:
    n: number of rows and columns of the matrices.
    k_min: the smallest number of products.
    k_max: the largest number of products, included.

  Returns:
    Entries of a problem set: specs, each with None for data and batch size.
  """
  return [
    (problem_spec.Spec(MatMulAlgorithm, (n, k), {}), None, None)
    for k in range(k_min, k_max + 1)
  ]


def _examples(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """All pairs a, b of n times n matrices with a single 1, and c = a b.

  Each is [n^4, n^2] of flattened matrices; a varies slowest.
  """
  units = np.eye(n**2)
  a = np.repeat(units, n**2, axis=0)
  b = np.tile(units, (n**2, 1))
  c = a.reshape(-1, n, n) @ b.reshape(-1, n, n)
  return a, b, c.reshape(-1, n**2)

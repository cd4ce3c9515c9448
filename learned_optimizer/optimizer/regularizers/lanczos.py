"""Lanczos iteration with full re-orthogonalisation."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from learned_optimizer.optimizer.regularizers import curvature

# What is left of a product below this many roundings of it is rounding error.
_ROUNDINGS = 10


class Tridiagonal(NamedTuple):
  """The symmetric tridiagonal matrix that the iteration ends with.

  Attributes:
    diagonal: scalars alpha_1, ..., alpha_m.
    off_diagonal: scalars beta_2, ..., beta_m.
  """

  diagonal: list[tf.Tensor]
  off_diagonal: list[tf.Tensor]


def tridiagonalize(
  hessian: curvature.Hessian, start: tf.Tensor, num_steps: int
) -> Tridiagonal:
  """Runs Lanczos from a row [1, N].

    v_1 = start / (||start|| + 1e-6)
    w = H v_j,  alpha_j = w . v_j,  w -= alpha_j v_j + beta_j v_{j-1}
    beta_{j+1} = ||w||,  w made orthogonal to v_1 ... v_j one after another
    v_{j+1} = w / (||w|| + 1e-6)

  Once the vectors span all that products with the Hessian reach from the start,
  nothing is left of w but rounding error. Then v_{j+1} and all that follow are
  zero, and so are their alphas and betas; the original amplified the error.

  Args:
    hessian: the Hessian.
    start: the start vector.
    num_steps: m; no more steps are done than there are coordinates.
  """
  num_steps = min(num_steps, hessian.size)
  vectors = [curvature.normalize(start)]
  diagonal, off_diagonal = [], []
  while True:
    product = hessian.times(vectors[-1])
    diagonal.append(curvature.inner_product(product, vectors[-1]))
    if len(diagonal) == num_steps:
      return Tridiagonal(diagonal, off_diagonal)
    rest = product - diagonal[-1] * vectors[-1]
    if off_diagonal:
      rest -= off_diagonal[-1] * vectors[-2]
    beta = curvature.norm(rest)
    for vector in vectors:
      rest -= curvature.inner_product(rest, vector) * vector
    rounding = np.finfo(rest.dtype.as_numpy_dtype).eps * curvature.norm(product)
    remains = curvature.norm(rest) > _ROUNDINGS * rounding
    vector = curvature.normalize(rest)
    vectors.append(tf.where(remains, vector, tf.zeros_like(vector)))
    off_diagonal.append(tf.where(remains, beta, tf.zeros_like(beta)))

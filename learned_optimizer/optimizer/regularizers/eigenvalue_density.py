"""The density of the Hessian's eigenvalues, for plotting.

Stochastic Lanczos quadrature: each run of Lanczos from a random probe gives a
quadrature rule whose nodes are eigenvalues of its small matrix, and whose
weights are the squared first entries of their eigenvectors. The mean over
probes estimates the density of eigenvalues; with m steps its first 2 m - 1
moments are those of the probes, whose expectation is exact.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from learned_optimizer.optimizer.regularizers import (
  curvature,
  lanczos,
  regularizer,
)


class Density(NamedTuple):
  """A sum of point masses.

  Attributes:
    nodes: estimated eigenvalues, [probes, steps].
    weights: the fraction of all eigenvalues that each stands for, of the same
      shape; their sum is one.
  """

  nodes: np.ndarray
  weights: np.ndarray

  def moment(self, order: int) -> float:
    """The mean of the eigenvalues to this power."""
    return float(np.sum(self.weights * self.nodes**order))


def eigenvalue_density(
  objective: Callable[[list[tf.Tensor]], tf.Tensor],
  params: Sequence[np.ndarray],
  generator: np.random.Generator,
  num_probes: int = 10,
  num_steps: int = 30,
) -> Density:
  """Estimates the density of eigenvalues of an objective's Hessian.

  Args:
    objective: a function of the parameters, for example that of a problem on
      all of its data.
    params: arrays of floating-point numbers, where to take the Hessian.
    generator: draws the probes.
    num_probes: runs of Lanczos; more of them give a smaller sampling error.
    num_steps: nodes of each run; no more than there are coordinates.

  Raises:
    ValueError: an argument that cannot be used.
  """
  regularizer.check_positive(num_probes=num_probes, num_steps=num_steps)
  params = [np.asarray(param) for param in params]
  shapes = [param.shape for param in params]
  probes = curvature.rademacher(num_probes, shapes, generator)

  @tf.function(autograph=False)
  def tridiagonal(probe, *params):
    params = list(params)
    gradients = tf.gradients(
      objective(params),
      params,
      unconnected_gradients=tf.UnconnectedGradients.ZERO,
    )
    hessian = curvature.Hessian(gradients, params)
    (start,) = hessian.rows(probe)
    found = lanczos.tridiagonalize(hessian, start, num_steps)
    diagonals = tf.linalg.diag(tf.stack(found.diagonal))
    if not found.off_diagonal:
      return diagonals
    return diagonals + tf.linalg.diag(tf.stack(found.off_diagonal), k=-1)

  tensors = [tf.constant(param) for param in params]
  nodes, weights = [], []
  for probe in probes:
    lower = tridiagonal(tf.constant(probe), *tensors).numpy()
    values, vectors = np.linalg.eigh(lower.astype(np.float64), UPLO="L")
    nodes.append(values)
    weights.append(vectors[0] ** 2 / num_probes)
  return Density(np.stack(nodes), np.stack(weights))

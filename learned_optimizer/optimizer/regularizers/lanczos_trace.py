"""The trace of the Hessian on a Krylov space."""

import dataclasses

import tensorflow as tf

from learned_optimizer.optimizer.regularizers import (
  curvature,
  lanczos,
  regularizer,
)


@dataclasses.dataclass(frozen=True)
class LanczosTrace(regularizer.Regularizer):
  """The sum of the eigenvalues of the matrix of a Lanczos iteration.

  That sum is the trace, the sum of the alphas: eigenvalues need not be computed
  (whose gradients are not defined where two are equal). The iteration starts
  from one probe of +-1 that is the same in every step of a run, as in the
  original code, whose name for it speaks of the density of all eigenvalues;
  `eigenvalue_density` computes that.

  Attributes:
    num_steps: how many steps.
  """

  num_steps: int = 10
  name = "hessian-esd"

  def __post_init__(self):
    regularizer.check_positive(num_steps=self.num_steps)

  def draws(self, shapes, num_steps, generator):
    """See base class; one probe [1, N]."""
    del num_steps
    return [curvature.rademacher(1, shapes, generator)]

  def value(self, gradients, params, draws):
    """See base class."""
    hessian = curvature.Hessian(gradients, params)
    (start,) = hessian.rows(draws[0])
    return tf.add_n(
      lanczos.tridiagonalize(hessian, start, self.num_steps).diagonal
    )

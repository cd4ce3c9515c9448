"""The trace of the Hessian, estimated with random probes."""

import dataclasses

import tensorflow as tf

from learned_optimizer.optimizer.regularizers import curvature, regularizer


@dataclasses.dataclass(frozen=True)
class HessianTrace(regularizer.Regularizer):
  """Hutchinson's estimate: the mean of v . H v over probes of +-1.

  The probes are the same in every step of a run, as in the original code.

  Attributes:
    num_probes: how many.
  """

  num_probes: int = 10
  name = "hessian"

  def __post_init__(self):
    regularizer.check_positive(num_probes=self.num_probes)

  def draws(self, shapes, num_steps, generator):
    """See base class; probes [num_probes, N]."""
    del num_steps
    return [curvature.rademacher(self.num_probes, shapes, generator)]

  def value(self, gradients, params, draws):
    """See base class."""
    hessian = curvature.Hessian(gradients, params)
    terms = [
      curvature.inner_product(probe, hessian.times(probe))
      for probe in hessian.rows(draws[0])
    ]
    return tf.add_n(terms) / len(terms)

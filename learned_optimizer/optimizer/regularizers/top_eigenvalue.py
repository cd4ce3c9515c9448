"""The signed eigenvalue of largest magnitude."""

import dataclasses

from learned_optimizer.optimizer.regularizers import curvature
from learned_optimizer.optimizer.regularizers.power_iteration import (
  PowerIteration,
)


@dataclasses.dataclass(frozen=True)
class TopEigenvalue(PowerIteration):
  """v . H v of the last iteration, which may be negative.

  It stands in the original code for the spectral norm; see `SpectralNorm`.
  """

  name = "hessian-ev"

  def _eigenvalue(self, vector, product):
    return curvature.inner_product(vector, product)

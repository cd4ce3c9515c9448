"""The largest absolute eigenvalue."""

import dataclasses

from learned_optimizer.optimizer.regularizers import curvature
from learned_optimizer.optimizer.regularizers.power_iteration import (
  PowerIteration,
)


@dataclasses.dataclass(frozen=True)
class SpectralNorm(PowerIteration):
  """||H v|| of the last iteration: the spectral norm of arXiv 2302.11085.

  It never exceeds the norm, and is never below |v . H v|. Where an eigenvalue
  and its negative are the largest ones, v does not converge, but this does.
  """

  name = "spectral-norm"

  def _eigenvalue(self, vector, product):
    return curvature.norm(product)

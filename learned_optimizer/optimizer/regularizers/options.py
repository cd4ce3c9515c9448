"""The regularisers by the names that options of the programs have."""

from learned_optimizer.optimizer.regularizers.hessian_trace import HessianTrace
from learned_optimizer.optimizer.regularizers.jacob import Jacob
from learned_optimizer.optimizer.regularizers.lanczos_trace import LanczosTrace
from learned_optimizer.optimizer.regularizers.regularizer import Regularizer
from learned_optimizer.optimizer.regularizers.spectral_norm import SpectralNorm
from learned_optimizer.optimizer.regularizers.top_eigenvalue import (
  TopEigenvalue,
)

_ITERATED: dict[str, type[Regularizer]] = {
  regularizer.name: regularizer
  for regularizer in (HessianTrace, TopEigenvalue, LanczosTrace, SpectralNorm)
}
NAMES = (*_ITERATED, Jacob.name)


def by_name(name: str, num_iterations: int = 10) -> Regularizer:
  """Makes the regulariser of this name.

  Args:
    name: one of `NAMES`.
    num_iterations: products with the Hessian: probes of "hessian", iterations
      of the others; "jacob" has none.

  Raises:
    ValueError: an argument that cannot be used.
  """
  if name == Jacob.name:
    return Jacob()
  if name not in _ITERATED:
    raise ValueError(
      f"reg_option is {name!r}; one of {', '.join(NAMES)} is accepted."
    )
  return _ITERATED[name](num_iterations)

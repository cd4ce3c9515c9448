"""On how many threads TensorFlow runs in the two programs.

The program of an unroll is hundreds of small kernels. Where the problem is
small, to hand them from thread to thread costs more than doing them does.
"""

import os
from collections.abc import Iterable
from typing import Any

# Parameters of the largest problem that one thread is enough for: see
# docs/performance.md.
_SMALL = 5000
_VARIABLES = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")


def fit(problem_specs: Iterable[Any]) -> None:
  """Chooses one thread where all problems are small.

  To be called before the first session. What a user has set stands.

  Raises:
    ValueError: what a user has set is no number.
  """
  given = [name for name in _VARIABLES if name in os.environ]
  for name in given:
    if not os.environ[name].isdecimal():
      raise ValueError(
        f"{name} is {os.environ[name]!r}; the number of threads is accepted, 0"
        " for all cores."
      )
  if given:
    return
  sizes = [spec.build(random_seed=0).num_params for spec in problem_specs]
  if max(sizes, default=0) <= _SMALL:
    os.environ.update(dict.fromkeys(_VARIABLES, "1"))

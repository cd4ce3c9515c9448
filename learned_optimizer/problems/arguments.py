"""Checks of arguments."""

import numpy as np


def check_positive(**arguments: int) -> None:
  """Raises ValueError, naming the argument, unless all are positive integers.

  Args:
    **arguments: values by the names that the error shall show.
  """
  for name, value in arguments.items():
    if not isinstance(value, int | np.integer) or value < 1:
      raise ValueError(f"{name} must be a positive integer, got {value!r}")

"""The acceptance matrix: what works with Keras's optimizers works with ours.

Every cell's parameters after `fit` are compared with those of plain training.
The environment variable EVERY_ACCEPTANCE_CELL asks for all cells instead of
some with every pair of levels.
"""

import os

import numpy as np
import pytest

from tests.compat import acceptance

CELLS = (
  acceptance.all_cells()
  if os.environ.get("EVERY_ACCEPTANCE_CELL")
  else acceptance.covering_cells()
)


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_fit_is_plain_training(cell):
  actual = acceptance.run(cell)
  expected = acceptance.expected_of(cell)
  error = np.linalg.norm(actual - expected) / np.linalg.norm(expected)
  assert error < acceptance.tolerance(cell)

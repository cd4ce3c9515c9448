"""Tests of quadratic functions of data: numbers of the original code."""

import numpy as np
import pytest

from learned_optimizer.problems import problem_generator as pg
from tests.problems.all_problems import objective_and_gradients

ROWS = np.array([[1, -1, 0.5], [2, 0, 1]], np.float32)
POINT = np.array([[1, 2, 3]], np.float32)
ORIGIN = np.zeros((1, 3), np.float32)


def test_projection_quadratic():
  problem = pg.ProjectionQuadratic(3)
  value, gradients = objective_and_gradients(problem, [POINT], ROWS)
  np.testing.assert_allclose(value, 20.25)
  np.testing.assert_allclose(gradients[0], [[10, 4, 7.5]])


def test_sum_of_quadratics():
  problem = pg.SumOfQuadratics(3)
  value, gradients = objective_and_gradients(problem, [POINT], ROWS)
  np.testing.assert_allclose(value, 17)
  np.testing.assert_allclose(gradients[0], [[-2, 10, 9]])
  value, _ = objective_and_gradients(problem, [ORIGIN], ROWS)
  assert value == np.float32(1e-12)
  symmetric = np.concatenate([ROWS, -ROWS])
  value, _ = objective_and_gradients(problem, [POINT], symmetric)
  np.testing.assert_allclose(value, 4 * 14, rtol=1e-6)


@pytest.mark.parametrize("build", [pg.ProjectionQuadratic, pg.SumOfQuadratics])
def test_bad_arguments(build):
  with pytest.raises(ValueError, match=f"{build.__name__} needs data, got"):
    objective_and_gradients(build(3), [ORIGIN])
  with pytest.raises(ValueError, match="ndim must be a positive integer"):
    build(0)

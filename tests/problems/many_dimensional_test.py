"""Tests of problems of many parameters: numbers of the original code."""

import numpy as np
import pytest

from learned_optimizer.problems import problem_generator as pg
from tests.problems.all_problems import objective_and_gradients

ROWS = np.array([[1, 1, 0], [0, 1, 1]], np.float32)


class TestDependencyChain:
  def test_values(self):
    problem = pg.DependencyChain(3)
    value, gradients = objective_and_gradients(
      problem, [np.array([1, 2, 3, 4], np.float32)]
    )
    np.testing.assert_allclose(value, 11.027773, rtol=1e-6)
    np.testing.assert_allclose(
      gradients[0], [-1.9999847, 1.7499971, 0.3148147, 0.8888888], rtol=1e-5
    )
    value, _ = objective_and_gradients(problem, [np.zeros(4, np.float32)])
    assert value == 0


class TestMinMaxWell:
  def test_values(self):
    value, gradients = objective_and_gradients(
      pg.MinMaxWell(4), [np.array([0.5, -1, 2, 1], np.float32)]
    )
    np.testing.assert_allclose(value, 6, rtol=1e-6)
    np.testing.assert_allclose(gradients[0], [-16, 0, 4, 0])

  def test_minimum(self):
    value, _ = objective_and_gradients(
      pg.MinMaxWell(3), [np.array([1, -1, 1], np.float32)]
    )
    assert value == np.float32(1e-12)

  def test_ties_share_the_gradient(self):
    _, gradients = objective_and_gradients(
      pg.MinMaxWell(4), [np.array([2, -2, 1, 1], np.float32)]
    )
    np.testing.assert_allclose(gradients[0], [2, -2, -1, -1])


class TestOutwardSnake:
  def test_values(self):
    value, gradients = objective_and_gradients(
      pg.OutwardSnake(3), [np.array([1, 2, 3], np.float32)], ROWS
    )
    np.testing.assert_allclose(value, 19.003769, rtol=1e-6)
    np.testing.assert_allclose(
      gradients[0], [3.1805706, 25.781376, 8.557458], rtol=1e-5
    )

  def test_gradient_is_nan_at_the_origin(self):
    value, gradients = objective_and_gradients(
      pg.OutwardSnake(3), [np.zeros(3, np.float32)], ROWS
    )
    assert np.isfinite(value)
    assert np.isnan(gradients[0]).all()

  def test_data_are_needed(self):
    with pytest.raises(
      ValueError, match="OutwardSnake needs data, got none as data"
    ):
      objective_and_gradients(pg.OutwardSnake(3), [np.zeros(3, np.float32)])


class TestQuadraticsOfData:
  ROWS = np.array([[1, -1, 0.5], [2, 0, 1]], np.float32)
  POINT = np.array([[1, 2, 3]], np.float32)
  ORIGIN = np.zeros((1, 3), np.float32)

  def test_projection_quadratic(self):
    problem = pg.ProjectionQuadratic(3)
    value, gradients = objective_and_gradients(problem, [self.POINT], self.ROWS)
    np.testing.assert_allclose(value, 20.25)
    np.testing.assert_allclose(gradients[0], [[10, 4, 7.5]])

  def test_sum_of_quadratics(self):
    problem = pg.SumOfQuadratics(3)
    value, gradients = objective_and_gradients(problem, [self.POINT], self.ROWS)
    np.testing.assert_allclose(value, 17)
    np.testing.assert_allclose(gradients[0], [[-2, 10, 9]])
    value, _ = objective_and_gradients(problem, [self.ORIGIN], self.ROWS)
    assert value == np.float32(1e-12)
    symmetric = np.concatenate([self.ROWS, -self.ROWS])
    value, _ = objective_and_gradients(problem, [self.POINT], symmetric)
    np.testing.assert_allclose(value, 4 * 14, rtol=1e-6)

  @pytest.mark.parametrize(
    "build", [pg.ProjectionQuadratic, pg.SumOfQuadratics]
  )
  def test_data_are_needed(self, build):
    with pytest.raises(ValueError, match=f"{build.__name__} needs data, got"):
      objective_and_gradients(build(3), [self.ORIGIN])


@pytest.mark.parametrize(
  "build",
  [
    pg.DependencyChain,
    pg.MinMaxWell,
    pg.OutwardSnake,
    pg.ProjectionQuadratic,
    pg.SumOfQuadratics,
  ],
)
def test_bad_arguments(build):
  with pytest.raises(ValueError, match="ndim must be a positive integer"):
    build(0)

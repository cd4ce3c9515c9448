"""Tests of functions of parameters without data, written out in NumPy."""

import math

import numpy as np
import pytest

from learned_optimizer.problems import problem_generator as pg
from tests.problems.all_problems import (
  evaluate,
  objective_and_gradients,
  parameters_of,
)


class TestSimple:
  @pytest.mark.parametrize("num_scalars", [1, 2])
  def test_simple(self, num_scalars):
    problem = pg.Simple(num_scalars)
    assert problem.param_shapes == [()] * num_scalars
    for start in (
      parameters_of(problem),
      evaluate(lambda: problem.init_tensors(seed=6)),
    ):
      value, gradients = objective_and_gradients(problem, start)
      assert value == num_scalars
      assert gradients == [2.0] * num_scalars
    point = [np.float32(3), np.float32(-1)][:num_scalars]
    value, gradients = objective_and_gradients(problem, point)
    assert value == [9, 10][num_scalars - 1]
    assert gradients == [6, -2][:num_scalars]


def _quadratic(w, y, x):
  return np.sum((w @ x - y) ** 2)


def _lasso(w, y, x):
  return np.sum((w @ x - y) ** 2) / 2 + 0.005 * np.sum(np.abs(x))


def _square_cos(w, y, v, x):
  ripples = v @ (10 * np.cos(2 * 3.1415926 * x))
  return np.sum((w @ x - y) ** 2) - np.sum(ripples) + 10 * len(x)


def _rastrigin(w, y, c, x):
  ripples = 10 * c @ np.cos(2 * math.pi * x)
  return np.sum((w @ x - y) ** 2) / 2 - ripples + 10 * len(x)


class TestBatchedFunctions:
  @pytest.mark.parametrize(
    ("build", "ndim", "count", "function"),
    [
      (pg.BatchedQuadratic, 10, 1280, _quadratic),
      (pg.BatchedLasso, 2, 256, _lasso),
      (pg.SquareCos, 2, 256, _square_cos),
      (pg.BatchedRastrigin, 2, 256, _rastrigin),
    ],
  )
  def test_is_the_mean_of_a_function(self, build, ndim, count, function):
    problem = build(ndim, random_seed=1)
    assert problem.num_params == count
    x = np.random.RandomState(2).randn(128, ndim)
    value, _ = objective_and_gradients(problem, [x])
    rows = zip(*map(np.float64, problem.constants.values()), x, strict=True)
    np.testing.assert_allclose(
      value, np.mean([function(*row) for row in rows]), rtol=1e-7
    )

  def test_distributions(self):
    for build, names in (
      (pg.BatchedQuadratic, "wy"),
      (pg.BatchedLasso, "wy"),
      (pg.SquareCos, "wyv"),
    ):
      constants = build(5, 1000, random_seed=1).constants
      assert [*constants] == [*names]
      for array in constants.values():
        assert array.dtype == np.float32
        assert array.min() >= 0
        assert array.max() <= 1
        np.testing.assert_allclose(array.mean(), 0.5, atol=0.02)
    constants = pg.BatchedRastrigin(5, 1000, random_seed=1).constants
    assert [*constants] == ["w", "y", "c"]
    for array in constants.values():
      assert array.dtype == np.float32
      np.testing.assert_allclose(array.mean(), 0, atol=0.05)
      np.testing.assert_allclose(array.std(), 1, rtol=0.05)
    (start,) = parameters_of(pg.SquareCos(5, 1000))
    np.testing.assert_allclose(start.std(), 0.01, rtol=0.05)

  @pytest.mark.parametrize(
    ("build", "message"),
    [
      (lambda: pg.Simple(0), "num_scalars must be a positive integer, got 0"),
      (lambda: pg.SquareCos(0), "ndim must be a positive integer, got 0"),
      (
        lambda: pg.BatchedLasso(2, 1.5),
        "batch_size must be a positive integer, got 1.5",
      ),
    ],
  )
  def test_bad_arguments(self, build, message):
    with pytest.raises(ValueError, match=message):
      build()

"""Tests of quadratic problems: numbers of the original code."""

import math

import numpy as np
import pytest
import tensorflow as tf

from learned_optimizer import packaged_data
from learned_optimizer.problems import problem_generator as pg
from tests.problems.all_problems import (
  STREAMS,
  evaluate,
  norms,
  objective_and_gradients,
)


class TestLinearResidual:
  @pytest.mark.parametrize("build", [pg.Quadratic, pg.Norm])
  def test_constants(self, build):
    constants = build(4, random_seed=1234).constants
    path = packaged_data.path("tests/golden/problems.npz")
    with np.load(path) as arrays:
      for name in "w", "y":
        expected = arrays[f"ctor/{build.__name__}_4_seed1234/{name}"]
        np.testing.assert_array_equal(constants[name], expected)

  @pytest.mark.parametrize(
    ("build", "message"),
    [
      (lambda: pg.Norm(0), "ndim must be a positive integer, got 0"),
      (lambda: pg.Norm(2, norm_power=0), "norm_power must be .* got 0"),
      (lambda: pg.Norm(2, norm_power=math.inf), "norm_power must be .* inf"),
      (lambda: pg.Lasso(2, -1), "lambda_ must be .* got -1"),
      (lambda: pg.Rastrigin(2, math.nan), "alpha must be .* got nan"),
    ],
  )
  def test_bad_arguments(self, build, message):
    with pytest.raises(ValueError, match=message):
      build()

  def test_settings_tell_programs_apart(self):
    problems = [
      pg.Norm(3),
      pg.Norm(3, norm_power=1.0),
      pg.Lasso(3),
      pg.Lasso(3, 2),
      pg.Rastrigin(3),
      pg.Rastrigin(3, 1),
    ]
    assert len({problem.structure for problem in problems}) == len(problems)


class TestQuadratic:
  def test_quadratic_20(self):
    problem = pg.Quadratic(20, random_seed=1234)
    w, y = problem.constants["w"], problem.constants["y"]
    expected = [0.47143516, -1.1909757, 1.432707]
    np.testing.assert_allclose(w[0, :3], expected, rtol=1e-6)
    np.testing.assert_allclose(w[19, 19], 1.9321781, rtol=1e-6)
    expected = [-0.2266323, -0.92383075, 0.35583898]
    np.testing.assert_allclose(y[:3, 0], expected, rtol=1e-6)
    np.testing.assert_allclose(y[19, 0], -0.9101238, rtol=1e-6)
    for point, objective, norm in (
      (np.zeros((20, 1), np.float32), 7.72701, 22.098936),
      (np.ones((20, 1), np.float32), 185.49146, 101.55958),
    ):
      value, gradients = objective_and_gradients(problem, [point])
      np.testing.assert_allclose(value, objective, rtol=1e-5)
      np.testing.assert_allclose(norms(gradients), [norm], rtol=1e-5)
    parameters, value = evaluate(
      lambda: (
        (tensors := problem.init_tensors(seed=5678)),
        problem.objective(tensors),
      )
    )
    np.testing.assert_allclose(parameters[0][:4, 0], STREAMS[5678], rtol=1e-6)
    np.testing.assert_allclose(value, 172.46321, rtol=1e-5)


class TestNorm:
  @pytest.mark.parametrize(
    ("norm_power", "at_zeros", "at_ones", "norm"),
    [
      (1.0, 8.196747, 48.617058, 23.817656),
      (1.5, 3.8454313, 20.825533, 8.4822855),
      (2.0, 2.8135333, 14.148906, 5.32701),
      (2.5, 2.4164233, 11.5023575, 4.20934),
      (3.0, 2.2251997, 10.1931505, 3.7634099),
    ],
  )
  def test_norm_18(self, norm_power, at_zeros, at_ones, norm):
    problem = pg.Norm(18, random_seed=1234, norm_power=norm_power)
    zeros, ones = np.zeros((18, 1), np.float32), np.ones((18, 1), np.float32)
    value, _ = objective_and_gradients(problem, [zeros])
    np.testing.assert_allclose(value, at_zeros, rtol=1e-5)
    value, gradients = objective_and_gradients(problem, [ones])
    np.testing.assert_allclose(value, at_ones, rtol=1e-5)
    np.testing.assert_allclose(norms(gradients), [norm], rtol=1e-5)

  def test_gradient_is_finite_at_zero_residual(self):
    problem = pg.Norm(2).with_constants(
      {"w": np.eye(2, dtype="f"), "y": np.ones((2, 1), "f")}
    )
    value, gradients = objective_and_gradients(problem, [np.ones((2, 1), "f")])
    np.testing.assert_allclose(value, math.sqrt(2) * 1e-6, rtol=1e-5)
    np.testing.assert_array_equal(gradients[0], [[0], [0]])


class TestLasso:
  def test_lasso_20(self):
    problem = pg.Lasso(20, random_seed=1234)
    for point, objective in (
      (np.zeros((20, 1), np.float32), 7.72701),
      (np.ones((20, 1), np.float32), 205.49146),
      (-np.ones((20, 1), np.float32), None),
    ):
      value, gradients = objective_and_gradients(problem, [point])
      smooth, smooth_gradients = objective_and_gradients(
        pg.Quadratic(20, random_seed=1234), [point]
      )
      if objective:
        np.testing.assert_allclose(value, objective, rtol=1e-5)
      np.testing.assert_allclose(value, smooth + abs(point).sum(), rtol=1e-5)
      np.testing.assert_allclose(
        gradients[0], smooth_gradients[0] + np.sign(point), rtol=1e-4
      )

  def test_weight(self):
    ones = np.ones((20, 1), np.float32)
    value, _ = objective_and_gradients(pg.Lasso(20, 3, 1234), [ones])
    np.testing.assert_allclose(value, 185.49146 + 60, rtol=1e-5)


class TestRastrigin:
  def test_rastrigin_2(self):
    problem = pg.Rastrigin(2, random_seed=1234)
    constants = problem.constants
    for name, expected in (
      ("w", [[0.47143516, -1.1909757], [1.432707, -0.3126519]]),
      ("y", [[-0.72058874], [0.8871629]]),
      ("c", [[0.8595884], [-0.6365235]]),
    ):
      np.testing.assert_allclose(constants[name], expected, rtol=1e-6)
    value, _ = objective_and_gradients(problem, [np.zeros((2, 1), np.float32)])
    np.testing.assert_allclose(value, 38.09593, rtol=1e-6)
    value, gradients = objective_and_gradients(
      problem, [np.array([[0.5], [1.25]], np.float32)]
    )
    np.testing.assert_allclose(value, 48.745605, rtol=1e-6)
    np.testing.assert_allclose(
      gradients[0][:, 0], [-0.5278254, -39.589108], rtol=1e-5
    )

  def test_alpha(self):
    problem = pg.Rastrigin(2, 1, random_seed=1234)
    value, _ = objective_and_gradients(problem, [np.zeros((2, 1), np.float32)])
    y, c = problem.constants["y"], problem.constants["c"]
    expected = np.mean(y**2) / 2 - c.sum() + 4
    np.testing.assert_allclose(value, expected, rtol=1e-5)

  def test_gradient_is_nan_at_zero_residual(self):
    problem = pg.Rastrigin(2, random_seed=1)
    problem = problem.with_constants(
      {**problem.constants, "y": np.zeros((2, 1), np.float32)}
    )

    # Op by op TensorFlow takes 0 / 0 for 0 in the gradient of a root.
    @tf.function(jit_compile=True)
    def compiled(p):
      objective = problem.objective([p])
      return objective, problem.gradients(objective, [p])

    value, gradients = compiled(tf.zeros((2, 1)))
    assert np.isfinite(value)
    assert np.isnan(gradients[0]).all()


class TestIsotropicQuadratic:
  def test_value(self):
    problem = pg.IsotropicQuadratic([(2,), (2,)], None, 0)
    point = [np.array([1, 2], np.float32), np.array([3, 4], np.float32)]
    value, gradients = objective_and_gradients(problem, point)
    assert value == 30
    np.testing.assert_array_equal(gradients, [[2, 4], [6, 8]])

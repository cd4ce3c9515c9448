"""Tests of quadratic problems: numbers of the original code."""

import numpy as np

from learned_optimizer import packaged_data
from learned_optimizer.problems import problem_generator as pg
from tests.problems.all_problems import (
  STREAMS,
  evaluate,
  norms,
  objective_and_gradients,
)


class TestQuadratic:
  def test_quadratic_constants(self):
    constants = pg.Quadratic(4, random_seed=1234).constants
    path = packaged_data.path("tests/golden/problems.npz")
    with np.load(path) as arrays:
      for name in "w", "y":
        expected = arrays[f"ctor/Quadratic_4_seed1234/{name}"]
        np.testing.assert_array_equal(constants[name], expected)

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

"""Tests of functions of two parameters: numbers of the original code."""

import math

import numpy as np
import pytest

from learned_optimizer import generators, packaged_data
from learned_optimizer.problems import problem_generator as pg
from tests.problems.all_problems import (
  evaluate,
  objective_and_gradients,
  parameters_of,
)

# At (0.5, -1.25) and at (1.5, 2.0): the value, and the gradient.
VALUES = {
  pg.Rosenbrock: ((225.25, (299, -300)), (6.5, (151, -50))),
  pg.Saddle: ((-1.3125, (1, 2.5)), (-1.75, (3, -4))),
  pg.LogSumExp: (
    (4.1746626, (0.9677378, -2.9252985)),
    (7.4007406, (0.9991426, 2.997761)),
  ),
  pg.Ackley: (
    (5.579089, (0.8683378, -4.076317)),
    (7.674512, (1.1916534, 1.5888723)),
  ),
  pg.Beale: (
    (7.8667603, (-5.6228027, -0.5698242)),
    (226.82812, (230.25, 562.5)),
  ),
  pg.Booth: ((108.5625, (-39, -46.5)), (2.25, (-3, -6))),
  pg.StyblinskiTang: (
    (64.87695, (-5.25, 18.59375)),
    (49.28125, (-14.75, -13.5)),
  ),
  pg.Matyas: ((0.77125, (0.86, -0.89)), (0.185, (-0.18, 0.32))),
  pg.Branin: (
    (60.501607, (-23.574821, -12.973043)),
    (14.301934, (-14.161289, -3.8066826)),
  ),
  pg.Michalewicz: (
    (2.1632438, (-2.0e-10, -1.7419115)),
    (1.9823735, (-0.16385742, 0.10613804)),
  ),
}

# Where the minima are, and the value there.
MINIMA = [
  (pg.Rosenbrock, (1, 1), 0),
  (pg.LogSumExp, (-math.log(2) / 2, 0), 1.26955454),
  (pg.Ackley, (0, 0), 0),
  (pg.Beale, (3, 0.5), 0),
  (pg.Booth, (1, 3), 0),
  (pg.StyblinskiTang, (-2.90353403, -2.90353403), 1.66766859),
  (pg.Matyas, (0, 0), 0),
  (pg.Branin, (-math.pi, 12.275), 0.39788736),
  (pg.Branin, (math.pi, 2.275), 0.39788736),
  (pg.Branin, (9.42478, 2.475), 0.39788736),
  (pg.Michalewicz, (2.18531188, math.pi / 2), 0.19337711),
]

# Boxes in which parameters start: lower and upper corner.
BOXES = {
  pg.Rosenbrock: ((-5, -5), (10, 10)),
  pg.Ackley: ((-32.768, -32.768), (32.768, 32.768)),
  pg.Beale: ((-4.5, -4.5), (4.5, 4.5)),
  pg.Booth: ((-10, -10), (10, 10)),
  pg.StyblinskiTang: ((-5, -5), (5, 5)),
  pg.Matyas: ((-10, -10), (10, 10)),
  pg.Branin: ((-5, 0), (10, 15)),
  pg.Michalewicz: ((0, 0), (math.pi, math.pi)),
}


class TestProblem2D:
  @pytest.mark.parametrize("build", VALUES)
  def test_values_and_gradients(self, build):
    for point, (value, gradient) in zip(
      [(0.5, -1.25), (1.5, 2.0)], VALUES[build], strict=True
    ):
      actual, gradients = objective_and_gradients(build(), [np.float32(point)])
      np.testing.assert_allclose(actual, value, rtol=1e-6)
      np.testing.assert_allclose(gradients[0], gradient, rtol=1e-5, atol=1e-10)

  @pytest.mark.parametrize(("build", "point", "minimum"), MINIMA)
  def test_minima(self, build, point, minimum):
    problem = build()
    value, (gradient,) = objective_and_gradients(problem, [np.float64(point)])
    np.testing.assert_allclose(value, minimum, rtol=1e-7, atol=1e-12)
    if build is pg.Ackley:
      assert np.isnan(gradient).all()
    else:
      np.testing.assert_allclose(gradient, [0, 0], atol=1e-4)
    _, _, nearby = (
      np.float64(values)
      for values in _shifted(problem, point).surface(41, 0.5, 0.5)
    )
    assert nearby.min() >= minimum - 1e-5

  def test_log_sum_exp_at_the_origin(self):
    value, _ = objective_and_gradients(pg.LogSumExp(), [np.zeros(2, "f")])
    np.testing.assert_allclose(value, 1.3122474, rtol=1e-6)

  @pytest.mark.parametrize("build", BOXES)
  def test_initial_parameters_are_uniform(self, build):
    low, high = np.array(BOXES[build])
    problem = build()
    generator = np.random.default_rng(1)
    samples = np.array(
      [problem.initial_parameters(generator)[0] for _ in range(2000)]
    )
    assert (samples >= low).all()
    assert (samples <= high).all()
    unit = (samples - low) / (high - low)
    np.testing.assert_allclose(unit.mean(axis=0), [0.5, 0.5], atol=0.03)
    np.testing.assert_allclose(unit.var(axis=0), [1 / 12] * 2, atol=0.01)
    assert abs(np.corrcoef(unit.T)[0, 1]) < 0.1

  @pytest.mark.parametrize("build", BOXES)
  def test_initial_tensors_of_a_seed(self, build):
    low, high = np.array(BOXES[build])
    unit = evaluate(lambda: generators.TensorGenerator(5678).uniform(size=[2]))
    if build is pg.Branin:
      unit[1] = unit[0]
    (tensor,) = evaluate(lambda: build().init_tensors(seed=5678))
    np.testing.assert_allclose(tensor, low + unit * (high - low), rtol=1e-5)
    if build is pg.Rosenbrock:
      np.testing.assert_allclose(tensor, [6.3003683, 2.2781043], rtol=1e-6)

  def test_surface(self):
    xm, ym, zm = pg.Booth().surface(n=3)
    np.testing.assert_allclose(
      zm, [[884, 389, 144], [369, 74, 29], [104, 9, 164]]
    )
    np.testing.assert_array_equal(xm, [[-5, 0, 5]] * 3)
    np.testing.assert_array_equal(ym, np.transpose(xm))
    xm, ym, zm = pg.Saddle().surface(2, 1, 3)
    np.testing.assert_array_equal(xm, [[-1, 1]] * 2)
    np.testing.assert_array_equal(ym, [[-3, -3], [3, 3]])
    np.testing.assert_array_equal(zm, np.full((2, 2), -8))
    assert pg.Saddle().surface()[2].shape == (50, 50)

  def test_surface_of_no_points(self):
    with pytest.raises(ValueError, match="n must be a positive integer, got 0"):
      pg.Booth().surface(n=0)


class TestBowl:
  @pytest.mark.parametrize(
    ("condition_number", "angle", "value", "gradient"),
    [
      (0.1, 0, 2.05, (0.1, 2)),
      (1, 0, 2.5, (1, 2)),
      (5, 0, 4.5, (5, 2)),
      (5, math.pi / 4, 3.5, (-1, 4)),
    ],
  )
  def test_values(self, condition_number, angle, value, gradient):
    point = np.array([[1], [2]], np.float32)
    actual, gradients = objective_and_gradients(
      pg.Bowl(condition_number, angle), [point]
    )
    np.testing.assert_allclose(actual, value, rtol=1e-6)
    np.testing.assert_allclose(gradients[0][:, 0], gradient, rtol=1e-5)

  @pytest.mark.parametrize("condition_number", ["0.1", "1.0", "5.0"])
  def test_matrix(self, condition_number):
    matrix = pg.Bowl(float(condition_number)).constants["matrix"]
    path = packaged_data.path("tests/golden/problems.npz")
    with np.load(path) as arrays:
      expected = arrays[f"Bowl_{condition_number}/matrix"]
    assert matrix.dtype == np.float32
    np.testing.assert_array_equal(matrix, expected)

  def test_all_bowls_share_a_program(self):
    assert pg.Bowl(0.1).structure == pg.Bowl(5, math.pi / 4).structure

  def test_surface(self):
    _, _, zm = pg.Bowl(5).surface(n=3)
    np.testing.assert_allclose(zm[0], [75, 12.5, 75], rtol=1e-6)
    bowl = pg.Bowl(5, 0.3)
    xm, ym, zm = bowl.surface(1, 3, 4)
    np.testing.assert_allclose(xm, [np.linspace(-1, 1, 4)] * 4)
    np.testing.assert_allclose(ym[:, 0], np.linspace(-3, 3, 4))
    for i in range(4):
      point = np.array([[xm[1, i]], [ym[1, i]]], np.float32)
      value, _ = objective_and_gradients(bowl, [point])
      np.testing.assert_allclose(zm[1, i], value, rtol=1e-5)

  def test_bad_arguments(self):
    with pytest.raises(ValueError, match="condition_number .* above 0, got 0"):
      pg.Bowl(0)
    with pytest.raises(ValueError, match="condition_number .* got inf"):
      pg.Bowl(math.inf)
    with pytest.raises(ValueError, match="angle must be a finite number"):
      pg.Bowl(1, math.nan)

  def test_initial_parameters_are_normal(self):
    assert parameters_of(pg.Bowl(5))[0].shape == (2, 1)


def _shifted(problem, origin):
  """The same function with its coordinates counted from another origin."""

  class Shifted(pg.Problem2D):
    def function(self, x, y):
      return problem.function(x + origin[0], y + origin[1])

  return Shifted()

"""Values, gradients and Hessian products of the original code."""

import numpy as np
import pytest
import tensorflow as tf

from learned_optimizer import packaged_data
from learned_optimizer.problems import problem_generator as pg
from tests.problems.all_problems import (
  evaluate,
)


class TestGoldenArrays:
  @pytest.mark.parametrize(
    ("name", "problem"),
    [
      ("Quadratic_3", pg.Quadratic(3)),
      ("Quadratic_20", pg.Quadratic(20)),
      ("SoftmaxRegression_5_2", pg.SoftmaxRegression(5, 2)),
      ("FullyConnected_5_2_h4_3_sigmoid", pg.FullyConnected(5, 2, (4, 3))),
      (
        "FullyConnected_5_2_h4_3_relu",
        pg.FullyConnected(5, 2, (4, 3), activation=tf.nn.relu),
      ),
    ],
  )
  def test_golden_arrays(self, name, problem):
    path = packaged_data.path("tests/golden/problems.npz")
    with np.load(path) as arrays:
      golden = {
        key.removeprefix(f"{name}/"): arrays[key]
        for key in arrays
        if key.startswith(f"{name}/")
      }
    points = sorted(key[0] for key in golden if key.endswith("/objective"))
    assert len(points) >= 2
    problem = problem.with_constants(
      {key: golden[key] for key in problem.constants}
    )
    for point in points:

      def values(kind, point=point):
        indices = range(len(problem.param_shapes))
        return [golden[f"{point}/{kind}/{i}"] for i in indices]

      def build():
        tensors = [tf.constant(p) for p in values("param")]
        objective = problem.objective(
          tensors, golden.get("data"), golden.get("labels")
        )
        gradients = problem.gradients(objective, tensors)
        products = tf.gradients(gradients, tensors, values("hvp_vector"))
        return objective, gradients, products

      objective, gradients, products = evaluate(build)
      np.testing.assert_allclose(
        objective, golden[f"{point}/objective"], rtol=1e-5
      )
      for kind, tolerance, actual in (
        ("grad", 1e-5, gradients),
        ("hvp", 1e-4, products),
      ):
        for value, reference in zip(actual, values(kind), strict=True):
          error = np.linalg.norm(value - reference)
          assert error <= tolerance * np.linalg.norm(reference) + 1e-7

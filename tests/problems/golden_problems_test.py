"""Values, gradients and Hessian products of the original code."""

import numpy as np
import pytest
import tensorflow as tf

from learned_optimizer import packaged_data
from learned_optimizer.problems import problem_generator as pg
from tests.problems.all_problems import evaluate, spec


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
      (
        "OneHotSparseSoftmaxRegression_5_2",
        pg.OneHotSparseSoftmaxRegression(5, 2),
      ),
      # The same problem; the term of the L2 norm makes its gradients dense.
      (
        "OneHotSparseSoftmaxRegression_5_2",
        pg.SparseSoftmaxRegression(5, 2),
      ),
      (
        "ConvNet_1x6x6_2_f333_554_sigmoid",
        pg.ConvNet(
          (1, 6, 6), 2, [(3, 3, 3), (5, 5, 4)], activation=tf.nn.sigmoid
        ),
      ),
      ("Bowl_0.1", pg.Bowl(0.1)),
      ("Bowl_1.0", pg.Bowl(1.0)),
      ("Bowl_5.0", pg.Bowl(5.0)),
      ("Rosenbrock", pg.Rosenbrock()),
      ("Saddle", pg.Saddle()),
      ("LogSumExp", pg.LogSumExp()),
      ("Ackley", pg.Ackley()),
      ("Beale", pg.Beale()),
      ("StyblinskiTang", pg.StyblinskiTang()),
      ("Matyas", pg.Matyas()),
      ("Norm_7_p1.0", pg.Norm(7, norm_power=1.0)),
      ("Norm_7_p2.0", pg.Norm(7)),
      ("Norm_7_p2.5", pg.Norm(7, norm_power=2.5)),
      (
        "Rescale_Norm7p2.5_s0.123",
        pg.Rescale(spec(pg.Norm, 7, norm_power=2.5), 0.123),
      ),
      ("LogObjective_Bowl0.1", pg.LogObjective(spec(pg.Bowl, 0.1))),
      (
        "IsotropicQuadratic_3x2_4",
        pg.IsotropicQuadratic([(3, 2), (4,)], None, 0),
      ),
      ("MinMaxWell_9", pg.MinMaxWell(9)),
      ("ProjectionQuadratic_6", pg.ProjectionQuadratic(6)),
      ("SumOfQuadratics_6", pg.SumOfQuadratics(6)),
      ("MatMulAlgorithm_2_5", pg.MatMulAlgorithm(2, 5)),
      ("MatMulAlgorithm_3_20", pg.MatMulAlgorithm(3, 20)),
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
    assert points
    # Constants of a problem inside of another begin with its number. Those
    # that are not random need not be in the file.
    problem = problem.with_constants(
      {
        key: golden.get(key.removeprefix("0_"), value)
        for key, value in problem.constants.items()
      }
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

"""Tests of the search for matrix multiplication algorithms."""

import itertools

import numpy as np
import pytest

from learned_optimizer import generators
from learned_optimizer.problems import problem_generator as pg
from tests.problems.all_problems import (
  evaluate,
  objective_and_gradients,
  parameters_of,
)

# The products of Strassen's algorithm: what is added up of a, and of b, with
# the entries of a matrix in the order 11, 12, 21, 22.
STRASSEN = [
  ((1, 0, 0, 1), (1, 0, 0, 1)),
  ((0, 0, 1, 1), (1, 0, 0, 0)),
  ((1, 0, 0, 0), (0, 1, 0, -1)),
  ((0, 0, 0, 1), (-1, 0, 1, 0)),
  ((1, 1, 0, 0), (0, 0, 0, 1)),
  ((-1, 0, 1, 0), (1, 1, 0, 0)),
  ((0, 1, 0, -1), (0, 0, 1, 1)),
]


class TestMatMulAlgorithm:
  @pytest.mark.parametrize(
    ("n", "k", "value"),
    [
      (2, 5, 5.42320926),
      (2, 6, 4.38478861),
      (2, 7, 4.22537013),
      (2, 8, 3.72360015),
      (3, 19, 20.82212131),
    ],
  )
  def test_values(self, n, k, value):
    random_state = np.random.RandomState(0)
    theta = [random_state.randn(n**2, k) for _ in range(2)]
    theta = [t.astype(np.float32) for t in theta]
    problem = pg.MatMulAlgorithm(n, k)
    rounded, _ = objective_and_gradients(problem, theta)
    np.testing.assert_allclose(rounded, value, rtol=1e-5)
    theta = [t.astype(np.float64) for t in theta]
    exact, _ = objective_and_gradients(problem, theta)
    np.testing.assert_allclose(exact, value, rtol=2e-9)

  def test_strassen(self):
    theta = [np.array(t, np.float64).T for t in zip(*STRASSEN, strict=True)]
    value, _ = objective_and_gradients(pg.MatMulAlgorithm(2, 7), theta)
    assert 0 <= value < 1e-11

  def test_naive_algorithm(self):
    theta_a, theta_b = np.zeros((2, 4, 8), np.float32)
    for k, (row, inner, column) in enumerate(
      itertools.product((0, 1), repeat=3)
    ):
      theta_a[2 * row + inner, k] = 1
      theta_b[2 * inner + column, k] = 1
    value, _ = objective_and_gradients(
      pg.MatMulAlgorithm(2, 8), [theta_a, theta_b]
    )
    assert value == 0

  def test_initial_columns_have_length_one(self):
    problem = pg.MatMulAlgorithm(2, 5)
    tensors = evaluate(lambda: problem.init_tensors(seed=6))
    np.testing.assert_array_equal(*tensors)
    stream = evaluate(lambda: generators.TensorGenerator(6).normal(size=(4, 5)))
    expected = stream / np.linalg.norm(stream, axis=0)
    np.testing.assert_allclose(tensors[0], expected, rtol=1e-5)
    arrays = parameters_of(problem)
    assert not np.array_equal(*arrays)
    for array in arrays:
      np.testing.assert_allclose((array**2).sum(axis=0), np.ones(5), rtol=1e-6)

  @pytest.mark.parametrize(
    ("n", "k", "message"),
    [
      (1, 1, "n must be at least 2, got 1"),
      (2, 3, r"k must be from n\^2 = 4 to n\^3 = 8, got 3"),
      (2, 9, r"k must be from n\^2 = 4 to n\^3 = 8, got 9"),
      (2.0, 5, "n must be a positive integer, got 2.0"),
    ],
  )
  def test_bad_arguments(self, n, k, message):
    with pytest.raises(ValueError, match=message):
      pg.MatMulAlgorithm(n, k)

  def test_sequence(self):
    entries = pg.matmul_problem_sequence(3, 19, 24)
    assert [spec.args for spec, _, _ in entries] == [
      (3, k) for k in range(19, 25)
    ]
    assert all(entry[1:] == (None, None) for entry in entries)
    assert entries[0][0].build(random_seed=1).param_shapes == [(9, 19)] * 2

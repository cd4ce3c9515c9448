"""Problems whose coordinates have units of their own."""

import numpy as np
import pytest

from learned_optimizer.problems import problem_generator as pg
from learned_optimizer.problems.random_scaling import RandomScaling
from tests.problems.all_problems import objective_and_gradients, spec

INNER = spec(pg.FullyConnected, 5, 3, (4,), variant="training")
DATA = np.random.RandomState(3).normal(size=[6, 5]).astype(np.float32)
LABELS = np.int32([0, 1, 2, 0, 1, 2])


def scales_of(problem):
  return [problem.constants[f"scale_{i}"] for i in range(4)]


def test_factors_are_log_uniform():
  problem = RandomScaling(INNER, 2.0, random_seed=1)
  scales = scales_of(problem)
  assert [scale.shape for scale in scales] == problem.param_shapes
  assert {scale.dtype for scale in scales} == {np.dtype(np.float32)}
  logs = np.log(np.concatenate([scale.ravel() for scale in scales]))
  assert np.all(np.abs(logs) <= 2.0)
  assert logs.max() > 1.5 and logs.min() < -1.5
  np.testing.assert_allclose(logs.std(), 2 / np.sqrt(3), rtol=0.2)
  other = RandomScaling(INNER, 2.0, random_seed=2)
  assert np.all(scales_of(other)[0] != scales[0])
  # So one program serves both.
  assert other.structure == problem.structure


def test_starts_where_the_inner_problem_does():
  problem = RandomScaling(INNER, random_seed=1)
  starts = problem.initial_parameters(np.random.default_rng(7))
  inner = INNER.build().initial_parameters(np.random.default_rng(7))
  for start, scale, value in zip(
    starts, scales_of(problem), inner, strict=True
  ):
    np.testing.assert_allclose(start * scale, value, rtol=1e-6)


def test_objective_and_gradients():
  """Those of the inner problem, at other parameters and times the factors."""
  drawn = RandomScaling(INNER, random_seed=1)
  constants = {name: 2 * value for name, value in drawn.constants.items()}
  problem = drawn.with_constants(constants)
  generator = np.random.default_rng(7)
  starts = problem.initial_parameters(generator)
  values = [
    start * scale
    for start, scale in zip(starts, scales_of(problem), strict=True)
  ]
  objective, gradients = objective_and_gradients(problem, starts, DATA, LABELS)
  expected, inner_gradients = objective_and_gradients(
    INNER.build(), values, DATA, LABELS
  )
  np.testing.assert_allclose(objective, expected, rtol=1e-6)
  for gradient, inner, scale in zip(
    gradients, inner_gradients, scales_of(problem), strict=True
  ):
    np.testing.assert_allclose(gradient, inner * scale, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("bound", [0.0, -1.0, np.inf, np.nan])
def test_bad_bound(bound):
  with pytest.raises(
    ValueError, match="bound must be positive and at most 80, got"
  ):
    RandomScaling(INNER, bound)


def test_arranged_examples_give_the_same():
  problem = RandomScaling(INNER, random_seed=1)
  parameters = problem.initial_parameters(np.random.default_rng(0))
  arranged = problem.arranged(DATA)
  assert arranged.matrix.shape == (5, 6)
  np.testing.assert_allclose(
    problem.objective(parameters, arranged, LABELS),
    problem.objective(parameters, DATA, LABELS),
    rtol=1e-6,
  )

"""Tests of the base class of problems, and of the generators it draws from."""

import math

import numpy as np
import pytest
import tensorflow as tf

from learned_optimizer import generators
from learned_optimizer.problems import problem_generator as pg
from tests.problems.all_problems import (
  STREAMS,
  evaluate,
)


class _Embedding(pg.Problem):
  """Sums rows of a table; row 1 twice."""

  def __init__(self, noise_stdev):
    super().__init__([(4, 3)], 1, noise_stdev)

  def objective(self, parameters, data=None, labels=None):
    return tf.reduce_sum(tf.gather(parameters[0], [1, 3, 1]))


class _Unhashable(pg.Quadratic):
  """A problem with a setting that cannot be hashed."""

  def __init__(self):
    super().__init__(3)
    self.targets = np.zeros(3)


class TestProblem:
  def test_seed(self):
    fresh = pg.Quadratic(2)
    assert isinstance(fresh.random_seed, int)
    assert 0 <= fresh.random_seed < 2**32 - 1
    assert fresh.random_seed != pg.Quadratic(2).random_seed
    repeated = pg.Quadratic(2, random_seed=fresh.random_seed)
    for name, value in fresh.constants.items():
      np.testing.assert_array_equal(value, repeated.constants[name])
    assert pg.Quadratic(2, random_seed=np.int64(7)).random_seed == 7

  @pytest.mark.parametrize(
    ("build", "message"),
    [
      (lambda: pg.Quadratic(2, 1.5), "random_seed must be an integer or None"),
      (lambda: pg.Quadratic(2, "1"), "random_seed must be an integer or None"),
      (lambda: pg.Quadratic(2, -1), "random_seed must be from 0 to .*got -1"),
      (lambda: pg.Quadratic(2, 2**32), "random_seed must be from 0 to 4294"),
      (lambda: pg.Quadratic(2, 1, -0.5), "noise_stdev .* at least 0, got -0.5"),
      (lambda: pg.Quadratic(2, 1, math.nan), "noise_stdev .* got nan"),
      (lambda: pg.Quadratic(0), "ndim must be a positive integer, got 0"),
      (lambda: pg.Quadratic(2.0), "ndim must be a positive integer, got 2.0"),
      (lambda: pg.SoftmaxRegression(0, 2), "n_features must be .* got 0"),
      (lambda: pg.SoftmaxRegression(3, 1), "n_classes must be at least 2"),
      (lambda: pg.FullyConnected(-1, 2), "n_features must be .* got -1"),
      (lambda: pg.FullyConnected(3, 0), "n_classes must be .* got 0"),
      (
        lambda: pg.FullyConnected(3, 2, (4, 0)),
        r"hidden_sizes\[1\] must be a positive integer, got 0",
      ),
      (
        lambda: pg.FullyConnected(3, 2, l2_reg_scale=-1),
        "l2_reg_scale must be at least 0, got -1",
      ),
    ],
  )
  def test_bad_arguments(self, build, message):
    with pytest.raises(ValueError, match=message):
      build()

  def test_init_fn(self):
    calls = []

    class Prepared(_Embedding):
      def __init__(self):
        pg.Problem.__init__(self, [(4, 3)], 1, 0, init_fn=calls.append)

    Prepared().init_fn("session")
    assert calls == ["session"]
    assert _Embedding(0).init_fn("session") is None

  def test_parameter_without_influence(self):
    problem = pg.Quadratic(2)
    with tf.Graph().as_default():
      parameters = problem.init_tensors() + problem.init_tensors()
      objective = problem.objective(parameters[:1])
      with pytest.raises(ValueError, match=r"parameters\[1\] has no influence"):
        problem.gradients(objective, parameters)

  def test_wrong_number_of_draws(self):
    problem = pg.Quadratic(2, noise_stdev=1.0)
    with tf.Graph().as_default():
      parameters = problem.init_tensors()
      objective = problem.objective(parameters)
      with pytest.raises(ValueError, match="draws must be one array for each"):
        problem.gradients(objective, parameters, [])

  def test_noise_statistics(self):
    problem = pg.Quadratic(50, random_seed=1, noise_stdev=2.0)
    exact = pg.Quadratic(50, random_seed=1)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
      parameters = problem.init_fixed_variables([np.ones((50, 1))])
      objective = problem.objective(parameters)
      (noisy,) = problem.gradients(objective, parameters)
      (gradient,) = exact.gradients(objective, parameters)
      session.run(tf.compat.v1.global_variables_initializer())
      noise = noisy - gradient
      in_graph = np.array([session.run(noise) for _ in range(200)]).ravel()
    (draws,) = problem.draws(200, np.random.default_rng(1))
    for noise in in_graph, 2.0 * draws.ravel():
      assert abs(noise.mean()) < 5 * 2.0 / math.sqrt(noise.size)
      assert abs(noise.std() / 2.0 - 1) < 5 / math.sqrt(2 * noise.size)
      lag_one = np.corrcoef(noise[1:], noise[:-1])[0, 1]
      assert abs(lag_one) < 5 / math.sqrt(noise.size)

  def test_second_derivatives_ignore_noise(self):
    problem = pg.Quadratic(3, random_seed=1, noise_stdev=2.0)
    w = problem.constants["w"]

    def build():
      parameters = problem.init_tensors()
      objective = problem.objective(parameters)
      gradients = problem.gradients(objective, parameters)
      return tf.gradients(gradients, parameters)[0]

    expected = (w.T @ w).sum(axis=0)[:, None]
    np.testing.assert_allclose(evaluate(build), expected, rtol=1e-5)

  @pytest.mark.parametrize("given", [False, True])
  def test_noise_of_sparse_gradients(self, given):
    problem = _Embedding(noise_stdev=0.5)
    draws = np.random.RandomState(0).randn(4, 3).astype(np.float32)

    def build():
      parameters = problem.init_tensors()
      objective = problem.objective(parameters)
      (gradient,) = problem.gradients(
        objective, parameters, [draws] if given else None
      )
      assert isinstance(gradient, tf.IndexedSlices)
      return gradient.values, gradient.indices, gradient.dense_shape

    values, indices, dense_shape = evaluate(build)
    assert indices.tolist() == [1, 3, 1]
    assert dense_shape.tolist() == [4, 3]
    if given:
      # Row 1 occurs twice: the sum has sqrt(2) times the deviation of one.
      shares = np.sqrt([[0.5], [1], [0.5]])
      np.testing.assert_allclose(
        values, 1 + 0.5 * shares * draws[indices], rtol=1e-6
      )
    else:
      assert values.shape == (3, 3)
      assert np.unique(values).size == 9

  def test_unhashable_settings_share_no_program(self):
    first, second = _Unhashable(), _Unhashable()
    assert hash(first.structure) == hash(first.structure)
    assert first.structure == first.structure
    assert first.structure != second.structure


class TestGenerators:
  @pytest.mark.parametrize("seed", STREAMS)
  def test_normal_stream(self, seed):
    expected = STREAMS[seed]
    values = evaluate(
      lambda: generators.TensorGenerator(seed).normal(size=[len(expected)])
    )
    np.testing.assert_allclose(values, expected, rtol=1e-6)

  def test_uniform_stream(self):
    values = evaluate(
      lambda: generators.TensorGenerator(5678).uniform(-5, 10, size=[2])
    )
    np.testing.assert_allclose(values, [6.3003683, 2.2781043], rtol=1e-6)

  def test_arguments_mean_the_same_as_in_numpy(self):
    for generator in generators.TensorGenerator(), np.random.default_rng(1):
      normal, uniform, one_normal, one_uniform = evaluate(
        lambda generator=generator: [
          tf.convert_to_tensor(value)
          for value in (
            generator.normal(3.0, 0.5, size=(2000,)),
            generator.uniform(3.0, 5.0, size=(2000,)),
            generator.normal(),
            generator.uniform(),
          )
        ]
      )
      assert abs(normal.mean() - 3) < 0.06
      assert abs(normal.std() - 0.5) < 0.05
      assert abs(uniform.mean() - 4) < 0.07
      assert 3 <= uniform.min() < uniform.max() < 5
      assert one_normal.shape == one_uniform.shape == ()

"""Tests of problems made from other problems."""

import math

import numpy as np
import pytest
import tensorflow as tf

from learned_optimizer import generators
from learned_optimizer.problems import problem_generator as pg
from tests.problems.all_problems import (
  evaluate,
  norms,
  objective_and_gradients,
  parameters_of,
  spec,
)

QUADRATIC = spec(pg.Quadratic, 20, random_seed=1234)
ONES = np.ones((20, 1), np.float32)

# One adaptor of each kind, of problems with random constants.
BUILDS = {
  "rescale": lambda seed: pg.Rescale(spec(pg.Norm, 3), random_seed=seed),
  "sum": lambda seed: pg.SumTask(
    [
      spec(pg.Quadratic, 3),
      spec(pg.Rescale, spec(pg.Quadratic, 3)),
      spec(pg.Bowl, 5),
    ],
    random_seed=seed,
  ),
  "log": lambda seed: pg.LogObjective(spec(pg.Lasso, 3), random_seed=seed),
  "sparse": lambda seed: pg.SparseProblem(
    spec(pg.Rastrigin, 3), random_seed=seed
  ),
}

each_adaptor = pytest.mark.parametrize("build", BUILDS.values(), ids=BUILDS)


def constants_of(problem):
  return {name: value.tolist() for name, value in problem.constants.items()}


class TestEveryAdaptor:
  @each_adaptor
  def test_seed_fixes_everything(self, build):
    assert constants_of(build(5)) == constants_of(build(5))
    assert constants_of(build(5)) != constants_of(build(6))
    fresh = build(None)
    assert constants_of(fresh) != constants_of(build(None))
    assert constants_of(fresh) == constants_of(build(fresh.random_seed))

  def test_inner_seeds_differ(self):
    problem = pg.SumTask([spec(pg.Quadratic, 3)] * 4, random_seed=5)
    assert problem.random_seed == 5
    assert len({inner.random_seed for inner in problem.problems}) == 4

  def test_fixed_inner_seed(self):
    problem = pg.Rescale(QUADRATIC, random_seed=5)
    assert problem.problems[0].random_seed == 1234

  @each_adaptor
  def test_original_stream(self, build):
    """Inner problems come first, each with a seed left by the one before."""
    problem = build(generators.OriginalStream(42))
    stream = generators.OriginalStream(42)

    def check(inner):
      for part in getattr(inner, "problems", ()):
        check(part)
      expected, _ = generators.seeded(stream)
      assert inner.random_seed == expected
      if not hasattr(inner, "problems"):
        inner._draw_constants(stream.random_state)

    check(problem)

  def test_seeds_of_the_original(self):
    stream = generators.OriginalStream(42)
    problem = pg.Rescale(spec(pg.Quadratic, 20), random_seed=stream)
    assert problem.problems[0].random_seed == 1608637542
    assert problem.random_seed == 4041271397
    stream = generators.OriginalStream(42)
    problem = pg.SumTask(
      [spec(pg.Quadratic, 3), spec(pg.Rosenbrock)], random_seed=stream
    )
    seeds = [inner.random_seed for inner in problem.problems]
    assert seeds == [1608637542, 1671829794]
    assert problem.random_seed == 1975004775

  @each_adaptor
  def test_constants_reach_the_inner_problems(self, build):
    problem, other = build(1), build(2)
    parameters = parameters_of(problem)
    moved = problem.with_constants(other.constants)
    value, _ = objective_and_gradients(moved, parameters)
    expected, _ = objective_and_gradients(other, parameters)
    original, _ = objective_and_gradients(problem, parameters)
    assert value == expected != original
    assert constants_of(moved.problems[0]) == constants_of(other.problems[0])

  @each_adaptor
  def test_inner_seeds_are_not_in_the_structure(self, build):
    assert build(1).structure == build(2).structure

  def test_inner_settings_are_in_the_structure(self):
    inner = spec(pg.Norm, 3)
    problems = [
      build(choice)
      for build in (
        pg.Rescale,
        pg.LogObjective,
        pg.SparseProblem,
        lambda choice: pg.SumTask([choice]),
      )
      for choice in (
        inner,
        spec(pg.Norm, 3, norm_power=3.0),
        spec(pg.Quadratic, 3),
        spec(pg.Rescale, inner),
        spec(pg.Rescale, inner, 3.0),
      )
    ] + [
      pg.Rescale(inner, 3.0),
      pg.SparseProblem(inner, 0.5),
      pg.SumTask([inner, inner]),
    ]
    assert len({problem.structure for problem in problems}) == len(problems)

  @pytest.mark.parametrize(
    ("build", "message"),
    [
      (lambda: pg.Rescale(pg.Quadratic(3)), "must be given as Spec, got <"),
      (lambda: pg.SumTask([pg.Quadratic]), "must be given as Spec, got <"),
      (lambda: pg.SumTask([]), r"problem_specs must hold .* got \[\]"),
      (lambda: pg.Rescale(QUADRATIC, 0), "scale must be .* got 0"),
      (lambda: pg.Rescale(QUADRATIC, math.inf), "scale must be .* got inf"),
      (lambda: pg.SparseProblem(QUADRATIC, 1.5), "zero_probability .* got 1.5"),
      (lambda: pg.LogObjective(QUADRATIC, random_seed=-1), "random_seed must"),
    ],
  )
  def test_bad_arguments(self, build, message):
    with pytest.raises(ValueError, match=message):
      build()


class TestRescale:
  def test_value(self):
    problem = pg.Rescale(QUADRATIC)
    value, gradients = objective_and_gradients(problem, [ONES])
    np.testing.assert_allclose(value, 10.275562, rtol=1e-6)
    np.testing.assert_allclose(norms(gradients), [2.547155], rtol=1e-6)

  def test_initial_parameters(self):
    problem = pg.Rescale(spec(pg.Rosenbrock), 50)
    scaled, inner = parameters_of(problem), parameters_of(pg.Rosenbrock())
    np.testing.assert_allclose(scaled[0], 50 * inner[0], rtol=1e-6)
    (tensor,) = evaluate(lambda: problem.init_tensors(seed=5678))
    expected = np.array([6.3003683, 2.2781043]) * 50
    np.testing.assert_allclose(tensor, expected, rtol=1e-6)

  def test_data_are_passed_on(self):
    rows = np.array([[1, -1, 0.5], [2, 0, 1]], np.float32)
    problem = pg.Rescale(spec(pg.ProjectionQuadratic, 3), 2)
    point = np.array([[2, 4, 6]], np.float32)
    value, _ = objective_and_gradients(problem, [point], rows)
    np.testing.assert_allclose(value, 20.25, rtol=1e-6)


class TestSumTask:
  def test_value(self):
    problem = pg.SumTask([QUADRATIC, spec(pg.Rosenbrock)])
    assert problem.param_shapes == [(20, 1), (2,)]
    point = np.array([0.5, -1.25], np.float32)
    value, gradients = objective_and_gradients(problem, [ONES, point])
    np.testing.assert_allclose(value, 410.74146, rtol=1e-6)
    np.testing.assert_allclose(
      norms(gradients), [101.55958, math.hypot(299, 300)], rtol=1e-5
    )

  def test_equations(self):
    """Against the same sum in NumPy, in float64."""
    problem = pg.SumTask(
      [spec(pg.Quadratic, 3), spec(pg.Norm, 7, norm_power=3.0)], random_seed=4
    )
    p, q = (v.astype(np.float64) for v in parameters_of(problem))
    w0, y0, w1, y1 = (
      problem.constants[name].astype(np.float64)
      for name in ("0_w", "0_y", "1_w", "1_y")
    )
    value, gradients = objective_and_gradients(problem, [p, q])
    residual = w0 @ p - y0
    sizes = np.abs(w1 @ q - y1) + 1e-6
    norm = (sizes**3).sum() ** (1 / 3)
    np.testing.assert_allclose(
      value, 0.5 * (residual**2).sum() + norm, rtol=1e-10
    )
    np.testing.assert_allclose(gradients[0], w0.T @ residual, rtol=1e-10)
    slopes = (sizes / norm) ** 2 * np.sign(w1 @ q - y1)
    np.testing.assert_allclose(gradients[1], w1.T @ slopes, rtol=1e-8)

  def test_initial_parameters(self):
    problem = pg.SumTask([spec(pg.Quadratic, 3), spec(pg.Rosenbrock)])
    tensors = evaluate(lambda: problem.init_tensors(seed=5678))
    stream = evaluate(
      lambda: generators.TensorGenerator(5678).normal(size=(3, 1))
    )
    np.testing.assert_allclose(tensors[0], stream, rtol=1e-6)
    np.testing.assert_allclose(tensors[1], [6.3003683, 2.2781043], rtol=1e-6)

  def test_inner_problems_get_no_data(self):
    problem = pg.SumTask([spec(pg.ProjectionQuadratic, 3)])
    rows = np.ones((2, 3), np.float32)
    with pytest.raises(ValueError, match="ProjectionQuadratic needs data"):
      objective_and_gradients(problem, [np.ones((1, 3), np.float32)], rows)

  def test_inner_noise_is_ignored(self):
    problem = pg.SumTask([spec(pg.Quadratic, 3, noise_stdev=2.0)])
    assert problem.noise_stdev == 0
    assert problem.draws(4, np.random.default_rng(1)) == []


class TestLogObjective:
  def test_value(self):
    problem = pg.LogObjective(QUADRATIC)
    value, gradients = objective_and_gradients(problem, [ONES])
    np.testing.assert_allclose(value, 19.038519, rtol=1e-6)
    np.testing.assert_allclose(norms(gradients), [0.5475162], rtol=1e-6)

  def test_zero(self):
    value, _ = objective_and_gradients(
      pg.LogObjective(spec(pg.Booth)), [np.array([1, 3], np.float32)]
    )
    np.testing.assert_allclose(value, 0, atol=1e-6)

  def test_inner_noise_is_ignored(self):
    problem = pg.LogObjective(spec(pg.Quadratic, 3, noise_stdev=2.0))
    assert problem.noise_stdev == 0


class TestSparseProblem:
  @pytest.mark.parametrize("build", [pg.LogObjective, pg.SparseProblem])
  def test_initial_parameters_are_normal(self, build):
    inner = spec(pg.FullyConnected, 4, 2, (3,))
    expected = np.random.default_rng(3)
    for value in parameters_of(build(inner)):
      np.testing.assert_allclose(
        value, expected.normal(size=value.shape), rtol=1e-6
      )

  @pytest.mark.parametrize("noise_stdev", [0.0, 0.5])
  def test_gradients_of_draws(self, noise_stdev):
    settings = {"zero_probability": 0.4, "noise_stdev": noise_stdev}
    inner = spec(pg.SumTask, [spec(pg.Quadratic, 40), spec(pg.Bowl, 5)])
    problem = pg.SparseProblem(inner, random_seed=1, **settings)
    draws = problem.draws(3, np.random.default_rng(2))
    shapes = [(3, *shape) for shape in problem.param_shapes]
    assert [d.shape for d in draws] == shapes * (2 if noise_stdev else 1)
    assert all(d.dtype == np.float32 for d in draws)
    uniform = draws[-2:]
    assert all(0 <= d.min() <= d.max() <= 1 for d in uniform)
    noise = draws[:2] if noise_stdev else [np.zeros(s) for s in shapes]
    parameters = parameters_of(problem)
    _, exact = objective_and_gradients(problem.problems[0], parameters)

    def build():
      tensors = [tf.constant(p) for p in parameters]
      objective = problem.objective(tensors)
      gradients = problem.gradients(objective, tensors, [d[1] for d in draws])
      return gradients, tf.gradients(gradients[0], tensors[0])[0]

    actual, product = evaluate(build)
    kept = [~(u[1] < 0.4) for u in uniform]
    assert 0 < kept[0].sum() < 40
    for index, gradient in enumerate(exact):
      expected = kept[index] * (gradient + noise_stdev * noise[index][1])
      np.testing.assert_allclose(actual[index], expected, rtol=1e-5, atol=1e-6)
    # Second derivatives are those of the elements that are left.
    w = problem.constants["0_0_w"]
    np.testing.assert_allclose(product, w.T @ w @ kept[0], rtol=1e-3, atol=1e-3)

  def test_random_ops(self):
    problem = pg.SparseProblem(
      spec(pg.Quadratic, 100), noise_stdev=1.0, random_seed=1
    )
    assert problem.zero_probability == 0.99
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
      parameters = [tf.constant(p) for p in parameters_of(problem)]
      (gradient,) = problem.gradients(problem.objective(parameters), parameters)
      values = np.array([session.run(gradient) for _ in range(200)])
    fraction = (values != 0).mean()
    assert abs(fraction - 0.01) < 5 * math.sqrt(0.01 * 0.99 / values.size)
    nonzero = values[values != 0]
    assert np.unique(nonzero).size == nonzero.size

  @pytest.mark.parametrize(("probability", "count"), [(0.0, 20), (1.0, 0)])
  def test_all_or_nothing(self, probability, count):
    problem = pg.SparseProblem(QUADRATIC, probability)
    _, gradients = objective_and_gradients(problem, [ONES])
    assert np.count_nonzero(gradients) == count

  @pytest.mark.parametrize(
    ("noise_stdev", "given", "expected"), [(0, 2, 1), (0, 0, 1), (1, 1, 2)]
  )
  def test_wrong_number_of_draws(self, noise_stdev, given, expected):
    problem = pg.SparseProblem(QUADRATIC, noise_stdev=noise_stdev)
    with tf.Graph().as_default():
      parameters = problem.init_tensors()
      objective = problem.objective(parameters)
      with pytest.raises(
        ValueError, match=f"draws must be {expected} arrays.* got {given}"
      ):
        problem.gradients(objective, parameters, [ONES] * given)

  def test_sparse_gradients_become_dense(self):
    class Rows(pg.Problem):
      def __init__(self):
        super().__init__([(4, 3)], 1, 0)

      def objective(self, parameters, data=None, labels=None):
        return tf.reduce_sum(tf.gather(parameters[0], [1, 3, 1]))

    problem = pg.SparseProblem(spec(Rows), 0.0)
    _, gradients = objective_and_gradients(
      problem, [np.zeros((4, 3), np.float32)]
    )
    np.testing.assert_array_equal(gradients[0][:, 0], [0, 2, 0, 1])

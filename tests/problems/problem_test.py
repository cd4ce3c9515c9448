"""Tests of the problem classes.

Everything that any problem must do is tested for each of `CASES`.
"""

import dataclasses
import math
from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf

from learned_optimizer import generators, packaged_data
from learned_optimizer.problems import problem_generator as pg

# The first values of the N(0, 1) stream of an op seed, drawn by the original.
STREAMS = {
  6: (0.65751404, 0.67078364, 0.36795083, 0.2955586, -0.667974, -2.2784853),
  12: (-0.43663138, 0.8449775, -0.01180986, -0.8844008),
  18: (-0.29095292, 0.335445, -0.4498436, -0.11069998),
  24: (-1.1442853, -0.63032407, 0.26572636, -0.598623),
  30: (-0.38616714, 0.08485429, -2.7621093, -0.141348),
  5678: (0.06985295, -0.7493666, -0.17464796, -0.038110107),
}


@dataclasses.dataclass(frozen=True)
class Case:
  """A kind of problem: how to build it, and the data it is given."""

  name: str
  build: Callable[..., pg.Problem]
  features: int = 0
  classes: int = 0

  def batch(self, size=6):
    """Data and labels, or Nones."""
    if not self.features:
      return None, None
    random_state = np.random.RandomState(5)
    data = random_state.randn(size, self.features).astype(np.float32)
    labels = random_state.randint(self.classes, size=size).astype(np.int32)
    return data, labels


CASES = [
  Case("quadratic", lambda **k: pg.Quadratic(5, **k)),
  Case("softmax", lambda **k: pg.SoftmaxRegression(4, 2, **k), 4, 2),
  Case("softmax_3", lambda **k: pg.SoftmaxRegression(4, 3, **k), 4, 3),
  Case(
    "fully_connected", lambda **k: pg.FullyConnected(4, 2, (3, 2), **k), 4, 2
  ),
  Case(
    "fully_connected_10",
    lambda **k: pg.FullyConnected(4, 10, (3,), l2_reg_scale=0.0, **k),
    4,
    10,
  ),
]

each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def evaluate(build):
  """Returns the values of what build() makes in a graph of its own."""
  with tf.Graph().as_default(), tf.compat.v1.Session() as session:
    made = build()
    session.run(tf.compat.v1.global_variables_initializer())
    return session.run(made)


def objective_and_gradients(problem, parameters, data=None, labels=None):
  """Returns the objective and its gradients as numpy values."""

  def build():
    tensors = [tf.constant(p) for p in parameters]
    objective = problem.objective(tensors, data, labels)
    return objective, problem.gradients(objective, tensors)

  return evaluate(build)


def parameters_of(problem, seed=3):
  return problem.initial_parameters(np.random.default_rng(seed))


def norms(arrays):
  return [np.linalg.norm(a) for a in arrays]


class TestEveryProblem:
  @each_case
  def test_initial_parameters(self, case):
    problem = case.build()
    parameters = parameters_of(problem)
    assert [p.shape for p in parameters] == problem.param_shapes
    assert all(p.dtype == np.float32 for p in parameters)
    repeated = parameters_of(problem)
    assert all(map(np.array_equal, parameters, repeated))

  @each_case
  def test_initial_tensors_share_one_stream(self, case):
    problem = case.build()
    tensors = evaluate(lambda: problem.init_tensors(seed=6))
    stream = evaluate(
      lambda: generators.TensorGenerator(6).normal(
        size=[max(t.size for t in tensors)]
      )
    )
    for tensor in tensors:
      assert tensor.dtype == np.float32
      scale = tensor.flat[0] / stream[0]
      np.testing.assert_allclose(
        tensor.ravel(), scale * stream[: tensor.size], rtol=1e-6
      )

  @each_case
  def test_initial_tensors_without_seed_are_independent(self, case):
    first, second = evaluate(
      lambda: (case.build().init_tensors(), case.build().init_tensors())
    )
    assert not any(map(np.array_equal, first, second))

  @each_case
  def test_initial_variables(self, case):
    problem = case.build()
    with tf.Graph().as_default() as graph, tf.compat.v1.Session() as session:
      variables = problem.init_variables(seed=6)
      others = problem.init_variables(seed=6)
      names = [v.name for v in variables]
      assert names[:1] == ["parameters/Variable:0"]
      assert names[1:2] in ([], ["parameters/Variable_1:0"])
      assert others[0].name == "parameters_1/Variable:0"
      collections = tf.compat.v1.GraphKeys
      for key in collections.GLOBAL_VARIABLES, collections.TRAINABLE_VARIABLES:
        in_collection = {v.name for v in graph.get_collection(key)}
        assert in_collection == {v.name for v in variables + others}
      assert all(v.handle.dtype == tf.resource for v in variables)
      session.run(tf.compat.v1.global_variables_initializer())
      values = session.run(variables)
    expected = evaluate(lambda: problem.init_tensors(seed=6))
    assert all(map(np.array_equal, values, expected))

  @each_case
  def test_initial_fixed_variables(self, case):
    problem = case.build()
    arrays = [p.astype(np.float64) for p in parameters_of(problem)]
    values = evaluate(lambda: problem.init_fixed_variables(arrays))
    assert all(v.dtype == np.float32 for v in values)
    assert all(map(np.array_equal, values, arrays))
    with pytest.raises(ValueError, match=r"arrays must have the shapes \[\("):
      problem.init_fixed_variables(arrays + arrays)

  @each_case
  def test_float64_gradients_are_finite_differences(self, case):
    problem = case.build()
    data, labels = case.batch()
    parameters = [p.astype(np.float64) for p in parameters_of(problem)]
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
      tensors = [tf.constant(p) for p in parameters]
      objective = problem.objective(tensors, data, labels)
      assert objective.dtype == tf.float64
      gradients = session.run(problem.gradients(objective, tensors))
      for index, parameter in enumerate(parameters):
        for position in np.ndindex(parameter.shape):
          values = []
          for step in 1e-6, -1e-6:
            moved = parameter.copy()
            moved[position] += step
            values.append(session.run(objective, {tensors[index]: moved}))
          slope = (values[0] - values[1]) / 2e-6
          gradient = gradients[index][position]
          np.testing.assert_allclose(gradient, slope, rtol=1e-6, atol=1e-8)

  @each_case
  def test_compiled_second_derivatives_in_a_loop(self, case):
    """The gradient through three steps is the same with and without XLA."""
    problem = case.build(noise_stdev=0.3)
    data, labels = case.batch()
    constants = {
      name: tf.Variable(value) for name, value in problem.constants.items()
    }
    problem = problem.with_constants(constants)
    draws = problem.draws(3, np.random.default_rng(1))
    rows = np.array([[0, 2, 4], [1, 3, 5], [0, 1, 2]])

    def trained_gradients(*initial):
      def body(step, *parameters):
        batch = (None, None)
        if data is not None:
          chosen = tf.gather(rows, step)
          batch = (tf.gather(data, chosen), tf.gather(labels, chosen))
        gradients = problem.gradients(
          problem.objective(parameters, *batch),
          parameters,
          [tf.gather(d, step) for d in draws],
        )
        moved = [
          p - 0.1 * g for p, g in zip(parameters, gradients, strict=True)
        ]
        return step + 1, *moved

      _, *trained = tf.while_loop(
        lambda step, *_: step < 3,
        body,
        (tf.constant(0), *initial),
        maximum_iterations=3,
      )
      objective = problem.objective(trained, data, labels)
      return tf.gradients(objective, list(initial))

    initial = [tf.constant(p) for p in parameters_of(problem)]
    plain = tf.function(trained_gradients)(*initial)
    compiled = tf.function(trained_gradients, jit_compile=True)(*initial)
    for expected, actual in zip(plain, compiled, strict=True):
      assert np.linalg.norm(expected) > 0
      np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-6)

  @each_case
  def test_structure_tells_programs_apart(self, case):
    structure = case.build(random_seed=1).structure
    other = case.build(random_seed=2)
    assert structure == other.structure
    assert hash(structure) == hash(other.structure)
    assert structure != case.build(noise_stdev=0.5).structure
    copied = other.with_constants(case.build(random_seed=3).constants)
    assert structure == copied.structure

  def test_structures_of_different_settings_differ(self):
    problems = [
      *(case.build() for case in CASES),
      pg.Quadratic(6),
      pg.SoftmaxRegression(4, 2, activation=tf.nn.relu),
      pg.SoftmaxRegression(4, 2, l2_reg_scale=1.0),
      pg.FullyConnected(4, 2, (2, 3)),
      pg.FullyConnected(4, 2, (3, 2), activation=tf.nn.relu),
    ]
    assert len({p.structure for p in problems}) == len(problems)

  @each_case
  def test_noise_is_that_of_the_draws(self, case):
    problem = case.build(noise_stdev=0.5, random_seed=1)
    exact = case.build(noise_stdev=0, random_seed=1)
    draws = problem.draws(4, np.random.default_rng(1))
    assert [d.shape for d in draws] == [(4, *s) for s in problem.param_shapes]
    assert all(d.dtype == np.float32 for d in draws)
    parameters = [tf.constant(p) for p in parameters_of(problem)]

    @tf.function
    def both(*parameters):
      objective = problem.objective(parameters, *case.batch())
      noisy = problem.gradients(objective, parameters, [d[2] for d in draws])
      return noisy, exact.gradients(objective, parameters)

    for noisy, gradient, draw in zip(*both(*parameters), draws, strict=True):
      np.testing.assert_allclose(
        noisy, gradient + 0.5 * draw[2], rtol=1e-5, atol=1e-6
      )

  @each_case
  def test_without_noise_there_is_nothing_random(self, case):
    problem = case.build()
    generator = np.random.default_rng(1)
    state = generator.bit_generator.state
    assert problem.draws(4, generator) == []
    assert generator.bit_generator.state == state
    with tf.Graph().as_default() as graph:
      parameters = [tf.constant(p) for p in parameters_of(problem)]
      objective = problem.objective(parameters, *case.batch())
      problem.gradients(objective, parameters, draws=[])
      assert not [op for op in graph.get_operations() if "Random" in op.type]

  @each_case
  def test_global_numpy_state_is_left_alone(self, case):
    before = np.random.get_state()[1].copy()
    case.build(random_seed=1)
    case.build()
    np.testing.assert_array_equal(np.random.get_state()[1], before)

  @each_case
  def test_constants_are_replaced_by_name_and_shape(self, case):
    problem = case.build(random_seed=1)
    with pytest.raises(ValueError, match="constants must be named"):
      problem.with_constants({**problem.constants, "extra": np.zeros(1)})
    for name, value in problem.constants.items():
      wrong = {**problem.constants, name: np.zeros((*value.shape, 1))}
      with pytest.raises(ValueError, match=rf"{name}.*must have shape"):
        problem.with_constants(wrong)
    other = case.build(random_seed=2)
    data, labels = case.batch()
    parameters = parameters_of(problem)
    expected = objective_and_gradients(other, parameters, data, labels)
    actual = objective_and_gradients(
      problem.with_constants(other.constants), parameters, data, labels
    )
    assert actual[0] == expected[0]
    if problem.constants:
      original = objective_and_gradients(problem, parameters, data, labels)
      assert original[0] != expected[0]


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
      np.testing.assert_allclose(values, 1 + 0.5 * draws[indices], rtol=1e-6)
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


class TestCheckValues:
  """Numbers computed with the original code."""

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

  @pytest.mark.parametrize(
    ("l2_reg_scale", "expected"), [(1e-3, 1.3247106), (0, 1.3163650)]
  )
  def test_softmax_regression(self, l2_reg_scale, expected):
    random_state = np.random.RandomState(0)
    data, w, b = (random_state.randn(*s) for s in ((6, 4), (4, 2), (2,)))
    problem = pg.SoftmaxRegression(4, 2, l2_reg_scale=l2_reg_scale)
    value, _ = objective_and_gradients(
      problem,
      [w.astype(np.float32), b.astype(np.float32)],
      data.astype(np.float32),
      np.array([0, 1, 1, 0, 1, 0], np.int32),
    )
    np.testing.assert_allclose(value, expected, rtol=1e-5)

  def test_fully_connected(self):
    expected_norms = (
      0.08995819,
      0.06213452,
      0.19980006,
      0.15148744,
      0.8559108,
      0.54145145,
    )
    for activation, expected in (
      (tf.nn.sigmoid, 1.7360505),
      (tf.nn.relu, 3.7533755),
    ):
      problem = pg.FullyConnected(8, 2, (8, 5), activation=activation)
      random_state = np.random.RandomState(0)
      parameters = [
        random_state.randn(*shape).astype(np.float32)
        for shape in problem.param_shapes
      ]
      data = random_state.randn(10, 8).astype(np.float32)
      labels = random_state.randint(0, 2, 10)
      value, gradients = objective_and_gradients(
        problem, parameters, data, labels
      )
      np.testing.assert_allclose(value, expected, rtol=1e-5)
      if activation is tf.nn.sigmoid:
        np.testing.assert_allclose(norms(gradients), expected_norms, rtol=1e-5)

  @pytest.mark.parametrize(
    ("hidden_sizes", "activation", "expected"),
    [
      ((20,), tf.nn.sigmoid, 2.305851),
      ((20,), tf.nn.relu, 2.373836),
      ((20, 20), tf.nn.sigmoid, 2.3718114),
    ],
  )
  def test_ten_classes(self, hidden_sizes, activation, expected):
    problem = pg.FullyConnected(
      784, 10, hidden_sizes, activation=activation, l2_reg_scale=0
    )
    random_state = np.random.RandomState(0)
    parameters = [
      (0.1 * random_state.randn(*shape)).astype(np.float32)
      for shape in problem.param_shapes
    ]
    data = random_state.rand(128, 28, 28, 1).astype(np.float32)
    labels = random_state.randint(0, 10, 128)
    value, gradients = objective_and_gradients(
      problem, parameters, data, labels
    )
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    if (hidden_sizes, activation) == ((20,), tf.nn.sigmoid):
      expected_norms = [0.09063035, 0.00499126, 0.14960517, 0.06235167]
      np.testing.assert_allclose(norms(gradients), expected_norms, rtol=1e-5)


class TestClassifiers:
  def test_parameter_shapes(self):
    assert pg.SoftmaxRegression(4, 3).param_shapes == [(4, 3), (3,)]
    assert pg.FullyConnected(4, 2, []).param_shapes == [(4, 2), (2,)]
    shapes = [(7, 32), (32,), (32, 64), (64,), (64, 2), (2,)]
    assert pg.FullyConnected(7, 2).param_shapes == shapes

  def test_initial_scale(self):
    problem = pg.FullyConnected(400, 10, (100,))
    sources = (
      parameters_of(problem),
      evaluate(lambda: problem.init_tensors()),
    )
    for parameters in sources:
      scales = [p.std() * math.sqrt(p.shape[0]) / 1.2 for p in parameters]
      np.testing.assert_allclose(scales[0], 1, rtol=0.03)
      np.testing.assert_allclose(scales[1], 1, rtol=0.4)
      np.testing.assert_allclose(scales[2], 1, rtol=0.12)

  @pytest.mark.parametrize("classes", [2, 10])
  @pytest.mark.parametrize("labels_shape", [(6,), (6, 1)])
  def test_zero_parameters(self, classes, labels_shape):
    problem = pg.FullyConnected(4, classes, (3,))
    zeros = [np.zeros(s, np.float32) for s in problem.param_shapes]
    data = np.ones((6, 4), np.float32)
    labels = np.ones(labels_shape, np.int32)
    value, _ = objective_and_gradients(problem, zeros, data, labels)
    np.testing.assert_allclose(value, math.log(classes), rtol=1e-6)

  def test_one_example(self):
    problem = pg.SoftmaxRegression(4, 3, l2_reg_scale=0)
    w, b = parameters_of(problem)
    data = np.ones((1, 4), np.float32)
    value, _ = objective_and_gradients(problem, [w, b], data, np.array([[2]]))
    logits = (data @ w + b)[0].astype(np.float64)
    expected = np.log(np.exp(logits).sum()) - logits[2]
    np.testing.assert_allclose(value, expected, rtol=1e-5)

  def test_batch_of_unknown_size(self):
    """Works with the unshaped placeholders of TF1 programs."""
    for classes in 2, 3:
      problem = pg.SoftmaxRegression(4, classes)
      with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        parameters = problem.init_variables(seed=6)
        data = tf.compat.v1.placeholder(tf.float32)
        labels = tf.compat.v1.placeholder(tf.int32)
        objective = problem.objective(parameters, data, labels)
        gradients = problem.gradients(objective, parameters)
        session.run(tf.compat.v1.global_variables_initializer())
        feeds = {data: np.ones((6, 4)), labels: np.zeros(6)}
        values = session.run(gradients, feeds)
      assert [v.shape for v in values] == problem.param_shapes

  def test_data_is_required(self):
    problem = pg.SoftmaxRegression(4, 2)
    with (
      tf.Graph().as_default(),
      pytest.raises(
        ValueError, match="SoftmaxRegression needs data and labels"
      ),
    ):
      problem.objective(problem.init_tensors())

  @pytest.mark.parametrize("classes", [2, 3])
  def test_training_raises_accuracy(self, classes):
    """In particular, two classes are not mixed up."""
    problem = pg.SoftmaxRegression(4, classes)
    labels = np.arange(30, dtype=np.int32) % classes
    data = 3 * np.eye(4, dtype=np.float32)[labels]
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
      parameters = problem.init_variables(seed=6)
      objective = problem.objective(parameters, data, labels)
      step = [
        parameter.assign_sub(gradient)
        for parameter, gradient in zip(
          parameters, problem.gradients(objective, parameters), strict=True
        )
      ]
      accuracy = problem.accuracy(parameters, data, labels[:, None])
      session.run(tf.compat.v1.global_variables_initializer())
      for _ in range(50):
        session.run(step)
      assert session.run(accuracy) == 1

  def test_argmax(self):
    problem = pg.SoftmaxRegression(4, 2)
    two = evaluate(lambda: problem.argmax(tf.constant([[1.0, 5], [-1, -5]])))
    assert two.tolist() == [1, 0]
    three = evaluate(lambda: problem.argmax(tf.constant([[1.0, 5, 2]])))
    assert three.tolist() == [1]
    assert two.dtype == three.dtype == np.int32

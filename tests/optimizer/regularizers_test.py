"""The regularisers, by themselves and in the differentiable unroll."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from learned_optimizer import generators, packaged_data
from learned_optimizer.optimizer.hierarchical_rnn import HierarchicalRNNRule
from learned_optimizer.optimizer.regularizers import options
from learned_optimizer.optimizer.regularizers.eigenvalue_density import (
  eigenvalue_density,
)
from learned_optimizer.optimizer.regularizers.regularization import (
  Regularization,
)
from learned_optimizer.optimizer.regularizers.regularizer import Regularizer
from tests.optimizer import naive_regularizers, reference
from tests.optimizer.unroller import (
  METARUN_SETTINGS,
  Unroller,
  hierarchical_draws,
)

SETTINGS = dict(METARUN_SETTINGS, level_sizes=[4, 5, 6])
# Where numbers are not compared with recorded ones: graphs of one level are
# half as large.
SMALL = dict(METARUN_SETTINGS, level_sizes=[4])
VALUES = [
  ("jacob", 10),
  ("hessian", 3),
  ("hessian", 10),
  ("hessian-ev", 3),
  ("hessian-ev", 10),
  ("hessian-esd", 3),
  ("hessian-esd", 10),
]


@pytest.fixture(scope="module")
def golden():
  return reference.load(
    packaged_data.path("tests/golden/scale_regularisers.npz")
  )


def flatten(arrays):
  return np.concatenate([np.ravel(array) for array in arrays])


def recorded_draws(golden, name, num_iterations):
  """The recorded random numbers of one value."""
  if name == "jacob":
    return []
  if name in ("hessian-ev", "spectral-norm"):
    return [flatten(reference.tensors(golden, "normal_probe"))]
  num_probes = num_iterations if name == "hessian" else 1
  probes = [
    flatten(reference.tensors(golden, f"rademacher/{k}"))
    for k in range(num_probes)
  ]
  return [np.stack(probes)]


def evaluate(regularizer, objective, params, draws, jit_compile=False):
  """The value at some parameters, and its gradients as arrays."""

  @tf.function(jit_compile=jit_compile, autograph=False)
  def run(params, draws):
    gradients = tf.gradients(objective(params), params)
    value = regularizer.value(gradients, params, draws)
    return value, tf.gradients(
      value, params, unconnected_gradients=tf.UnconnectedGradients.ZERO
    )

  value, gradients = run(
    [tf.constant(param) for param in params],
    [tf.constant(draw) for draw in draws],
  )
  return value.numpy(), [
    tf.convert_to_tensor(gradient).numpy() for gradient in gradients
  ]


def value_of(regularizer, objective, params, draws):
  """The value alone; what differentiates it costs several times as much."""

  @tf.function(autograph=False)
  def run(params, draws):
    gradients = tf.gradients(objective(params), params)
    return regularizer.value(gradients, params, draws)

  return run([*map(tf.constant, params)], [*map(tf.constant, draws)]).numpy()


def drawn(regularizer, params, seed=0):
  """Random numbers of one step."""
  draws = regularizer.draws(
    [param.shape for param in params], 1, np.random.default_rng(seed)
  )
  return regularizer.at_step(draws, 0)


def published_mlp():
  """The perceptron of the anchor values: problem, data, labels, start."""
  random_state = np.random.RandomState(0)
  data = random_state.randn(30, 6).astype(np.float32)
  labels = random_state.randint(0, 3, 30)
  random_state = np.random.RandomState(1)
  shapes = [(6, 4), (4,), (4, 3), (3,)]
  start = [random_state.randn(*s).astype(np.float32) for s in shapes]
  return reference.mlp(start), data, labels, start


class TestRecordedValues:
  @pytest.mark.parametrize("name, num_iterations", VALUES)
  def test_value_and_gradient(self, golden, name, num_iterations):
    start = reference.tensors(golden, "init_param")
    problem = reference.mlp(start)
    value, gradients = evaluate(
      options.by_name(name, num_iterations),
      lambda p: problem.objective(p, golden["data"], golden["labels"]),
      start,
      recorded_draws(golden, name, num_iterations),
    )
    expected = reference.under(golden, f"value/{name}_itr{num_iterations}/")
    np.testing.assert_allclose(value, expected["reg"], rtol=1e-5)
    reference.assert_tensor(
      flatten(gradients),
      flatten(reference.tensors(expected, "grad_reg")),
      relative=1e-4,
    )

  def test_published_anchors(self):
    problem, data, labels, start = published_mlp()
    data, labels = data[:5], labels[:5]
    shapes = [param.shape for param in start]
    # The original draws each tensor of each probe in turn.
    random_state = np.random.RandomState(5)
    probes = np.float32(
      [
        flatten([2 * random_state.randint(0, 2, s) - 1 for s in shapes])
        for _ in range(10)
      ]
    )
    for name, draws, expected, tolerance in (
      ("hessian", [probes], 2.0365950, 1e-5),
      ("hessian-esd", [probes[:1]], 1.5255090, 1e-5),
      ("hessian-ev", [random_state.randn(43)], 0.92737, 2e-4),
      ("spectral-norm", [random_state.randn(43)], 0.92737, 2e-4),
      ("jacob", [], 0.00149454, 1e-5),
    ):
      value = value_of(
        options.by_name(name),
        lambda p: problem.objective(p, data, labels),
        start,
        draws,
      )
      np.testing.assert_allclose(value, expected, rtol=tolerance, err_msg=name)

  def test_published_anchor_of_one_step(self):
    """Parameters at the start depend on no weight; neither does the penalty."""
    problem, data, labels, start = published_mlp()
    unroller = Unroller(
      problem,
      reference.Data(data, labels.astype(np.int32)),
      regularization=Regularization(options.by_name("jacob"), 1.0),
      **SMALL | dict(use_log_objective=True),
    )
    actual = unroller.run(1, np.arange(5)[np.newaxis])
    np.testing.assert_allclose(actual["objs"], [1.3062198] * 2, rtol=1e-6)
    np.testing.assert_allclose(
      actual["metaobj"], 0.00149454 + 2.384e-7, rtol=1e-5
    )
    for name, gradient in actual["grads"].items():
      np.testing.assert_array_equal(gradient, 0, err_msg=name)

  def test_anchors_of_a_quadratic(self):
    random_state = np.random.RandomState(1234)
    w = random_state.normal(size=(20, 20)).astype(np.float32)
    y = random_state.normal(size=(20, 1)).astype(np.float32)
    start = [np.ones([20, 1], np.float32)]
    problem = reference.quadratic(w, y, start)
    probes = 2 * np.random.RandomState(0).randint(0, 2, (10, 20)) - 1
    for name, draws, expected, tolerance in (
      ("hessian", [probes], 412.5444, 1e-5),
      ("hessian-esd", [probes[:1]], 264.2238, 1e-5),
      ("jacob", [], 515.7174, 1e-5),
    ):
      value = value_of(options.by_name(name), problem.objective, start, draws)
      np.testing.assert_allclose(value, expected, rtol=tolerance, err_msg=name)


class TestValues:
  def test_trace_is_exact_with_a_probe_for_every_coordinate(self, golden):
    # The columns of a Hadamard matrix are probes of +-1 that average exactly.
    problem = reference.bowls(np.float64)
    signs = np.array([[1.0]])
    for _ in range(4):
      signs = np.block([[signs, signs], [signs, -signs]])
    trace = np.linspace(0.5, 3, 6).sum() + 13.1
    value = value_of(
      options.by_name("hessian", 16),
      problem.objective,
      problem._initial_parameters,
      [signs[:, :10]],
    )
    np.testing.assert_allclose(value, trace, rtol=1e-12)

  @pytest.mark.parametrize(
    "eigenvalues, expected",
    [
      # No more steps than coordinates: then it is the trace.
      ([1, 2, 3, 5, 8], 19),
      # An eigenvalue that occurs twice has one direction in what is reached.
      ([1, 2, 3, 3, 5, 8], 19),
      ([3] * 5, 3),
    ],
  )
  def test_lanczos_ends_where_no_direction_is_left(self, eigenvalues, expected):
    regularizer = options.by_name("hessian-esd", 30)
    params = [np.linspace(-1, 2, len(eigenvalues)).astype(np.float32)]
    value, gradients = evaluate(
      regularizer,
      lambda p: (
        0.5 * tf.reduce_sum(p[0] ** 2 * np.float32(eigenvalues))
        + 1e-9 * tf.reduce_sum(p[0] ** 4)
      ),
      params,
      drawn(regularizer, params),
    )
    np.testing.assert_allclose(value, expected, rtol=1e-4)
    assert np.abs(gradients[0]).max() < 1e-5

  @pytest.mark.parametrize(
    "name, expected", [("hessian-ev", -9.0), ("spectral-norm", 9.0)]
  )
  def test_sign_of_the_largest_eigenvalue(self, name, expected):
    regularizer = options.by_name(name, 10)
    params = [np.float32([0.3, -0.2, 0.5])]
    value = value_of(
      regularizer,
      lambda p: 0.5 * tf.reduce_sum(p[0] ** 2 * [-9.0, 1.0, 3.0]),
      params,
      drawn(regularizer, params),
    )
    np.testing.assert_allclose(value, expected, rtol=1e-4)

  def test_spectral_norm_of_opposite_eigenvalues(self):
    params = [np.float32([0.3, -0.2])]
    draws = [np.float32([1.0, 1.0])]
    for name, expected in (("hessian-ev", 0.0), ("spectral-norm", 2.0)):
      value = value_of(
        options.by_name(name),
        lambda p: tf.reduce_sum(p[0] ** 2 * [-1.0, 1.0]),
        params,
        draws,
      )
      np.testing.assert_allclose(value, expected, atol=1e-5)

  @pytest.mark.parametrize("name", options.NAMES)
  def test_no_curvature(self, name):
    regularizer = options.by_name(name)
    params = [np.ones([3, 4], np.float32), np.ones([2], np.float32)]
    value, gradients = evaluate(
      regularizer,
      lambda p: tf.reduce_sum(p[0]) + tf.reduce_sum(p[1]),
      params,
      drawn(regularizer, params),
    )
    assert value == (1 if name == "jacob" else 0)
    for gradient in gradients:
      np.testing.assert_array_equal(gradient, 0)

  @pytest.mark.parametrize("name", options.NAMES)
  def test_rows_of_a_table(self, name):
    """Looked up op by op, and multiplied in a compiled function."""
    regularizer = options.by_name(name, 2)
    params = [np.linspace(-1, 1, 8).reshape(4, 2), np.array([0.3, -0.7])]
    draws = drawn(regularizer, params)
    rows = [2, 0, 2]
    one_hot = np.eye(4)[rows]

    def looked_up(p):
      return tf.reduce_sum(tf.tanh(tf.gather(p[0], rows) * p[1]) ** 2)

    def multiplied(p):
      return tf.reduce_sum(tf.tanh(tf.matmul(one_hot, p[0]) * p[1]) ** 2)

    actual = evaluate(regularizer, looked_up, params, draws)
    expected = evaluate(regularizer, multiplied, params, draws, True)
    np.testing.assert_allclose(actual[0], expected[0], rtol=1e-9)
    np.testing.assert_allclose(
      flatten(actual[1]), flatten(expected[1]), rtol=1e-7, atol=1e-9
    )


class TestDraws:
  @pytest.mark.parametrize("name", options.NAMES)
  def test_draws_of_a_host_and_of_a_graph_fit(self, name):
    regularizer = options.by_name(name, 3)
    shapes = [(4, 5), (), (3,)]
    arrays = regularizer.draws(shapes, 7, np.random.default_rng(1))
    again = regularizer.draws(shapes, 7, np.random.default_rng(1))
    with tf.Graph().as_default():
      tensors = regularizer.draws(shapes, 7, generators.TensorGenerator())
      assert [t.shape for t in tensors] == [a.shape for a in arrays]
      assert all(t.dtype == tf.float32 for t in tensors)
    for array, same in zip(arrays, again, strict=True):
      assert array.dtype == np.float32
      np.testing.assert_array_equal(array, same)
      assert array.shape[-1] == 24
      if regularizer.draws_each_step:
        assert len(array) == 7
      else:
        np.testing.assert_array_equal(np.abs(array), 1)
        assert len(np.unique(array)) == 2


class TestErrors:
  def test_unknown_name(self):
    with pytest.raises(ValueError, match="reg_option is 'trace'; one of hess"):
      options.by_name("trace")

  @pytest.mark.parametrize("name", [n for n in options.NAMES if n != "jacob"])
  @pytest.mark.parametrize("number", [0, -1, 2.5, True])
  def test_number_of_iterations(self, name, number):
    with pytest.raises(ValueError, match="must be a positive integer, got"):
      options.by_name(name, number)

  def test_weights(self):
    with pytest.raises(ValueError, match="optimizer_weight must be a finite"):
      Regularization(options.by_name("jacob"), float("nan"))
    with pytest.raises(ValueError, match="optimizee_weight must be a finite"):
      Regularization(options.by_name("jacob"), 0.0, float("inf"))

  def test_missing_gradient(self):
    with pytest.raises(ValueError, match=r"gradients\[0\] is None"):
      options.by_name("jacob").value([None], [tf.ones([2])], [])

  def test_draws_of_another_size(self):
    with pytest.raises(ValueError, match="draws must have 2 columns"):
      options.by_name("hessian").value(
        [tf.ones([2])], [tf.ones([2])], [tf.ones([10, 3])]
      )


class TestDensity:
  def test_moments_are_those_of_the_hessian(self, golden):
    start = reference.tensors(golden, "init_param")
    problem = reference.mlp(start)
    hessian = golden["exact_hessian"].astype(np.float64)
    num_probes, size = 200, len(hessian)
    density = eigenvalue_density(
      lambda p: problem.objective(p, golden["data"], golden["labels"]),
      start,
      np.random.default_rng(0),
      num_probes,
      10,
    )
    np.testing.assert_allclose(density.weights.sum(), 1, rtol=1e-6)
    assert (density.weights >= 0).all()
    eigenvalues = np.linalg.eigvalsh(hessian)
    assert density.nodes.max() <= eigenvalues[-1] + 1e-4
    assert density.nodes.min() >= eigenvalues[0] - 1e-4
    for order in (1, 2):
      power = np.linalg.matrix_power(hessian, order)
      # The variance of v . A v over probes of +-1 is 2 sum_{i != j} A_ij^2.
      variance = 2 * (np.sum(power**2) - np.sum(np.diag(power) ** 2))
      error = np.sqrt(variance / num_probes) / size
      exact = np.trace(power) / size
      assert abs(density.moment(order) - exact) < 4 * error
      # The bound says something.
      assert 4 * error < 0.5 * exact

  def test_moments_are_exactly_those_of_the_probes(self, golden):
    start = reference.tensors(golden, "init_param")
    problem = reference.mlp(start)
    hessian = golden["exact_hessian"].astype(np.float64)
    density = eigenvalue_density(
      lambda p: problem.objective(p, golden["data"], golden["labels"]),
      start,
      np.random.default_rng(3),
      4,
      6,
    )
    shapes = [array.shape for array in start]
    (probes,) = options.by_name("hessian", 4).draws(
      shapes, 0, np.random.default_rng(3)
    )
    for order in range(6):
      power = np.linalg.matrix_power(hessian, order)
      exact = np.einsum("ki,ij,kj->", probes, power, probes) / probes.size
      np.testing.assert_allclose(density.moment(order), exact, rtol=1e-4)

  def test_few_coordinates_give_the_eigenvalues(self):
    density = eigenvalue_density(
      lambda p: 0.5 * tf.reduce_sum(p[0] ** 2 * [-4.0, 1.0, 3.0]),
      [np.float32([0.3, -0.2, 0.5])],
      np.random.default_rng(0),
      num_probes=2,
    )
    np.testing.assert_allclose(density.nodes, [[-4, 1, 3]] * 2, atol=1e-5)
    np.testing.assert_allclose(density.weights, np.full([2, 3], 1 / 6), 1e-4)

  def test_one_step(self):
    density = eigenvalue_density(
      lambda p: tf.reduce_sum(p[0] ** 2),
      [np.ones([5], np.float32)],
      np.random.default_rng(0),
      num_probes=1,
      num_steps=1,
    )
    np.testing.assert_allclose(density.nodes, [[2]], rtol=1e-5)

  @pytest.mark.parametrize("argument", ["num_probes", "num_steps"])
  def test_bad_numbers(self, argument):
    with pytest.raises(ValueError, match=f"{argument} must be a positive"):
      eigenvalue_density(
        lambda p: tf.reduce_sum(p[0] ** 2),
        [np.ones([5], np.float32)],
        np.random.default_rng(0),
        **{argument: 0},
      )


def golden_unroll(golden, name, alpha, second=True):
  """An unroller of the recorded problem, and what its runs get."""
  problem = reference.mlp(reference.tensors(golden, "init_param"))
  regularization = Regularization(options.by_name(name, 2), alpha)
  unroller = Unroller(
    problem,
    reference.Data(golden["data"], golden["labels"]),
    regularization=regularization,
    **SETTINGS | dict(use_second_derivatives=second),
  )
  unroller.load(reference.under(golden, "vars/"))
  return unroller


def run_golden(unroller, golden, **how):
  draws = hierarchical_draws(
    reference.tensors(golden, "init_log_learning_rate")
  )
  return unroller.run(5, golden["batches"], state_draws=draws, **how)


def assert_recorded(actual, golden, prefix):
  expected = reference.under(golden, f"{prefix}/")
  reference.assert_scores(actual, expected)
  for tensor, end in zip(
    actual["params"], reference.tensors(expected, "end/param"), strict=True
  ):
    reference.assert_tensor(tensor, end)


class TestRecordedUnrolls:
  @pytest.mark.parametrize("second", [True, False])
  def test_jacob(self, golden, second):
    unroller = golden_unroll(golden, "jacob", 1.0, second)
    prefix = "train/jacob" if second else "train/jacob_second0"
    for switch in (1, 0):
      actual = run_golden(unroller, golden, regularize=bool(switch))
      assert_recorded(actual, golden, f"{prefix}/switch{switch}")

  @pytest.mark.parametrize(
    # One draws its numbers once, the other in each step.
    "name",
    ["hessian", "hessian-ev"],
  )
  def test_switched_off(self, golden, name):
    unroller = golden_unroll(golden, name, 0.1)
    on = run_golden(unroller, golden)
    off = run_golden(unroller, golden, regularize=False)
    assert_recorded(off, golden, "train/none_off/switch0")
    assert abs(on["metaobj"] - off["metaobj"]) > 0.01
    np.testing.assert_array_equal(on["objs"], off["objs"])


@dataclasses.dataclass(frozen=True)
class Broken(Regularizer):
  """Stops whoever computes it, and is not a number."""

  name = "broken"

  def value(self, gradients, params, draws):
    square = tf.reduce_sum(params[0] ** 2)
    with tf.control_dependencies([tf.debugging.assert_negative(square)]):
      return np.nan * square


class NoisyProblem(reference.ToyProblem):
  """Adds a constant to the gradients."""

  def with_constants(self, constants):
    return self

  def gradients(self, objective, params, draws=None):
    return [g + 0.5 for g in tf.gradients(objective, params)]


def small_mlp(noisy=False):
  """An MLP 2-1-2 with its data and batches."""
  generator = np.random.default_rng(4)
  # The second reading differentiates every entry of the gradient.
  shapes = [(2, 1), (1,), (1, 2), (2,)]
  start = [generator.normal(size=s).astype(np.float32) for s in shapes]
  problem = reference.mlp(start)
  if noisy:
    problem = NoisyProblem(problem._objective, start)
  data = generator.normal(size=(10, 2)).astype(np.float32)
  labels = generator.integers(0, 2, 10).astype(np.int32)
  batches = generator.integers(0, 10, (3, 4)).astype(np.int32)
  return problem, reference.Data(data, labels), batches


def fast_draws(params):
  """What makes initial learning rates with which parameters really move."""
  return hierarchical_draws(
    [np.full(param.shape, -1.5, np.float32) for param in params]
  )


class TestUnroll:
  @pytest.mark.parametrize(
    "name, num_iterations, alpha, beta, settings, jit_compile",
    [
      ("jacob", 1, 0.0, 0.5, {}, False),
      ("hessian", 2, 0.1, 0.2, {}, False),
      ("hessian-ev", 2, 0.1, 0.0, dict(use_second_derivatives=False), False),
      ("spectral-norm", 2, 0.1, 0.0, dict(use_attention=True), False),
      ("hessian-esd", 3, 0.1, 0.0, dict(use_attention=True), True),
      ("jacob", 1, 0.5, 0.5, {}, True),
    ],
  )
  def test_second_reading(
    self, name, num_iterations, alpha, beta, settings, jit_compile
  ):
    problem, dataset, batches = small_mlp()
    # What is known of a step's gradient shows in the gradient of the next one,
    # and that in the objective one further on; a penalty shows one earlier.
    batches = batches[: 3 if beta else 2]
    regularizer = options.by_name(name, num_iterations)
    rule = HierarchicalRNNRule(
      **SMALL | {k: v for k, v in settings.items() if k == "use_attention"}
    )
    generator = np.random.default_rng(5)
    params = problem._initial_parameters
    state_draws = fast_draws(params)
    shapes = [param.shape for param in params]
    draws = regularizer.draws(shapes, len(batches), generator)
    weights = reference.filled_weights(rule.weight_specs())
    unroller = Unroller(
      problem,
      dataset,
      jit_compile,
      regularization=Regularization(regularizer, alpha, beta),
      **SMALL | settings,
    )
    unroller.load(weights)
    # More is fed than is run, and must not count.
    padded = [
      np.concatenate([draw, draw]) if regularizer.draws_each_step else draw
      for draw in draws
    ]
    actual = unroller.run(
      len(batches),
      batches,
      state_draws=state_draws,
      regularizer_draws=padded,
      capacity=2 * len(batches),
    )
    with tf.Graph().as_default(), reference.quick_session() as session:
      fetches = naive_regularizers.unroll(
        rule,
        {key: tf.constant(value) for key, value in weights.items()},
        problem,
        dataset,
        tf.nest.map_structure(tf.constant, state_draws),
        batches,
        (
          name,
          num_iterations,
          alpha,
          beta,
          [regularizer.at_step(draws, step) for step in range(len(batches))],
          settings.get("use_attention", False),
          settings.get("use_second_derivatives", True),
        ),
      )
      meta_objective, gradients, end = session.run(fetches)
    np.testing.assert_allclose(actual["metaobj"], meta_objective, rtol=2e-5)
    for tensor, expected in zip(actual["params"], end, strict=True):
      reference.assert_tensor(tensor, expected)
    largest = max(np.linalg.norm(g) for g in gradients.values())
    for key, gradient in gradients.items():
      error = np.linalg.norm(actual["grads"][key] - gradient)
      assert error <= 1e-3 * np.linalg.norm(gradient) + 1e-5 * largest, key

  def test_switched_off_nothing_of_it_is_computed(self):
    problem, dataset, batches = small_mlp()
    runs = []
    for regularization in (None, Regularization(Broken(), 1.0)):
      unroller = Unroller(
        problem, dataset, regularization=regularization, **SMALL
      )
      rule = unroller.optimizer.rule
      unroller.load(reference.filled_weights(rule.weight_specs()))
      draws = rule.draws(problem._initial_parameters, np.random.default_rng(5))
      how = dict(state_draws=draws)
      runs.append(unroller.run(3, batches, regularize=False, **how))
    tf.nest.map_structure(np.testing.assert_array_equal, *runs)
    with pytest.raises(
      tf.errors.InvalidArgumentError, match="x < 0 did not hold"
    ):
      unroller.run(3, batches, regularize=True, **how)

  def test_nothing_is_built_without_a_regulariser(self):
    problem, dataset, _ = small_mlp()

    def conditionals(regularization):
      unroller = Unroller(
        problem,
        dataset,
        meta_gradients=False,
        regularization=regularization,
        **SMALL,
      )
      library = unroller.graph.as_graph_def().library
      nodes = [n for f in library.function for n in f.node_def]
      return unroller.out, sum(n.op in ("If", "StatelessIf") for n in nodes)

    out, without = conditionals(None)
    assert out.jacob_switch is None
    assert out.regularizer_draws == []
    out, count = conditionals(
      Regularization(options.by_name("hessian", 1), 0.1)
    )
    assert out.jacob_switch is not None
    assert count == without + 1

  def test_noise_of_gradients_is_left_out(self):
    _, dataset, batches = small_mlp()
    ends, penalties = {}, {}
    for noisy in (False, True):
      for alpha, beta in ((1.0, 0.0), (0.0, 0.1)):
        problem, _, _ = small_mlp(noisy)
        unroller = Unroller(
          problem,
          dataset,
          meta_gradients=False,
          regularization=Regularization(options.by_name("jacob"), alpha, beta),
          **SMALL,
        )
        rule = unroller.optimizer.rule
        unroller.load(reference.filled_weights(rule.weight_specs()))
        draws = fast_draws(problem._initial_parameters)
        on, off = (
          unroller.run(1, batches[:1], state_draws=draws, regularize=switch)
          for switch in (True, False)
        )
        ends[noisy, alpha] = flatten(on["params"])
        penalties[noisy, alpha] = on["metaobj"] - off["metaobj"]
    # In the meta-objective: exact gradients, on a path that has the noise.
    assert penalties[False, 1.0] > 1e-4
    np.testing.assert_allclose(penalties[True, 1.0], penalties[False, 1.0])
    assert np.abs(ends[True, 1.0] - ends[False, 1.0]).max() > 1e-6
    # In the inner objective: no noise, and no switch.
    np.testing.assert_array_equal(ends[True, 0.0], ends[False, 0.0])
    assert penalties[True, 0.0] == 0

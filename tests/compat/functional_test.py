"""Learned optimizers as pure functions."""

import doctest

import numpy as np
import pytest
import tensorflow as tf

from learned_optimizer.compat import functional
from learned_optimizer.compat.learned_rule import LearnedRule
from learned_optimizer.optimizer.hierarchical_rnn import HierarchicalRNN
from tests.compat import learned
from tests.optimizer import reference

RATES = {"init_lr_range": (1e-2, 1e-1)}
RULES = {
  "hierarchical": learned.learned(**learned.SMALL, **RATES),
  "attention": learned.learned(**learned.SMALL, **RATES, use_attention=True),
  "one-level": learned.learned(level_sizes=[3], **RATES),
  "coordinatewise": learned.learned(
    "CoordinatewiseRNN", cell_sizes=[3, 2], **RATES
  ),
  "trainable-adam": learned.learned("TrainableAdam"),
  "global-learning-rate": learned.learned("GlobalLearningRate"),
  "schedule": learned.learned("LearningRateSchedule", n_steps=3),
}


def _params(dtype=np.float32):
  return {
    "matrix": np.linspace(-1.0, 1.0, 6).reshape(2, 3).astype(dtype),
    "others": (np.asarray(0.5, dtype), [np.asarray([2.0, -3.0], dtype)]),
  }


def _grads(params, scale=1.0):
  return tf.nest.map_structure(
    lambda p: scale * tf.sin(tf.convert_to_tensor(p)) + 0.1 * p, params
  )


def _run(optimizer, params, num_steps=4, seed=3, weights=None):
  """Several steps; (parameters, state)."""
  state = optimizer.init(params, seed, weights)
  for _ in range(num_steps):
    params, state = optimizer.update(_grads(params), state, params, weights)
  return params, state


def _assert_same(actual, expected, relative=None):
  tf.nest.assert_same_structure(actual, expected)
  for a, b in zip(
    tf.nest.flatten(actual), tf.nest.flatten(expected), strict=True
  ):
    assert np.asarray(a).dtype == np.asarray(b).dtype
    if relative is None:
      np.testing.assert_array_equal(a, b)
    else:
      reference.assert_tensor(a, b, relative)


@pytest.fixture(params=RULES)
def optimizer(request):
  return functional.Functional(RULES[request.param])


def test_it_is_the_rule(optimizer):
  params, state = _run(optimizer, _params())
  rule = optimizer.learned.rule
  weights = {k: tf.constant(v) for k, v in optimizer.learned.weights.items()}
  values = [tf.constant(p) for p in tf.nest.flatten(_params())]
  draws = rule.draws(values, np.random.default_rng(3))
  expected = rule.init_state(weights, values, draws)
  truths = values
  for _ in range(4):
    update = rule.update(weights, values, _grads(values), expected)
    values, truths = update.attended_params, update.params
    expected = update.state
  _assert_same(params, tf.nest.pack_sequence_as(params, values))
  _assert_same(state, expected)
  solution = optimizer.solution(state, params)
  _assert_same(solution, tf.nest.pack_sequence_as(params, truths))


# Rules are compiled in tests of their own; these differ in what is around them.
@pytest.mark.parametrize("name", ["attention", "coordinatewise", "schedule"])
def test_compiled(name):
  optimizer = functional.Functional(RULES[name])
  expected = _run(optimizer, _params())

  @tf.function(jit_compile=True)
  def step(params, state):
    return optimizer.update(_grads(params), state, params)

  params = tf.nest.map_structure(tf.constant, _params())
  state = tf.function(optimizer.init, jit_compile=True)(params, 3)
  for _ in range(4):
    params, state = step(params, state)
  _assert_same((params, state), expected, relative=1e-5)


@pytest.mark.parametrize("name", ["attention", "schedule"])
def test_in_a_while_loop(name):
  optimizer = functional.Functional(RULES[name])
  expected = _run(optimizer, _params(), num_steps=5)

  @tf.function
  def run(params):
    state = optimizer.init(params, seed=3)
    for _ in tf.range(5):
      params, state = optimizer.update(_grads(params), state, params)
    return params, state

  params = tf.nest.map_structure(tf.constant, _params())
  _assert_same(run(params), expected, relative=1e-5)


def test_in_a_tf1_graph():
  optimizer = functional.Functional(RULES["attention"])
  expected = _run(optimizer, _params())
  with tf.Graph().as_default():
    fetches = _run(optimizer, _params())
    with tf.compat.v1.Session() as session:
      actual = session.run(fetches)
  _assert_same(actual, expected, relative=1e-5)


def test_variables_are_not_assigned(optimizer):
  variables = tf.nest.map_structure(tf.Variable, _params())
  state = optimizer.init(variables, seed=3)
  params, _ = optimizer.update(_grads(variables), state, variables)
  _assert_same(variables, _params())
  _assert_same(params, _run(optimizer, _params(), num_steps=1)[0])


def test_parameters_without_gradient_are_not_there(optimizer):
  params = _params()
  state = optimizer.init(params, seed=3)
  for _ in range(3):
    grads = _grads(params)
    grads["others"][1][0] = None
    params, state = optimizer.update(grads, state, params)
  _assert_same(params["others"][1], _params()["others"][1])
  # The state that the others start with is part of that of all.
  rest = [params["matrix"], params["others"][0]]
  rule = optimizer.learned.rule
  whole = [tf.constant(p) for p in tf.nest.flatten(_params())]
  slots = rule.to_slots(optimizer.init(_params(), seed=3), whole)
  expected = whole[:2]
  expected_state = rule.from_slots(
    slots._replace(per_tensor=slots.per_tensor[:2]), expected
  )
  for _ in range(3):
    expected, expected_state = optimizer.update(
      _grads(expected), expected_state, expected
    )
  _assert_same(rest, expected)
  # And the state of the one that was left out is as it was at first.
  values = [tf.constant(p) for p in tf.nest.flatten(params)]
  left_out = rule.to_slots(state, values).per_tensor[2]
  _assert_same(left_out, slots.per_tensor[2])


def test_parameters_without_gradient_under_xla():
  optimizer = functional.Functional(RULES["one-level"])

  def step(params, state):
    grads = _grads(params) | {"matrix": None}
    return optimizer.update(grads, state, params)

  params = tf.nest.map_structure(tf.constant, _params())
  state = optimizer.init(params, seed=3)
  compiled = tf.function(step, jit_compile=True)(params, state)
  _assert_same(compiled, step(params, state), relative=1e-5)


@pytest.mark.parametrize("name", ["hierarchical", "coordinatewise"])
def test_sparse_gradients(name):
  optimizer = functional.Functional(RULES[name])
  table = [tf.constant(_params()["matrix"])]
  state = optimizer.init(table, seed=3)
  slices = tf.IndexedSlices(tf.constant([[1.0, 2.0, 3.0]] * 2), [1, 1])
  dense = tf.constant([[0.0, 0.0, 0.0], [2.0, 4.0, 6.0]])
  actual, _ = optimizer.update([slices], state, table)
  expected, _ = optimizer.update([dense], state, table)
  np.testing.assert_array_equal(actual[0][1], expected[0][1])
  if optimizer.learned.rule.keeps_unseen_rows:
    np.testing.assert_array_equal(actual[0][0], table[0][0])
  else:
    np.testing.assert_array_equal(actual[0][0], expected[0][0])


@pytest.mark.parametrize(
  "dtypes, computed",
  [
    ((np.float64, np.float64), tf.float64),
    ((np.float64, np.float32), tf.float32),
    ((tf.bfloat16.as_numpy_dtype, np.float16), tf.float32),
  ],
  ids=str,
)
@pytest.mark.parametrize("name", RULES)
def test_dtypes(name, dtypes, computed):
  optimizer = functional.Functional(RULES[name])
  values = [np.asarray([1.0, -2.0]), np.asarray([[0.5]])]
  params = [v.astype(d) for v, d in zip(values, dtypes, strict=True)]
  grads = [tf.ones_like(p) for p in params]
  state = optimizer.init(params, seed=3)
  moved, new_state = optimizer.update(grads, state, params)
  for leaf in tf.nest.flatten([state, new_state]):
    assert leaf.dtype in (computed, tf.int32)
  assert [m.dtype for m in moved] == [tf.as_dtype(d) for d in dtypes]
  # As in single precision, up to rounding of the result.
  params = [v.astype(np.float32) for v in values]
  expected, _ = optimizer.update(
    [tf.ones_like(p) for p in params], optimizer.init(params, seed=3), params
  )
  for actual, value in zip(moved, expected, strict=True):
    reference.assert_tensor(np.asarray(actual, np.float64), value, 5e-3)


@pytest.mark.parametrize("name", ["hierarchical", "attention", "schedule"])
def test_gradients_of_weights(name):
  """They are those of finite differences, through initial state and steps."""
  optimizer = functional.Functional(RULES[name])
  params = _params(np.float64)
  weights = {
    k: np.asarray(v, np.float64) for k, v in optimizer.learned.weights.items()
  }
  generator = np.random.default_rng(0)
  direction = {k: generator.normal(size=v.shape) for k, v in weights.items()}

  def objective(length):
    moved = {k: weights[k] + length * direction[k] for k in weights}
    end, state = _run(optimizer, params, weights=moved)
    values = tf.nest.flatten(optimizer.solution(state, end))
    return tf.add_n([tf.reduce_sum(tf.square(value)) for value in values])

  length = tf.zeros([], tf.float64)
  with tf.GradientTape() as tape:
    tape.watch(length)
    value = objective(length)
  step = 1e-6
  difference = (objective(step) - objective(-step)) / (2.0 * step)
  derivative = tape.gradient(value, length)
  assert abs(difference) > 1e-4
  np.testing.assert_allclose(derivative, difference, rtol=1e-5)


def test_the_trajectory_is_that_of_the_tf1_optimizer(tmp_path):
  rule = learned.learned(**learned.SMALL, init_lr_range=(0.05, 0.05))
  # Not explicit weights, with which rounding errors grow step by step.
  weights = {k: v.numpy() for k, v in rule.rule.init_weights(seed=3).items()}
  rule = LearnedRule(rule.optimizer_name, rule.settings, weights)
  learned.write_run(tmp_path, rule, recorded=None)
  optimizer = functional.load(tmp_path, init_lr_range=(0.05, 0.05))
  problem = reference.bowls()
  with tf.Graph().as_default(), tf.compat.v1.Session() as session:
    variables = [
      tf.compat.v1.get_variable(f"x{i}", initializer=p, use_resource=True)
      for i, p in enumerate(problem.init_tensors())
    ]
    shell = HierarchicalRNN(**rule.settings)
    objective = problem.objective(variables)
    step = shell.minimize(objective, var_list=variables)
    session.run(tf.compat.v1.global_variables_initializer())
    shell.restore(session, str(tmp_path))
    expected = []
    for _ in range(50):
      session.run(step)
      expected.append(session.run(variables))

  @tf.function
  def train_step(params, state):
    with tf.GradientTape() as tape:
      tape.watch(params)
      objective = problem.objective(params)
    return optimizer.update(tape.gradient(objective, params), state, params)

  params = problem.init_tensors()
  state = optimizer.init(params)
  for tensors in expected:
    params, state = train_step(params, state)
    for actual, tensor in zip(params, tensors, strict=True):
      reference.assert_tensor(actual, tensor)
  assert problem.objective(params) < 0.9 * problem.objective(
    problem.init_tensors()
  )


def test_seeds():
  optimizer = functional.Functional(RULES["hierarchical"])
  one, same, other, free, another = (
    optimizer.init(_params(), seed) for seed in (1, 1, 2, None, None)
  )
  _assert_same(one, same)
  key = "log_learning_rate"
  assert not np.array_equal(one[key], other[key])
  assert not np.array_equal(free[key], another[key])


@pytest.mark.parametrize(
  "grads, message",
  [
    ([None, None], "grads are all None"),
    ([np.ones(2, np.float32)], "another structure than params"),
    ({"a": None}, "another structure than params"),
    ([np.ones(3, np.float32), None], r"grads\[0\] has shape \(3,\)"),
    (
      [None, tf.IndexedSlices(tf.ones([1, 2]), [0])],
      r"grads\[1\] has shape \(2,\); that of its parameter, \(3,\)",
    ),
  ],
  ids=str,
)
def test_bad_gradients(grads, message):
  optimizer = functional.Functional(RULES["hierarchical"])
  params = [tf.ones([2]), tf.ones([2, 3])]
  state = optimizer.init(params, seed=0)
  with pytest.raises(ValueError, match=message):
    optimizer.update(grads, state, params)


@pytest.mark.parametrize(
  "params, message",
  [
    ([], "params is empty"),
    ([np.ones(2, np.float32), np.ones(2, np.int32)], r"params\[1\] is int32"),
    ([np.array(["a"])], r"params\[0\] is string"),
    ([np.ones(2, np.float32), None], r"params\[1\] is None; floating-point"),
  ],
)
def test_bad_parameters(optimizer, params, message):
  with pytest.raises(ValueError, match=message):
    optimizer.init(params)


@pytest.mark.parametrize("seed", [-1, "a"])
def test_bad_seeds(optimizer, seed):
  with pytest.raises(ValueError, match="seed is .* an integer"):
    optimizer.init(_params(), seed)


def test_bad_weights():
  optimizer = functional.Functional(RULES["hierarchical"])
  params, weights = _params(), dict(optimizer.learned.weights)
  state = optimizer.init(params, seed=0)
  value = weights.pop("LOL/update_weights")
  for wrong, message in (
    (weights, r"weights has no LOL/update_weights of shape \(2, 1\)"),
    (
      weights | {"LOL/update_weights": tf.zeros([3, 1])},
      r"LOL/update_weights'\] has shape \(3, 1\); .* \(2, 1\) is accepted",
    ),
    (
      weights | {"LOL/update_weights": value, "other": value},
      r"weights has other of shape \(2, 1\)",
    ),
    (3, "weights is 3; a mapping"),
  ):
    with pytest.raises(ValueError, match=message):
      optimizer.init(params, weights=wrong)
    with pytest.raises(ValueError, match=message):
      optimizer.update(_grads(params), state, params, wrong)


def test_state_of_other_parameters():
  optimizer = functional.Functional(RULES["hierarchical"])
  params = [tf.ones([2]), tf.ones([3])]
  adam = functional.Functional(RULES["trainable-adam"])
  for state in (
    None,
    adam.init(params),
    optimizer.init(params[:1], seed=0),
    # One coordinate, which would be broadcast.
    optimizer.init([tf.ones([])], seed=0),
    # As many coordinates in another number of tensors.
    optimizer.init([tf.ones([5])], seed=0),
    optimizer.init([tf.cast(p, tf.float64) for p in params], seed=0),
  ):
    with pytest.raises(ValueError, match="state does not belong to these par"):
      optimizer.update(params, state, params)
    with pytest.raises(ValueError, match="state does not belong to these par"):
      optimizer.solution(state, params)


def test_state_may_be_kept_in_variables():
  optimizer = functional.Functional(RULES["attention"])
  state = optimizer.init(_params(), seed=0)
  module = tf.Module()
  module.state = tf.nest.map_structure(tf.Variable, state)
  grads = _grads(_params())
  actual, _ = optimizer.update(grads, module.state, _params())
  _assert_same(actual, optimizer.update(grads, state, _params())[0])


def test_unknown_shapes():
  optimizer = functional.Functional(RULES["hierarchical"])

  @tf.function(input_signature=[tf.TensorSpec([None], tf.float32)])
  def init(param):
    return optimizer.init([param])

  with pytest.raises(ValueError, match=r"params\[0\] has shape"):
    init.get_concrete_function()


def test_examples_in_docstrings():
  outcome = doctest.testmod(functional)
  assert outcome.attempted
  assert not outcome.failed

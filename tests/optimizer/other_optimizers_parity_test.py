"""The smaller trainable optimizers give the numbers of the original code.

GRU and basic RNN cells are not accepted by the original; their numbers are
those of its equations with the states of these cells. The second moment of
the trainable Adam is the original's here.
"""

import numpy as np
import pytest

from learned_optimizer import packaged_data
from learned_optimizer.optimizer.coordinatewise_rnn import (
  CoordinatewiseRNN,
  CoordinatewiseRNNRule,
)
from learned_optimizer.optimizer.global_learning_rate import (
  GlobalLearningRate,
  GlobalLearningRateRule,
)
from learned_optimizer.optimizer.hierarchical_rnn import HierarchicalRNN
from learned_optimizer.optimizer.learning_rate_schedule import (
  LearningRateSchedule,
  LearningRateScheduleRule,
)
from learned_optimizer.optimizer.trainable_adam import (
  TrainableAdam,
  TrainableAdamRule,
)
from tests.optimizer import reference, stepper
from tests.optimizer.unroller import (
  METARUN_SETTINGS,
  Unroller,
  hierarchical_draws,
)

START_OBJECTIVE = 15.287499


def _coordinatewise(**settings):
  settings = dict(cell_sizes=[4, 3], init_lr_range=(1e-6, 1e-2), **settings)
  return CoordinatewiseRNN, CoordinatewiseRNNRule, settings


# TF1 optimizer, rule and settings, by the names of their recorded numbers.
OPTIMIZERS = {
  "CoordinatewiseRNN_LSTMCell": _coordinatewise(),
  "CoordinatewiseRNN_BasicLSTMCell": _coordinatewise(cell_cls="BasicLSTMCell"),
  "CoordinatewiseRNN_LSTMCell_dynamic_output_scale_off": _coordinatewise(
    dynamic_output_scale=False
  ),
  "CoordinatewiseRNN_LSTMCell_learnable_decay_off": _coordinatewise(
    learnable_decay=False
  ),
  "EXT_CoordinatewiseRNN_GRUCell": _coordinatewise(cell_cls="GRUCell"),
  "EXT_CoordinatewiseRNN_BasicRNNCell": _coordinatewise(
    cell_cls="BasicRNNCell"
  ),
  "TrainableAdam": (
    TrainableAdam,
    TrainableAdamRule,
    dict(learning_rate=1e-6, faithful_second_moment=True),
  ),
  "GlobalLearningRate": (
    GlobalLearningRate,
    GlobalLearningRateRule,
    dict(initial_rate=0.01),
  ),
  "LearningRateSchedule": (
    LearningRateSchedule,
    LearningRateScheduleRule,
    dict(initial_rate=0.01, n_steps=12),
  ),
}
PROBLEMS = ["softmax", "quad6"]
COMPILED = [
  "CoordinatewiseRNN_LSTMCell",
  "EXT_CoordinatewiseRNN_GRUCell",
  "TrainableAdam",
  "GlobalLearningRate",
  "LearningRateSchedule",
]
CASES = [
  (name, problem, jit_compile)
  for name in OPTIMIZERS
  for problem in PROBLEMS
  for jit_compile in (False, True)
  # One problem, and a cell with and one without a second state, are enough to
  # compile.
  if not jit_compile or (problem == "softmax" and name in COMPILED)
]


@pytest.fixture(scope="module")
def golden():
  return reference.load(packaged_data.path("tests/golden/other_optimizers.npz"))


def arrays_of(golden, name):
  """One optimizer's arrays among those of the problems."""
  return golden | reference.under(golden, f"{name}/")


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_steps(golden, name, problem):
  _, rule_class, settings = OPTIMIZERS[name]
  stepper.assert_steps(
    rule_class(**settings),
    arrays_of(golden, name),
    problem,
    "func",
    jit_compile=False,
  )


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_apply_gradients(golden, name, problem):
  optimizer_class, _, settings = OPTIMIZERS[name]
  stepper.assert_apply_gradients(
    lambda: optimizer_class(**settings),
    arrays_of(golden, name),
    problem,
    "func",
  )


@pytest.fixture(
  scope="module",
  params=CASES,
  ids=lambda case: f"{case[0]}-{case[1]}-{'xla' if case[2] else 'plain'}",
)
def case(request, golden):
  name, problem, jit_compile = request.param
  optimizer_class, _, settings = OPTIMIZERS[name]
  arrays = arrays_of(golden, name)
  unroller = Unroller(
    *reference.problem_and_data(arrays, problem),
    jit_compile,
    make_optimizer=optimizer_class,
    use_log_objective=True,
    **settings,
  )
  unroller.load(reference.under(arrays, "vars/"))
  draws = []
  if optimizer_class is CoordinatewiseRNN:
    rates = reference.tensors(arrays, f"{problem}/cRNN_init_learning_rate")
    draws = [np.log(rate) for rate in rates]

  def run(num_steps, k):
    batches = arrays[f"{problem}/batches"]
    return unroller.run(
      num_steps,
      batches[k * num_steps : (k + 1) * num_steps],
      first=k == 0,
      state_draws=draws,
      capacity=20,
    )

  return run, arrays, problem


def test_two_unrolls(case):
  run, arrays, problem = case
  for k in (0, 1):
    reference.assert_unroll(run(5, k), arrays, f"{problem}/train_5_5/unroll{k}")


def test_long_unroll(case):
  run, arrays, problem = case
  result = run(20, 0)
  reference.assert_unroll(
    result, arrays, f"{problem}/train_20/unroll0", relative=1e-4
  )


@pytest.mark.parametrize(
  "name", ["TrainableAdam", "GlobalLearningRate", "LearningRateSchedule"]
)
def test_initial_weights(golden, name):
  _, rule_class, settings = OPTIMIZERS[name]
  weights = rule_class(**settings).init_weights()
  expected = reference.under(golden, f"{name}/ctor_init/")
  assert list(weights) == list(expected)
  for key, value in weights.items():
    np.testing.assert_allclose(value, expected[key], rtol=1e-6)


@pytest.mark.parametrize(
  "name, learning_rate",
  [
    ("TrainableAdam", 1e-2),
    ("GlobalLearningRate", 1e-2),
    ("HierarchicalRNN_4_5_6", 1e-3),
  ],
)
def test_meta_training(golden, name, learning_rate):
  """Three steps of RMSProp, on three unrolls in a row."""
  recorded = reference.under(golden, f"metatrain_{name}/")
  if name in OPTIMIZERS:
    optimizer_class, _, settings = OPTIMIZERS[name]
    draws = []
  else:
    optimizer_class = HierarchicalRNN
    settings = dict(METARUN_SETTINGS, level_sizes=[4, 5, 6])
    draws = hierarchical_draws(
      reference.tensors(recorded, "init_log_learning_rate")
    )
  unroller = Unroller(
    *reference.problem_and_data(golden, "softmax"),
    make_optimizer=optimizer_class,
    use_log_objective=True,
    **settings,
  )
  weights = reference.under(recorded, "vars_step0/")
  mean_squares = {key: np.ones_like(value) for key, value in weights.items()}
  for k in range(3):
    unroller.load(weights)
    result = unroller.run(
      5,
      golden["softmax/batches"][5 * k : 5 * (k + 1)],
      first=k == 0,
      state_draws=draws,
    )
    np.testing.assert_allclose(
      result["metaobj"],
      recorded[f"metaobj_step{k}"],
      rtol=2e-5 if k == 0 else 1e-4,
      atol=2e-7,
    )
    grads = reference.under(recorded, f"grad_step{k}/")
    reference.assert_meta_gradients(result["grads"], grads)
    for key, grad in result["grads"].items():
      mean_squares[key] = 0.9 * mean_squares[key] + 0.1 * np.square(grad)
      weights[key] = weights[key] - learning_rate * grad / np.sqrt(
        mean_squares[key] + 1e-20
      )
      for actual, prefix in ((weights, "vars"), (mean_squares, "rms")):
        reference.assert_tensor(
          actual[key], recorded[f"{prefix}_step{k + 1}/{key}"], relative=1e-4
        )


def assert_tensors(actual, matrix, vector):
  reference.assert_tensor(actual[0], np.reshape(matrix, [2, 3]))
  reference.assert_tensor(actual[1], vector)


def test_two_bowls_by_coordinatewise_rnn():
  unroller = Unroller(
    reference.bowls(),
    reference.NO_DATA,
    make_optimizer=CoordinatewiseRNN,
    use_log_objective=True,
    cell_sizes=[4, 5],
    init_lr_range=(1e-2, 1e-2),
  )
  specs = unroller.optimizer.rule.weight_specs()
  unroller.load(reference.filled_weights(specs))
  result = unroller.run(3)
  np.testing.assert_allclose(
    result["objs"],
    [START_OBJECTIVE, START_OBJECTIVE, 15.285871, 15.284578],
    rtol=1e-6,
  )
  np.testing.assert_allclose(
    result["metaobj"], -7.346864e-5, rtol=2e-5, atol=2e-7
  )
  assert_tensors(
    result["params"],
    [0.9995258, 1.1994568, 1.3994207, 1.5994008, 1.7993919, 1.9993919],
    [0.99958974, -1.000448, 0.49967098, -2.0004287],
  )
  for name, norm in {
    "update_weights": 2.1634648e-4,
    "init_vector": 4.2803102e-4,
    "multi_rnn_cell/cell_0/lstm_cell/kernel": 4.4280649e-4,
    "multi_rnn_cell/cell_1/lstm_cell/kernel": 3.7220106e-4,
  }.items():
    grad = result["grads"][f"LOL/{name}"]
    np.testing.assert_allclose(np.linalg.norm(grad), norm, rtol=1e-4)


def test_two_bowls_by_global_learning_rate():
  unroller = Unroller(
    reference.bowls(), reference.NO_DATA, make_optimizer=GlobalLearningRate
  )
  result = unroller.run(3)
  np.testing.assert_allclose(
    result["objs"],
    [START_OBJECTIVE, START_OBJECTIVE, 15.210567, 15.134349],
    rtol=1e-6,
  )
  np.testing.assert_allclose(result["metaobj"], 0.994983196, rtol=2e-5)
  np.testing.assert_allclose(
    result["grads"]["LOL/global_learning_rate"], -4.989594, rtol=1e-4
  )


def test_two_bowls_by_trainable_adam():
  """With one bowl a quarter aside, for else one gradient is 1 and NaN comes."""
  bowls = reference.bowls()
  start = [tensor.numpy() for tensor in bowls.init_tensors()]

  def objective(constants, params, data, labels):
    return bowls.objective([params[0] - 0.25, params[1]])

  unroller = Unroller(
    reference.ToyProblem(objective, start),
    reference.NO_DATA,
    make_optimizer=TrainableAdam,
    use_log_objective=True,
    learning_rate=1e-8,
    faithful_second_moment=True,
  )
  result = unroller.run(3)
  np.testing.assert_allclose(
    result["objs"], [12.115625, 12.115625, 12.051321, 11.987518], rtol=1e-6
  )
  assert_tensors(
    result["params"],
    [0.9973784, 1.1953573, 1.3939359, 1.5931144, 1.7928915, 1.9932675],
    [0.9985023, -0.9850947, 0.50044954, -1.9880248],
  )
  slots = result["slots"][0]
  m = [0.23699832, 0.41960117, 0.5478954, 0.62196803, 0.64190567, 0.6077957]
  reference.assert_tensor(slots["m"][:, 0], m)
  assert not np.any(slots["v"])
  assert np.all(slots["t"] == 3)

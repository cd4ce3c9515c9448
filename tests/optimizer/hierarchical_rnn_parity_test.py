"""The hierarchical RNN gives the numbers of the original code.

The weights are explicit here; those of a released checkpoint have a file of
their own.
"""

import numpy as np
import pytest
import tensorflow as tf

from learned_optimizer import packaged_data
from learned_optimizer.optimizer.hierarchical_rnn import (
  HierarchicalRNN,
  HierarchicalRNNRule,
)
from learned_optimizer.optimizer.hierarchical_rnn_cell import CoordinateCell
from tests.optimizer import reference, stepper
from tests.optimizer.unroller import (
  METARUN_SETTINGS,
  Unroller,
  hierarchical_draws,
)

FIXED_LR = dict(METARUN_SETTINGS, init_lr_range=(1e-3, 1e-3))
START_OBJECTIVE = 15.2875

jit_compile = pytest.mark.parametrize(
  "jit_compile", [False, True], ids=["plain", "xla"]
)


def weights_for(**settings):
  return reference.filled_weights(
    HierarchicalRNNRule(**settings).weight_specs()
  )


def two_tensors(matrix, vector):
  return [np.reshape(matrix, [2, 3]), np.array(vector)]


def assert_tensors(actual, expected):
  for tensor, values in zip(actual, expected, strict=True):
    reference.assert_tensor(tensor, values)


@pytest.fixture(scope="module")
def base():
  return reference.load(packaged_data.path("tests/golden/metagrad_base.npz"))


@pytest.fixture(
  scope="module",
  params=[
    (second, log, jit)
    for second in (0, 1)
    for log in (0, 1)
    for jit in (False, True)
    # To compile takes ten seconds; the tests of variants do it for another.
    if not jit or second and log
  ],
  ids=lambda p: f"second{p[0]}-log{p[1]}-{'xla' if p[2] else 'plain'}",
)
def softmax_case(request, base):
  second, log, jit = request.param
  make_session = reference.quick_session
  if second and log:  # The defaults run as users run them.
    make_session = tf.compat.v1.Session
  unroller = Unroller(
    *reference.problem_and_data(base, "softmax"),
    jit,
    make_session=make_session,
    use_second_derivatives=bool(second),
    use_log_objective=bool(log),
    **METARUN_SETTINGS,
  )
  unroller.load(reference.under(base, "vars/"))
  return unroller, f"softmax/second{second}_log{log}"


@pytest.mark.parametrize("n", [5, 20])
def test_two_unrolls_with_explicit_weights(softmax_case, base, n):
  unroller, prefix = softmax_case
  log_lrs = reference.tensors(base, "softmax/init_log_learning_rate")
  for k in (0, 1):
    result = unroller.run(
      n,
      base["softmax/batches"][k * n : (k + 1) * n],
      first=k == 0,
      state_draws=hierarchical_draws(log_lrs),
      capacity=32,
    )
    reference.assert_unroll(result, base, f"{prefix}_n{n}/unroll{k}")


@jit_compile
def test_steps_with_explicit_weights(base, jit_compile):
  stepper.assert_steps(
    HierarchicalRNNRule(**METARUN_SETTINGS),
    base,
    "softmax",
    "func",
    jit_compile,
  )


def test_apply_gradients_with_explicit_weights(base):
  stepper.assert_apply_gradients(
    lambda: HierarchicalRNN(**METARUN_SETTINGS), base, "softmax", "func"
  )


@pytest.fixture(scope="module")
def bowls():
  """Two tensors, weights from a formula, learning rates 1e-3 at first."""
  unroller = Unroller(
    reference.bowls(),
    reference.NO_DATA,
    use_log_objective=True,
    **FIXED_LR,
  )
  unroller.load(weights_for(**FIXED_LR))
  return unroller


def test_two_bowls(bowls):
  result = bowls.run(4)
  np.testing.assert_allclose(
    result["objs"],
    [START_OBJECTIVE, START_OBJECTIVE, 15.255988, 15.209986, 15.14636],
    rtol=1e-6,
  )
  np.testing.assert_allclose(
    result["metaobj"], -0.00328342, rtol=2e-5, atol=2e-7
  )
  assert_tensors(result["params"], FOUR_STEPS_ON)
  np.testing.assert_allclose(np.sum(result["global"]), 0.51562535, rtol=1e-5)
  for key, sums in {
    "layer": [0.11665879, 1.00686959],
    "parameter": [-0.78954558, 1.76262022],
    "log_learning_rate": [-33.8624324, -22.4511376],
  }.items():
    np.testing.assert_allclose(
      [np.sum(slots[key]) for slots in result["slots"]],
      sums,
      rtol=1e-5,
      err_msg=key,
    )


def test_meta_gradients_of_two_bowls(bowls):
  grads = bowls.run(4)["grads"]
  largest = max(np.linalg.norm(grad) for grad in grads.values())
  for name, (total, norm) in META_GRADIENTS.items():
    grad = np.asarray(grads[f"LOL/{name}"], np.float64)
    limit = 1e-4 * norm + 1e-6 * largest
    if name in CANCELLING:
      limit = 2e-3 * norm
    assert abs(np.linalg.norm(grad) - norm) <= limit, name
    assert abs(grad.sum() - total) <= limit * np.sqrt(grad.size), name


def test_carried_state_and_new_parameters_with_old_state(bowls):
  first = bowls.run(2, capacity=4)
  np.testing.assert_allclose(
    first["metaobj"], -6.8683736e-4, rtol=2e-5, atol=2e-7
  )
  second = bowls.run(2, first=False, capacity=4)
  np.testing.assert_allclose(
    second["metaobj"], -6.47963956e-3, rtol=2e-5, atol=2e-7
  )
  np.testing.assert_allclose(
    second["objs"], [15.209986, 15.209986, 15.14636], rtol=1e-6
  )
  np.testing.assert_allclose(second["initial_obj"], START_OBJECTIVE, rtol=1e-6)
  assert_tensors(second["params"], FOUR_STEPS_ON)
  for level in range(3):
    assert np.any(first["grads"][f"LOL/Level{level}_RNN/init_vector"])
    assert not np.any(second["grads"][f"LOL/Level{level}_RNN/init_vector"])

  third = bowls.run(2, first=True, reset=False, capacity=4)
  np.testing.assert_allclose(
    third["objs"], [START_OBJECTIVE, START_OBJECTIVE, 15.31556], rtol=1e-6
  )
  np.testing.assert_allclose(
    third["metaobj"], 6.1221409e-4, rtol=2e-5, atol=2e-7
  )
  assert_tensors(
    third["params"],
    two_tensors(
      [1.0131044, 1.2130967, 1.4130871, 1.6130749, 1.8130585, 2.0130358],
      [1.0000424, -0.98889655, 0.51112515, -1.988872],
    ),
  )


def test_one_step_has_no_meta_gradient(bowls):
  """The objective after the last step is not part of an unroll."""
  for name, grad in bowls.run(1, capacity=4)["grads"].items():
    assert not np.any(grad), name


def test_two_bowls_with_plain_objective():
  unroller = Unroller(
    reference.bowls(), reference.NO_DATA, use_log_objective=False, **FIXED_LR
  )
  unroller.load(weights_for(**FIXED_LR))
  result = unroller.run(4)
  np.testing.assert_allclose(result["metaobj"], 0.99590896, rtol=2e-5)
  assert_tensors(result["params"], FOUR_STEPS_ON)


def test_two_bowls_with_attention():
  settings = dict(FIXED_LR, use_attention=True)
  weights = weights_for(**settings)
  assert len(weights) == 33
  unroller = Unroller(
    reference.bowls(),
    reference.NO_DATA,
    meta_gradients=False,
    use_log_objective=True,
    **settings,
  )
  unroller.load(weights)
  result = unroller.run(3)
  np.testing.assert_allclose(
    result["metaobj"], 0.00120938, rtol=2e-5, atol=2e-7
  )
  np.testing.assert_allclose(
    result["objs"],
    [START_OBJECTIVE, START_OBJECTIVE, 15.310888, 15.33811],
    rtol=1e-6,
  )
  true_params = two_tensors(
    [1.00492074, 1.20492072, 1.40492057, 1.60492052, 1.80492032, 2.00492018],
    [1.00723306, -1.00123972, 0.49876026, -2.00123974],
  )
  assert_tensors(result["params"], true_params)
  assert_tensors([s["true_param"] for s in result["slots"]], true_params)
  moved = [
    np.abs(attended - param).max()
    for attended, param in zip(
      result["attended"], result["params"], strict=True
    )
  ]
  assert min(moved) > 1e-5


@jit_compile
def test_two_bowls_step_by_step(jit_compile, monkeypatch):
  rule = HierarchicalRNNRule(**FIXED_LR)
  inputs_of_level_0 = []
  features_of = CoordinateCell._features

  def recorded(*args):
    inputs_of_level_0.append(features_of(*args))
    return inputs_of_level_0[-1]

  monkeypatch.setattr(CoordinateCell, "_features", recorded)
  weights = {k: tf.constant(v) for k, v in weights_for(**FIXED_LR).items()}
  problem = reference.bowls()

  @tf.function(jit_compile=jit_compile)
  def step(params, state):
    grads = tf.gradients(problem.objective(params), params)
    update = rule.update(weights, params, grads, state)
    return update.params, update.state, inputs_of_level_0[-1]

  params = problem.init_tensors()
  state = rule.init_state(weights, params, {})

  params, state, features = step(params, state)
  inputs = [0.88137359] * 4 + [0.7768194] * 3 + [0] * 5
  reference.assert_tensor(features[:, 0], inputs)
  reference.assert_tensor(features[:, 6], inputs)
  assert_tensors(
    params,
    two_tensors(
      [0.99880211, 1.19880216, 1.39880209, 1.59880214, 1.79880206, 1.99880211],
      [0.99969093, -0.99840336, 0.50159664, -1.99840336],
    ),
  )
  slots = rule.to_slots(state, params)
  first, second = slots.per_tensor
  for key, value in {
    "scl_decay": 0.48778425,
    "inp_decay": 0.41884458,
    "log_learning_rate": -6.65309005,
  }.items():
    reference.assert_tensor(first[key][0, 0], value)
  assert_tensors(
    [
      first["parameter"][0],
      first["layer"][0, :4],
      second["layer"][0, :4],
      slots.global_state[0][0, :4],
    ],
    [
      [-0.14779479, -0.18531472, -0.16055628, -0.11370559, -0.01515436]
      + [0.13874326, 0.21944432, 0.14141747, -0.02257722, -0.14979975],
      [-0.06230139, 0.09196976, 0.20361811, 0.21916406],
      [0.05579846, 0.18399319, 0.24382007, 0.19621122],
      [0.2157637, 0.29475578, 0.23937178, 0.07247736],
    ],
  )

  params, state, features = step(params, state)
  reference.assert_tensor(
    features[:, 0],
    [8.81253492e-1, 8.81300686e-1, 8.81333191e-1, 8.81352292e-1]
    + [7.76649307e-1, 7.76719546e-1, 7.76765028e-1, -1.6751522e-4]
    + [-2.74116525e-5, 6.9100852e-5, 1.25826021e-4, -2.56608557e-2],
  )
  assert_tensors(
    params,
    two_tensors(
      [0.99709668, 1.19709681, 1.39709684, 1.59709703, 1.79709714, 1.99709745],
      [0.99951996, -0.99598115, 0.50401923, -1.99598073],
    ),
  )
  reference.assert_tensor(
    rule.to_slots(state, params).global_state[0][0, :4],
    [0.23977132, 0.28713895, 0.20604628, 0.03054867],
  )


FOUR_STEPS_ON = two_tensors(
  [0.99821044, 1.19821200, 1.39821381, 1.59821629, 1.79821947, 1.99822408],
  [0.99923909, -0.98867646, 0.51133235, -1.98866655],
)

_LAYER0, _LAYER1 = "PerTensor/Layer0_RNN", "PerTensor/Layer1_RNN"
# Updates are brought to a fixed size, so that what scales all of them alike has
# no gradient. What float32 leaves of these is a difference of large numbers,
# and the recorded ones are as far from float64 (7e-4) as ours.
CANCELLING = ["update_weights", "PerTensor/GradsToDelta/Matrix"]
# Sum and 2-norm after four steps scored by the log objective.
META_GRADIENTS = {
  "Level0_RNN/init_vector": (7.1403326e-4, 1.305859e-3),
  "Level1_RNN/init_vector": (3.4313783e-4, 2.1334747e-3),
  "Level2_RNN/init_vector": (-2.7510512e-5, 2.222358e-3),
  "update_weights": (-3.1024949e-6, 1.2378119e-5),
  "scl_decay_bias": (3.9340082e-7, 3.9340082e-7),
  "inp_decay_bias": (-1.6389751e-7, 1.6389751e-7),
  "learning_rate_weights": (4.1464309e-4, 2.6228046e-3),
  "learning_rate_bias": (-4.9129496e-3, 4.9129496e-3),
  f"{_LAYER0}/Param/Affine/Matrix": (3.9355422e-5, 1.2329213e-3),
  f"{_LAYER0}/Param/Affine/Bias": (4.590161e-4, 1.5562291e-3),
  f"{_LAYER0}/Global/Affine/Bias": (4.590161e-4, 1.5562291e-3),
  f"{_LAYER0}/Global/Affine/Matrix": (2.3462955e-4, 1.4973361e-3),
  f"{_LAYER0}/BiasGRUCell/gates/Affine/Matrix": (7.3680363e-4, 6.6354295e-4),
  f"{_LAYER0}/BiasGRUCell/candidate/Affine/Matrix": (
    1.6029878e-4,
    2.1674891e-3,
  ),
  f"{_LAYER1}/Affine/Matrix": (4.5762368e-5, 7.8388804e-4),
  f"{_LAYER1}/BiasGRUCell/candidate/Affine/Matrix": (
    4.7421848e-4,
    1.3374046e-3,
  ),
  "PerTensor/GradsToDelta/Matrix": (-4.7871166e-5, 2.3945155e-5),
  "PerTensor/learning_rate_momentum_logit": (3.8772222e-4, 3.8772222e-4),
  "PerTensor/param_stepsize_offset": (-3.287334e-3, 3.287334e-3),
  "Layer2_RNN/BiasGRUCell/candidate/Affine/Matrix": (
    -6.3608977e-6,
    7.7344349e-4,
  ),
}

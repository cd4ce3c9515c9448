"""The weights of a released checkpoint give the numbers of the original code.

Needs the reference data beside the checkout, and skips without it.
"""

import numpy as np
import pytest
import tensorflow as tf

from learned_optimizer.optimizer.hierarchical_rnn import (
  HierarchicalRNN,
  HierarchicalRNNRule,
)
from tests.optimizer import reference, stepper
from tests.optimizer.unroller import (
  METARUN_SETTINGS,
  Unroller,
  hierarchical_draws,
)

CHECKPOINT = "checkpoints/hess_cl_mt/HierarchicalRNN_GRUCell_20_2/model.ckpt-0"
PROBLEMS = ["quad10", "softmax"]


@pytest.fixture(scope="module")
def released():
  return reference.load(reference.shared("golden/hrnn_ckpt.npz"))


def test_saver_restores_it(released):
  index = reference.shared(f"{CHECKPOINT}.index")
  unroller = Unroller(
    reference.bowls(),
    reference.NO_DATA,
    use_log_objective=True,
    init_lr_range=(1e-3, 1e-3),
    **METARUN_SETTINGS,
  )
  unroller.restore(str(index.with_suffix("")))
  for name, variable in unroller.optimizer.weights.items():
    value = unroller.session.run(variable)
    np.testing.assert_array_equal(value, released[f"vars/{name}"])
  result = unroller.run(4)
  np.testing.assert_allclose(
    result["objs"],
    [15.287499, 15.287499, 15.278805, 15.270126, 15.261457],
    rtol=1e-6,
  )
  np.testing.assert_allclose(
    result["metaobj"], -6.81263e-4, rtol=2e-5, atol=2e-7
  )
  for param, expected in zip(
    result["params"],
    [
      [
        [0.99852847, 1.19852852, 1.39852846],
        [1.59852851, 1.79852844, 1.99852850],
      ],
      [0.99850036, -0.99853805, 0.50146201, -1.99853799],
    ],
    strict=True,
  ):
    reference.assert_tensor(param, expected)


@pytest.fixture(scope="module", params=PROBLEMS)
def case(request, released):
  # The tests of parity compile an unroll with these settings.
  problem_name = request.param
  unroller = Unroller(
    *reference.problem_and_data(released, problem_name),
    make_session=tf.compat.v1.Session,
    use_log_objective=True,
    **METARUN_SETTINGS,
  )
  unroller.load(reference.under(released, "vars/"))
  return unroller, problem_name


@pytest.mark.parametrize(
  "group, start, lengths",
  [
    ("train_1_9_90", "func", [1, 9, 90]),
    ("train_100", "func", [100]),
    ("train_hot_20", "func_hot", [20]),
  ],
)
def test_unrolls(case, released, group, start, lengths):
  unroller, problem_name = case
  slots = reference.under(released, f"{problem_name}/{start}/init_slot/")
  log_lrs = [
    slots[f"{i}/log_learning_rate"]
    for i in range(len(unroller.out.init_params))
  ]
  done = 0
  for k, length in enumerate(lengths):
    result = unroller.run(
      length,
      released[f"{problem_name}/batches"][done : done + length],
      first=k == 0,
      state_draws=hierarchical_draws(log_lrs),
      capacity=128,
    )
    done += length
    reference.assert_unroll(
      result,
      released,
      f"{problem_name}/{group}/unroll{k}",
      relative=1e-4 if done == 100 else 1e-5,
    )


@pytest.mark.parametrize(
  "problem_name, group, jit_compile",
  [
    ("quad10", "func", False),
    ("quad10", "func_hot", False),
    ("softmax", "func", False),
    ("softmax", "func_hot", True),
  ],
)
def test_steps(released, problem_name, group, jit_compile):
  rule = HierarchicalRNNRule(**METARUN_SETTINGS)
  stepper.assert_steps(rule, released, problem_name, group, jit_compile)


@pytest.mark.parametrize("use_resource", [True, False])
@pytest.mark.parametrize("problem_name", PROBLEMS)
def test_apply_gradients(released, problem_name, use_resource):
  stepper.assert_apply_gradients(
    lambda: HierarchicalRNN(**METARUN_SETTINGS),
    released,
    problem_name,
    "func_hot",
    use_resource,
  )

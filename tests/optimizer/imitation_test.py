"""Imitation in the differentiable unroll, with recorded steps of a teacher."""

import numpy as np
import pytest
import tensorflow as tf

from learned_optimizer import packaged_data
from learned_optimizer.optimizer.imitation import Teacher
from learned_optimizer.optimizer.rule import Rule, Slots, Update, moved
from tests.optimizer import reference
from tests.optimizer.unroller import (
  METARUN_SETTINGS,
  Unroller,
  hierarchical_draws,
)

SETTINGS = dict(METARUN_SETTINGS, level_sizes=[4, 5, 6])


class Replay(Rule):
  """Takes recorded steps, one after the other."""

  name = "Replay"

  def __init__(self, labels):
    self._labels = labels

  def weight_specs(self):
    return {}

  def draws(self, params, generator):
    return []

  def init_state(self, weights, params, draws):
    return {"step": tf.constant(0)}

  def slot_keys(self):
    return []

  def to_slots(self, state, params):
    return Slots([{} for _ in params], [state["step"]])

  def from_slots(self, slots, params):
    return {"step": slots.global_state[0]}

  def update(self, weights, params, grads, state, prescribed_steps=None):
    step = state["step"]
    steps = [tf.constant(label)[step] for label in self._labels]
    new_params = moved(params, steps, prescribed_steps)
    return Update(new_params, new_params, steps, {"step": step + 1})


@pytest.fixture(scope="module")
def golden():
  return reference.load(
    packaged_data.path("tests/golden/scale_regularisers.npz")
  )


def golden_unroll(golden, jit_compile=False):
  """An unroller that imitates what was recorded, and what its runs get."""
  unroller = Unroller(
    reference.mlp(reference.tensors(golden, "init_param")),
    reference.Data(golden["data"], golden["labels"]),
    jit_compile,
    teacher=Teacher(Replay(reference.tensors(golden, "mt_label")), {}),
    **SETTINGS,
  )
  unroller.load(reference.under(golden, "vars/"))
  draws = reference.tensors(golden, "init_log_learning_rate")
  return unroller, dict(state_draws=hierarchical_draws(draws))


def assert_ends(params, expected):
  for tensor, end in zip(params, expected, strict=True):
    reference.assert_tensor(tensor, end)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_loss_gradients_and_end_are_those_recorded(golden, jit_compile):
  unroller, how = golden_unroll(golden, jit_compile)
  actual = unroller.run(5, golden["batches"], **how)
  expected = reference.under(golden, "imitation/")
  np.testing.assert_allclose(
    actual["metaobj"], expected["metaobjmt"], rtol=1e-5
  )
  np.testing.assert_allclose(actual["objs"], expected["objs"], rtol=1e-5)
  reference.assert_meta_gradients(
    actual["grads"], reference.under(expected, "grad/")
  )
  assert_ends(actual["params"], reference.tensors(expected, "end/param"))


def test_two_unrolls_are_one(golden):
  """The teacher goes on where it was, and the loss is a mean over steps."""
  unroller, how = golden_unroll(golden)
  first = unroller.run(2, golden["batches"][:2], **how)
  second = unroller.run(3, golden["batches"][2:], first=False, **how)
  expected = reference.under(golden, "imitation/")
  together = (2 * first["metaobj"] + 3 * second["metaobj"]) / 5
  np.testing.assert_allclose(together, expected["metaobjmt"], rtol=1e-5)
  assert_ends(second["params"], reference.tensors(expected, "end/param"))
  # With new parameters it begins anew, whatever becomes of the learner.
  again = unroller.run(2, golden["batches"][:2], reset=False, **how)
  assert_ends(again["params"], first["params"])
  assert abs(again["metaobj"] / first["metaobj"] - 1) > 1e-4

"""Follows recorded trajectories step by step, without an unroll.

The recorded numbers are those of arrays `<problem>/<group>/...`: parameters,
gradients and objectives of every step, and slots after some of them.
"""

import re

import numpy as np
import tensorflow as tf

from learned_optimizer.optimizer.rule import Slots
from tests.optimizer import reference

# Steps after which errors may have grown to 1e-4.
_MANY = 20


def _tolerance(step):
  return 1e-4 if step > _MANY else 1e-5


def _recorded(arrays, problem_name, group):
  """Arrays, problem, data, batches, initial slots, steps with slots."""
  prefix = f"{problem_name}/{group}"
  recorded = reference.under(arrays, f"{prefix}/")
  problem, data = reference.problem_and_data(arrays, problem_name)
  num_params = len(reference.tensors(arrays, f"{problem_name}/init_param"))
  slots = Slots(
    [reference.under(recorded, f"init_slot/{i}/") for i in range(num_params)],
    reference.tensors(recorded, "init_global"),
  )
  checked_steps = {
    int(match[1])
    for match in (re.match(r"slots_after_(\d+)/", key) for key in recorded)
    if match
  }
  batches = arrays[f"{problem_name}/batches"]
  return recorded, problem, data, batches, slots, checked_steps


def _assert_params(params, recorded, step, group="params"):
  for i, param in enumerate(params):
    reference.assert_tensor(
      param, recorded[f"{group}/{i}"][step], _tolerance(step)
    )


def _attended(recorded):
  """The group of arrays that say where gradients are taken."""
  return "attended_params" if "attended_params/0" in recorded else "params"


def _assert_slots(slots, recorded, step):
  reference.assert_slots(
    slots.per_tensor,
    recorded,
    f"slots_after_{step}",
    relative=_tolerance(step),
  )
  for actual, expected in zip(
    slots.global_state,
    reference.tensors(recorded, f"global_after_{step}"),
    strict=True,
  ):
    reference.assert_tensor(actual, expected, _tolerance(step))


def assert_steps(rule, arrays, problem_name, group, jit_compile):
  """`rule.update` by itself, from the recorded slots, follows the record."""
  recorded, problem, data, batches, slots, checked_steps = _recorded(
    arrays, problem_name, group
  )
  weights = {
    name: tf.constant(value)
    for name, value in reference.under(arrays, "vars/").items()
  }

  @tf.function(jit_compile=jit_compile)
  def step(params, attended, state, batch):
    objective = problem.objective(params, *data)
    batch_objective = problem.objective(
      attended, tf.gather(data.data, batch), tf.gather(data.labels, batch)
    )
    grads = tf.gradients(batch_objective, attended)
    update = rule.update(weights, params, grads, state)
    return objective, batch_objective, grads, update

  params = attended = problem.init_tensors()
  state = rule.from_slots(tf.nest.map_structure(tf.constant, slots), params)
  for t in range(len(recorded["obj_batch"])):
    objective, batch_objective, grads, update = step(
      params, attended, state, tf.constant(batches[t])
    )
    params, attended, _, state = update
    np.testing.assert_allclose(
      objective, recorded["obj_full"][t], rtol=_objective_tolerance(t)
    )
    np.testing.assert_allclose(
      batch_objective, recorded["obj_batch"][t], rtol=_objective_tolerance(t)
    )
    for i, grad in enumerate(grads):
      reference.assert_tensor(grad, recorded[f"grads/{i}"][t], _tolerance(t))
    _assert_params(params, recorded, t + 1)
    _assert_params(attended, recorded, t + 1, _attended(recorded))
    if t + 1 in checked_steps:
      _assert_slots(rule.to_slots(state, params), recorded, t + 1)
      checked_steps.remove(t + 1)
  assert not checked_steps


def assert_last_step(unrolled, arrays, problem_name, group):
  """An `Unroller.run` ends where the recorded steps do."""
  recorded = reference.under(arrays, f"{problem_name}/{group}/")
  last = len(recorded["obj_batch"])
  _assert_params(unrolled["params"], recorded, last)
  _assert_params(unrolled["attended"], recorded, last, _attended(recorded))
  slots = Slots(unrolled["slots"], unrolled["global"])
  _assert_slots(slots, recorded, last)


def _objective_tolerance(step):
  """Parameters may be 1e-4 off after many steps, and objectives with them."""
  return 1e-5 if step > _MANY else 1e-6


def assert_apply_gradients(
  make_optimizer, arrays, problem_name, group, use_resource=True
):
  """`apply_gradients` on variables, from the recorded slots, follows it too.

  Args:
    make_optimizer: makes a `RuleOptimizer` in the current graph.
    arrays: the recorded numbers, and the weights below `vars/`.
    problem_name: the problem, which is also the first part of their names.
    group: the second part.
    use_resource: the parameters are resource, else reference variables.
  """
  tf1 = tf.compat.v1
  recorded, problem, data, batches, slots, checked_steps = _recorded(
    arrays, problem_name, group
  )
  with tf.Graph().as_default():
    optimizer = make_optimizer()
    variables = [
      tf1.Variable(value, use_resource=use_resource)
      for value in problem.init_tensors()
    ]
    batch = tf1.placeholder(tf.int32, [None])
    objective = problem.objective(
      variables, tf.gather(data.data, batch), tf.gather(data.labels, batch)
    )
    train = optimizer.minimize(objective, var_list=variables)
    values = {
      optimizer.get_slot(variable, key): value
      for variable, initial in zip(variables, slots.per_tensor, strict=True)
      for key, value in initial.items()
    }
    global_state = [
      v for v in tf1.global_variables() if v.op.name.endswith("/global_state")
    ]
    values |= dict(zip(global_state, slots.global_state, strict=True))
    values |= {
      variable: arrays[f"vars/{name}"]
      for name, variable in optimizer.weights.items()
    }
    current = Slots(
      [
        {key: optimizer.get_slot(v, key) for key in optimizer.get_slot_names()}
        for v in variables
      ],
      global_state,
    )
    with reference.quick_session() as session:
      session.run(
        tf1.global_variables_initializer(),
        {
          variable.initializer.inputs[1]: value
          for variable, value in values.items()
        },
      )
      for t in range(len(recorded["obj_batch"])):
        session.run(train, {batch: batches[t]})
        _assert_params(
          session.run(variables), recorded, t + 1, _attended(recorded)
        )
        if t + 1 in checked_steps:
          _assert_slots(session.run(current), recorded, t + 1)
          checked_steps.remove(t + 1)
  assert not checked_steps

"""The graph around an unroll: what is fed, fetched and carried on.

Unrolls follow each other in session runs. Where one ends is held by local
variables, from which the next starts; so no gradient crosses the border.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

import tensorflow as tf

from learned_optimizer.generators import TensorGenerator
from learned_optimizer.optimizer import instances
from learned_optimizer.optimizer.rule import Rule
from learned_optimizer.optimizer.unroll import (
  Carried,
  Steps,
  UnrollSettings,
  unroll,
)


class TrainOutput(NamedTuple):
  """The graph of one unroll: what to feed, to fetch and to carry on.

  The first ten fields are those of the original. Of P instances of a problem,
  parameters, random numbers and objectives have an axis [P], behind that of the
  steps if there is one.

  Attributes:
    metaobj: the meta-objective; `tf.gradients` of it are meta-gradients.
    obj_weights: placeholder [steps], weights of the objectives; its length is
      the number of steps unless `num_steps` is fed.
    problem_objectives: [steps + 1], the objective on all data at the start
      and before each step.
    initial_obj: the objective at the first unroll's start.
    batches: placeholder [steps, batch size], rows of the data set.
    first_unroll: boolean placeholder, default False: start from new
      parameters, else from where the last propagated unroll ended.
    reset_state: the same for the optimizer's state.
    output_state: per parameter tensor the list of its slots at the end, in
      sorted order of their keys.
    init_loop_vars: local variables that hold where to go on.
    output_loop_vars: tensors to assign to them, in the same order.
    num_steps: placeholder, number of steps to run. Feed it together with
      `obj_weights` and `batches` of a fixed greater length, and unrolls of
      different lengths share one compiled program.
    init_params: placeholders of the new parameters; drawn where not fed.
    state_draws: placeholders of the random numbers of a fresh state.
    step_draws: placeholders of the problem's random numbers, [steps, ...].
    instance_vars: local variables that hold the problem's constants and its
      data set: a mapping for the former, then data and labels.
    jacob_switch: boolean placeholder, default True: whether the regulariser
      acts in the meta-objective; None without a regulariser.
    regularizer_draws: placeholders of the regulariser's random numbers,
      [steps, ...] if it draws in each step. Those that last for a run are
      constants of the graph where not fed.
    teacher_draws: placeholders of the random numbers of a fresh teacher.
    observed: boolean placeholder [steps], default True: before which steps the
      objective is taken on all data, see `Steps`; None where meta-gradients are
      computed.
    batch_objectives: [steps], the objective on each step's batch before the
      step; None where meta-gradients are computed.
    last_batch: placeholder [batch size], rows of the data set for the objective
      after the last step; None unless batches are summed.
  """

  metaobj: tf.Tensor
  obj_weights: tf.Tensor
  problem_objectives: tf.Tensor
  initial_obj: tf.Tensor
  batches: tf.Tensor
  first_unroll: tf.Tensor
  reset_state: tf.Tensor
  output_state: list[list[tf.Tensor]]
  init_loop_vars: list[tf.Variable]
  output_loop_vars: list[tf.Tensor]
  num_steps: tf.Tensor
  init_params: list[tf.Tensor]
  state_draws: Any
  step_draws: list[tf.Tensor]
  instance_vars: tuple[dict[str, tf.Variable], tf.Variable, tf.Variable]
  jacob_switch: tf.Tensor | None
  regularizer_draws: list[tf.Tensor]
  teacher_draws: Any
  observed: tf.Tensor | None
  batch_objectives: tf.Tensor | None
  last_batch: tf.Tensor | None


def build(
  rule: Rule,
  weight_variables: Mapping[str, tf.Variable],
  problem: Any,
  dataset: Any,
  settings: UnrollSettings,
  draw_seed: int | None,
  jit_compile: bool,
  meta_gradients: bool,
  num_instances: int = 1,
) -> TrainOutput:
  """Builds the unroll of a rule on a problem in the current graph.

  Args:
    rule: the update rule.
    weight_variables: variables that hold its weights, by checkpoint name.
    problem: a `Problem`.
    dataset: its `Dataset`.
    settings: how the unroll is run and scored.
    draw_seed: op seed of the draws for a fresh state that are not fed.
    jit_compile: compile to one XLA program per length of what is fed.
    meta_gradients: whether the unroll is for meta-gradients, which a compiled
      one then computes, or only for the objectives.
    num_instances: P, how many instances of the problem run side by side, see
      `instances`.
  """
  v1 = tf.compat.v1
  rule = instances.rule_for(rule, num_instances)
  settings = settings._replace(num_instances=num_instances)
  is_stacked = num_instances > 1

  def for_each(draw, axis=0):
    """Placeholders of what each instance draws."""
    draws = [draw() for _ in range(num_instances)]
    return _feedable(instances.stack(draws, axis))

  obj_weights = v1.placeholder(tf.float32, [None], "obj_weights")
  shape = [None, num_instances, None] if is_stacked else [None, None]
  batches = v1.placeholder(tf.int32, shape, "batches")
  capacity = tf.size(obj_weights)
  num_steps = v1.placeholder_with_default(capacity, [], "num_steps")
  first_unroll = v1.placeholder_with_default(False, [], "first_unroll")
  reset_state = v1.placeholder_with_default(False, [], "reset_state")
  starts = [problem.init_tensors() for _ in range(num_instances)]
  init_params = _feedable(instances.stack(starts))
  state_draws = for_each(
    lambda: rule.draws(starts[0], TensorGenerator(draw_seed))
  )
  step_draws = for_each(lambda: problem.draws(capacity, TensorGenerator()), 1)
  jacob_switch, regularizer_draws = None, []
  if settings.regularization is not None:
    jacob_switch = v1.placeholder_with_default(True, [], "jacob_switch")
    regularizer_draws = _feedable(
      settings.regularization.regularizer.draws(
        [param.shape for param in init_params],
        capacity,
        TensorGenerator(),
      )
    )
  teacher_draws, fresh_teacher = [], ()
  if settings.teacher is not None:
    teacher_draws = _feedable(
      settings.teacher.draws(init_params, TensorGenerator())
    )
    fresh_teacher = settings.teacher.init_state(init_params, teacher_draws)
  observed = None
  if not meta_gradients:
    everywhere = tf.ones([capacity], tf.bool)
    observed = v1.placeholder_with_default(everywhere, [None], "observed")
  last_batch = None
  if settings.sums_batches:
    last_batch = v1.placeholder(tf.int32, [None], "last_batch")
  constants = {
    name: _local_variable(f"problem_{name}", value)
    for name, value in problem.constants.items()
  }
  data = _local_variable("problem_data", dataset.data)
  labels = _local_variable("problem_labels", dataset.labels)
  weights = {
    name: variable.read_value() for name, variable in weight_variables.items()
  }
  fresh_state = rule.init_state(weights, init_params, state_draws)
  objective = tf.zeros([num_instances] if is_stacked else [])
  carried = tf.nest.map_structure(
    lambda t: _local_variable(_state_name(t), tf.zeros(t.shape, t.dtype)),
    Carried(objective, init_params, init_params, fresh_state, fresh_teacher),
  )

  def run(weights, constants, data, labels, stored, steps, draws, flags):
    bound = problem.with_constants(constants)
    if is_stacked:
      bound = instances.Instances(bound, num_instances)
    rows = (data, labels)
    if settings.sums_batches:
      rows = [tf.gather(part, steps.batches[0]) for part in rows]
    start, objective = _start(
      rule, weights, bound, rows, stored, draws, flags, settings.teacher
    )
    return unroll(
      rule, weights, bound, data, labels, start, objective, steps, settings
    )

  inputs = (
    weights,
    {name: variable.read_value() for name, variable in constants.items()},
    data.read_value(),
    labels.read_value(),
    tf.nest.map_structure(lambda v: v.read_value(), carried),
    Steps(
      num_steps,
      batches,
      obj_weights,
      step_draws,
      regularizer_draws,
      jacob_switch,
      observed,
      last_batch,
    ),
    (init_params, state_draws, teacher_draws),
    (first_unroll, reset_state),
  )
  if not jit_compile:
    unrolled = run(*inputs)
  elif meta_gradients:
    unrolled = _compiled_with_gradients(run, inputs)
  else:
    unrolled = _compiled(run)(*inputs)
  end = unrolled.end
  num_run = unrolled.num_objectives - 1
  slots = rule.to_slots(end.state, end.params)
  return TrainOutput(
    metaobj=unrolled.meta_objective,
    obj_weights=obj_weights,
    problem_objectives=unrolled.objectives[: unrolled.num_objectives],
    initial_obj=end.initial_objective,
    batches=batches,
    first_unroll=first_unroll,
    reset_state=reset_state,
    output_state=[
      [state[key] for key in sorted(state)] for state in slots.per_tensor
    ],
    init_loop_vars=tf.nest.flatten(carried),
    output_loop_vars=tf.nest.flatten(end),
    num_steps=num_steps,
    init_params=init_params,
    state_draws=state_draws,
    step_draws=step_draws,
    instance_vars=(constants, data, labels),
    jacob_switch=jacob_switch,
    regularizer_draws=regularizer_draws,
    teacher_draws=teacher_draws,
    observed=observed,
    batch_objectives=(
      None if observed is None else unrolled.batch_objectives[:num_run]
    ),
    last_batch=last_batch,
  )


def _start(rule, weights, problem, rows, stored, draws, flags, teacher):
  """Where this unroll starts, and the objective there on some rows."""
  init_params, state_draws, teacher_draws = draws
  first_unroll, reset_state = flags

  def choose(flag, fresh, old):
    return tf.nest.map_structure(lambda a, b: tf.where(flag, a, b), fresh, old)

  params = choose(first_unroll, init_params, stored.params)
  attended = choose(first_unroll, init_params, stored.attended_params)
  objective = problem.objective(params, *rows)
  initial = choose(first_unroll, objective, stored.initial_objective)
  fresh = rule.init_state(weights, init_params, state_draws)
  state = choose(reset_state, fresh, stored.state)
  teacher_state = ()
  if teacher is not None:
    # A teacher starts with the parameters, whatever the learner's state does.
    fresh = teacher.init_state(init_params, teacher_draws)
    teacher_state = choose(first_unroll, fresh, stored.teacher_state)
  return Carried(initial, params, attended, state, teacher_state), objective


def _compiled(function):
  return tf.function(function, jit_compile=True, autograph=False)


def _compiled_with_gradients(run, inputs):
  """Compiles `run` and the meta-gradients to one program.

  XLA cannot hand over what a loop keeps for its gradient. So the gradients
  are computed in the same program, and attached to the meta-objective.
  """

  def run_with_gradients(weights, *others):
    unrolled = run(weights, *others)
    gradients = tf.gradients(
      unrolled.meta_objective,
      list(weights.values()),
      unconnected_gradients=tf.UnconnectedGradients.ZERO,
    )
    return unrolled, gradients

  unrolled, gradients = _compiled(run_with_gradients)(*inputs)

  @tf.custom_gradient
  def attach(value, *weights):
    del weights
    return tf.identity(value), lambda upstream: (
      None,
      *[upstream * gradient for gradient in gradients],
    )

  weights = inputs[0]
  meta_objective = attach(unrolled.meta_objective, *weights.values())
  return unrolled._replace(meta_objective=meta_objective)


def _feedable(nest):
  """Placeholders that default to these tensors."""
  return tf.nest.map_structure(
    lambda t: tf.compat.v1.placeholder_with_default(t, t.shape), nest
  )


def _local_variable(name, initial_value):
  """A resource variable outside of checkpoints and of training."""
  return tf.compat.v1.get_variable(
    _unique_name(f"LOL/local_{name}"),
    initializer=initial_value,
    trainable=False,
    collections=[tf.compat.v1.GraphKeys.LOCAL_VARIABLES],
    use_resource=True,
  )


def _state_name(tensor):
  shape = "_".join(str(dim) for dim in tensor.shape)
  return f"state_{shape}_{tensor.dtype.name}"


def _unique_name(prefix):
  """`<prefix>_<k>` with k counting from 0 within the graph."""
  collection = tf.compat.v1.get_collection_ref("local_state_collection")
  if not collection:
    collection.append(Counter())
  k = collection[0][prefix]
  collection[0][prefix] += 1
  return f"{prefix}_{k}"

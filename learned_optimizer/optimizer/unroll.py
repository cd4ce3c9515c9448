"""The differentiable unroll: inner training as a function of the weights.

One unroll runs a rule for some steps on a problem inside one `tf.while_loop`
and scores the objectives it passes through. Gradients of the score with
respect to the rule's weights are the meta-gradients of truncated
backpropagation through time (arXiv 1703.04813, section 4).
"""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from learned_optimizer.optimizer import instances, sparse
from learned_optimizer.optimizer.imitation import Teacher
from learned_optimizer.optimizer.kept_values import recomputed, with_gradient
from learned_optimizer.optimizer.regularizers.regularization import (
  Regularization,
)
from learned_optimizer.optimizer.rule import Rule, State, Weights

_EPSILON = 1e-6


class UnrollSettings(NamedTuple):
  """How an unroll is run and scored.

  Attributes:
    use_log_objective: mean log of the objectives over the initial one, rather
      than their weighted sum.
    use_numerator_epsilon: in the logarithm, add the epsilon to the objective
      instead of to the quotient.
    obj_train_max_multiplier: where positive, the unroll stops once the
      objective reaches this multiple of the initial one.
    use_second_derivatives: let meta-gradients flow through inner gradients.
    use_attention: take gradients at the attended parameters.
    checkpoint_gradients: for meta-gradients keep what some steps start from,
      and recompute the rest.
    regularization: what is added to the objectives; None for nothing.
    teacher: whose steps the parameters take and the rule is to imitate; None
      for the rule's own steps.
    num_instances: P, how many instances of the problem run side by side, see
      `instances`. More than 1 goes with none of `regularization`, `teacher`
      and `obj_train_max_multiplier`.
    sums_batches: the meta-objective is the weighted sum of the objectives on
      batches, before each step and, with weight 1, after the last one, relative
      to nothing; the objective is never taken on all data. Only for one
      instance.
  """

  use_log_objective: bool = False
  use_numerator_epsilon: bool = False
  obj_train_max_multiplier: float = -1.0
  use_second_derivatives: bool = True
  use_attention: bool = False
  checkpoint_gradients: bool = False
  regularization: Regularization | None = None
  teacher: Teacher | None = None
  num_instances: int = 1
  sums_batches: bool = False

  def score(
    self,
    objectives: tf.Tensor,
    num_objectives: tf.Tensor,
    weighted_sum: tf.Tensor,
    initial_objective: tf.Tensor,
  ) -> tf.Tensor:
    """The meta-objective, a scalar, or [P] of several instances.

    Args:
      objectives: [capacity + 1] or [capacity + 1, P], of which the first
        `num_objectives` count.
      num_objectives: int32 scalar.
      weighted_sum: sum of objective weights times objectives.
      initial_objective: at the very start, to normalise with.
    """
    if not self.use_log_objective:
      return weighted_sum / (initial_objective + _EPSILON)
    counts = tf.range(tf.shape(objectives)[0]) < num_objectives
    if self.num_instances > 1:
      counts = counts[:, tf.newaxis]
    # Entries that do not count get a harmless value before the logarithm, so
    # that its gradient there is zero rather than zero times infinity.
    objectives = tf.where(counts, objectives, tf.ones_like(objectives))
    if self.use_numerator_epsilon:
      relative = (objectives + _EPSILON) / (initial_objective + _EPSILON)
    else:
      relative = objectives / (initial_objective + _EPSILON) + _EPSILON
    logs = tf.where(counts, tf.math.log(relative), tf.zeros_like(relative))
    return tf.reduce_sum(logs, axis=0) / tf.cast(num_objectives, logs.dtype)


class Carried(NamedTuple):
  """What one unroll hands on to the next.

  Attributes:
    initial_objective: scalar, at the first unroll's start; normalises. [P] of
      several instances.
    params: the parameters.
    attended_params: where the next gradient is taken.
    state: the rule's state.
    teacher_state: that of the teacher, if there is one.
  """

  initial_objective: tf.Tensor
  params: list[tf.Tensor]
  attended_params: list[tf.Tensor]
  state: State
  teacher_state: State = ()


class Steps(NamedTuple):
  """What the steps of an unroll consume; leading axes are the capacity.

  Attributes:
    num_steps: int32 scalar, how many of the `capacity` steps to run.
    batches: int32 [capacity, batch size], rows of the data set; with a teacher
      who takes k steps for one, int32 [capacity * k, batch size], of which the
      rule sees every k-th. Of several instances [capacity, P, batch size].
    obj_weights: [capacity], weights of the objectives in the weighted sum.
    draws: the problem's random numbers, each [capacity, ...].
    regularizer_draws: those of the regulariser, each [capacity, ...] if it
      draws in each step.
    regularize: boolean scalar, whether the regulariser acts in the
      meta-objective; None without a regulariser.
    observed: boolean [capacity], the steps before which the objective is taken
      on all data; in between it stands as it was. None for every step.
    last_batch: int32 [batch size], rows of the data set, for the objective
      after the last step; None unless batches are summed.
  """

  num_steps: tf.Tensor
  batches: tf.Tensor
  obj_weights: tf.Tensor
  draws: Sequence[tf.Tensor]
  regularizer_draws: Sequence[tf.Tensor] = ()
  regularize: tf.Tensor | None = None
  observed: tf.Tensor | None = None
  last_batch: tf.Tensor | None = None


class Unrolled(NamedTuple):
  """What an unroll returns.

  Attributes:
    meta_objective: scalar, with the regulariser; with a teacher, the weighted
      sum of the imitation losses; of several instances the mean of those that
      are finite. Of no use where `Steps.observed` is given.
    objectives: [capacity + 1], or [capacity + 1, P]: the objective on all data
      at the start and then before each step, so that the first value stands
      twice and the one after the last step is absent; where batches are
      summed, on a batch before each step and after the last one. Entries past
      `num_objectives` are zero.
    num_objectives: int32 scalar, steps run + 1.
    batch_objectives: [capacity], the objective on each step's batch before the
      step, zero for steps that were not run; None unless `Steps.observed` is
      given.
    end: where the next unroll starts.
  """

  meta_objective: tf.Tensor
  objectives: tf.Tensor
  num_objectives: tf.Tensor
  batch_objectives: tf.Tensor | None
  end: Carried


def unroll(
  rule: Rule,
  weights: Weights,
  problem: Any,
  data: tf.Tensor,
  labels: tf.Tensor,
  start: Carried,
  start_objective: tf.Tensor,
  steps: Steps,
  settings: UnrollSettings,
) -> Unrolled:
  """Runs `rule` on `problem` for `steps.num_steps` steps; graph code only.

  Args:
    rule: the update rule.
    weights: its weights, with respect to which the result is differentiable.
    problem: offers `arranged(data)`, `objective(params, data, labels)` and
      `gradients(objective, params, draws)`, whose noise neither the regulariser
      nor a regularised inner objective nor a teacher has. Several instances of
      a problem are an `Instances`.
    data: the whole data set; objectives are taken on all of it.
    labels: its labels.
    start: where to start.
    start_objective: the objective at `start.params`.
    steps: what the steps consume.
    settings: how to run and score.
  """
  teacher = settings.teacher
  batches_per_step = teacher.num_steps if teacher else 1
  capacity = tf.shape(steps.batches)[0] // batches_per_step
  multiplier = settings.obj_train_max_multiplier
  regularization = settings.regularization
  alpha = regularization.optimizer_weight if regularization else 0.0
  beta = regularization.optimizee_weight if regularization else 0.0
  zero = tf.zeros_like(start_objective)
  if not settings.sums_batches:
    everything = problem.arranged(data)
  are_several = settings.num_instances > 1
  on_all = on_batch = problem.objective
  if are_several:
    on_all, on_batch = problem.objective_on_all, problem.objective_on_batches
  elif steps.observed is None:
    on_all = with_gradient(problem.objective)

  def keep_going(step, sums, last_objective, *_):
    going = step < steps.num_steps
    if are_several:
      # Those that are over stand still, see below.
      return going
    going &= tf.math.is_finite(sums["objectives"])
    if multiplier > 0:
      initial = start.initial_objective
      limit = initial + (multiplier - 1.0) * tf.abs(initial)
      going &= last_objective < limit
    return going

  def run_step(first, weights, step, sums, last_objective, carried, records):
    if are_several:
      weights, carried = instances.finite_gradients((weights, carried))
    params, sums, records = carried.params, dict(sums), dict(records)
    if teacher:
      # They come from the teacher: no weight of the rule influences them.
      params = [tf.stop_gradient(param) for param in params]
    location = params
    if settings.use_attention:
      location = carried.attended_params

    def objective_on_batch(params, index=0):
      batch = steps.batches[step * batches_per_step + index]
      rows = [
        tf.stop_gradient(tf.gather(part, batch)) for part in (data, labels)
      ]
      return on_batch(params, *rows)

    batch_objective = objective_on_batch(location)
    if settings.sums_batches:
      objective = watched = batch_objective
    elif steps.observed is None:
      objective = on_all(params, everything, labels)
      watched = objective
    else:
      objective = tf.cond(
        steps.observed[step],
        lambda: on_all(params, everything, labels),
        lambda: last_objective,
      )
      watched = batch_objective
      if settings.use_attention:
        watched = objective_on_batch(params)
      records["batch"] = records["batch"].write(step - first, watched)
    records["all"] = records["all"].write(step - first, objective)
    weight = tf.stop_gradient(steps.obj_weights[step])
    sums["objectives"] += weight * watched
    if regularization:
      probes = regularization.regularizer.at_step(steps.regularizer_draws, step)
    if beta:
      grads = regularization.gradients(objective_on_batch, location, probes)
    else:
      grads = problem.gradients(
        batch_objective, location, [draw[step] for draw in steps.draws] or None
      )
    if alpha:
      sums["penalties"] += regularization.penalty(
        objective_on_batch, location, probes, steps.regularize
      )
    if not settings.use_second_derivatives:
      grads = [sparse.stop_gradient(grad) for grad in grads]
    state = carried.state
    if are_several:
      over = instances.are_over(sums["objectives"], grads)
      grads, state = instances.zero_where(over, grads, state)
    prescribed, teacher_state = None, carried.teacher_state
    if teacher:
      prescribed, teacher_state = teacher.lead(
        objective_on_batch, params, teacher_state
      )
    update = sparse.update(rule, weights, params, grads, state, prescribed)
    if are_several:
      update = update._replace(
        params=instances.nan_where(over, update.params),
        attended_params=instances.nan_where(over, update.attended_params),
      )
    if teacher:
      sums["imitation"] += weight * teacher.loss(update.steps, prescribed)
    carried = carried._replace(
      params=update.params,
      attended_params=update.attended_params,
      state=update.state,
      teacher_state=teacher_state,
    )
    return step + 1, sums, objective, carried, records

  record_names = ["all"]
  if steps.observed is not None:
    record_names.append("batch")

  def run_steps(length, weights, first, sums, last_objective, carried):
    """Runs up to `length` steps, and stacks what they record."""
    records = {name: _record(length, zero) for name in record_names}
    *end, records = tf.while_loop(
      keep_going,
      functools.partial(run_step, first, weights),
      (first, sums, last_objective, carried, records),
      maximum_iterations=length,
    )
    return *end, {key: record.stack() for key, record in records.items()}

  # The loop carries a sum only where there is something to add up.
  sums = {"objectives": zero}
  if alpha:
    sums["penalties"] = zero
  if teacher:
    sums["imitation"] = zero
  begin = (tf.constant(0), sums, start_objective, start)
  if settings.checkpoint_gradients:
    num_run, sums, _, end, records = _in_segments(
      run_steps, keep_going, capacity, weights, begin, record_names
    )
  else:
    num_run, sums, _, end, records = run_steps(capacity, weights, *begin)
  if settings.sums_batches:
    last_objective = on_batch(
      end.params,
      tf.gather(data, steps.last_batch),
      tf.gather(labels, steps.last_batch),
    )
    objectives = tf.where(
      tf.equal(tf.range(capacity + 1), num_run),
      last_objective,
      tf.concat([records["all"], [zero]], axis=0),
    )
    meta_objective = sums["objectives"] + last_objective
  else:
    objectives = tf.concat(
      [start_objective[tf.newaxis], records["all"]], axis=0
    )
    meta_objective = settings.score(
      objectives, num_run + 1, sums["objectives"], start.initial_objective
    )
    if are_several:
      meta_objective = instances.mean(meta_objective)
  if teacher:
    meta_objective = sums["imitation"]
  elif alpha:
    meta_objective += sums["penalties"]
  return Unrolled(
    meta_objective, objectives, num_run + 1, records.get("batch"), end
  )


def _in_segments(run_steps, keep_going, capacity, weights, begin, record_names):
  """Runs segments of steps, each of which is run again for its gradient.

  With segments as long as there are of them, memory grows with the square root
  of the number of steps.
  """
  root = tf.sqrt(tf.cast(capacity, tf.float32))
  length = tf.cast(tf.math.ceil(root), tf.int32)
  num_segments = -(-capacity // length)
  run_segment = recomputed(functools.partial(run_steps, length))
  shape = begin[2].shape

  def step(index, *state):
    *progress, records = state
    *progress, segment = run_segment(weights, *progress)
    here = tf.equal(tf.range(num_segments), index)
    here = tf.reshape(here, [-1, 1, *[1] * shape.rank])
    records = {
      key: tf.where(here, segment[key], record)
      for key, record in records.items()
    }
    return index + 1, *progress, records

  records = dict.fromkeys(
    record_names, tf.zeros([num_segments, length, *shape], begin[2].dtype)
  )
  _, *end, records = tf.while_loop(
    lambda index, *state: keep_going(*state),
    step,
    (tf.constant(0), *begin, records),
    maximum_iterations=num_segments,
  )
  return *end, {
    key: tf.reshape(record, [-1, *shape])[:capacity]
    for key, record in records.items()
  }


def _record(size, value):
  return tf.TensorArray(value.dtype, size, element_shape=value.shape)

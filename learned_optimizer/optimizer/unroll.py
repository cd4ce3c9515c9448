"""The differentiable unroll: inner training as a function of the weights.

One unroll runs a rule for some steps on a problem inside one `tf.while_loop`
and scores the objectives it passes through. Gradients of the score with
respect to the rule's weights are the meta-gradients of truncated
backpropagation through time (arXiv 1703.04813, section 4).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from learned_optimizer.optimizer import sparse
from learned_optimizer.optimizer.regularizers.regularization import (
  Regularization,
)
from learned_optimizer.optimizer.rule import Rule, State, Weights

_EPSILON = 1e-6


class MetaObjective(NamedTuple):
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
    regularization: what is added to the objectives; None for nothing.
  """

  use_log_objective: bool = False
  use_numerator_epsilon: bool = False
  obj_train_max_multiplier: float = -1.0
  use_second_derivatives: bool = True
  use_attention: bool = False
  regularization: Regularization | None = None

  def score(
    self,
    objectives: tf.Tensor,
    num_objectives: tf.Tensor,
    weighted_sum: tf.Tensor,
    initial_objective: tf.Tensor,
  ) -> tf.Tensor:
    """The scalar meta-objective.

    Args:
      objectives: [capacity + 1], of which the first `num_objectives` count.
      num_objectives: int32 scalar.
      weighted_sum: sum of objective weights times objectives.
      initial_objective: at the very start, to normalise with.
    """
    if not self.use_log_objective:
      return weighted_sum / (initial_objective + _EPSILON)
    counts = tf.range(tf.size(objectives)) < num_objectives
    # Entries that do not count get a harmless value before the logarithm, so
    # that its gradient there is zero rather than zero times infinity.
    objectives = tf.where(counts, objectives, tf.ones_like(objectives))
    if self.use_numerator_epsilon:
      relative = (objectives + _EPSILON) / (initial_objective + _EPSILON)
    else:
      relative = objectives / (initial_objective + _EPSILON) + _EPSILON
    logs = tf.where(counts, tf.math.log(relative), tf.zeros_like(relative))
    return tf.reduce_sum(logs) / tf.cast(num_objectives, logs.dtype)


class Start(NamedTuple):
  """Where an unroll starts.

  Attributes:
    initial_objective: scalar, at the first unroll's start; normalises.
    params: the parameters.
    attended_params: where the first gradient is taken.
    state: the rule's state.
  """

  initial_objective: tf.Tensor
  params: list[tf.Tensor]
  attended_params: list[tf.Tensor]
  state: State


class Steps(NamedTuple):
  """What the steps of an unroll consume; leading axes are the capacity.

  Attributes:
    num_steps: int32 scalar, how many of the `capacity` steps to run.
    batches: int32 [capacity, batch size], rows of the data set.
    obj_weights: [capacity], weights of the objectives in the weighted sum.
    draws: the problem's random numbers, each [capacity, ...].
    regularizer_draws: those of the regulariser, each [capacity, ...] if it
      draws in each step.
    regularize: boolean scalar, whether the regulariser acts in the
      meta-objective; None without a regulariser.
  """

  num_steps: tf.Tensor
  batches: tf.Tensor
  obj_weights: tf.Tensor
  draws: Sequence[tf.Tensor]
  regularizer_draws: Sequence[tf.Tensor] = ()
  regularize: tf.Tensor | None = None


class Unrolled(NamedTuple):
  """What an unroll returns.

  Attributes:
    meta_objective: scalar, with the regulariser.
    objectives: [capacity + 1]: the objective on all data at the start and
      then before each step, so that the first value stands twice and the one
      after the last step is absent. Entries past `num_objectives` are zero.
    num_objectives: int32 scalar, steps run + 1.
    end: where the next unroll starts.
  """

  meta_objective: tf.Tensor
  objectives: tf.Tensor
  num_objectives: tf.Tensor
  end: Start


def unroll(
  rule: Rule,
  weights: Weights,
  problem: Any,
  data: tf.Tensor,
  labels: tf.Tensor,
  start: Start,
  start_objective: tf.Tensor,
  steps: Steps,
  settings: MetaObjective,
) -> Unrolled:
  """Runs `rule` on `problem` for `steps.num_steps` steps; graph code only.

  Args:
    rule: the update rule.
    weights: its weights, with respect to which the result is differentiable.
    problem: offers `objective(params, data, labels)` and
      `gradients(objective, params, draws)`, whose noise neither the regulariser
      nor a regularised inner objective has.
    data: the whole data set; objectives are taken on all of it.
    labels: its labels.
    start: where to start.
    start_objective: the objective at `start.params`.
    steps: what the steps consume.
    settings: how to run and score.
  """
  capacity = tf.shape(steps.batches)[0]
  objectives = tf.TensorArray(
    start_objective.dtype, capacity + 1, element_shape=[]
  ).write(0, start_objective)
  multiplier = settings.obj_train_max_multiplier
  regularization = settings.regularization
  alpha = regularization.optimizer_weight if regularization else 0.0
  beta = regularization.optimizee_weight if regularization else 0.0
  # The loop carries a sum of penalties only where there are any.
  penalty = [tf.zeros([], start_objective.dtype)] if alpha else []

  def keep_going(step, total, last_objective, *_):
    going = (step < steps.num_steps) & tf.math.is_finite(total)
    if multiplier > 0:
      initial = start.initial_objective
      limit = initial + (multiplier - 1.0) * tf.abs(initial)
      going &= last_objective < limit
    return going

  def run_step(step, total, _, params, attended, state, objectives, *penalty):
    objective = problem.objective(params, data, labels)
    batch = steps.batches[step]
    location = attended if settings.use_attention else params
    batch_data, batch_labels = tf.gather(data, batch), tf.gather(labels, batch)

    def batch_objective(params):
      return problem.objective(params, batch_data, batch_labels)

    if regularization:
      probes = regularization.regularizer.at_step(steps.regularizer_draws, step)
    if beta:
      grads = regularization.gradients(batch_objective, location, probes)
    else:
      grads = problem.gradients(
        batch_objective(location),
        location,
        [draw[step] for draw in steps.draws] or None,
      )
    if alpha:
      added = regularization.penalty(
        batch_objective, location, probes, steps.regularize
      )
      penalty = [penalty[0] + added]
    if not settings.use_second_derivatives:
      grads = [sparse.stop_gradient(grad) for grad in grads]
    total += steps.obj_weights[step] * objective
    objectives = objectives.write(step + 1, objective)
    update = sparse.update(rule, weights, params, grads, state)
    return (
      step + 1,
      total,
      objective,
      update.params,
      update.attended_params,
      update.state,
      objectives,
      *penalty,
    )

  num_run, total, _, params, attended, state, objectives, *penalty = (
    tf.while_loop(
      keep_going,
      run_step,
      (
        tf.constant(0),
        tf.zeros([], start_objective.dtype),
        start_objective,
        list(start.params),
        list(start.attended_params),
        start.state,
        objectives,
        *penalty,
      ),
      maximum_iterations=capacity,
    )
  )
  objectives = objectives.stack()
  meta_objective = settings.score(
    objectives, num_run + 1, total, start.initial_objective
  )
  if alpha:
    meta_objective += penalty[0]
  end = Start(start.initial_objective, params, attended, state)
  return Unrolled(meta_objective, objectives, num_run + 1, end)

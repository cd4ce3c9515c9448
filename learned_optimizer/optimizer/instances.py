"""Several instances of a problem side by side in one program.

P instances share the objective, its constants and the data set, and differ in
initial parameters, batches, and all other random numbers. Their parameters are
stacked to [P, *shape], their objectives to [P]. No instance has an influence on
another one, and the gradient of the sum of all objectives consists of those of
each.
"""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from learned_optimizer.optimizer import sparse
from learned_optimizer.optimizer.layout import Layout
from learned_optimizer.optimizer.rule import Rule, State
from learned_optimizer.optimizer.scaling import make_finite


def rule_for(rule: Rule, num_instances: int) -> Rule:
  """The rule for stacked parameters.

  Args:
    rule: one that says by an attribute `num_instances` that it can: 1, which
      the returned rule has greater.
    num_instances: P.

  Raises:
    ValueError: the rule cannot.
  """
  if num_instances == 1:
    return rule
  if not hasattr(rule, "num_instances"):
    raise ValueError(
      f"num_instances is {num_instances}, but {type(rule).__name__} trains on"
      " one problem at a time; only 1 is accepted."
    )
  rule = copy.copy(rule)
  object.__setattr__(rule, "num_instances", num_instances)
  return rule


def stack(one_by_one: Sequence[Any], axis: int = 0) -> Any:
  """Stacks what there is for each instance, nests of tensors."""
  if len(one_by_one) == 1:
    return one_by_one[0]
  return tf.nest.map_structure(
    lambda *values: tf.stack(values, axis), *one_by_one
  )


class Instances:
  """The instances of a problem, for `unroll` like a single problem."""

  def __init__(self, problem: Any, num_instances: int):
    """Takes what the instances have in common.

    Args:
      problem: a `Problem`. Its objective must be of operations that
        `tf.vectorized_map` knows.
      num_instances: P.
    """
    self._problem = problem
    self._num_instances = num_instances

  def arranged(self, data: tf.Tensor) -> Any:
    """The problem's arrangement of data that are the same for all."""
    return self._problem.arranged(data)

  def objective(
    self, params: Sequence[tf.Tensor], data: Any, labels: tf.Tensor
  ) -> tf.Tensor:
    """The objectives [P] on the same data for all."""
    return self._map(
      lambda params: self._problem.objective(params, data, labels), [*params]
    )

  def objective_on_all(
    self, params: Sequence[tf.Tensor], data: Any, labels: tf.Tensor
  ) -> tf.Tensor:
    """As `objective`, differentiable once in a loop.

    The gradient is computed at the same time and kept for later, which takes
    far less memory than the intermediate values of a whole data set.
    """

    def value_and_gradient(params):
      value = self._problem.objective(params, data, labels)
      return value, self._gradient(value, params)

    @tf.custom_gradient
    def evaluate(*params):
      values, gradients = self._map(value_and_gradient, [*params])
      gradients = self._shaped(gradients, params)
      return values, lambda upstream: [
        _like(upstream, gradient) * gradient for gradient in gradients
      ]

    return evaluate(*params)

  def objective_on_batches(
    self, params: Sequence[tf.Tensor], data: tf.Tensor, labels: tf.Tensor
  ) -> tf.Tensor:
    """The objectives [P], differentiable twice, each on data of its own.

    What is mapped over the instances is not differentiated after that, as its
    gradients would compute shapes.
    """

    def value(params, data, labels):
      return self._problem.objective(params, data, labels)

    def first(params, data, labels, upstream):
      return self._gradient(value(params, data, labels), params, upstream)

    def second(params, data, labels, upstream, upstreams):
      inputs = [upstream, *params]
      return tf.gradients(
        first(params, data, labels, upstream),
        inputs,
        upstreams,
        unconnected_gradients=tf.UnconnectedGradients.ZERO,
      )

    @tf.custom_gradient
    def evaluate(*params):
      values = self._map(value, [*params], data, labels)
      return values, lambda upstream: differentiate(upstream, *params)

    @tf.custom_gradient
    def differentiate(upstream, *params):
      arguments = [*params], data, labels, upstream
      gradients = self._shaped(self._map(first, *arguments), params)
      return gradients, lambda *upstreams: self._shaped(
        self._map(second, *arguments, [*upstreams]), [upstream, *params]
      )

    return evaluate(*params)

  def gradients(
    self,
    objective: tf.Tensor,
    params: Sequence[tf.Tensor],
    draws: Sequence[tf.Tensor] | None = None,
  ) -> list[tf.Tensor]:
    """The problem's gradients of each objective, stacked and dense."""
    return self._problem.gradients(objective, params, draws)

  def _map(self, function: Callable, *arguments: Any) -> Any:
    """Applies a function to what each instance has, and stacks the results."""
    try:
      return tf.vectorized_map(
        lambda one: function(*one), arguments, fallback_to_while_loop=False
      )
    except ValueError as error:
      if "pfor" not in str(error):
        raise
      raise ValueError(
        f"num_instances is {self._num_instances}, but the objective of"
        f" {type(self._problem).__name__} has an operation that cannot be"
        f" vectorised; only 1 is accepted. ({error})"
      ) from error

  def _gradient(self, value, params, upstream=None):
    """The gradients of one instance, dense."""
    gradients = tf.gradients(value, params, upstream)
    for index, gradient in enumerate(gradients):
      if gradient is None:
        raise ValueError(
          f"parameters[{index}] has no influence on the objective; every"
          " parameter must have one"
        )
      if isinstance(gradient, tf.IndexedSlices) and self._problem.noise_stdev:
        raise ValueError(
          f"num_instances is {self._num_instances}, but parameters[{index}] of"
          f" {type(self._problem).__name__} has a sparse gradient with noise;"
          " only 1 is accepted."
        )
    return [
      sparse.densify(g, p) for g, p in zip(gradients, params, strict=True)
    ]

  def _shaped(self, tensors, like):
    """The tensors with the static shapes that mapping loses."""
    return [
      tf.ensure_shape(tensor, other.shape)
      for tensor, other in zip(tensors, like, strict=True)
    ]


# Instances that diverge. A single one ends its unroll with a meta-objective
# that is not finite, and the weights do not move. Among others it is left out.


def mean(scores: tf.Tensor) -> tf.Tensor:
  """The mean of those scores that are finite, NaN without any."""
  finite = tf.math.is_finite(scores)
  total = tf.reduce_sum(tf.where(finite, scores, tf.zeros_like(scores)))
  return total / tf.reduce_sum(tf.cast(finite, scores.dtype))


def finite_gradients(nest: Any) -> Any:
  """The same tensors; of the gradients that return, what is not finite is 0."""

  @tf.custom_gradient
  def guard(tensor):
    return tf.identity(tensor), lambda upstream: make_finite(
      upstream, tf.zeros_like(upstream)
    )

  return tf.nest.map_structure(guard, nest)


def are_over(objectives: tf.Tensor, grads: Sequence[tf.Tensor]) -> tf.Tensor:
  """Which instances have diverged, boolean [P].

  Args:
    objectives: the sum of theirs so far, [P].
    grads: stacked gradients.
  """
  finite = tf.math.is_finite(objectives)
  for grad in grads:
    axes = [*range(1, grad.shape.rank)]
    finite &= tf.reduce_all(tf.math.is_finite(grad), axes)
  return ~finite


def nan_where(over: tf.Tensor, params: Sequence[tf.Tensor]) -> list[tf.Tensor]:
  """NaN in place of the parameters of some instances, which stay there."""
  return [
    tf.where(_like(over, param), tf.constant(np.nan, param.dtype), param)
    for param in params
  ]


def zero_where(
  over: tf.Tensor, grads: Sequence[tf.Tensor], state: State
) -> tuple[list[tf.Tensor], State]:
  """Zeros in place of what some instances have.

  No number that is not finite then enters the step of a rule.

  Args:
    over: these instances, boolean [P].
    grads: stacked gradients.
    state: the rule's state: matrices with a column for each coordinate, tensor
      or instance.
  """
  num_instances = over.shape[0]
  layout = Layout.of(grads, num_instances=num_instances)
  of_instances = tf.cast(over, grads[0].dtype)[tf.newaxis]
  of_tensors = layout.repeat_over_tensors(of_instances)
  # Where numbers of columns are equal, so are the masks.
  masks = {
    num_instances: of_instances > 0,
    layout.num_tensors: of_tensors > 0,
    layout.num_columns: layout.spread(of_tensors) > 0,
  }
  return (
    [tf.where(_like(over, grad), tf.zeros_like(grad), grad) for grad in grads],
    tf.nest.map_structure(
      lambda rows: tf.where(masks[rows.shape[1]], tf.zeros_like(rows), rows),
      state,
    ),
  )


def _like(of_instances, stacked):
  """[P] with axes of 1 behind, as many as [P, ...] has."""
  shape = [*of_instances.shape, *[1] * (stacked.shape.rank - 1)]
  return tf.reshape(of_instances, shape)

"""Gradients of some rows only, as lookups in a table have them."""

from collections.abc import Sequence

import tensorflow as tf

from learned_optimizer.optimizer.layout import Layout
from learned_optimizer.optimizer.rule import Rule, State, Update, Weights, moved

Gradient = tf.Tensor | tf.IndexedSlices


def update(
  rule: Rule,
  weights: Weights,
  params: Sequence[tf.Tensor],
  grads: Sequence[Gradient],
  state: State,
  prescribed_steps: Sequence[tf.Tensor] | None = None,
) -> Update:
  """`rule.update` for gradients that may be slices.

  Slices of one row are summed. Rows without a slice have a zero gradient; a
  rule that `keeps_unseen_rows` neither moves them nor changes their state.

  Args:
    rule: the rule.
    weights: see `Rule.update`.
    params: see `Rule.update`.
    grads: one gradient per parameter.
    state: see `Rule.update`.
    prescribed_steps: see `Rule.update`.
  """
  dense = [densify(g, p) for g, p in zip(grads, params, strict=True)]
  result = rule.update(weights, params, dense, state, prescribed_steps)
  is_sparse = any(isinstance(grad, tf.IndexedSlices) for grad in grads)
  if not (rule.keeps_unseen_rows and is_sparse):
    return result
  seen = [_seen(g, p) for g, p in zip(grads, params, strict=True)]
  steps = [
    tf.where(s, step, tf.zeros_like(step))
    for s, step in zip(seen, result.steps, strict=True)
  ]
  new_params = moved(params, steps, prescribed_steps)
  columns = Layout.of(params).flatten(seen)
  new_state = tf.nest.map_structure(
    lambda new, old: tf.where(columns, new, old), result.state, state
  )
  return Update(new_params, new_params, steps, new_state)


def densify(grad: Gradient, param: tf.Tensor) -> tf.Tensor:
  """The gradient as a dense tensor of `param`'s static shape."""
  if isinstance(grad, tf.IndexedSlices):
    grad = tf.math.unsorted_segment_sum(
      grad.values, grad.indices, param.shape[0]
    )
  return tf.ensure_shape(grad, param.shape)


def stop_gradient(grad: Gradient) -> Gradient:
  """The gradient as a constant of further differentiation."""
  if isinstance(grad, tf.IndexedSlices):
    return tf.IndexedSlices(tf.stop_gradient(grad.values), grad.indices)
  return tf.stop_gradient(grad)


def _seen(grad, param):
  """Which elements of a parameter have a gradient: bool, of its shape."""
  if not isinstance(grad, tf.IndexedSlices):
    return tf.ones(param.shape, tf.bool)
  rows = param.shape[0]
  counts = tf.math.unsorted_segment_sum(
    tf.ones_like(grad.indices, tf.int32), grad.indices, rows
  )
  seen = tf.reshape(counts > 0, [rows] + [1] * (param.shape.rank - 1))
  return tf.broadcast_to(seen, param.shape)

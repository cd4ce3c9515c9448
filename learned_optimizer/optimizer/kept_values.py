"""Functions that keep less for their gradients than all intermediate values."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from learned_optimizer.optimizer import sparse


def recomputed(function: Callable[..., Any]) -> Callable[..., Any]:
  """The function with a gradient for which it is computed once more.

  Of intermediate values nothing is kept but the arguments (checkpointing, arXiv
  1604.06174). Unlike `tf.recompute_grad` it takes nests, and differentiates
  with respect to nothing but the arguments.

  Args:
    function: of nests of tensors, a nest of tensors; pure.
  """

  def call(*args):
    structure = None

    @tf.custom_gradient
    def run(*flat):
      nonlocal structure
      structure = function(*tf.nest.pack_sequence_as(args, flat))

      def gradient(*output_gradients):
        with tf.GradientTape() as tape:
          tape.watch([value for value in flat if value.dtype.is_floating])
          outputs = function(*tf.nest.pack_sequence_as(args, flat))
        pairs = zip(tf.nest.flatten(outputs), output_gradients, strict=True)
        outputs, output_gradients = zip(
          *(pair for pair in pairs if pair[0].dtype.is_floating), strict=True
        )
        return tape.gradient(outputs, flat, output_gradients)

      return tf.nest.flatten(structure), gradient

    flat = run(*map(tf.convert_to_tensor, tf.nest.flatten(args)))
    return tf.nest.pack_sequence_as(structure, flat)

  return call


def with_gradient(objective: Callable[..., tf.Tensor]) -> Callable[..., Any]:
  """An objective whose gradient is computed at the same time, and kept.

  Of an objective on a whole data set that is far less than what it is computed
  from. It can be differentiated once, with respect to the parameters.

  Args:
    objective: `objective(params, data, labels)`, a scalar; params is a sequence
      of tensors.
  """

  def call(params: Sequence[tf.Tensor], data: Any, labels: Any) -> tf.Tensor:
    @tf.custom_gradient
    def run(*params):
      value = objective(params, data, labels)
      gradients = tf.gradients(
        value, params, unconnected_gradients=tf.UnconnectedGradients.ZERO
      )
      gradients = [
        sparse.densify(gradient, param)
        for gradient, param in zip(gradients, params, strict=True)
      ]
      return value, lambda upstream: [upstream * g for g in gradients]

    return run(*params)

  return call

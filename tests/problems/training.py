"""Gradients through training, op by op and compiled."""

import numpy as np
import tensorflow as tf


def gradients_through_training(
  problem,
  initial,
  data=None,
  labels=None,
  *,
  learning_rate,
  rows=None,
  draws=(),
):
  """Differentiates the objective after three steps of gradient descent.

  The steps are a while loop, which is differentiated twice.

  Args:
    problem: a problem.
    initial: initial parameters, arrays.
    data: all data; None for problems without.
    labels: all labels.
    learning_rate: of the descent.
    rows: the rows of the batch of each of the three steps; None for all rows.
    draws: random numbers of three steps, as from `problem.draws`.

  Returns:
    The gradients with respect to the initial parameters, op by op, and the same
    compiled by XLA.
  """

  def batch(step):
    if rows is None:
      return data, labels
    chosen = tf.gather(rows, step)
    return tf.gather(data, chosen), tf.gather(labels, chosen)

  def body(step, *parameters):
    gradients = problem.gradients(
      problem.objective(parameters, *batch(step)),
      parameters,
      [tf.gather(numbers, step) for numbers in draws],
    )
    moved = [
      p - learning_rate * tf.convert_to_tensor(g)
      for p, g in zip(parameters, gradients, strict=True)
    ]
    return step + 1, *moved

  @tf.function
  def differentiate(*initial):
    _, *trained = tf.while_loop(
      lambda step, *_: step < 3,
      body,
      (tf.constant(0), *initial),
      maximum_iterations=3,
    )
    objective = problem.objective(trained, data, labels)
    return tf.gradients(objective, list(initial))

  @tf.function(jit_compile=True)
  def compiled(*initial):
    return differentiate(*initial)  # Not traced again, which takes its time.

  initial = [tf.constant(value) for value in initial]
  return differentiate(*initial), compiled(*initial)


def check_compiled_training(
  problem,
  initial,
  *args,
  rtol,
  atol,
  least_norm=0.0,
  without_influence=(),
  **kwargs,
):
  """Asserts that XLA computes the same, and nothing that is always 0.

  Args:
    problem: a problem.
    initial: initial parameters, arrays.
    *args: further arguments of `gradients_through_training`.
    rtol: relative tolerance.
    atol: absolute tolerance.
    least_norm: what the norm of each gradient has to exceed.
    without_influence: the indices of gradients that have to be exactly 0.
    **kwargs: further arguments of `gradients_through_training`.
  """
  plain, compiled = gradients_through_training(
    problem, initial, *args, **kwargs
  )
  for index, (expected, actual) in enumerate(zip(plain, compiled, strict=True)):
    if index in without_influence:
      assert not np.any(expected)
    else:
      assert np.linalg.norm(expected) > least_norm
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=atol)

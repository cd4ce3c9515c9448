"""Rosenbrock's function as a TF1 model function, for `ModelAdapter`."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

InitFunction = Callable[[tf.compat.v1.Session], Any]


def make_rosenbrock_loss_and_init(
  device: str | None = None,
) -> tuple[
  Callable[[], tf.Tensor],
  Callable[[Sequence[tf.Variable]], InitFunction],
]:
  """Makes the functions that build Rosenbrock's function from TF1 variables.

  f(x, y) = (1 - x)^2 + c (y - x^2)^2 with the variables x, y [1], uniform from
  -sqrt(3) to sqrt(3) at first, and the variable c [1] = 100, not trainable.

  Args:
    device: where the variables and the loss are placed.

  Returns:
    A function that builds the loss, and one that takes the variables and
    returns a function of a session that initialises them.
  """

  def make_loss():
    v1 = tf.compat.v1
    with tf.name_scope("optimizee"), tf.device(device):
      x = v1.get_variable("x", [1])
      y = v1.get_variable("y", [1])
      c = v1.get_variable(
        "c", [1], initializer=tf.constant_initializer(100.0), trainable=False
      )
      return tf.squeeze((1.0 - x) ** 2 + c * (y - x**2) ** 2)

  def make_init_fn(variables):
    init_op = tf.compat.v1.variables_initializer(variables)
    return lambda session: session.run(init_op)

  return make_loss, make_init_fn

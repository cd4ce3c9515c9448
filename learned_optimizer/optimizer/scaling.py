"""Gradient scaling shared by the recurrent rules.

The constants and the order of operations are those of the original code, so
that float32 results agree with it to the last few digits.
"""

import tensorflow as tf

from learned_optimizer.optimizer.layout import Layout


def make_finite(tensor: tf.Tensor, replacement: tf.Tensor) -> tf.Tensor:
  """Elementwise `tensor` where it is finite, else `replacement`."""
  return tf.where(tf.math.is_finite(tensor), tensor, replacement)


def asinh(x: tf.Tensor) -> tf.Tensor:
  """Inverse hyperbolic sine as log(x + sqrt(1 + x^2)).

  Kept in this form for agreement with trained optimizers, although in float32
  it is inexact for large negative x and -inf below about -4096.
  """
  return tf.math.log(x + tf.sqrt(1.0 + tf.square(x)))


def is_fresh(mean_squares: tf.Tensor, layout: Layout) -> tf.Tensor:
  """Where a running mean of squares has not yet begun, as 1 and else 0.

  Args:
    mean_squares: the mean so far, [n, N].
    layout: of the columns. A mean counts as not yet begun only where it is
      exactly zero for the whole tensor, so that coordinates whose gradients
      are zero keep theirs.

  Returns:
    [n, T].
  """
  used = tf.cast(tf.not_equal(mean_squares, 0.0), mean_squares.dtype)
  return tf.cast(tf.equal(layout.sum(used), 0.0), mean_squares.dtype)


def mean_squared(
  values: tf.Tensor, decay: tf.Tensor, previous: tf.Tensor, fresh: tf.Tensor
) -> tf.Tensor:
  """Running mean of squares, without memory where there is nothing to keep.

  Args:
    values: what is squared, [n, M].
    decay: weight of the past, in [0, 1], broadcastable to `values`.
    previous: the mean so far, [n, M].
    fresh: 1 where it has not yet begun, see `is_fresh`, else 0; [n, M].
  """
  decay = tf.where(fresh > 0.5, tf.zeros_like(decay), decay)
  return (1.0 - decay) * (tf.square(values) + 1e-12) + decay * previous


def rms_scale(values: tf.Tensor, mean_squares: tf.Tensor) -> tf.Tensor:
  """Asinh of `values` in units of their root mean square."""
  return asinh(values / tf.sqrt(mean_squares + 1e-16))

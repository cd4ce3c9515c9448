"""Gradient scaling keeps the float32 arithmetic of the original."""

import numpy as np
import tensorflow as tf

from learned_optimizer.optimizer import scaling
from learned_optimizer.optimizer.layout import Layout


def test_asinh_is_the_naive_formula():
  """The true function would differ visibly for large negative numbers."""
  x = tf.constant([-4095.0, -100.0, -5.0, 5000.0, 0.0])
  np.testing.assert_allclose(
    scaling.asinh(x),
    [-8.3178, -5.29886, -2.3124382, np.arcsinh(5000.0), 0.0],
    rtol=2e-6,
    atol=5e-5,
  )
  assert np.isneginf(scaling.asinh(tf.constant(-5000.0)))
  assert abs(scaling.asinh(tf.constant(-4095.0)) - np.arcsinh(-4095)) > 0.5


def test_make_finite():
  tensor = tf.constant([1.0, np.nan, -np.inf, np.inf, 0.0])
  np.testing.assert_array_equal(
    scaling.make_finite(tensor, tf.fill([5], 7.0)), [1, 7, 7, 7, 0]
  )


def test_mean_squared_begins_anew_where_a_tensor_has_no_past():
  """Two tensors of two coordinates: a zero beside a past keeps its decay."""
  values = tf.constant([[3.0, -0.5, 3.0, -0.5]])
  previous = tf.constant([[4.0, 0.0, 0.0, 0.0]])
  layout = Layout([[2], [2]])
  fresh = scaling.is_fresh(previous, layout)
  np.testing.assert_array_equal(fresh, [[0.0, 1.0]])
  actual = scaling.mean_squared(
    values, tf.constant([[0.75]]), previous, layout.spread(fresh)
  )
  np.testing.assert_allclose(actual, [[5.25, 0.0625, 9.0, 0.25]], rtol=1e-6)


def test_mean_squared_of_zeros_is_not_zero():
  """So that a tensor whose mean square is zero is one without a past."""
  zeros = tf.zeros([1, 1])
  first = scaling.mean_squared(zeros, zeros, zeros, tf.ones([1, 1]))
  np.testing.assert_allclose(first, [[1e-12]], rtol=1e-6)


def test_rms_scale():
  scaled = scaling.rms_scale(
    tf.constant([2.0, -2.0, 0.0]), tf.constant([4.0, 4.0, 0.0])
  )
  np.testing.assert_allclose(scaled, [0.88137359, -0.88137359, 0.0], rtol=1e-6)
  # The 1e-16 below the root.
  tiny = scaling.rms_scale(tf.constant([1e-8]), tf.constant([0.0]))
  np.testing.assert_allclose(tiny, [0.88137359], rtol=1e-6)

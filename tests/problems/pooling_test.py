"""Tests of pooling: the same as that of TensorFlow."""

import numpy as np
import pytest
import tensorflow as tf

from learned_optimizer.problems import pooling


@pytest.mark.parametrize(
  ("pool", "reference"),
  [
    (pooling.max_pool, lambda x: tf.nn.max_pool2d(x, 2, 2, "VALID")),
    (pooling.average_pool, lambda x: tf.nn.avg_pool2d(x, 3, 1, "SAME")),
  ],
  ids=["max", "average"],
)
@pytest.mark.parametrize("size", [(5, 4), (2, 3)])
def test_values_and_gradients(pool, reference, size):
  random_state = np.random.RandomState(1)
  images = tf.constant(random_state.randn(2, *size, 3))
  results = []
  for function in pool, reference:
    with tf.GradientTape() as tape:
      tape.watch(images)
      pooled = function(images)
      weights = np.random.RandomState(2).randn(*pooled.shape)
      total = tf.reduce_sum(weights * pooled)
    results.append((pooled, tape.gradient(total, images)))
  for actual, expected in zip(*results, strict=True):
    np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-14)


def test_average_of_single_pixels():
  images = tf.constant([[[[1.0, 2.0]]]])
  np.testing.assert_array_equal(pooling.average_pool(images), images)

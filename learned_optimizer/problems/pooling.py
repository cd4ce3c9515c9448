"""Pooling whose derivatives are exact and compile in differentiated loops."""

import numpy as np
import tensorflow as tf


def max_pool(images: tf.Tensor) -> tf.Tensor:
  """Takes the maxima of squares of 2 x 2; an odd last row or column is dropped.

  The second derivative of `tf.nn.max_pool2d` is inexact under XLA, which finds
  the maxima from rounded values.

  Args:
    images: a tensor [batch, height, width, channels] with static height, width
      and channels.

  Returns:
    A tensor [batch, height // 2, width // 2, channels].
  """
  _, height, width, channels = images.shape
  height, width = height // 2, width // 2
  squares = tf.reshape(
    images[:, : 2 * height, : 2 * width],
    [-1, height, 2, width, 2, channels],
  )
  return tf.reduce_max(squares, [2, 4])


def average_pool(images: tf.Tensor) -> tf.Tensor:
  """Takes the mean of each pixel and its neighbours: 3 x 3, stride 1, "SAME".

  At the border the mean is over the neighbours that there are.

  Args:
    images: a tensor [batch, height, width, channels] with static height and
      width.

  Returns:
    A tensor of the same shape and dtype.
  """
  _, height, width, _ = images.shape
  counts = np.outer(_neighbours(height), _neighbours(width))
  share = tf.constant(1 / counts[..., np.newaxis], images.dtype)
  return _sum_of_neighbours(images) * share


# The gradient of `tf.pad` does not compile in loops that are differentiated
# twice. Being a neighbour is mutual, so that the sum is its own derivative.
@tf.custom_gradient
def _sum_of_neighbours(images):
  padded = tf.pad(images, [[0, 0], [1, 1], [1, 1], [0, 0]])
  rows = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
  sums = rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]
  return sums, _sum_of_neighbours


def _neighbours(size: int) -> np.ndarray:
  """How many of the pixels i - 1, i, i + 1 exist, for each i below size."""
  i = np.arange(size)
  return np.minimum(i + 2, size) - np.maximum(i - 1, 0)

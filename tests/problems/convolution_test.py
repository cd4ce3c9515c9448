"""Tests of the convolution and its derivatives."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from learned_optimizer.problems import convolution


def _derivatives(convolve, images, kernel, probes):
  """The convolution, its gradients, and theirs."""
  features = convolve(images, kernel)
  first = tf.gradients(tf.reduce_sum(features**3), [images, kernel])
  # Weights tell derivatives of different entries apart.
  products = [tf.reduce_sum(d * w) for d, w in zip(first, probes, strict=True)]
  second = [tf.gradients(product, [images, kernel]) for product in products]
  return [features, *first, *itertools.chain(*second)]


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize(
  ("size", "extents", "stride", "keep_size"),
  [
    ((5, 4), (3, 2), 1, False),
    ((5, 4), (3, 2), 1, True),
    ((4, 5), (4, 5), 1, True),
    ((3, 4), (1, 1), 1, False),
    ((8, 9), (3, 2), 2, False),
    ((7, 8), (3, 3), 2, False),
    ((8, 6), (1, 2), 3, False),
  ],
)
def test_derivatives(size, extents, stride, keep_size, jit_compile):
  random_state = np.random.RandomState(1)
  images, kernel, *probes = (
    tf.constant(random_state.randn(*shape))
    for shape in ((2, *size, 3), (*extents, 3, 4)) * 2
  )
  padding = "SAME" if keep_size else "VALID"

  @tf.function
  def expected():
    return _derivatives(
      lambda x, k: tf.nn.conv2d(x, k, stride, padding), images, kernel, probes
    )

  @tf.function(jit_compile=jit_compile)
  def actual():
    return _derivatives(
      lambda x, k: convolution.convolution(x, k, stride, keep_size),
      images,
      kernel,
      probes,
    )

  for value, reference in zip(actual(), expected(), strict=True):
    assert np.linalg.norm(reference) > 0
    np.testing.assert_allclose(value, reference, rtol=1e-9, atol=1e-9)


def test_size_cannot_be_kept_with_a_stride():
  images, kernel = tf.ones([1, 4, 4, 1]), tf.ones([3, 3, 1, 1])
  with pytest.raises(ValueError, match="stride must be 1 .* got 2"):
    convolution.convolution(images, kernel, stride=2, keep_size=True)


def test_batch_of_unknown_size():
  with tf.Graph().as_default(), tf.compat.v1.Session() as session:
    images = tf.compat.v1.placeholder(tf.float32, [None, 5, 5, 1])
    kernel = tf.ones([3, 3, 1, 2])
    features = convolution.convolution(images, kernel)
    (gradient,) = tf.gradients(features, [kernel])
    value = session.run(gradient, {images: np.ones((4, 5, 5, 1))})
  np.testing.assert_array_equal(value, np.full((3, 3, 1, 2), 36.0))

"""Tests of convolutional networks with batch normalisation."""

import math

import numpy as np
import pytest
import tensorflow as tf

from learned_optimizer.problems import problem_generator as pg
from tests.problems.all_problems import objective_and_gradients, parameters_of

_MNIST = ((1, 28, 28), 10)
_CIFAR10 = ((3, 32, 32), 10)


def _normalised(x):
  """Batch normalisation of TensorFlow, with the statistics of the batch."""
  axes = [*range(len(x.shape) - 1)]
  mean, variance = tf.nn.moments(x, axes)
  return tf.nn.batch_normalization(x, mean, variance, None, None, 1e-3)


def _convolved(x, w, b, stride=1, padding="VALID"):
  return _normalised(tf.nn.conv2d(x, w, stride, padding) + b)


def _pooled(x):
  return tf.nn.max_pool2d(x, 2, 2, "VALID")


def _affine(x, w, b):
  return tf.reshape(x, [len(x), -1]) @ w + b


def _conv_net(x, w0, b0, w1, b1, w2, b2, stride=1):
  x = _pooled(tf.nn.relu(_convolved(x, w0, b0, stride)))
  x = _pooled(tf.nn.relu(_convolved(x, w1, b1, stride)))
  return tf.nn.relu(_affine(x, w2, b2))


def _searched_cell(x, *p):
  def layer(x, i):
    return tf.nn.relu(_convolved(x, *p[2 * i : 2 * i + 2], padding="SAME"))

  n0 = layer(x, 0)
  n1 = layer(n0, 1)
  n2 = tf.nn.avg_pool2d(n1, 3, 1, "SAME") + layer(n0, 2)
  n3 = n2 + layer(n1, 3) + n0
  return tf.nn.relu(_affine(tf.reduce_mean(n3, [1, 2]), *p[8:]))


def _le_net(x, *p):
  x = _pooled(tf.sigmoid(_convolved(x, *p[:2])))
  x = _pooled(tf.sigmoid(_convolved(x, *p[2:4])))
  x = tf.sigmoid(_normalised(_affine(x, *p[4:6])))
  x = tf.sigmoid(_normalised(_affine(x, *p[6:8])))
  return _affine(x, *p[8:])


# Number of parameters, and the network written with TensorFlow's own layers.
_NETWORKS = {
  "mnist_conv": (lambda: pg.NormalisedConvNet(*_MNIST), 18122, _conv_net),
  "cifar_conv": (
    lambda: pg.NormalisedConvNet(*_CIFAR10, stride=2),
    13610,
    lambda *args: _conv_net(*args, stride=2),
  ),
  "nas": (lambda: pg.SearchedCell(*_CIFAR10), 7578, _searched_cell),
  "lenet": (lambda: pg.LeNet(*_CIFAR10), 62006, _le_net),
}


class TestNetworks:
  @pytest.mark.parametrize("name", _NETWORKS)
  def test_logits(self, name):
    build, count, network = _NETWORKS[name]
    problem = build()
    assert problem.num_params == count
    random_state = np.random.RandomState(0)
    parameters = [random_state.randn(*s) * 0.1 for s in problem.param_shapes]
    channels, height, width = problem.image_shape
    images = random_state.rand(4, height, width, channels)
    actual = problem.inference([*map(tf.constant, parameters)], images)
    expected = network(tf.constant(images), *parameters)
    assert np.any(expected)
    np.testing.assert_allclose(actual, expected, rtol=1e-9, atol=1e-12)

  @pytest.mark.parametrize("name", _NETWORKS)
  def test_start(self, name):
    for p in parameters_of(_NETWORKS[name][0]()):
      if p.ndim > 1:
        np.testing.assert_allclose(p.std(), 0.01, rtol=0.1)
      else:
        assert not np.any(p)

  def test_biases_before_a_normalisation_have_no_gradient(self):
    problem = pg.NormalisedConvNet((1, 12, 11), 3, ((2, 2, 3), (2, 3, 2)))
    parameters = parameters_of(problem)
    random_state = np.random.RandomState(0)
    data, labels = random_state.rand(5, 12, 11, 1), np.arange(5) % 3
    value, gradients = objective_and_gradients(
      problem, parameters, data, labels
    )
    assert [bool(np.any(g)) for g in gradients] == [1, 0, 1, 0, 1, 1]
    for i in 1, 3:
      parameters[i] = parameters[i] + np.float32(7)
    moved, _ = objective_and_gradients(problem, parameters, data, labels)
    np.testing.assert_allclose(moved, value, rtol=1e-6)

  def test_zero_parameters(self):
    """The activation of the logits has no gradient at 0."""
    for problem in (
      pg.NormalisedConvNet((1, 6, 6), 10, ((3, 3, 2),)),
      pg.SearchedCell((1, 3, 3), 10, 2),
    ):
      zeros = [np.zeros(s, np.float32) for s in problem.param_shapes]
      data = np.ones((3, *problem.image_shape[1:], 1))
      value, gradients = objective_and_gradients(
        problem, zeros, data, np.arange(3)
      )
      np.testing.assert_allclose(value, math.log(10), rtol=1e-6)
      assert not any(map(np.any, gradients))

  def test_no_variables_but_the_parameters(self):
    problem = pg.LeNet((1, 8, 8), 2, (1,), (2,))
    with tf.Graph().as_default():
      parameters = problem.init_variables()
      problem.objective(parameters, np.ones((3, 8, 8, 1)), np.zeros(3))
      variables = tf.compat.v1.global_variables()
    assert [v.name for v in variables] == [p.name for p in parameters]

  def test_perceptron_without_convolutions(self):
    problem = pg.LeNet((2, 2, 3), 2, (), ())
    assert problem.param_shapes == [(12, 2), (2,)]

  @pytest.mark.parametrize(
    ("build", "message"),
    [
      (
        lambda: pg.LeNet((5, 5), 2),
        r"image_shape must be \(channels, height, width\), got \(5, 5\)",
      ),
      (
        lambda: pg.SearchedCell((1, 5, 5), 1),
        "n_classes must be at least 2, got 1",
      ),
      (
        lambda: pg.SearchedCell((1, 5, 5), 2, 0),
        "channels must be a positive integer, got 0",
      ),
      (
        lambda: pg.NormalisedConvNet((1, 5, 5), 2, ((2, 2, 1, 1),)),
        r"filter_list\[0\] must be \(height, width, channels\), got \(2, 2, 1",
      ),
      (
        lambda: pg.NormalisedConvNet((1, 9, 9), 2, stride=0),
        "stride must be a positive integer, got 0",
      ),
      (
        lambda: pg.NormalisedConvNet((1, 9, 9), 2),
        r"filter_list\[1\] must leave at least 2 x 2 pixels for pooling, got a"
        " kernel of 5 x 5 with stride 1 on 3 x 3 pixels",
      ),
      (
        lambda: pg.LeNet((1, 12, 12), 2),
        r"channels\[1\] must leave at least 2 x 2 pixels .* on 4 x 4 pixels",
      ),
      (
        lambda: pg.LeNet((1, 12, 12), 2, (-1,)),
        r"channels\[0\] must be a positive integer, got -1",
      ),
      (
        lambda: pg.LeNet((1, 12, 12), 2, (1,), (4, 0)),
        r"hidden_sizes\[1\] must be a positive integer, got 0",
      ),
    ],
  )
  def test_bad_arguments(self, build, message):
    with pytest.raises(ValueError, match=message):
      build()

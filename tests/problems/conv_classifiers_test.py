"""Tests of the convolutional networks."""

import math

import numpy as np
import pytest
import tensorflow as tf

from learned_optimizer.problems import problem_generator as pg
from tests.problems.all_problems import (
  evaluate,
  norms,
  objective_and_gradients,
  parameters_of,
)
from tests.problems.training import check_compiled_training

_MNIST = ((1, 28, 28), 10)
_CIFAR10 = ((3, 32, 32), 10)

# The networks of L2O-Scale: batch size, parameters and check value.
_NETWORKS = {
  "evaluation_mnist": (
    lambda: pg.EvaluationConvNet(*_MNIST, [(3, 3, 16, 1), (5, 5, 32, 1)]),
    128,
    18122,
    [(3, 3, 1, 16), (16,), (5, 5, 16, 32), (32,), (512, 10), (10,)],
    2.363974,
  ),
  "evaluation_cifar10": (
    lambda: pg.EvaluationConvNet(
      *_CIFAR10, [[3, 3, 16, 2], [5, 5, 32, 2]], affine_size=32
    ),
    128,
    13610,
    [(3, 3, 3, 16), (16,), (5, 5, 16, 32), (32,), (32, 10), (10,)],
    2.3191178,
  ),
  "original_mnist": (
    lambda: pg.ConvNetOrig(*_MNIST, [(3, 3, 8), (5, 5, 8)], l2_reg_scale=0.0),
    64,
    64402,
    [(3, 3, 1, 8), (5, 5, 8, 8), (6272, 10), (10,)],
    2.3536592,
  ),
  "training_mnist": (
    lambda: pg.TrainingConvNet(*_MNIST, [(3, 3, 8), (5, 5, 8)]),
    64,
    64418,
    [(3, 3, 1, 8), (8,), (5, 5, 8, 8), (8,), (6272, 10), (10,)],
    2.4675393,
  ),
  "training_cifar10": (
    lambda: pg.TrainingConvNet(*_CIFAR10, [(3, 3, 16), (5, 5, 16)]),
    64,
    170714,
    [(3, 3, 3, 16), (16,), (5, 5, 16, 16), (16,), (16384, 10), (10,)],
    3.9207935,
  ),
}


def _scaled_normal(problem, random_state):
  return [
    (0.1 * random_state.randn(*shape)).astype(np.float32)
    for shape in problem.param_shapes
  ]


def _images(problem, size):
  channels, height, width = problem.image_shape
  return (size, height, width, channels)


class TestCheckValues:
  """Numbers computed with the original code."""

  @pytest.mark.parametrize("name", _NETWORKS)
  def test_network(self, name):
    build, batch_size, count, shapes, expected = _NETWORKS[name]
    problem = build()
    assert problem.param_shapes == shapes
    assert problem.num_params == count
    random_state = np.random.RandomState(0)
    parameters = _scaled_normal(problem, random_state)
    data = random_state.rand(*_images(problem, batch_size)).astype(np.float32)
    labels = random_state.randint(0, 10, batch_size)
    value, gradients = objective_and_gradients(
      problem, parameters, data, labels
    )
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    if name == "evaluation_mnist":
      expected_norms = [
        0.56657207,
        0.33970568,
        0.8966877,
        0.22281799,
        0.9756367,
        0.12903617,
      ]
      np.testing.assert_allclose(norms(gradients), expected_norms, rtol=1e-5)

  @pytest.mark.parametrize("name", ["evaluation_mnist", "training_mnist"])
  def test_zero_parameters(self, name):
    """The activation of the logits has no gradient at 0."""
    problem = _NETWORKS[name][0]()
    zeros = [np.zeros(shape, np.float32) for shape in problem.param_shapes]
    data = np.random.RandomState(0).rand(*_images(problem, 3))
    value, gradients = objective_and_gradients(
      problem, zeros, data.astype(np.float32), np.array([0, 1, 2])
    )
    np.testing.assert_allclose(value, math.log(10), rtol=1e-6)
    assert not np.any(norms(gradients))

  def test_original(self):
    problem = pg.ConvNet((1, 6, 6), 2, [(3, 3, 2), (5, 5, 3)])
    shapes = [(3, 3, 1, 2), (5, 5, 2, 3), (108, 2), (2,)]
    assert problem.param_shapes == shapes
    random_state = np.random.RandomState(0)
    parameters = _scaled_normal(problem, random_state)
    data = random_state.randn(4, 6, 6, 1).astype(np.float32)
    value, _ = objective_and_gradients(
      problem, parameters, data, np.array([0, 1, 1, 0])
    )
    np.testing.assert_allclose(value, 0.68117017, rtol=1e-5)


class TestConvNets:
  def test_regularisation(self):
    convolutional = ((1, 6, 6), 2, [(3, 3, 2)])
    assert pg.ConvNet(*convolutional).l2_reg_scale == 1e-3
    assert pg.ConvNet(*convolutional, l2_reg_scale=0.5).l2_reg_scale == 0.5
    assert pg.TrainingConvNet(*convolutional).l2_reg_scale == 0
    pooled = pg.EvaluationConvNet(*convolutional, affine_size=8)
    assert pooled.l2_reg_scale == 0

  @pytest.mark.parametrize("name", _NETWORKS)
  def test_initial_scale(self, name):
    problem = _NETWORKS[name][0]()
    for parameters in (
      parameters_of(problem),
      evaluate(lambda: problem.init_tensors()),
    ):
      values = np.concatenate([p.ravel() for p in parameters])
      np.testing.assert_allclose(values.std(), 0.01, rtol=0.03)
      assert all(0.003 < p.std() < 0.02 for p in parameters)

  @pytest.mark.parametrize(
    "problem",
    [
      pg.TrainingConvNet((1, 6, 6), 3, ((3, 3, 2),)),
      pg.EvaluationConvNet(
        (1, 12, 11), 3, ((2, 2, 3), (2, 3, 2)), affine_size=4
      ),
    ],
    ids=lambda problem: type(problem).__name__,
  )
  def test_compiled_training(self, problem):
    """XLA is exact with large parameters, rectifiers and pooling."""
    random_state = np.random.RandomState(0)
    initial = [random_state.randn(*shape) for shape in problem.param_shapes]
    data = random_state.randn(*_images(problem, 8))
    labels = random_state.randint(3, size=8)

    check_compiled_training(
      problem,
      initial,
      data,
      labels,
      learning_rate=0.01,
      rtol=1e-7,
      atol=1e-9,
      least_norm=1e-3,
    )

  def test_no_variables_but_the_parameters(self):
    problem = pg.EvaluationConvNet((1, 5, 5), 2, [(2, 2, 1)], affine_size=4)
    with tf.Graph().as_default():
      parameters = problem.init_variables()
      problem.objective(parameters, np.ones((3, 5, 5, 1)), np.zeros(3))
      variables = tf.compat.v1.global_variables()
    assert [v.name for v in variables] == [p.name for p in parameters]

  def test_data_of_unknown_shape(self):
    problem = pg.TrainingConvNet((1, 5, 4), 2, [(2, 2, 1)])
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
      data = tf.compat.v1.placeholder(tf.float32)
      labels = tf.compat.v1.placeholder(tf.int32)
      parameters = problem.init_variables(seed=6)
      objective = problem.objective(parameters, data, labels)
      gradients = problem.gradients(objective, parameters)
      session.run(tf.compat.v1.global_variables_initializer())
      feeds = {data: np.ones((3, 5, 4, 1)), labels: np.zeros(3)}
      values = session.run(gradients, feeds)
      assert [v.shape for v in values] == problem.param_shapes
      with pytest.raises(tf.errors.InvalidArgumentError, match="shape"):
        session.run(objective, {**feeds, data: np.ones((3, 4, 5, 1))})

  def test_images_of_another_shape(self):
    problem = pg.ConvNet((1, 5, 4), 2, [(2, 2, 1)])
    parameters = [tf.constant(p) for p in parameters_of(problem)]
    message = r"data must have shape \(None, 5, 4, 1\), got \(3, 4, 5, 1\)"
    with pytest.raises(ValueError, match=message):
      problem.objective(parameters, np.ones((3, 4, 5, 1)), np.zeros(3))

  @pytest.mark.parametrize(
    ("build", "message"),
    [
      (
        lambda: pg.ConvNet((5, 5), 2, [(2, 2, 1)]),
        r"image_shape must be \(channels, height, width\), got \(5, 5\)",
      ),
      (
        lambda: pg.ConvNet((1, 0, 5), 2, [(2, 2, 1)]),
        r"image_shape\[1\] must be a positive integer, got 0",
      ),
      (
        lambda: pg.ConvNet((1, 5, 5), 1, [(2, 2, 1)]),
        "n_classes must be at least 2, got 1",
      ),
      (
        lambda: pg.TrainingConvNet((1, 5, 5), 2, []),
        "filter_list must have at least one filter, got none",
      ),
      (
        lambda: pg.TrainingConvNet((1, 5, 5), 2, [(2, 2, 1, 1)]),
        r"filter_list\[0\] must be \(height, width, channels\), got \(2, 2, 1",
      ),
      (
        lambda: pg.EvaluationConvNet((1, 5, 5), 2, [(2, 2)]),
        r"filter_list\[0\] must be .* or .*stride\), got \(2, 2\)",
      ),
      (
        lambda: pg.EvaluationConvNet((1, 5, 5), 2, [(2, 2, 1), (2, -2, 1)]),
        r"filter_list\[1\]\[1\] must be a positive integer, got -2",
      ),
      (
        lambda: pg.EvaluationConvNet((1, 28, 28), 10, [(3, 3, 8), (5, 5, 8)]),
        "affine_size must be 128 for this image_shape .*, got 512",
      ),
      (
        lambda: pg.EvaluationConvNet((1, 8, 8), 10, [(3, 3, 8), (5, 5, 8)]),
        r"filter_list\[1\] must leave at least 2 x 2 pixels .* on 3 x 3",
      ),
      (
        lambda: pg.EvaluationConvNet((1, 5, 5), 2, [(2, 2, 1)], mode="train"),
        "mode must be 'test', .* got 'train'",
      ),
    ],
  )
  def test_bad_arguments(self, build, message):
    with pytest.raises(ValueError, match=message):
      build()

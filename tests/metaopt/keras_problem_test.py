"""Meta-training and evaluation on a Keras model and on a TF1 model."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from learned_optimizer import metaopt
from learned_optimizer.metaopt import evaluation
from learned_optimizer.metaopt.program import Programs
from learned_optimizer.metaopt.task import Task
from learned_optimizer.optimizer.variables import load_variables
from learned_optimizer.problems import datasets, problem
from learned_optimizer.problems.keras_adapter import KerasProblem
from learned_optimizer.problems.model_adapter import ModelAdapter
from learned_optimizer.problems.problem_spec import Spec
from learned_optimizer.problems.rosenbrock_model import (
  make_rosenbrock_loss_and_init,
)
from tests.metaopt import runs

LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def make_network():
  """A network for the digits."""
  layers = keras.layers
  return keras.Sequential(
    [
      keras.Input([8, 8, 1]),
      layers.Conv2D(4, 3, activation="relu"),
      layers.MaxPooling2D(2),
      layers.Flatten(),
      layers.Dense(10, kernel_regularizer=keras.regularizers.L2(0.01)),
    ]
  )


class Network(problem.Problem):
  """The same network, written by hand."""

  def __init__(self, random_seed=None):
    self._keras = KerasProblem(make_network, LOSS)
    super().__init__(self._keras.param_shapes, random_seed, 0.0)

  def _draw_parameters(self, generator):
    return self._keras._draw_parameters(generator)

  def objective(self, parameters, data=None, labels=None):
    kernel, kernel_bias, matrix, bias = parameters
    outputs = tf.nn.conv2d(tf.reshape(data, [-1, 8, 8, 1]), kernel, 1, "VALID")
    outputs = tf.nn.max_pool2d(tf.nn.relu(outputs + kernel_bias), 2, 2, "VALID")
    logits = tf.matmul(tf.reshape(outputs, [-1, 36]), matrix) + bias
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
    return tf.reduce_mean(losses) + 0.01 * tf.reduce_sum(tf.square(matrix))


class RosenbrockPair(problem.Problem):
  """Rosenbrock's function of two tensors, written by hand."""

  def __init__(self, random_seed=None):
    super().__init__([(1,), (1,)], random_seed, 0.0)

  def _draw_parameters(self, generator):
    adapter = ModelAdapter(make_rosenbrock_loss_and_init)
    return adapter._draw_parameters(generator)

  def objective(self, parameters, data=None, labels=None):
    x, y = parameters
    return tf.squeeze((1 - x) ** 2 + 100 * (y - x**2) ** 2)


def _entry(*spec):
  if spec[0] in (KerasProblem, Network):
    return Spec(*spec, {}), datasets.digits(), 32
  return Spec(*spec, {}), None, None


KERAS = _entry(KerasProblem, (make_network, LOSS))
TF1 = _entry(ModelAdapter, (make_rosenbrock_loss_and_init,))


@pytest.mark.parametrize(
  ("adapted", "by_hand"),
  [(KERAS, _entry(Network, ())), (TF1, _entry(RosenbrockPair, ()))],
  ids=["keras", "tf1"],
)
def test_meta_training_equals_that_by_hand(tmp_path, adapted, by_hand):
  checkpoints = []
  for name, entry in (("adapted", adapted), ("by_hand", by_hand)):
    result, _ = runs.train(
      tmp_path / name, entries=[entry], optimizer=runs.hierarchical_rnn((4,))
    )
    assert result.global_step == 8
    checkpoints.append(runs.published(tmp_path / name))
  adapted_values, values = checkpoints
  assert adapted_values.keys() == values.keys()
  for name, value in values.items():
    np.testing.assert_allclose(
      adapted_values[name], value, rtol=1e-3, atol=1e-5, err_msg=name
    )


def test_trained_optimizer_descends_on_keras_digits(tmp_path):
  optimizer_spec = runs.hierarchical_rnn((4, 4, 4), init_lr_range=(0.05, 0.1))
  runs.train(
    tmp_path,
    entries=[KERAS],
    optimizer=optimizer_spec,
    num_problems=1,
    num_meta_iterations=4,
    steps=10,
  )
  spec, dataset, batch_size = KERAS
  task = Task.of(spec.build(random_seed=1), dataset, batch_size)
  with tf.Graph().as_default(), tf.compat.v1.Session() as session:
    optimizer = optimizer_spec.build()
    weights = list(optimizer.weights.values())
    load_variables(session, weights, runs.published(tmp_path))
    programs = Programs(session, optimizer)
    losses = evaluation.run_all(programs, task, False, 100, [1, 2, 3], (0, 100))
    curves = losses.on_data
  assert np.all(np.diff(curves[:, 0]) != 0)
  assert np.all(curves[:, -1] < 0.8 * curves[:, 0])

  with tf.Graph().as_default() as graph:
    objectives, parameters, _ = metaopt.test_optimizer(
      optimizer_spec.build(),
      task.problem,
      100,
      dataset,
      batch_size,
      seed=1,
      graph=graph,
      logdir=str(tmp_path),
    )
  assert [p.shape for p in parameters] == task.problem.param_shapes
  assert np.mean(objectives[-5:]) < 0.8 * np.mean(objectives[:5])

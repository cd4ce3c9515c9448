"""Keras, the TF1 optimizer and the pure rule take the same 50 steps."""

import keras
import pytest
import tensorflow as tf

from learned_optimizer.compat import keras as learned
from learned_optimizer.optimizer import hierarchical_rnn
from learned_optimizer.optimizer.variables import load_variables
from tests.compat import cases, trajectories
from tests.optimizer import reference


class Recorder(keras.callbacks.Callback):
  """Keeps the model's parameters after each step."""

  def __init__(self):
    super().__init__()
    self.recorded = []

  def on_train_batch_end(self, batch, logs=None):
    self.recorded.append(self.model.get_weights())


def tf1_trajectory(settings, weights, params, batches):
  v1 = tf.compat.v1
  trajectory = []
  with tf.Graph().as_default() as graph:
    inputs = v1.placeholder(tf.float32, [None, 4])
    labels = v1.placeholder(tf.int32, [None])
    variables = [
      v1.get_variable(f"p{i}", initializer=param, use_resource=True)
      for i, param in enumerate(params)
    ]
    optimizer = hierarchical_rnn.HierarchicalRNN(**settings)
    step = optimizer.minimize(
      trajectories.loss_of(inputs, labels, variables), var_list=variables
    )
    with reference.quick_session(graph) as session:
      session.run(v1.global_variables_initializer())
      load_variables(session, list(optimizer.weights.values()), weights)
      optimizer.renew_state(session)
      for batch_inputs, batch_labels in batches:
        session.run(step, {inputs: batch_inputs, labels: batch_labels})
        trajectory.append(session.run(variables))
  return trajectory


@pytest.mark.parametrize("use_attention", [False, True])
def test_the_same_trajectory(use_attention):
  settings = trajectories.SETTINGS | {"use_attention": use_attention}
  weights = learned.HierarchicalRNN(**settings, seed=0).learned_weights
  inputs, labels = trajectories.data(cases.NUM_CLASSES)
  batches = trajectories.batches(inputs, labels)
  keras.utils.set_random_seed(1)
  model = cases.MODELS["dense"]()
  params = model.get_weights()
  optimizer = learned.HierarchicalRNN(**settings, weights=weights)
  model.compile(optimizer, cases.loss(), jit_compile=False)
  recorder = Recorder()
  model.fit(
    inputs,
    labels,
    trajectories.BATCH_SIZE,
    shuffle=False,
    verbose=0,
    callbacks=[recorder],
  )
  steps = zip(
    recorder.recorded,
    trajectories.pure(optimizer.rule, weights, params, batches),
    tf1_trajectory(settings, weights, params, batches),
    strict=True,
  )
  for in_keras, pure, in_tf1 in steps:
    for a, b, c in zip(in_keras, pure, in_tf1, strict=True):
      reference.assert_tensor(a, b)
      reference.assert_tensor(c, b)

"""A small classifier's steps by the pure rule, to compare shells with."""

import numpy as np
import tensorflow as tf

NUM_STEPS = 50
BATCH_SIZE = 4
SETTINGS = {
  "level_sizes": [3, 4, 5],
  "use_gradient_shortcut": True,
  "init_lr_range": [1e-2, 1e-2],
}


def data(num_classes: int) -> tuple[np.ndarray, np.ndarray]:
  """Inputs and labels of all steps."""
  generator = np.random.default_rng(0)
  size = NUM_STEPS * BATCH_SIZE
  inputs = generator.normal(size=(size, 4)).astype(np.float32)
  return inputs, generator.integers(0, num_classes, size)


def batches(inputs, labels):
  """One pair of arrays for each step."""
  return [
    (inputs[i : i + BATCH_SIZE], labels[i : i + BATCH_SIZE].astype(np.int32))
    for i in range(0, len(inputs), BATCH_SIZE)
  ]


def loss_of(inputs, labels, params):
  """The loss of a network of one hidden layer."""
  logits = tf.matmul(
    tf.tanh(tf.matmul(inputs, params[0]) + params[1]), params[2]
  )
  return tf.reduce_mean(
    tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits + params[3])
  )


def pure(rule, weights, params, batches):
  """What the model's parameters are after each step of the pure rule."""
  weights = {name: tf.constant(value) for name, value in weights.items()}
  params = attended = [tf.constant(param) for param in params]
  draws = rule.draws(params, np.random.default_rng(0))
  state = rule.init_state(weights, params, draws)
  trajectory = []
  for inputs, labels in batches:
    with tf.GradientTape() as tape:
      tape.watch(attended)
      loss = loss_of(inputs, labels, attended)
    grads = tape.gradient(loss, attended)
    update = rule.update(weights, params, grads, state)
    params, attended, state = (
      update.params,
      update.attended_params,
      update.state,
    )
    trajectory.append([param.numpy() for param in attended])
  return trajectory

"""A training loop of one's own with a learned optimizer as a pure function.

Run it with a name of `learned_optimizer.names()`, the folder of a run of
metarun, or a checkpoint:

  python examples/custom_training_loop.py runs
"""

import sys

import numpy as np
import tensorflow as tf

from learned_optimizer.compat import functional
from learned_optimizer.problems import datasets


def objective(params, images, labels):
  """The mean cross-entropy of a perceptron with one hidden layer."""
  hidden = tf.nn.relu(images @ params["hidden"] + params["hidden_bias"])
  logits = hidden @ params["out"] + params["out_bias"]
  losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
  return tf.reduce_mean(losses)


def train(source: str, num_steps: int) -> list[float]:
  """Fits the perceptron to the digits; returns the batch losses."""
  optimizer = functional.load(source)

  @tf.function(jit_compile=True)
  def step(params, state, images, labels):
    with tf.GradientTape() as tape:
      tape.watch(params)
      loss = objective(params, images, labels)
    grads = tape.gradient(loss, params)
    return loss, *optimizer.update(grads, state, params)

  digits = datasets.digits()
  generator = np.random.default_rng(0)
  shapes = {
    "hidden": [64, 16],
    "hidden_bias": [16],
    "out": [16, 10],
    "out_bias": [10],
  }
  params = {
    name: tf.constant(generator.normal(0.0, 0.1, shape), tf.float32)
    for name, shape in shapes.items()
  }
  state = optimizer.init(params, seed=0)
  losses = []
  for _ in range(num_steps):
    rows = generator.choice(digits.size, 128, replace=False)
    loss, params, state = step(
      params, state, digits.data[rows], digits.labels[rows]
    )
    losses.append(float(loss))
  return losses


if __name__ == "__main__":
  if len(sys.argv) != 2:
    sys.exit(f"usage: {sys.argv[0]} <name, folder of a run, or checkpoint>")
  result = train(sys.argv[1], num_steps=200)
  for number in range(0, len(result), 20):
    print(f"step {number:4}: loss {result[number]:.4f}")
  print(f"step {len(result) - 1:4}: loss {result[-1]:.4f}")

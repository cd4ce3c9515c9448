"""A TF1 model trained in a session by a meta-trained optimizer.

Run it with the folder of a run of metarun, or with a checkpoint:

  python examples/tf1_session.py runs/HierarchicalRNN_GRUCell_20_2
"""

import sys

import numpy as np
import tensorflow as tf

from learned_optimizer.optimizer.hierarchical_rnn import HierarchicalRNN
from learned_optimizer.problems import datasets


def train(checkpoint: str, num_steps: int) -> list[float]:
  """Fits a linear classifier to the digits; returns the batch losses."""
  digits = datasets.digits()
  generator = np.random.default_rng(0)
  losses = []
  with tf.Graph().as_default(), tf.compat.v1.Session() as session:
    images = tf.compat.v1.placeholder(tf.float32, [None, 64])
    labels = tf.compat.v1.placeholder(tf.int32, [None])
    matrix = tf.compat.v1.get_variable("matrix", [64, 10], use_resource=True)
    bias = tf.compat.v1.get_variable("bias", [10], use_resource=True)
    loss = tf.reduce_mean(
      tf.nn.sparse_softmax_cross_entropy_with_logits(
        labels=labels, logits=images @ matrix + bias
      )
    )
    # The settings that metarun uses by default.
    optimizer = HierarchicalRNN(
      [10, 20, 20],
      use_problem_lr_mean=True,
      use_gradient_shortcut=True,
      use_grad_products=True,
      random_seed=0,
    )
    step = optimizer.minimize(loss, var_list=[matrix, bias])
    session.run(tf.compat.v1.global_variables_initializer())
    optimizer.restore(session, checkpoint)
    for _ in range(num_steps):
      rows = generator.choice(digits.size, 128, replace=False)
      feed = {images: digits.data[rows], labels: digits.labels[rows]}
      losses.append(float(session.run([loss, step], feed)[0]))
  return losses


if __name__ == "__main__":
  if len(sys.argv) != 2:
    sys.exit(f"usage: {sys.argv[0]} <folder of a run, or checkpoint>")
  result = train(sys.argv[1], num_steps=200)
  for number in range(0, len(result), 20):
    print(f"step {number:4}: loss {result[number]:.4f}")
  print(f"step {len(result) - 1:4}: loss {result[-1]:.4f}")

"""The examples run, and do what they say."""

import pathlib
import re

import pytest
import tensorflow as tf

from examples import tf1_session
from learned_optimizer import packaged_data
from learned_optimizer.optimizer.hierarchical_rnn import HierarchicalRNN


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
  """A checkpoint with metarun's settings."""
  with tf.Graph().as_default(), tf.compat.v1.Session() as session:
    optimizer = HierarchicalRNN(
      [10, 20, 20],
      use_problem_lr_mean=True,
      use_gradient_shortcut=True,
      use_grad_products=True,
      random_seed=1,
    )
    session.run(tf.compat.v1.global_variables_initializer())
    # Untrained, but made to descend: along the scaled gradients alone, and at
    # learning rates far above the initial ones.
    optimizer.weights["LOL/update_weights"].load([[0.0]] * 10, session)
    offset = optimizer.weights["LOL/PerTensor/param_stepsize_offset"]
    offset.load(4.0, session)
    saver = tf.compat.v1.train.Saver(list(optimizer.weights.values()))
    folder = tmp_path_factory.mktemp("run")
    return saver.save(session, str(folder / "model.ckpt"))


def test_tf1_session(checkpoint):
  losses = tf1_session.train(checkpoint, num_steps=30)
  assert len(losses) == 30
  assert losses[-1] < 0.9 * losses[0]


def test_readme(checkpoint, capsys):
  text = pathlib.Path(packaged_data.path("README.md")).read_text()
  (code,) = re.findall("```python\n(.*?)```", text, re.DOTALL)
  (folder,) = re.findall(r'restore\(session, "(.*)"\)', code)
  exec(code.replace(folder, checkpoint), {})
  # It starts from 4 + 25.
  assert float(capsys.readouterr().out) < 28.5

"""The examples run, and do what they say."""

import json
import pathlib
import re

import numpy as np
import pytest
import tensorflow as tf

import learned_optimizer
from examples import custom_training_loop, keras_fit, tf1_session, transfer
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


def test_keras_fit():
  history = keras_fit.fit("digits-mlp", epochs=17).history
  assert history["loss"][-1] < 0.1
  assert history["val_accuracy"][-1] > 0.9


def test_custom_training_loop(checkpoint):
  losses = custom_training_loop.train(checkpoint, num_steps=30)
  assert len(losses) == 30
  assert losses[-1] < 0.9 * losses[0]


def test_transfer(checkpoint, tmp_path):
  losses = transfer.export_and_fit(checkpoint, str(tmp_path / "new"), epochs=3)
  assert len(losses) == 3
  assert losses[-1] < 0.9 * losses[0]


def test_transfer_from_a_run(program, tmp_path):
  done = program(
    "metarun",
    "--train_dir=runs",
    "--include_digits_mlp_problems",
    "--num_problems=1",
    "--num_meta_iterations=1",
    "--num_unroll_scale=0",
    "--min_num_unrolls=1",
    "--num_partial_unroll_itr_scale=0",
    "--min_num_itr_partial_unroll=2",
    "--cell_sizes=3,2",
    "--use_lr_shortcut",
    "--nouse_problem_lr_mean",
    "--xla=never",
    "--noprogress",
    cwd=tmp_path,
  )
  assert done.status == 0, done.stderr
  folder = tmp_path / "new"
  losses = transfer.export_and_fit(tmp_path / "runs", folder, epochs=1)
  assert np.isfinite(losses).all()
  rule = learned_optimizer.load(folder).rule
  assert rule.level_sizes == (3, 2)
  assert rule.use_lr_shortcut
  assert not rule.use_problem_lr_mean
  training = json.loads((folder / "training.json").read_text())
  assert training["settings"]["problem_sets"] == ["digits_mlp"]
  assert training["global_step"] == 1


def test_docs(checkpoint, tmp_path, monkeypatch):
  text = pathlib.Path(packaged_data.path("docs/keras.md")).read_text()
  monkeypatch.chdir(tmp_path)
  blocks = re.findall("```python\n(.*?)```", text, re.DOTALL)
  assert blocks
  for block in blocks:
    names = {}
    exec(block.replace("digits-mlp", checkpoint), names)
    if "meta_gradients" in names:
      gradients = names["meta_gradients"].values()
      assert any(np.any(g) for g in gradients if g is not None)


def test_readme():
  text = pathlib.Path(packaged_data.path("README.md")).read_text()
  (code,) = re.findall("```python\n(.*?)```", text, re.DOTALL)
  names = {}
  exec(code, names)
  assert names["model"].history.history["loss"][-1] < 0.1

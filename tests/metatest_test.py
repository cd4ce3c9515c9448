"""metatest as its users call it: the published command, flags, files."""

import csv
import pickle

import numpy as np
import pytest
import tensorflow as tf
from matplotlib import image

from learned_optimizer.optimizer.hierarchical_rnn import HierarchicalRNN
from tests import running_programs

_NAME = "HierarchicalRNN_GRUCell_20_2"
# As published, but for the number of steps.
_PUBLISHED = (
  "--train_dir=../l2o-scale-regularize-train/hess_cl_mt",
  "--save_dir=hess_cl_mt_eval",
  "--include_mnist_mlp_relu_problems",
  "--model_name=mnist-relu",
  "--restore_model_name=model.ckpt-0",
  "--num_testing_itrs=6",
)
_SEEDS = (6, 12, 18, 24, 30)


def _record(folder, seed, name):
  """The record of a seed, which is a list of numpy.float32."""
  path = folder / f"seed{seed}_eval_loss_record.pickle-{name}"
  record = pickle.loads(path.read_bytes())
  assert type(record) is list
  assert {type(loss) for loss in record} == {np.float32}
  return record


def _rows(folder):
  with (folder / "evaluation.csv").open() as file:
    return [*csv.DictReader(file)]


@pytest.fixture(scope="module")
def published(program, images, tmp_path_factory):
  """How the published command ended, and its folder of results."""
  folder = tmp_path_factory.mktemp("published")
  run = folder / "l2o-scale-regularize-train" / "hess_cl_mt" / _NAME
  run.mkdir(parents=True)
  caller = folder / "l2o-scale"
  caller.mkdir()
  with tf.Graph().as_default(), tf.compat.v1.Session() as session:
    settings = ("problem_lr_mean", "gradient_shortcut", "grad_products")
    optimizer = HierarchicalRNN(
      [10, 20, 20], **{f"use_{setting}": True for setting in settings}
    )
    session.run(tf.compat.v1.global_variables_initializer())
    saver = tf.compat.v1.train.Saver(dict(optimizer.weights))
    saver.save(session, str(run / "model.ckpt-0"), write_meta_graph=False)
  done = program("metatest", *_PUBLISHED, f"--data_dir={images}", cwd=caller)
  return done, caller / "hess_cl_mt_eval", run


def test_the_published_evaluation_command(published):
  done, folder, run = published
  assert done.status == 0, done
  assert "5/5 [" in done.stderr
  assert f"Evaluating {run}/model.ckpt-0 on seeds 6, 12" in done.stdout
  assert "\nHierarchicalRNN  2.3" in done.stdout
  assert "loss after 6 steps" in done.stdout
  assert "mnist_mlp_relu: FullyConnected(784, 10" in done.stdout
  assert {path.name for path in folder.iterdir()} == {
    *("evaluation.csv", "evaluation.png"),
    *(f"seed{seed}_eval_loss_record.pickle-mnist-relu" for seed in _SEEDS),
  }
  records = [_record(folder, seed, "mnist-relu") for seed in _SEEDS]
  assert {len(record) for record in records} == {6}
  np.testing.assert_allclose([r[0] for r in records], np.log(10), atol=0.02)
  assert len({r[0] for r in records}) == 5
  rows = _rows(folder)
  assert [row["step"] for row in rows] == [*"0123456"]
  assert {row["optimizer"] for row in rows} == {"HierarchicalRNN"}
  assert {row["problem"] for row in rows} == {"mnist_mlp_relu"}
  assert min(image.imread(folder / "evaluation.png").shape[:2]) > 200


def test_the_published_command_on_digits(program, published, tmp_path):
  _, _, run = published
  done = program(
    "metatest",
    *(*_PUBLISHED, "--embedded_digits", f"--train_dir={run.parent}"),
    *("--num_testing_itrs=1", "--seeds=6"),
    cwd=tmp_path,
  )
  assert done.status == 0, done
  (first,) = _record(tmp_path / "hess_cl_mt_eval", 6, "mnist-relu")
  np.testing.assert_allclose(first, np.log(10), atol=0.02)


def test_a_misspelling_that_was_published_is_understood(program, tmp_path):
  done = program(
    "metatest",
    *("--include_mnist_conv_problem", "--test_optimizer=SGD"),
    f"--data_dir={tmp_path}",
    cwd=tmp_path,
  )
  running_programs.assert_refused(done, "mnist is not in")


_ADAM = (
  *("--test_optimizer=Adam", "--seeds=6", "--noprogress"),
  *("--testing_steps=2", "--num_testing_itrs=5"),
)


@pytest.fixture(scope="module")
def adam(program, images, tmp_path_factory):
  """How a run without checkpoint on two sets ended, and its folder."""
  folder = tmp_path_factory.mktemp("adam")
  done = program(
    "metatest",
    *(*_ADAM, f"--data_dir={images}"),
    *("--include_mnist_mlp_relu_problems", "--include_digits_mlp_problems"),
    *("--task=0", "--num_meta_iterations=7"),
    cwd=folder,
  )
  return done, folder / "opt"


def test_a_hand_designed_optimizer_needs_no_checkpoint(adam):
  done, folder = adam
  assert done.status == 0, done
  assert "Evaluating Adam 0.0001 on seeds 6." in done.stdout
  assert done.stdout.count("\nAdam 0.0001  ") == 2
  assert done.stdout.count("loss after 2 steps") == 2
  (warning,) = done.stderr.splitlines()
  assert "--task, --num_meta_iterations had no effect" in warning
  names = [f"mt-{name}" for name in ("mnist_mlp_relu", "digits_mlp")]
  assert {path.name for path in folder.iterdir()} == {
    *("evaluation.csv", "evaluation.png"),
    *(f"seed6_eval_loss_record.pickle-{name}" for name in names),
  }
  records = [_record(folder, 6, name) for name in names]
  assert [len(record) for record in records] == [5, 5]
  rows = _rows(folder)
  assert {row["step"] for row in rows} == {*"012345"}
  assert {(row["optimizer"], row["learning_rate"]) for row in rows} == {
    ("Adam", "0.0001")
  }


def test_optimizers_start_with_the_same_parameters_and_batches(published, adam):
  (learned, other) = (
    _record(folder, 6, name)
    for folder, name in (
      (published[1], "mnist-relu"),
      (adam[1], "mt-mnist_mlp_relu"),
    )
  )
  np.testing.assert_allclose(learned[0], other[0], rtol=1e-6)
  assert learned[1:5] != other[1:]


def test_a_seed_fixes_everything(program, adam, tmp_path):
  done = program(
    "metatest",
    *(*_ADAM, "--include_digits_mlp_problems", "--save_dir=again"),
    cwd=tmp_path,
  )
  assert done.status == 0, done
  assert not done.stderr
  record = _record(tmp_path / "again", 6, "mt")
  assert record == _record(adam[1], 6, "mt-digits_mlp")


def test_results_need_a_folder(program, tmp_path):
  file = tmp_path / "file"
  file.write_text("content")
  done = program(
    "metatest",
    *(*_ADAM, "--include_digits_mlp_problems", f"--save_dir={file}"),
    cwd=tmp_path,
  )
  running_programs.assert_refused(done, str(file))

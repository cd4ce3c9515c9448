"""Figures of runs, and the settings and tables of the documented experiment."""

import io
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from matplotlib import image

from docs import (
  density_figure,
  experiment_results,
  experiment_runs,
  optimizee,
  pooled_curves,
  training_curves,
)
from learned_optimizer.metaopt import evaluation, plotting, training
from learned_optimizer.metaopt.comparison import Contestant, Curves
from learned_optimizer.metaopt.curriculum import Curriculum
from learned_optimizer.metaopt.evaluation import Losses
from learned_optimizer.metaopt.task import Task
from learned_optimizer.metaopt.validation import Validation
from learned_optimizer.optimizer.baselines import BASELINES
from learned_optimizer.optimizer.rule_optimizer import RuleOptimizer
from learned_optimizer.problems import problem_generator as pg
from learned_optimizer.problems.dataset import Dataset
from learned_optimizer.problems.problem_spec import Spec

_SGD = BASELINES["SGD"]
_BOWL = (Spec(pg.Bowl, (2,), {}), None, None)


def _train(folder, num_meta_iterations=4):
  training.train_optimizer(
    str(folder),
    Spec(RuleOptimizer, (_SGD,), {}),
    [_BOWL],
    1,
    num_meta_iterations,
    lambda _: 1,
    lambda _: 1,
    out=io.StringIO(),
    seed=1,
    # Too small to change anything: no evaluation is an improvement.
    learning_rate=1e-12,
    xla="never",
    validation=Validation(1, 1, 4, 2),
    curriculum=Curriculum(2, (2, 4, 6, 8)),
    reset_rnn_params=False,
  )
  return folder


def _assert_is_drawn(path):
  """More than a frame: thousands of pixels are coloured."""
  pixels = image.imread(path)[..., :3]
  assert min(pixels.shape[:2]) > 300
  colourful = pixels.max(axis=-1) - pixels.min(axis=-1) > 0.3
  assert colourful.sum() > 300


def _write_costs(folder, values):
  with tf.Graph().as_default():
    writer = tf.compat.v1.summary.FileWriter(str(folder))
  for step, cost in values.items():
    summary = tf.compat.v1.Summary()
    summary.value.add(tag="ValidationCost", simple_value=cost)
    writer.add_summary(summary, step)
  writer.close()


def test_training(tmp_path):
  history = training_curves.read(_train(tmp_path / "run", 12))
  # A level has three evaluations; what enters one is evaluated besides.
  assert history.levels.tolist() == [0, 0, 0, 1, 1, 1, 1]
  assert history.unrolls.tolist() == [1, 2, 3, 3, 5, 7, 9]
  assert np.all(np.isfinite(history.costs))
  path = tmp_path / "figure.png"
  training_curves.write_png(path, {"one": [history, history], "two": [history]})
  _assert_is_drawn(path)


def test_history_of_a_continued_run(tmp_path):
  _write_costs(tmp_path, {1: 5.0, 2: 4.0, 3: 3.0})
  (first,) = tmp_path.iterdir()
  first.rename(tmp_path / "events.out.tfevents.1")
  _write_costs(tmp_path, {3: 3.5, 4: 2.5})
  history = training_curves.read(tmp_path)
  assert history.unrolls.tolist() == [1, 2, 3, 4]
  assert history.costs.tolist() == [5.0, 4.0, 3.5, 2.5]
  assert history.levels.tolist() == [-1] * 4
  # The last record is not complete yet.
  data = first.with_name("events.out.tfevents.1").read_bytes()
  first.with_name("events.out.tfevents.9").write_bytes(data[:-5])
  assert training_curves.read(tmp_path).unrolls.tolist() == [1, 2]


def test_run_without_validation(tmp_path):
  with pytest.raises(ValueError, match="no events of a validation"):
    training_curves.read(tmp_path)


def test_pooled_losses(tmp_path):
  contestants = [
    Contestant.of_rule(_SGD, rate)._replace(name=name, learning_rate=None)
    for name, rate in (("a", 0.1), ("b", 0.2), ("a", 0.3))
  ]
  curves = pooled_curves.measure({"bowl": _BOWL}, contestants, [], 5, [6, 12])
  assert [c.label for c in curves] == ["a", "b"]
  assert [c.losses.on_data.shape for c in curves] == [(4, 6), (2, 6)]
  (a, b) = (c.losses.on_data for c in curves)
  assert np.array_equal(a[:2, 0], b[:, 0])
  assert np.all(a[:2, -1] > b[:, -1])
  assert np.all(b[:, -1] > a[2:, -1])
  path = tmp_path / "figure.png"
  plotting.write_png(path, curves)
  _assert_is_drawn(path)


def test_trainer_follows_the_rule():
  problem = pg.Bowl(2)
  train = optimizee.trainer(Task.of(problem, None, None), _SGD())
  start = [np.array([[1.0], [-2.0]], np.float32)]
  (end,) = train({"SGD/learning_rate": 0.1}, start, 3, 0)
  point = tf.Variable(start[0])
  for _ in range(3):
    with tf.GradientTape() as tape:
      value = problem.objective([point])
    point.assign_sub(0.1 * tape.gradient(value, point))
  np.testing.assert_allclose(end, point.numpy(), rtol=1e-5)


def _regression():
  generator = np.random.default_rng(0)
  data = Dataset(
    generator.normal(size=[40, 3]).astype(np.float32),
    generator.integers(3, size=40).astype(np.int32),
  )
  spec = Spec(
    pg.SoftmaxRegression, (3, 3), {"l2_reg_scale": 0.0, "noise_stdev": 0.1}
  )
  return spec, data, 8


def test_trainer_agrees_with_evaluation():
  spec, data, batch_size = _regression()
  adam = Contestant.of_rule(BASELINES["Adam"], 0.1)
  (curves,) = pooled_curves.measure(
    {"regression": (spec, data, batch_size)}, [adam], [], 7, [6]
  )
  task = Task.of(spec.build(random_seed=0), data, batch_size)
  start = evaluation.original_parameters(task.problem, 6)
  train = optimizee.trainer(task, optimizee.rule_of(adam))
  end = train(adam.weights, start, 7, 6)
  loss = float(optimizee.objective(task)(end))
  assert loss == pytest.approx(curves.losses.on_data[0, -1], rel=1e-5)


def test_density(tmp_path):
  spec, data, batch_size = _regression()
  task = Task.of(spec.build(random_seed=0), data, batch_size)
  adam = Contestant.of_rule(BASELINES["Adam"], 0.1)
  sgd = Contestant.of_rule(_SGD, 0.3)._replace(name="run", learning_rate=None)
  spectra = density_figure.spectra(task, [adam, sgd], 30, 6, 2, 4)
  assert [s.name for s in spectra] == [
    "before training",
    "after 30 steps of Adam 0.1",
    "after 30 steps of run",
  ]
  assert spectra[0].loss > spectra[1].loss
  assert spectra[0].loss > spectra[2].loss
  for s in spectra:
    assert s.density.moment(0) == pytest.approx(1)
    assert s.density.nodes.min() > -1e-4  # It is convex.
  path = tmp_path / "figure.png"
  density_figure.write_png(path, {"regression": spectra})
  _assert_is_drawn(path)


def test_density_after_divergence():
  task = Task.of(pg.Bowl(2), None, None)
  wild = Contestant.of_rule(_SGD, 1e20)
  with pytest.raises(ValueError, match="SGD 1e\\+20 diverged"):
    density_figure.spectra(task, [wild], 9, 6, 1, 2)


def _run(module, *arguments, **settings):
  return subprocess.run(
    [sys.executable, "-m", module, *arguments],
    env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    capture_output=True,
    text=True,
    **settings,
  )


def test_program(tmp_path):
  _train(tmp_path / "runs" / "name_of_rule")
  done = _run(
    "docs.figures",
    "--figure=training",
    f"--runs={tmp_path}/runs",
    f"--output={tmp_path}/figure.png",
  )
  assert done.returncode == 0, done.stderr
  assert str(tmp_path / "figure.png") in done.stdout
  _assert_is_drawn(tmp_path / "figure.png")


def test_program_needs_as_many_labels_as_runs():
  done = _run("docs.figures", "--figure=training", "--runs=a,b", "--labels=c")
  assert done.returncode == 1
  assert "--labels" in done.stderr
  assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("configuration", experiment_runs.CONFIGURATIONS)
def test_metarun_accepts_what_the_experiment_gives(configuration, tmp_path):
  run = experiment_runs.Run(configuration, 1, tmp_path)
  done = _run(
    "learned_optimizer.metarun", "--only_check_args", *run.arguments()
  )
  assert done.returncode == 0, done.stderr


def test_loss_table():
  losses = Losses(
    np.array([[2.0, 1.0], [2.0, 0.25], [2.0, 3.0], [2.0, np.nan]], np.float32),
    np.zeros([4, 1], np.float32),
  )
  curves = Curves("bowl", "Bowl(2)", "learned", None, "", [0, 1], losses)
  *_, row = experiment_results.loss_table([curves], 2).splitlines()
  assert row == ("| bowl | learned | 3 [1, 3] | 0.625, inf | 2 of 4 |")


def test_accuracy_table():
  found = experiment_results.Accuracy(
    "digits",
    "Adam 0.1",
    np.array([0.1, 0.2, np.inf]),
    np.array([0.9, 0.8, 0.1]),
  )
  *_, row = experiment_results.accuracy_table([found]).splitlines()
  assert row == ("| digits | Adam 0.1 | 0.2 [0.1, inf] | 80.0 % [10.0, 90.0] |")

"""The gallery of problems: its picture, its table, and their page."""

import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from matplotlib import image

import docs.set_table
from docs import surfaces
from learned_optimizer import packaged_data
from learned_optimizer.optimizer.hierarchical_rnn import HierarchicalRNN
from learned_optimizer.problems.problem_spec import Spec

_BASELINES = [surfaces.baseline("Adam"), surfaces.baseline("Momentum")]


def _write(path, optimizers=_BASELINES, num_steps=3, seed=0):
  panels = [p for p in surfaces.all_panels() if p.title == "Rosenbrock"]
  surfaces.write_png(path, panels, optimizers, num_steps, seed)
  return path.read_bytes()


def test_program(tmp_path):
  root = pathlib.Path(surfaces.__file__).parents[1]
  done = subprocess.run(
    [sys.executable, "-m", "docs.problem_gallery", "--steps=1"],
    cwd=root,
    env=os.environ
    | {"PYTHONPATH": str(root), "BUILD_WORKING_DIRECTORY": str(tmp_path)},
    capture_output=True,
    text=True,
  )
  assert done.returncode == 0, done.stderr
  picture = tmp_path / "problem_gallery.png"
  assert str(picture) in done.stdout
  height, width, _ = image.imread(picture).shape
  assert min(height, width) > 1000
  # The page shows what the program prints.
  table = done.stdout.split("\n\n")[0]
  assert table.startswith("| set |")
  page = pathlib.Path(packaged_data.path("docs/problems.md")).read_text()
  assert f"\n\n{table}\n\n" in page


def test_table():
  rows = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in docs.set_table.markdown().splitlines()[2:]
  ]
  by_name = {(row[0], row[1].split()[0].strip(",")): row for row in rows}
  assert len(by_name) == len(rows)
  assert by_name["rescale", "metarun"][1:] == [
    "metarun (default), metatest",
    "9",
    "18 (×5), 20, 25, 50, 100",
    "none",
  ]
  assert by_name["mnist_conv", "metarun"][2:] == ["1", "64418", "MNIST"]
  assert by_name["mnist_conv", "metatest"][2:] == ["1", "18122", "MNIST"]
  assert by_name["outward_snake", "metarun"][4] == "generated"
  # Two sets share their problems with others, but for three perceptrons.
  default = [row for row in rows if "(default)" in row[1]]
  assert sum(int(row[2]) for row in default) == 101 - 3


def test_marked_minima_are_the_lowest_points_shown():
  marked = [panel for panel in surfaces.all_panels() if panel.minima]
  assert len(marked) == 13
  for panel in marked:
    (shape,) = panel.problem.param_shapes
    x, y = np.meshgrid(np.linspace(*panel.x, 9), np.linspace(*panel.y, 9))
    shown = np.stack([x.ravel(), y.ravel()], axis=1)
    values = [
      panel.problem.objective([tf.constant(p.reshape(shape))]) for p in shown
    ]
    for minimum in panel.minima:
      point = tf.constant(np.reshape(minimum, shape), tf.float64)
      value = panel.problem.objective([point])
      assert value <= min(values) + 1e-6, panel.title


def test_picture_depends_on_steps_and_seed_alone(tmp_path):
  picture = _write(tmp_path / "1.png")
  assert picture == _write(tmp_path / "2.png")
  assert picture != _write(tmp_path / "3.png", num_steps=9)
  assert picture != _write(tmp_path / "4.png", seed=1)


def test_checkpoint(tmp_path):
  spec = Spec(HierarchicalRNN, ([10, 20, 20],), {})
  with tf.Graph().as_default(), tf.compat.v1.Session() as session:
    optimizer = spec.build()
    session.run(tf.compat.v1.global_variables_initializer())
    saver = tf.compat.v1.train.Saver(list(optimizer.weights.values()))
    saver.save(session, str(tmp_path / "model.ckpt"), global_step=1)
  restored = surfaces.restored(spec, tmp_path)
  picture = _write(tmp_path / "1.png", [_BASELINES[0], restored])
  assert picture != _write(tmp_path / "2.png")


def test_folder_without_checkpoint(tmp_path):
  spec = Spec(HierarchicalRNN, ([10, 20, 20],), {})
  with pytest.raises(ValueError, match="There is no checkpoint in"):
    surfaces.restored(spec, tmp_path)

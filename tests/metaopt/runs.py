"""Small meta-training runs, and what they leave behind."""

import glob
import io
import os
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from learned_optimizer import metaopt
from learned_optimizer.optimizer.baselines import BASELINES
from learned_optimizer.optimizer.hierarchical_rnn import HierarchicalRNN
from learned_optimizer.optimizer.rule_optimizer import RuleOptimizer
from learned_optimizer.problems.datasets import Dataset
from learned_optimizer.problems.problem import Problem
from learned_optimizer.problems.problem_generator import (
  Quadratic,
  SoftmaxRegression,
)
from learned_optimizer.problems.problem_spec import Spec

METARUN_SETTINGS = dict(
  use_problem_lr_mean=True,
  use_gradient_shortcut=True,
  use_grad_products=True,
  use_log_objective=True,
)


def hierarchical_rnn(level_sizes=(10, 20, 20), **settings):
  """The optimizer as metarun builds it."""
  return Spec(
    HierarchicalRNN, ([*level_sizes],), {**METARUN_SETTINGS, **settings}
  )


def baseline(name="Momentum"):
  """An optimizer with a learning rate for its only weight; built quickly."""
  return Spec(RuleOptimizer, (BASELINES[name],), {})


def quadratic(ndim=3, **settings):
  """A quadratic problem without data, as `problems_and_data` has it."""
  return (Spec(Quadratic, (ndim,), settings), None, None)


def softmax(num_rows=20, batch_size=5, **settings):
  """A regression with three features on few rows."""
  generator = np.random.default_rng(5)
  dataset = Dataset(
    generator.normal(size=[num_rows, 3]).astype(np.float32),
    generator.integers(2, size=num_rows).astype(np.int32),
  )
  return (Spec(SoftmaxRegression, (3, 2), settings), dataset, batch_size)


class Negative(Problem):
  """A bowl that reaches below zero."""

  def __init__(self, random_seed=None):
    super().__init__([(2,)], random_seed, 0.0)

  def objective(self, parameters, data=None, labels=None):
    return tf.reduce_sum(tf.square(parameters[0])) - 100.0


class Dawson(Quadratic):
  """A quadratic with a term that XLA has no operation for."""

  def objective(self, parameters, data=None, labels=None):
    dawson = tf.math.special.dawsn(parameters[0])
    objective = super().objective(parameters, data, labels)
    return objective + tf.reduce_sum(tf.square(dawson))


def dawson(ndim=3):
  """A problem that XLA cannot compile."""
  return (Spec(Dawson, (ndim,), {}), None, None)


def exactly(number):
  """A length function that always draws this number."""
  return lambda generator: number


def between(low, high):
  """A length function that draws uniformly, both ends included."""
  return lambda generator: int(generator.integers(low, high + 1))


def train(
  folder,
  *,
  entries=None,
  optimizer=None,
  num_problems=2,
  num_meta_iterations=2,
  unrolls=2,
  steps=4,
  **settings,
):
  """`train_optimizer` on a small problem, op by op; (result, output)."""
  out = settings.pop("out", None) or io.StringIO()
  result = metaopt.train_optimizer(
    str(folder),
    optimizer or baseline(),
    entries or [quadratic()],
    num_problems,
    num_meta_iterations,
    unrolls if callable(unrolls) else exactly(unrolls),
    steps if callable(steps) else exactly(steps),
    out=out,
    **{"seed": 7, "xla": "never", "learning_rate": 1e-3, **settings},
  )
  return result, out.getvalue() if isinstance(out, io.StringIO) else ""


def published(folder):
  """What the checkpoint published last holds, by name."""
  return read(tf.train.latest_checkpoint(str(folder)))


def read(path):
  """What a checkpoint holds, by name."""
  reader = tf.train.load_checkpoint(str(path))
  return {
    name: np.asarray(reader.get_tensor(name))
    for name in reader.get_variable_to_shape_map()
  }


def assert_equal(actual, expected):
  """Two checkpoints hold exactly the same."""
  assert actual.keys() == expected.keys()
  for name, value in expected.items():
    np.testing.assert_array_equal(actual[name], value, err_msg=name)


def points(folder):
  """The saved points of a run, oldest first."""
  return sorted(
    pathlib.Path(folder).glob("resume-*"), key=lambda p: int(p.name[7:])
  )


def events(folder):
  """All TensorBoard events of a run."""
  return [
    event
    for path in sorted(glob.glob(f"{glob.escape(str(folder))}/events*"))
    for event in tf.compat.v1.train.summary_iterator(path)
  ]


def shared(name):
  """A file of the reference data kept beside the checkout; skips without it."""
  checkout = pathlib.Path(os.path.realpath(__file__)).parents[2]
  path = checkout.parent / "shared" / name
  if not path.exists():
    pytest.skip(f"reference data {name} is not beside the checkout")
  return path


def train_in_process(folder, settings):
  """`train` as a process of its own would run it, printing to `out.txt`."""
  with open(pathlib.Path(folder) / "out.txt", "w") as out:
    result, _ = train(folder, out=out, **settings)
  os._exit(128 + result.interrupted_by if result.interrupted_by else 0)


def count_compiled(folder, dump, lengths):
  """Trains on given lengths with XLA, which writes its programs to `dump`.

  Writes `counts.txt`: how many programs there are after training on the first
  half of the problems, and after all. The second half has other instances of
  the same problem, and the same lengths.
  """
  os.environ["XLA_FLAGS"] = f"--xla_dump_to={dump} --xla_dump_hlo_as_text"
  counts = []
  pending = iter([*lengths, *lengths])

  def count(*unused):
    counts.append(len(list(pathlib.Path(dump).glob("*before_opt*.txt"))))

  train(
    folder,
    num_problems=2,
    num_meta_iterations=1,
    unrolls=len(lengths),
    steps=lambda generator: next(pending),
    xla="always",
    callbacks=[count],
  )
  (pathlib.Path(folder) / "counts.txt").write_text(" ".join(map(str, counts)))
  os._exit(0)

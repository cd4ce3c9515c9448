"""Running any TF1 optimizer on a problem, step by step in a session."""

import pathlib
import time
from collections import defaultdict
from typing import Any

import numpy as np
import tensorflow as tf

from learned_optimizer.optimizer import checkpoints
from learned_optimizer.optimizer.trainable_optimizer import (
  OPTIMIZER_SCOPE,
  TrainableOptimizer,
)
from learned_optimizer.optimizer.variables import load_variables
from learned_optimizer.problems.datasets import EMPTY_DATASET, Dataset
from learned_optimizer.problems.problem import Problem


class _Run:
  """An optimizer on the variables of a problem, in a session."""

  def __init__(self, optimizer, problem, dataset, batch_size, seed, logdir):
    v1 = tf.compat.v1
    self.dataset = EMPTY_DATASET if dataset is None else dataset
    self.batch_size = batch_size
    if batch_size is None:
      self.batch_size = self.dataset.size
    self.optimizer = optimizer
    fixed = isinstance(seed, list | tuple)
    if fixed:
      self.parameters = problem.init_fixed_variables(seed)
    else:
      self.parameters = problem.init_variables(seed)
    self._generator = np.random.default_rng(None if fixed else seed)
    # Shapes but for the number of rows let problems build as with constants.
    self._data = v1.placeholder(
      tf.float32, [None, *np.shape(self.dataset.data)[1:]]
    )
    self._labels = v1.placeholder(
      tf.int32, [None, *np.shape(self.dataset.labels)[1:]]
    )
    values = [variable.read_value() for variable in self.parameters]
    objective = problem.objective(values, self._data, self._labels)
    self.gradients = problem.gradients(objective, values)
    pairs = list(zip(self.gradients, self.parameters, strict=True))
    self.objective = objective
    if isinstance(optimizer, TrainableOptimizer):
      self.train_op, truth = optimizer.apply_gradients(
        pairs, return_true_params=True
      )
      self.objective = problem.objective(truth, self._data, self._labels)
    else:
      # Minding the order of reading and writing is left to control edges: the
      # objective is that before the step.
      with tf.control_dependencies([objective]):
        self.train_op = optimizer.apply_gradients(pairs)
    self.session = v1.Session()
    self._initialize(problem, logdir)

  def __enter__(self):
    return self

  def __exit__(self, *exception):
    self.session.close()

  def _initialize(self, problem, logdir):
    v1 = tf.compat.v1
    session = self.session
    learned = v1.global_variables(OPTIMIZER_SCOPE)
    first = {v.name for v in [*learned, *self.parameters]}
    slots = [v for v in v1.global_variables() if v.name not in first]
    session.run(v1.variables_initializer([*learned, *self.parameters]))
    session.run(v1.local_variables_initializer())
    path = checkpoints.newest(pathlib.Path(logdir)) if logdir else None
    if path:
      shapes = {v.op.name: tuple(v.shape) for v in learned}
      values = checkpoints.matching(checkpoints.read(path), shapes, path)
      load_variables(session, learned, values)
    # Slots come last, since their initial values depend on all the others.
    session.run(v1.variables_initializer(slots))
    problem.init_fn(session)

  def batches(self, num_steps):
    """A feed for each step."""
    indices = self.dataset.batch_indices(
      num_steps, self.batch_size, self._generator
    )
    return [self._feed(rows) for rows in indices]

  def everything(self):
    """The feed of the whole data set."""
    return self._feed(slice(None))

  def _feed(self, rows):
    return {
      self._data: self.dataset.data[rows],
      self._labels: self.dataset.labels[rows],
    }


def test_optimizer(
  optimizer: tf.compat.v1.train.Optimizer,
  problem: Problem,
  num_iter: int,
  dataset: Dataset | None = EMPTY_DATASET,
  batch_size: int | None = None,
  seed: Any = None,
  graph: tf.Graph | None = None,
  logdir: str | None = None,
  record_every: int | None = None,
) -> tuple[list[np.ndarray], list[np.ndarray], dict[str, list[Any]]]:
  """Trains a problem with an optimizer and records the objective.

  Args:
    optimizer: any TF1 optimizer, built in `graph`.
    problem: the problem.
    num_iter: number of steps.
    dataset: its data.
    batch_size: rows per batch; None for all.
    seed: op seed of the initial parameters and seed of the batches, or a list
      of initial parameters.
    graph: where to build; None for the current graph.
    logdir: restores the optimizer's `LOL/` variables from the newest
      checkpoint there; None initialises them.
    record_every: record details before every this many steps.

  Returns:
    The objective on each step's batch before the step; the final parameters
    (in attention mode the attended ones); the records by name: `iter`,
    `objective` on all data, `grad_norm`, `param_norm`, `grad`, `param`, and
    `<variable>_<slot>`.
  """
  with (
    (graph or tf.compat.v1.get_default_graph()).as_default(),
    _Run(optimizer, problem, dataset, batch_size, seed, logdir) as run,
  ):
    records = defaultdict(list)
    objectives = []
    details = {"grad": run.gradients, "param": run.parameters}
    slots = {
      f"{variable.name}_{name}": optimizer.get_slot(variable, name)
      for name in optimizer.get_slot_names()
      for variable in run.parameters
      if optimizer.get_slot(variable, name) is not None
    }
    for step, feed in enumerate(run.batches(num_iter)):
      if record_every and step % record_every == 0:
        values = run.session.run({**details, **slots}, feed)
        values["objective"] = [run.session.run(run.objective, run.everything())]
        for kind in ("grad", "param"):
          values[f"{kind}_norm"] = float(
            np.sqrt(sum(np.sum(np.square(v)) for v in values[kind]))
          )
        values["iter"] = step
        for name, value in values.items():
          records[name].append(value)
      objective, _ = run.session.run([run.objective, run.train_op], feed)
      objectives.append(objective)
    return objectives, run.session.run(run.parameters), records


def run_wall_clock_test(
  optimizer: tf.compat.v1.train.Optimizer,
  problem: Problem,
  num_steps: int,
  dataset: Dataset | None = EMPTY_DATASET,
  seed: Any = None,
  logdir: str | None = None,
  batch_size: int | None = None,
) -> float:
  """Median wall-clock seconds of a training step, the first one included.

  Builds in the current graph; arguments as in `test_optimizer`.
  """
  seconds = []
  with _Run(optimizer, problem, dataset, batch_size, seed, logdir) as run:
    for feed in run.batches(num_steps):
      started = time.perf_counter()
      run.session.run(run.train_op, feed)
      seconds.append(time.perf_counter() - started)
  return float(np.median(seconds))

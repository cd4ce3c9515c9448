"""Every problem of every set runs: op by op, and compiled once per kind.

With COMPILE_EVERY_PROBLEM in the environment all of them are compiled, which
takes minutes longer.
"""

import functools
import os

import numpy as np
import pytest
import tensorflow as tf

from learned_optimizer.metaopt.program import Program, Purpose
from learned_optimizer.metaopt.task import Task
from learned_optimizer.optimizer.trainable_adam import TrainableAdam
from learned_optimizer.problems import problem_generator as pg
from learned_optimizer.problems import problem_sets
from learned_optimizer.problems.datasets import ImageSource
from learned_optimizer.problems.problem_spec import Spec

SETS = {
  "training": problem_sets.TRAINING_SETS,
  "evaluation": {
    name: function
    for name, function in problem_sets.EVALUATION_SETS.items()
    if function is not problem_sets.TRAINING_SETS.get(name)
  },
}
NAMES = [(kind, name) for kind in SETS for name in SETS[kind]]
# Their objectives may be negative.
SIGNED = (
  pg.Rastrigin,
  pg.SumOfQuadratics,
  pg.SquareCos,
  pg.BatchedRastrigin,
)
# Most of their biases have no influence. Their gradients are small differences
# of large numbers: float32 is exact to three digits, with and without XLA.
NORMALISED = (pg.NormalisedConvNet, pg.SearchedCell, pg.LeNet)
NUM_ROWS = 256


@functools.cache
def entries_of(kind, name):
  entries = problem_sets.select(
    SETS[kind], [name], random_seed=1, images=ImageSource(embedded_digits=True)
  )
  if name == "sparse_gradient":
    entries += problem_sets.sparse_gradient_problems_mlp(random_seed=1)
  return entries


def task_of(entry):
  """The task of an entry, on not too many rows."""
  dataset = entry.dataset
  if dataset is not None:
    dataset = type(dataset)(*(part[:NUM_ROWS] for part in dataset))
  return Task.of(entry.spec.build(random_seed=5), dataset, entry.batch_size)


def run(task, jit_compile=False):
  """Objectives, the gradient at the start, start and end of two steps.

  The optimizer is a small one, as it takes most of the time; all optimizers
  have tests of their own.
  """
  # A graph for each: whenever one grows, its session copies all of it.
  with tf.Graph().as_default() as graph:
    optimizer = TrainableAdam(learning_rate=1e-3)
    initialize = tf.compat.v1.global_variables_initializer()
  # To optimise a graph first takes longer than to run it once.
  config = tf.compat.v1.ConfigProto()
  config.graph_options.rewrite_options.disable_meta_optimizer = True
  with tf.compat.v1.Session(graph=graph, config=config) as session:
    session.run(initialize)
    program = Program(session, optimizer, task, jit_compile, Purpose.EVALUATE)
    trial = program.draw(2, np.random.default_rng(7))
    feed = program.feed(trial, 0, 2, first=True, reset=True)
    return program.run(fetches_of(program), feed)


def fetches_of(program):
  """What `run` returns, as tensors."""
  out, problem = program.out, program.task.problem
  constants, data, labels = out.instance_vars
  problem = problem.with_constants(constants)
  rows = out.batches[0]
  objective = problem.objective(
    out.init_params, tf.gather(data, rows), tf.gather(labels, rows)
  )
  draws = [draw[0] for draw in out.step_draws] or None
  gradients = problem.gradients(objective, out.init_params, draws)
  return {
    "objectives": out.problem_objectives,
    "objective": objective,
    "gradients": [tf.convert_to_tensor(g) for g in gradients],
    "start": out.init_params,
    "end": out.output_loop_vars[1 : 1 + len(out.init_params)],
    "state": out.output_loop_vars[1 + len(out.init_params) :],
  }


@functools.cache
def plain_results(kind, name):
  tasks = [task_of(entry) for entry in entries_of(kind, name)]
  return [(task, run(task)) for task in tasks]


@pytest.mark.parametrize(("kind", "name"), NAMES)
def test_problems_of_a_set(kind, name):
  for task, result in plain_results(kind, name):
    assert result["objectives"].shape == (3,)
    first, again, _ = result["objectives"]
    np.testing.assert_allclose(again, first, rtol=1e-6)
    shapes = [gradient.shape for gradient in result["gradients"]]
    assert shapes == task.problem.param_shapes
    for value in tf.nest.flatten(result):
      assert np.all(np.isfinite(value)), task.problem
    if not isinstance(task.problem, SIGNED):
      assert np.all(result["objectives"] >= 0)
    if not isinstance(task.problem, pg.SparseProblem):
      least_rank = 2 if isinstance(task.problem, NORMALISED) else 0
      for gradient, start, end in zip(
        result["gradients"], result["start"], result["end"], strict=True
      ):
        if gradient.ndim >= least_rank:
          assert np.any(gradient)
          assert np.any(start != end)


def kind_of(spec):
  """What tells compiled problems apart besides their sizes."""
  inner = spec.args[0] if spec.args else None
  parts = [inner] if isinstance(inner, Spec) else inner
  if not isinstance(parts, list):
    return spec.callable.__name__
  names = sorted({part.callable.__name__ for part in parts})
  if len(names) > 1:
    names = ["several"]
  return f"{spec.callable.__name__}-{names[0]}"


def problems_to_compile():
  """Set and index of one problem of each kind."""
  chosen = {}
  for kind, name in NAMES:
    for i, entry in enumerate(entries_of(kind, name)):
      key = kind_of(entry.spec)
      if "COMPILE_EVERY_PROBLEM" in os.environ:
        key = f"{kind}-{name}-{i}"
      chosen.setdefault(key, (kind, name, i))
  return chosen


TO_COMPILE = problems_to_compile()


@pytest.mark.parametrize("key", TO_COMPILE)
def test_compiled(key):
  kind, name, i = TO_COMPILE[key]
  task, plain = plain_results(kind, name)[i]
  compiled = run(task, jit_compile=True)
  tolerance = 1e-2 if isinstance(task.problem, NORMALISED) else 1e-3
  for part in "objectives", "end", "state":
    for a, b in zip(
      tf.nest.flatten(compiled[part]), tf.nest.flatten(plain[part]), strict=True
    ):
      error = np.linalg.norm(np.float64(a) - b)
      assert error <= tolerance * np.linalg.norm(b) + 1e-6

"""Every problem of every set runs: op by op, and compiled once per kind.

With COMPILE_EVERY_PROBLEM in the environment all of them are compiled, which
takes more than an hour.
"""

import os

import numpy as np
import pytest
import tensorflow as tf

from learned_optimizer.metaopt.program import Program
from learned_optimizer.metaopt.task import Task
from learned_optimizer.optimizer.hierarchical_rnn import HierarchicalRNN
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
# Their objectives may be negative.
SIGNED = ("Rastrigin", "SumOfQuadratics")
NUM_ROWS = 256


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


def run(task, jit_compile):
  """One unroll of two steps; objectives, gradients and what it ends with."""
  generator = np.random.default_rng(7)
  with tf.Graph().as_default() as graph:
    optimizer = HierarchicalRNN(
      [4, 5, 6], init_lr_range=(1e-4, 1e-2), random_seed=1
    )
    with tf.compat.v1.Session(graph=graph) as session:
      program = Program(session, optimizer, task, jit_compile, False)
      session.run(tf.compat.v1.global_variables_initializer())
      trial = program.draw(2, generator)
      rows = trial.batches[0]
      data, labels = (part[rows] for part in task.dataset)
      params = program.out.init_params
      objective = task.problem.objective(params, data, labels)
      draws = [draw[0] for draw in trial.step_draws] or None
      gradients = task.problem.gradients(objective, params, draws)
      feed = program.feed(trial, 0, 2, first=True, reset=True)
      return program.run(
        {
          "objectives": program.out.problem_objectives,
          "objective": objective,
          "gradients": [tf.convert_to_tensor(g) for g in gradients],
          "end": program.out.output_loop_vars,
        },
        feed,
      )


@pytest.mark.parametrize(
  ("kind", "name"), [(kind, name) for kind in SETS for name in SETS[kind]]
)
def test_problems_of_a_set(kind, name):
  for entry in entries_of(kind, name):
    task = task_of(entry)
    result = run(task, jit_compile=False)
    assert result["objectives"].shape == (3,)
    first, again, _ = result["objectives"]
    np.testing.assert_allclose(again, first, rtol=1e-6)
    shapes = [gradient.shape for gradient in result["gradients"]]
    assert shapes == task.problem.param_shapes
    for value in tf.nest.flatten(result):
      assert np.all(np.isfinite(value)), (name, entry.spec)
    if type(task.problem).__name__ not in SIGNED:
      assert np.all(result["objectives"] >= 0)
    assert any(
      np.any(gradient) for gradient in result["gradients"]
    ) or "Sparse" in str(entry.spec)


def kind_of(spec):
  """What tells compiled problems apart besides their sizes."""
  inner = spec.args[0] if spec.args else None
  if isinstance(inner, Spec):
    inner = [inner]
  if isinstance(inner, list | tuple):
    parts = [kind_of(part) for part in inner if isinstance(part, Spec)]
    return (spec.callable.__name__, *sorted(set(parts), key=str))
  return (spec.callable.__name__,)


def problems_to_compile():
  """One problem of each kind."""
  chosen = {}
  for kind in SETS:
    for name in SETS[kind]:
      for i, entry in enumerate(entries_of(kind, name)):
        key = kind_of(entry.spec)
        if "COMPILE_EVERY_PROBLEM" in os.environ:
          key = (kind, name, i)
        chosen.setdefault(key, entry)
  return chosen


TO_COMPILE = problems_to_compile()


@pytest.mark.parametrize("key", TO_COMPILE, ids=str)
def test_compiled(key):
  task = task_of(TO_COMPILE[key])
  compiled = run(task, jit_compile=True)
  plain = run(task, jit_compile=False)
  for kind in "objectives", "end":
    for a, b in zip(
      tf.nest.flatten(compiled[kind]), tf.nest.flatten(plain[kind]), strict=True
    ):
      error = np.linalg.norm(np.float64(a) - b)
      assert error <= 1e-3 * np.linalg.norm(b) + 1e-6

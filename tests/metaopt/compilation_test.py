"""Problems that XLA cannot compile run op by op, and nothing is lost."""

import numpy as np
import pytest
import tensorflow as tf

from learned_optimizer.metaopt import comparison
from learned_optimizer.metaopt.meta_graph import MetaGraph, MetaOptimizer
from learned_optimizer.metaopt.program import CompilationError
from learned_optimizer.metaopt.task import Task
from learned_optimizer.metaopt.validation import Validation
from learned_optimizer.optimizer.baselines import BASELINES
from learned_optimizer.problems.datasets import Dataset
from learned_optimizer.problems.problem_generator import ConvNet, Quadratic
from tests.metaopt import runs


def _warnings(caplog):
  return [r.getMessage() for r in caplog.records if r.name == "absl"]


def test_training_and_validation_run_op_by_op(tmp_path, caplog):
  outputs = []
  settings = dict(
    entries=[runs.dawson()],
    num_meta_iterations=3,
    validation=Validation(period=2, epochs=2, num_steps=3),
    callbacks=[lambda *unused: None],
    set_profiling=True,
  )
  for xla in ("never", "always"):
    assert not _warnings(caplog)
    _, output = runs.train(tmp_path / xla, **settings, xla=xla)
    outputs.append([x for x in output.splitlines() if "validation" in x])
  assert outputs[0] == outputs[1]
  assert len(outputs[0]) == 3
  runs.assert_equal(
    runs.published(tmp_path / "always"), runs.published(tmp_path / "never")
  )
  (warning,) = _warnings(caplog)
  assert warning.startswith("XLA cannot compile Dawson, which runs op by op")
  assert "No registered 'Dawsn'" in warning
  assert "\n" not in warning
  # The unroll that failed was to be summarised.
  tags = {
    value.tag
    for event in runs.events(tmp_path / "always")
    for value in event.summary.value
  }
  assert "MetaObjective" in tags


def test_a_comparison_runs_op_by_op(caplog):
  rule = BASELINES["Momentum"]
  learned = comparison.Contestant(
    "learned", runs.baseline(), {"Momentum/learning_rate": np.float32(0.1)}
  )
  curves = comparison.compare(
    {"dawson": runs.dawson()}, [learned], [rule], 3, (3,), (1, 2)
  )
  learned, momentum = (
    next(c for c in curves if (c.optimizer, c.learning_rate) == key).losses
    for key in (("learned", None), ("Momentum", 0.1))
  )
  np.testing.assert_array_equal(learned.on_data, momentum.on_data)
  assert np.all(learned.on_data[:, 0] > learned.on_data[:, 1])
  (warning,) = _warnings(caplog)
  assert "Dawson" in warning


def _first_unroll(meta, num_steps=4):
  program = meta.program
  trial = program.draw(num_steps, np.random.default_rng(0))
  feed = program.feed(trial, 0, num_steps, first=True, reset=True)
  return [meta.train_ops, program.propagate, program.out.metaobj], feed


def test_the_run_that_fails_changes_nothing():
  graph = MetaGraph(runs.baseline(), MetaOptimizer())
  meta = graph.meta_program(Task.of(runs.Dawson(3, 1), None, None), True)
  carried = [np.full(v.shape, 2, v.dtype) for v in meta.program.carried()]
  meta.program.restore_carried(carried)
  before = graph.values()
  with pytest.raises(CompilationError) as raised:
    meta.program.run(*_first_unroll(meta))
  runs.assert_equal(graph.values(), before)
  plain = graph.fall_back(meta, raised.value)
  assert not plain.program.jit_compile
  for program in (meta.program, plain.program):
    for value, expected in zip(program.carried(), carried, strict=True):
      np.testing.assert_array_equal(value, expected)
  plain.program.run(*_first_unroll(plain))
  assert graph.global_step() == 1
  # Another instance is not tried again.
  again = graph.meta_program(Task.of(runs.Dawson(3, 2), None, None), True)
  assert again is plain


def test_a_network_of_convolutions_runs_op_by_op_unless_all_are_compiled():
  images, labels = np.zeros([4, 8, 8, 1], np.float32), np.zeros([4], np.int32)
  problem = ConvNet((1, 8, 8), 2, [(3, 3, 1)], random_seed=1)
  task = Task.of(problem, Dataset(images, labels), 2)
  for compiles_all in (False, True):
    graph = MetaGraph(
      runs.baseline(), MetaOptimizer(), compiles_all=compiles_all
    )
    assert graph.meta_program(task, True).program.jit_compile == compiles_all


class Faulty(Quadratic):
  """A quadratic that cannot be computed."""

  def objective(self, parameters, data=None, labels=None):
    def fail(unused):
      raise ValueError("no objective today")

    nothing = tf.numpy_function(fail, [parameters[0]], tf.float32)
    objective = super().objective(parameters, data, labels)
    return objective + tf.stop_gradient(tf.ensure_shape(nothing, []))


def test_what_fails_op_by_op_too_is_an_error(tmp_path):
  faulty = (runs.Spec(Faulty, (3,), {}), None, None)
  with pytest.raises(
    tf.errors.InvalidArgumentError, match="no objective today"
  ):
    runs.train(tmp_path, entries=[faulty], xla="always")


@pytest.mark.parametrize("jit_compile", [False, True])
def test_later_failures_are_none_of_the_compiler(jit_compile):
  graph = MetaGraph(runs.baseline(), MetaOptimizer())
  meta = graph.meta_program(Task.of(Quadratic(3, 1), None, None), jit_compile)
  fetches, feed = _first_unroll(meta)
  if jit_compile:
    meta.program.run(fetches, feed)
  del feed[meta.program.out.batches]
  with pytest.raises(tf.errors.InvalidArgumentError, match="must feed a value"):
    meta.program.run(fetches, feed)

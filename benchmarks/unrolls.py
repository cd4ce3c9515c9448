"""Measures unrolls of meta-training, each measurement in a process of its own.

As a program it takes one measurement as JSON, and prints what it found as JSON:

    python -m benchmarks.unrolls '{"problem": "softmax_2_class", "unroll": 20}'
"""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from benchmarks import tables
from learned_optimizer import program_start, threads, xla_settings

COMPILED, OP_BY_OP = "compiled", "op by op"

# The step of TF1's Adam that the original was compared with.
_ADAM_LAYERS = (64, 110, 20, 2)
_ADAM_BATCH = 128


class Measurement(NamedTuple):
  """What to measure: an unroll with its meta-step, again and again.

  Attributes:
    problem: the name of a set of problems.
    index: which of the set.
    unroll: number of inner steps.
    second: whether with second derivatives.
    checkpoint: whether meta-gradients are checkpointed.
    instances: how many instances of the problem at once.
    ways: compiled, op by op or both, which then run in turn.
    repeats: rounds of timing; 0 for none.
    max_rows: how many rows of the data to use at most; 0 for all.
  """

  problem: str
  index: int = 0
  unroll: int = 100
  second: bool = True
  checkpoint: bool = False
  instances: int = 1
  ways: Sequence[str] = (COMPILED, OP_BY_OP)
  repeats: int = 11
  max_rows: int = 0

  def run(self, cache: str | None = None) -> dict[str, dict[str, Any]]:
    """Measures in a fresh process.

    Args:
      cache: a folder to keep compiled programs in, and to find them; None to
        compile whatever an earlier process has compiled.

    Returns:
      By way: `graph`, seconds by the clock until the graph is built; `first`,
      seconds by the clock and of the CPU until the first meta-step is done;
      `peak`, megabytes of resident memory above those at the start, None of a
      second way; `wall` and `cpu`, seconds per inner step of an instance in
      each round.
    """
    return _in_own_process(self._asdict(), cache)


def adam_seconds(repeats: int) -> list[float]:
  """CPU seconds of a training step of TF1's Adam op by op, in each round."""
  return _in_own_process({"repeats": repeats})


def _in_own_process(arguments, cache=None):
  command = [sys.executable, "-m", "benchmarks.unrolls", json.dumps(arguments)]
  environment = os.environ | {"TF_XLA_FLAGS": ""}
  if cache:
    environment |= {"XDG_CACHE_HOME": cache}
    del environment["TF_XLA_FLAGS"]
  done = subprocess.run(
    command, stdout=subprocess.PIPE, check=True, env=environment
  )
  return json.loads(done.stdout.splitlines()[-1])


def measure(measurement: Measurement) -> dict[str, dict[str, Any]]:
  """What `Measurement.run` returns, in this process."""
  import tensorflow as tf

  task = _task(measurement)
  # What only the first way would be charged with.
  with tf.Graph().as_default(), tf.compat.v1.Session() as session:
    session.run(tf.zeros([]))
  before = _peak_megabytes()
  functions, results = {}, {}
  for way in measurement.ways:
    started = time.perf_counter(), time.process_time()
    functions[way] = _unroll(task, measurement, way == COMPILED)
    graph = time.perf_counter() - started[0]
    functions[way]()
    results[way] = {
      "graph": graph,
      "first": [
        time.perf_counter() - started[0],
        time.process_time() - started[1],
      ],
      # Of a process: that of the second way would be that of both.
      "peak": _peak_megabytes() - before if not results else None,
    }
  if measurement.repeats:
    steps = measurement.unroll * measurement.instances
    for way, seconds in tables.measure(
      functions, measurement.repeats, least_seconds=0.1
    ).items():
      results[way]["wall"] = [*(seconds.wall / steps)]
      results[way]["cpu"] = [*(seconds.cpu / steps)]
  return results


def compiled(measurement: Measurement) -> Callable[[], Any]:
  """A function that runs the unroll once more, compiled, in this process."""
  return _unroll(_task(measurement), measurement, jit_compile=True)


def _task(measurement):
  """The task, for which the number of threads is chosen."""
  from learned_optimizer.metaopt.task import Task
  from learned_optimizer.problems import problem_sets
  from learned_optimizer.problems.datasets import Dataset, ImageSource

  spec, dataset, batch_size = problem_sets.select(
    problem_sets.TRAINING_SETS,
    [measurement.problem],
    1,
    ImageSource(embedded_digits=True),
  )[measurement.index]
  threads.fit([spec])
  if measurement.max_rows:
    rows = slice(measurement.max_rows)
    dataset = Dataset(dataset.data[rows], dataset.labels[rows])
  return Task.of(spec.build(random_seed=1), dataset, batch_size)


def _unroll(
  task: Any, measurement: Measurement, jit_compile: bool
) -> Callable[[], Any]:
  """A function that runs one unroll with its meta-step, again and again."""
  import numpy as np

  from learned_optimizer.metaopt.meta_graph import MetaGraph, MetaOptimizer
  from learned_optimizer.metaopt.program import Extras
  from learned_optimizer.metaopt.trial import Trial
  from learned_optimizer.optimizer.hierarchical_rnn import HierarchicalRNN
  from learned_optimizer.problems.problem_spec import Spec

  settings = {
    "use_problem_lr_mean": True,
    "use_gradient_shortcut": True,
    "use_grad_products": True,
    "use_log_objective": True,
    "use_second_derivatives": measurement.second,
    "checkpoint_gradients": measurement.checkpoint,
  }
  graph = MetaGraph(
    Spec(HierarchicalRNN, ([10, 20, 20],), settings),
    MetaOptimizer(),
    Extras(num_instances=measurement.instances),
    compiles_all=jit_compile,
    optimizes_graphs=not jit_compile,
  )
  meta = graph.meta_program(task, jit_compile)
  trial = Trial.side_by_side(
    [
      meta.program.draw(measurement.unroll, np.random.default_rng(seed))
      for seed in range(measurement.instances)
    ]
  )
  feed = meta.program.feed(trial, 0, measurement.unroll, first=True, reset=True)
  fetches = [meta.train_ops, meta.program.out.metaobj, meta.program.propagate]
  return lambda: meta.program.run(fetches, feed)


def _measure_adam(repeats):
  import numpy as np
  import tensorflow as tf

  v1 = tf.compat.v1
  generator = np.random.default_rng(0)
  graph = tf.Graph()
  with graph.as_default():
    inputs = v1.placeholder(tf.float32, [_ADAM_BATCH, _ADAM_LAYERS[0]])
    labels = v1.placeholder(tf.int32, [_ADAM_BATCH])
    values = inputs
    for i, shape in enumerate(
      zip(_ADAM_LAYERS[:-1], _ADAM_LAYERS[1:], strict=True)
    ):
      matrix = v1.get_variable(f"matrix_{i}", shape)
      bias = v1.get_variable(f"bias_{i}", shape[1:])
      values = tf.matmul(tf.nn.relu(values) if i else values, matrix) + bias
    loss = tf.reduce_mean(
      tf.nn.sparse_softmax_cross_entropy_with_logits(labels, values)
    )
    step = v1.train.AdamOptimizer(1e-3).minimize(loss)
    session = v1.Session()
    session.run(v1.global_variables_initializer())
  feed = {
    inputs: generator.normal(size=inputs.shape),
    labels: generator.integers(0, _ADAM_LAYERS[-1], _ADAM_BATCH),
  }
  seconds = tables.measure(
    {"Adam": lambda: session.run([step, loss], feed)},
    repeats,
    least_seconds=0.1,
  )
  return [*seconds["Adam"].cpu]


def _peak_megabytes():
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
  xla_settings.compile_quickly()
  xla_settings.keep_programs()
  program_start.import_tensorflow_quietly()
  given = json.loads(sys.argv[1])
  if "problem" in given:
    print(json.dumps(measure(Measurement(**given))))
  else:
    print(json.dumps(_measure_adam(**given)))

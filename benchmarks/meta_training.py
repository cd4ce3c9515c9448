"""Inner steps per second of meta-training, the time to begin, and memory.

Each cell has a process of its own. In it the same unroll runs compiled and op
by op in turn, and with them a step of TF1's Adam, op by op: what a step of the
original costs is known in units of it, so that figures of different machines,
or of another hour of the same one, can be compared.
"""

import functools
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence

from absl import app, flags

from benchmarks import tables
from learned_optimizer import program_start, xla_settings

SPEED, MEMORY = "Speed", "Memory"
PROBLEMS = (
  "softmax_2_class",
  "fully_connected_random_2_class",
  "digits_mlp",
  "mnist_conv",
)
UNROLLS = (20, 100, 500)
WAYS = ("compiled", "op by op")
# Unrolls whose memory is compared: steps, and whether meta-gradients are
# checkpointed.
MEMORY_OF = ((100, False), (500, False), (2000, False), (2000, True))

# The original on TF 2.21: inner steps per CPU-second with second derivatives,
# and CPU-milliseconds of Adam's step in the same hour, by number of parameters.
_ORIGINAL = {
  ("softmax_2_class", 20): 354,
  ("softmax_2_class", 100): 386,
  ("fully_connected_random_2_class", 20): 115,
  ("fully_connected_random_2_class", 100): 124,
}
_ADAM_LAYERS = (64, 110, 20, 2)
_ADAM_CPU_MS = 0.93
_ADAM_BATCH = 128


def main(argv: Sequence[str]) -> None:
  """Measures, prints tables and writes what --folder asks for."""
  if len(argv) > 1:
    print(json.dumps(cell(*map(json.loads, argv[1:]))))
    return
  values = flags.FLAGS
  unrolls = [int(n) for n in values.unrolls]
  derivatives = (False, True) if values.first_derivatives else (True,)
  rows = {SPEED: [], MEMORY: []}
  for problem in values.problems:
    for unroll in unrolls:
      for second in derivatives:
        arguments = (problem, unroll, second, False, values.repeats)
        rows[SPEED] += _in_own_process(*arguments)
        tables.print_table(SPEED, rows[SPEED])
  for unroll, checkpoint in MEMORY_OF if values.memory else ():
    arguments = (values.problems[-1], unroll, True, checkpoint, 1)
    rows[MEMORY] += _in_own_process(*arguments, ["compiled"])
    tables.print_table(MEMORY, rows[MEMORY])
  if values.folder:
    tables.write(values.folder, "meta_training", rows, draw(rows[SPEED]))


def _in_own_process(*arguments):
  command = [sys.executable, "-m", "benchmarks.meta_training"]
  command += map(json.dumps, arguments)
  # What an earlier run compiled is not to be found.
  environment = os.environ | {"TF_XLA_FLAGS": ""}
  done = subprocess.run(
    command, stdout=subprocess.PIPE, check=True, env=environment
  )
  rows = json.loads(done.stdout.splitlines()[-1])
  return [
    {
      key: tables.Quartiles(*value) if isinstance(value, list) else value
      for key, value in row.items()
    }
    for row in rows
  ]


def cell(
  problem: str,
  unroll: int,
  second: bool,
  checkpoint: bool,
  repeats: int,
  ways: Sequence[str] = WAYS,
) -> list[dict]:
  """Measures in this process: a row for each way.

  Args:
    problem: the name of a set of problems, of which the first is taken.
    unroll: inner steps of an unroll.
    second: whether with second derivatives.
    checkpoint: whether meta-gradients are checkpointed.
    repeats: rounds of timing.
    ways: compiled, op by op, or both.
  """
  xla_settings.compile_quickly()
  program_start.import_tensorflow_quietly()
  before = _peak_megabytes()
  task = _task(problem)
  functions, firsts, peaks = {}, {}, {}
  for way in ways:
    started = time.perf_counter(), time.process_time()
    functions[way] = _unroll(
      task, unroll, second, checkpoint, way == "compiled"
    )
    functions[way]()
    firsts[way] = [
      time.perf_counter() - started[0],
      time.process_time() - started[1],
    ]
    peaks[way] = _peak_megabytes() - before
  functions["Adam"] = _adam_step()
  seconds = tables.measure(functions, repeats, least_seconds=0.1)
  adam = seconds["Adam"].cpu
  # How much slower this machine is now than it was for the original.
  slower = 1e3 * adam / _ADAM_CPU_MS
  original = _ORIGINAL.get((problem, unroll)) if second else None
  rows = []
  for way in ways:
    per_second = unroll / seconds[way].cpu
    row = {
      "problem": problem,
      "unroll": unroll,
      "derivatives": 1 + second,
      "way": way + ", checkpointed" * checkpoint,
      "first meta-step, s": firsts[way][0],
      "CPU-s": firsts[way][1],
      "steps/s": tables.Quartiles.of(unroll / seconds[way].wall),
      "steps/CPU-s": tables.Quartiles.of(per_second),
      "x original": original
      and tables.Quartiles.of(per_second * slower / original),
      "peak MB": peaks[way],
      "Adam's step, CPU-ms": tables.Quartiles.of(1e3 * adam),
    }
    rows.append(row)
  return rows


def _task(problem):
  from learned_optimizer.metaopt.task import Task
  from learned_optimizer.problems import problem_sets
  from learned_optimizer.problems.datasets import ImageSource

  spec, dataset, batch_size = problem_sets.select(
    problem_sets.TRAINING_SETS, [problem], 1, ImageSource(embedded_digits=True)
  )[0]
  return Task.of(spec.build(random_seed=1), dataset, batch_size)


def _unroll(task, unroll, second, checkpoint, jit_compile):
  """A function that runs one unroll with its meta-step, again and again."""
  import numpy as np

  from learned_optimizer.metaopt.meta_graph import MetaGraph, MetaOptimizer
  from learned_optimizer.optimizer.hierarchical_rnn import HierarchicalRNN
  from learned_optimizer.problems.problem_spec import Spec

  settings = {
    "use_problem_lr_mean": True,
    "use_gradient_shortcut": True,
    "use_grad_products": True,
    "use_log_objective": True,
    "use_second_derivatives": second,
    "checkpoint_gradients": checkpoint,
  }
  graph = MetaGraph(
    Spec(HierarchicalRNN, ([10, 20, 20],), settings), MetaOptimizer()
  )
  meta = graph.meta_program(task, jit_compile)
  trial = meta.program.draw(unroll, np.random.default_rng(1))
  feed = meta.program.feed(trial, 0, unroll, first=True, reset=True)
  fetches = [meta.train_ops, meta.program.out.metaobj, meta.program.propagate]
  return lambda: meta.program.run(fetches, feed)


def _adam_step():
  """A function that takes a step of TF1's Adam on a perceptron."""
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
  return lambda: session.run([step, loss], feed)


def _peak_megabytes():
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def draw(rows: Sequence[tables.Row]):
  """Steps per CPU-second against the unroll's length, a panel per problem."""
  import matplotlib

  matplotlib.use("Agg")
  from matplotlib import pyplot

  problems = list(dict.fromkeys(row["problem"] for row in rows))
  figure, panels = pyplot.subplots(
    1,
    len(problems),
    figsize=(3.2 * len(problems), 3.2),
    sharey=True,
    squeeze=False,
    layout="constrained",
  )
  for panel, problem in zip(panels[0], problems, strict=True):
    for index, way in enumerate(WAYS):
      points = [
        (row["unroll"], row["steps/CPU-s"])
        for row in rows
        if (row["problem"], row["way"]) == (problem, way)
        and row["derivatives"] == 2
      ]
      panel.errorbar(
        [unroll for unroll, _ in points],
        [quartiles.median for _, quartiles in points],
        [
          [quartiles.median - quartiles.low for _, quartiles in points],
          [quartiles.high - quartiles.median for _, quartiles in points],
        ],
        color=f"C{index}",
        marker="o",
        markersize=3,
        capsize=2,
        label=way,
      )
    original = [
      (unroll, steps)
      for (name, unroll), steps in _ORIGINAL.items()
      if name == problem
    ]
    if original:
      panel.plot(*zip(*original, strict=True), "kx--", label="original")
    panel.set(xscale="log", yscale="log", title=problem, xlabel="unroll, steps")
    panel.title.set_fontsize(8)
  panels[0][0].set_ylabel("inner steps per CPU-second")
  panels[0][0].legend(fontsize=8)
  return figure


def _define_flags() -> None:
  """Here, since tests import this beside programs with the same flags."""
  accepted = [*map(str, UNROLLS)]
  flags.DEFINE_multi_enum("problems", PROBLEMS[:3], PROBLEMS, "which problems")
  flags.DEFINE_multi_enum("unrolls", accepted[:2], accepted, "inner steps")
  flags.DEFINE_boolean(
    "first_derivatives", False, "also without second derivatives"
  )
  flags.DEFINE_boolean("memory", True, "memory of long unrolls as well")
  flags.DEFINE_integer("repeats", 11, "rounds of each timing", lower_bound=1)
  flags.DEFINE_string("folder", "", "where to write JSON and PNG, if anywhere")


if __name__ == "__main__":
  _define_flags()
  parse = functools.partial(program_start.parse, flags.FLAGS)
  app.run(main, flags_parser=parse)

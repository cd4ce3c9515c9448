"""Inner steps per second of meta-training, compiled and op by op.

Every cell is the median of several unrolls, of both ways in turn, so that a
machine that is busy now and then treats them alike.
"""

import statistics
import time
from collections.abc import Sequence

import numpy as np
from absl import app

from learned_optimizer import program_start

_UNROLL = 20
_REPEATS = 15
_PROBLEMS = (
  ("softmax_2_class", 0),
  ("fully_connected_random_2_class", 0),
  ("digits_mlp", 0),
)


def main(argv: Sequence[str]) -> None:
  """Measures and prints a table."""
  del argv
  program_start.import_tensorflow_quietly()
  from learned_optimizer.optimizer.hierarchical_rnn import HierarchicalRNN
  from learned_optimizer.problems import problem_sets
  from learned_optimizer.problems.problem_spec import Spec

  print(
    f"HierarchicalRNN [10, 20, 20], unroll {_UNROLL}, medians of {_REPEATS}"
    " unrolls\n"
    "problem                         second  way       first s"
    "  steps/s  steps/CPU-s"
  )
  for name, index in _PROBLEMS:
    entry = problem_sets.select(problem_sets.TRAINING_SETS, [name], 1)[index]
    for second in (False, True):
      spec = Spec(
        HierarchicalRNN,
        ([10, 20, 20],),
        {
          "use_problem_lr_mean": True,
          "use_gradient_shortcut": True,
          "use_grad_products": True,
          "use_log_objective": True,
          "use_second_derivatives": second,
        },
      )
      for way, row in _measure(spec, entry).items():
        first, wall, cpu = row
        print(
          f"{name:32}{'yes' if second else 'no':8}{way:10}{first:7.1f}"
          f"{_UNROLL / wall:9.0f}{_UNROLL / cpu:13.0f}",
          flush=True,
        )


def _measure(spec, entry):
  """Per way: seconds to the first meta-step, and medians of the others."""
  from learned_optimizer.metaopt.meta_graph import MetaGraph, MetaOptimizer
  from learned_optimizer.metaopt.program import Task

  problem_spec, dataset, batch_size = entry
  task = Task.of(problem_spec.build(random_seed=1), dataset, batch_size)
  generator = np.random.default_rng(1)
  runs, firsts = {}, {}
  for way, jit_compile in (("compiled", True), ("op by op", False)):
    started = time.perf_counter()
    graph = MetaGraph(spec, MetaOptimizer())
    meta = graph.meta_program(task, jit_compile)
    runs[way] = _runner(meta, generator)
    runs[way]()
    firsts[way] = time.perf_counter() - started
  seconds = {way: ([], []) for way in runs}
  for _ in range(_REPEATS):
    for way, run in runs.items():
      wall, cpu = time.perf_counter(), time.process_time()
      run()
      seconds[way][0].append(time.perf_counter() - wall)
      seconds[way][1].append(time.process_time() - cpu)
  return {
    way: (firsts[way], *map(statistics.median, seconds[way])) for way in runs
  }


def _runner(meta, generator):
  trial = meta.program.draw(_UNROLL, generator)
  feed = meta.program.feed(trial, 0, _UNROLL, first=True, reset=True)
  fetches = [meta.train_op, meta.program.out.metaobj, meta.program.propagate]
  return lambda: meta.program.run(fetches, feed)


if __name__ == "__main__":
  app.run(main)

"""Whether any problem of the default corpus is slower compiled than op by op.

Each problem is measured once in a process of its own, both ways in turn. The
total is the time of the first meta-step, which compiled programs are charged
with twice, and of all steps that metarun plans for a problem by default.
"""

import functools
from collections.abc import Sequence

import numpy as np
from absl import app, flags

from benchmarks import tables
from benchmarks.unrolls import COMPILED, OP_BY_OP, Measurement
from learned_optimizer import program_start

TABLE = "Total time of a problem, s"
# Of metarun's defaults: meta-iterations, unrolls of each, steps of an unroll.
_META_ITERATIONS, _UNROLLS, _STEPS = 5, 41, 250
# A power of two, as compiled unrolls are. Some are longer, and need a second
# program.
_MEASURED_STEPS = 256
_PROGRAMS = {COMPILED: 2, OP_BY_OP: 1}


def main(argv: Sequence[str]) -> None:
  """Measures, prints the table and writes what --folder asks for."""
  del argv
  values = flags.FLAGS
  rows = []
  for name, index in _distinct_problems()[:: values.every]:
    rows.append(measured(name, index, values.repeats))
    tables.print_table(TABLE, rows[-1:])
  rows.sort(key=lambda row: row["compiled / op by op"])
  tables.print_table(TABLE, rows)
  if values.folder:
    tables.write(values.folder, "default_corpus", {TABLE: rows})


def _distinct_problems():
  """Set and index of one problem for each program that metarun compiles."""
  program_start.import_tensorflow_quietly()
  from learned_optimizer.metaopt.task import Task
  from learned_optimizer.problems import problem_sets
  from learned_optimizer.problems.datasets import ImageSource

  source = ImageSource(embedded_digits=True)
  found = {}
  for name in problem_sets.DEFAULT_SETS:
    entries = problem_sets.select(problem_sets.TRAINING_SETS, [name], 1, source)
    for index, (spec, *data) in enumerate(entries):
      task = Task.of(spec.build(random_seed=1), *data)
      found.setdefault(task.structure, (name, index))
  return [*found.values()]


def measured(name: str, index: int, repeats: int) -> tables.Row:
  """Measures a problem: a row of the table."""
  measurement = Measurement(
    name, index=index, unroll=_MEASURED_STEPS, repeats=repeats
  )
  num_steps = _META_ITERATIONS * _UNROLLS * _STEPS
  totals = {
    way: _PROGRAMS[way] * result["first"][0]
    + num_steps * float(np.median(result["wall"]))
    for way, result in measurement.run().items()
  }
  return {
    "problem": f"{name}[{index}]",
    **totals,
    "compiled / op by op": totals[COMPILED] / totals[OP_BY_OP],
  }


def _define_flags() -> None:
  flags.DEFINE_integer("every", 1, "measure only every so many", lower_bound=1)
  flags.DEFINE_integer("repeats", 3, "rounds of each timing", lower_bound=1)
  flags.DEFINE_string("folder", "", "where to write JSON, if anywhere")


if __name__ == "__main__":
  _define_flags()
  parse = functools.partial(program_start.parse, flags.FLAGS)
  app.run(main, flags_parser=parse)

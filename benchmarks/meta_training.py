"""Inner steps per second of meta-training, the time to begin, and memory.

The same unroll runs compiled and op by op in turn. What a step of the original
costs is known in units of a step of TF1's Adam, op by op, which is measured
before and after each of them: so figures of different machines, or of another
hour of the same one, can be compared.
"""

import functools
import pathlib
import tempfile
from collections.abc import Sequence

from absl import app, flags

from benchmarks import tables
from benchmarks.unrolls import COMPILED, OP_BY_OP, Measurement, adam_seconds
from learned_optimizer import program_start

SPEED, MEMORY, INSTANCES = "Speed", "Memory", "Instances at once"
STARTS = "Starts with kept programs"
PROBLEMS = (
  "softmax_2_class",
  "fully_connected_random_2_class",
  "digits_mlp",
  "mnist_conv",
)
UNROLLS = (20, 100, 500)
# Unrolls whose memory is compared: steps, and whether meta-gradients are
# checkpointed.
MEMORY_OF = ((100, False), (500, False), (2000, False), (2000, True))
NUM_INSTANCES = (1, 4, 16)
# Rows of data that cost next to nothing beside a step of the rule.
_FEW_ROWS = 16
_NUM_STARTS = 11
# What further tables are about.
_SMALL_MLP = "fully_connected_random_2_class"

# The original on TF 2.21: inner steps per CPU-second with second derivatives,
# and CPU-seconds of Adam's step in the same hour.
_ORIGINAL = {
  ("softmax_2_class", 20): 354,
  ("softmax_2_class", 100): 386,
  ("fully_connected_random_2_class", 20): 115,
  ("fully_connected_random_2_class", 100): 124,
}
_ADAM_SECONDS = 0.93e-3


def main(argv: Sequence[str]) -> None:
  """Measures, prints tables and writes what --folder asks for."""
  del argv
  values = flags.FLAGS
  unrolls = [int(n) for n in values.unrolls]
  rows = {SPEED: [], INSTANCES: [], MEMORY: [], STARTS: []}

  def add(table, more):
    rows[table] += more
    tables.print_table(table, rows[table])

  for problem in values.problems:
    for unroll in unrolls:
      for second in (False, True) if values.first_derivatives else (True,):
        measurement = Measurement(
          problem, unroll=unroll, second=second, repeats=values.repeats
        )
        add(SPEED, speed(measurement))
  if values.instances:
    for max_rows in (0, _FEW_ROWS):
      for number in NUM_INSTANCES:
        measurement = Measurement(
          _SMALL_MLP,
          instances=number,
          ways=[COMPILED],
          repeats=values.repeats,
          max_rows=max_rows,
        )
        add(INSTANCES, speed(measurement))
  if values.memory:
    for unroll, checkpoint in MEMORY_OF:
      measurement = Measurement(
        _SMALL_MLP,
        unroll=unroll,
        checkpoint=checkpoint,
        ways=[COMPILED],
        repeats=1,
      )
      add(MEMORY, speed(measurement))
  if values.starts:
    add(STARTS, starts())
  if values.folder:
    tables.write(values.folder, "meta_training", rows, draw(rows[SPEED]))


def speed(measurement: Measurement) -> list[tables.Row]:
  """Measures an unroll: a row for each way."""
  adam = adam_seconds(measurement.repeats)
  results = measurement.run()
  adam = tables.Quartiles.of(adam + adam_seconds(measurement.repeats))
  original = None
  if measurement.second and measurement.instances == 1:
    original = _ORIGINAL.get((measurement.problem, measurement.unroll))
  rows = []
  for way, result in results.items():
    per_second = _inverse(result["cpu"])
    factor = original and adam.median / _ADAM_SECONDS / original
    row = {
      "problem": measurement.problem,
      "unroll": measurement.unroll,
      "derivatives": 1 + measurement.second,
      "instances": measurement.instances,
      "rows": measurement.max_rows or "all",
      "way": way + ", checkpointed" * measurement.checkpoint,
      "graph, s": result["graph"],
      "first meta-step, s": result["first"][0],
      "steps/s": _inverse(result["wall"]),
      "steps/CPU-s": per_second,
      "x original": original
      and tables.Quartiles(*(steps * factor for steps in per_second)),
      "peak MB": result["peak"],
      "Adam's step, CPU-ms": tables.Quartiles(*(1e3 * s for s in adam)),
    }
    rows.append(row)
  return rows


def starts() -> list[tables.Row]:
  """Measures how processes begin that keep and find compiled programs."""
  measurement = Measurement(PROBLEMS[0], ways=[COMPILED], repeats=0)
  rows = []
  with tempfile.TemporaryDirectory() as cache:
    for start in range(_NUM_STARTS):
      before = _num_files(cache)
      result = measurement.run(cache)[COMPILED]
      row = {
        "start": start,
        "graph, s": result["graph"],
        "first meta-step, s": result["first"][0],
        "compiled": _num_files(cache) - before,
      }
      rows.append(row)
  return rows


def _num_files(folder):
  return sum(path.is_file() for path in pathlib.Path(folder).rglob("*"))


def _inverse(seconds):
  return tables.Quartiles.of([1 / s for s in seconds])


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
    for index, way in enumerate((COMPILED, OP_BY_OP)):
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
    lengths = sorted({row["unroll"] for row in rows})
    panel.set_xticks(lengths, map(str, lengths))
    panel.minorticks_off()
    panel.title.set_fontsize(8)
  panels[0][0].set_ylabel("inner steps per CPU-second")
  panels[0][0].legend(fontsize=8)
  return figure


def _define_flags() -> None:
  """Here, since tests import this beside programs with the same flags."""
  accepted = [*map(str, UNROLLS)]
  flags.DEFINE_multi_enum(
    "problems", [*PROBLEMS[:3]], PROBLEMS, "which problems"
  )
  flags.DEFINE_multi_enum("unrolls", accepted[:2], accepted, "inner steps")
  flags.DEFINE_boolean(
    "first_derivatives", False, "also without second derivatives"
  )
  flags.DEFINE_boolean("instances", True, "several instances at once as well")
  flags.DEFINE_boolean("starts", True, "starts with kept programs as well")
  flags.DEFINE_boolean("memory", True, "memory of long unrolls as well")
  flags.DEFINE_integer("repeats", 11, "rounds of each timing", lower_bound=1)
  flags.DEFINE_string("folder", "", "where to write JSON and PNG, if anywhere")


if __name__ == "__main__":
  _define_flags()
  parse = functools.partial(program_start.parse, flags.FLAGS)
  app.run(main, flags_parser=parse)

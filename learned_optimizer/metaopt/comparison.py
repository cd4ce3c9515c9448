"""Optimizers against each other on a set of problems."""

import csv
import functools
import io
import itertools
import operator
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from learned_optimizer import files
from learned_optimizer.metaopt import evaluation
from learned_optimizer.metaopt.evaluation import Losses
from learned_optimizer.metaopt.program import Programs
from learned_optimizer.metaopt.task import Task, describe
from learned_optimizer.optimizer.rule_optimizer import RuleOptimizer
from learned_optimizer.optimizer.variables import load_variables
from learned_optimizer.problems.problem_spec import Spec

LEARNING_RATES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
_PROBLEM_SEED = 1_000_033


class Contestant(NamedTuple):
  """An optimizer with weights.

  Attributes:
    name: to show.
    optimizer: `Spec` of a `TrainableOptimizer`.
    weights: its weights, by checkpoint name.
    learning_rate: of a hand-designed optimizer; else None.
  """

  name: str
  optimizer: Spec
  weights: Mapping[str, Any]
  learning_rate: float | None = None

  @classmethod
  def of_rule(cls, rule_class: Any, learning_rate: float) -> "Contestant":
    """A rule of `BASELINES` with a learning rate."""
    weights = {f"{rule_class.name}/learning_rate": np.float32(learning_rate)}
    spec = Spec(RuleOptimizer, (rule_class,), {})
    return cls(rule_class.name, spec, weights, learning_rate)


class Curves(NamedTuple):
  """The losses of one optimizer on one problem.

  Attributes:
    problem: name of the problem.
    description: of the problem.
    optimizer: name of the optimizer.
    learning_rate: of a hand-designed optimizer; else None.
    note: why this learning rate is shown.
    steps: int [points], after how many steps the loss on all data was taken.
    losses: those losses, [seeds, points], and on batches,
      [seeds, steps + 1].
  """

  problem: str
  description: str
  optimizer: str
  learning_rate: float | None
  note: str
  steps: np.ndarray
  losses: Losses

  @property
  def title(self) -> str:
    """The problem, for tables and pictures."""
    return f"{self.problem}: {self.description}"

  @property
  def label(self) -> str:
    """The optimizer, for tables and legends."""
    if self.learning_rate is None:
      return self.optimizer
    note = f" ({self.note})" if self.note else ""
    return f"{self.optimizer} {self.learning_rate:g}{note}"

  def quartiles(self) -> np.ndarray:
    """Lower quartile, median, upper quartile on all data: [3, points].

    A run that diverged counts as infinitely bad.
    """
    losses = self.losses.on_data
    losses = np.where(np.isfinite(losses), losses, np.inf)
    return np.quantile(losses, (0.25, 0.5, 0.75), axis=0, method="nearest")

  def quartiles_after(self, step: int) -> np.ndarray:
    """The quartiles at one of `steps`: [3]."""
    return self.quartiles()[:, np.searchsorted(self.steps, step)]


def compare(
  problems: Mapping[str, tuple[Any, Any, int | None]],
  contestants: Sequence[Contestant],
  grids: Sequence[Any],
  num_steps: int,
  table_steps: Sequence[int],
  seeds: Sequence[int],
  progress: Callable[[int], Any] = lambda number: None,
) -> list[Curves]:
  """Runs everything on every problem.

  Args:
    problems: (problem spec, data set or None, batch size or None) by name.
    contestants: all of them are shown.
    grids: rules of `BASELINES`, of which the default learning rate is shown
      and, for each step of the table, the one of a small grid with the lowest
      median loss.
    num_steps: length of the runs.
    table_steps: the steps that the table shows.
    seeds: one run each, which fixes initial parameters, batches and initial
      optimizer state.
    progress: called with each finished share of the work, in runs.

  Returns:
    The curves, in the order of problems, contestants and grids.
  """
  steps = evaluation.evenly_spaced(num_steps, table_steps)
  not_compilable = set()
  curves = []
  for name, (spec, dataset, batch_size) in problems.items():
    problem = spec.build(random_seed=_PROBLEM_SEED)
    starts = [evaluation.original_parameters(problem, seed) for seed in seeds]
    run = functools.partial(
      _run,
      task=Task.of(problem, dataset, batch_size),
      not_compilable=not_compilable,
      num_steps=num_steps,
      seeds=seeds,
      points=steps,
      init_params=starts,
      progress=progress,
    )

    def shown(contestant, losses, note="", name=name, spec=spec):
      rate = contestant.learning_rate
      return Curves(
        name, describe(spec), contestant.name, rate, note, steps, losses
      )

    curves += [shown(*result) for result in run(contestants)]
    for rule_class in grids:
      rates = [Contestant.of_rule(rule_class, r) for r in _grid(rule_class)]
      curves += _selection(
        [shown(*result) for result in run(rates)],
        rule_class.learning_rate,
        table_steps,
      )
  return curves


def num_runs(
  num_problems: int, num_contestants: int, grids: Sequence[Any], num_seeds: int
) -> int:
  """How many runs `compare` reports to its progress function."""
  num_contestants += sum(len(_grid(rule_class)) for rule_class in grids)
  return num_problems * num_contestants * num_seeds


def _grid(rule_class) -> list[float]:
  return sorted({*LEARNING_RATES, rule_class.learning_rate})


def _run(
  contestants, task, not_compilable, **settings
) -> Iterator[tuple[Contestant, Losses]]:
  """Those of the same optimizer, one after the other, share a program."""
  for spec, group in itertools.groupby(
    contestants, operator.attrgetter("optimizer")
  ):
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
      optimizer = spec.build()
      programs = Programs(session, optimizer, not_compilable)
      for contestant in group:
        load_variables(
          session, list(optimizer.weights.values()), contestant.weights
        )
        yield contestant, evaluation.run_all(programs, task, True, **settings)


def _selection(curves, default, table_steps):
  """The default, and the best of the grid at each step of the table."""
  by_rate = {c.learning_rate: c for c in curves}
  notes = {default: ["default"]}
  for step in table_steps:
    losses = {rate: c.quartiles_after(step)[1] for rate, c in by_rate.items()}
    best = min(losses, key=losses.get)
    notes.setdefault(best, []).append(f"best at {step}")
  return [
    by_rate[rate]._replace(note=", ".join(note)) for rate, note in notes.items()
  ]


def table(curves: Sequence[Curves], table_steps: Sequence[int]) -> str:
  """Median and quartiles of the loss at the given steps, as text."""
  header = ["optimizer", *(f"loss after {step} steps" for step in table_steps)]
  lines = []
  for title in dict.fromkeys(c.title for c in curves):
    rows = [header]
    for c in (c for c in curves if c.title == title):
      quartiles = [c.quartiles_after(step) for step in table_steps]
      rows.append(
        [c.label]
        + [
          f"{median:.4g} [{low:.4g}, {high:.4g}]"
          for low, median, high in quartiles
        ]
      )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines.append(title)
    lines += [
      "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True))
      for row in rows
    ]
    lines.append("")
  count = len(curves[0].losses.on_data)
  lines.append(f"Median [quartiles] over {count} seeds, loss on all data.")
  return "\n".join(line.rstrip() for line in lines)


def write_csv(path: pathlib.Path, curves: Sequence[Curves]) -> None:
  """Writes quartiles of the loss on all data, a line for each point."""
  text = io.StringIO()
  writer = csv.writer(text, lineterminator="\n")
  writer.writerow(
    ["problem", "description", "optimizer", "learning_rate", "note", "step"]
    + ["lower_quartile", "median", "upper_quartile"]
  )
  for c in curves:
    rate = "" if c.learning_rate is None else c.learning_rate
    for step, values in zip(c.steps, c.quartiles().T, strict=True):
      writer.writerow(
        [c.problem, c.description, c.optimizer, rate, c.note, step]
        + [*map("{:.8g}".format, values)]
      )
  files.write_text(path, text.getvalue())

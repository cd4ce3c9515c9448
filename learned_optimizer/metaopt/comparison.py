"""A learned optimizer against hand-designed ones on a set of problems."""

import csv
import io
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from learned_optimizer.metaopt import evaluation, files
from learned_optimizer.metaopt.program import Programs
from learned_optimizer.metaopt.task import Task, describe
from learned_optimizer.optimizer.baselines import BASELINES
from learned_optimizer.optimizer.rule_optimizer import RuleOptimizer
from learned_optimizer.optimizer.variables import load_variables, set_variables

LEARNING_RATES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
_PROBLEM_SEED = 1_000_033


class Curves(NamedTuple):
  """The losses of one optimizer on one problem.

  Attributes:
    problem: name of the problem.
    optimizer: name of the optimizer.
    learning_rate: of a hand-designed optimizer; else None.
    note: why this learning rate is shown.
    losses: [seeds, steps + 1], on all data; NaN after divergence.
  """

  problem: str
  optimizer: str
  learning_rate: float | None
  note: str
  losses: np.ndarray

  @property
  def label(self) -> str:
    """Name for tables and legends."""
    if self.learning_rate is None:
      return self.optimizer
    return f"{self.optimizer} {self.learning_rate:g} ({self.note})"

  def quartiles(self) -> np.ndarray:
    """Lower quartile, median, upper quartile: [3, steps + 1].

    A run that diverged counts as infinitely bad.
    """
    losses = np.where(np.isfinite(self.losses), self.losses, np.inf)
    return np.quantile(losses, (0.25, 0.5, 0.75), axis=0, method="nearest")


def compare(
  optimizer_spec: Any,
  weights: Mapping[str, Mapping[str, np.ndarray]],
  problems_and_data: Sequence[tuple[Any, Any, int | None]],
  table_steps: Sequence[int],
  seeds: Sequence[int],
  progress: Callable[[int], Any] = lambda total: None,
) -> list[Curves]:
  """Runs everything on every problem.

  Of every hand-designed optimizer the default learning rate is shown and, for
  each step of the table, the one of a small grid with the lowest median loss.

  Args:
    optimizer_spec: `Spec` of the learned optimizer.
    weights: names to show and the weights to run the learned optimizer with.
    problems_and_data: (problem spec, data set or None, batch size or None).
    table_steps: the steps that the table shows; runs are as long as the last.
    seeds: one run each, which fixes initial parameters, batches and initial
      optimizer state.
    progress: called with each finished share of the work, in runs.
  """
  curves = []
  not_compilable = set()
  for spec, dataset, batch_size in problems_and_data:
    task = Task.of(spec.build(random_seed=_PROBLEM_SEED), dataset, batch_size)
    name = describe(spec)
    for optimizer, losses in _learned(
      optimizer_spec, weights, task, max(table_steps), seeds, not_compilable
    ):
      curves.append(Curves(name, optimizer, None, "", losses))
      progress(len(seeds))
    for rule_class in BASELINES.values():
      losses = {}
      for learning_rate, result in _baseline(
        rule_class, task, max(table_steps), seeds, not_compilable
      ):
        losses[learning_rate] = result
        progress(len(seeds))
      curves += _selection(name, rule_class, losses, table_steps)
  return curves


def num_runs(num_weights: int, num_problems: int, seeds: Sequence[int]) -> int:
  """How many runs `compare` reports to its progress function."""
  grids = sum(len(_grid(rule_class)) for rule_class in BASELINES.values())
  return num_problems * len(seeds) * (num_weights + grids)


def _grid(rule_class) -> list[float]:
  return sorted({*LEARNING_RATES, rule_class.learning_rate})


def _learned(spec, weights, task, num_steps, seeds, not_compilable):
  with tf.Graph().as_default(), tf.compat.v1.Session() as session:
    optimizer = spec.build()
    programs = Programs(session, optimizer, not_compilable)
    for name, values in weights.items():
      load_variables(session, list(optimizer.weights.values()), values)
      curves = evaluation.loss_curves(programs, task, True, num_steps, seeds)
      yield name, curves


def _baseline(
  rule_class, task, num_steps, seeds, not_compilable
) -> Iterator[tuple[float, np.ndarray]]:
  with tf.Graph().as_default(), tf.compat.v1.Session() as session:
    optimizer = RuleOptimizer(rule_class)
    programs = Programs(session, optimizer, not_compilable)
    (variable,) = optimizer.weights.values()
    for learning_rate in _grid(rule_class):
      set_variables(session, [variable], [learning_rate])
      curves = evaluation.loss_curves(programs, task, True, num_steps, seeds)
      yield learning_rate, curves


def _selection(problem, rule_class, losses, table_steps):
  """The default, and the best of the grid at each step of the table."""
  default = rule_class.learning_rate
  notes = {default: ["default"]}
  for step in table_steps:
    candidates = {
      rate: Curves(problem, "", rate, "", result).quartiles()[1, step]
      for rate, result in losses.items()
    }
    best = min(candidates, key=candidates.get)
    notes.setdefault(best, []).append(f"best at {step}")
  return [
    Curves(problem, rule_class.name, rate, ", ".join(note), losses[rate])
    for rate, note in notes.items()
  ]


def table(curves: Sequence[Curves], table_steps: Sequence[int]) -> str:
  """Median and quartiles of the loss at the given steps, as text."""
  header = ["optimizer", *(f"loss after {step} steps" for step in table_steps)]
  lines = []
  for problem in dict.fromkeys(c.problem for c in curves):
    rows = [header]
    for c in (c for c in curves if c.problem == problem):
      low, median, high = c.quartiles()
      rows.append(
        [c.label]
        + [
          f"{median[s]:.4g} [{low[s]:.4g}, {high[s]:.4g}]" for s in table_steps
        ]
      )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines.append(problem)
    lines += [
      "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True))
      for row in rows
    ]
    lines.append("")
  count = len(curves[0].losses)
  lines.append(f"Median [quartiles] over {count} seeds, loss on all data.")
  return "\n".join(line.rstrip() for line in lines)


def write_csv(path: pathlib.Path, curves: Sequence[Curves]) -> None:
  """Writes quartiles per step, one line each."""
  text = io.StringIO()
  writer = csv.writer(text, lineterminator="\n")
  writer.writerow(
    ["problem", "optimizer", "learning_rate", "note", "step"]
    + ["lower_quartile", "median", "upper_quartile"]
  )
  for c in curves:
    rate = "" if c.learning_rate is None else c.learning_rate
    for step, values in enumerate(c.quartiles().T):
      writer.writerow(
        [
          c.problem,
          c.optimizer,
          rate,
          c.note,
          step,
          *map("{:.8g}".format, values),
        ]
      )
  files.write_text(path, text.getvalue())

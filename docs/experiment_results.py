"""What came out of the L2O-Scale experiment: losses, accuracies, tables."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from docs import experiment_runs, optimizee
from learned_optimizer.metaopt import comparison, evaluation, report
from learned_optimizer.metaopt.comparison import Contestant, Curves
from learned_optimizer.metaopt.task import Task
from learned_optimizer.optimizer.baselines import BASELINES
from learned_optimizer.problems import (
  datasets,
  generated_problem_sets,
)
from learned_optimizer.problems import problem_generator as pg
from learned_optimizer.problems.entry import Entry
from learned_optimizer.problems.problem_spec import Spec

TRAINED_ON = "64-20-10 sigmoid"
_SOFTMAX = "softmax_2_class-1"


class Accuracy(NamedTuple):
  """How well the optimizees of one kind of optimizer do, each [runs].

  Attributes:
    problem: name of the problem.
    label: of the optimizers.
    losses: at the end, on all data that they were trained on.
    accuracies: at the end, on the other split of the data.
  """

  problem: str
  label: str
  losses: np.ndarray
  accuracies: np.ndarray


def perceptrons(train: bool) -> dict[str, Entry]:
  """The perceptrons on one split of the digits, by name."""
  data = datasets.digits(train)
  return {
    name: Entry(
      Spec(
        pg.FullyConnected,
        (64, 10),
        {
          "hidden_sizes": hidden_sizes,
          "activation": activation,
          "variant": "evaluation",
        },
      ),
      data,
      128,
    )
    for name, hidden_sizes, activation in (
      (TRAINED_ON, (20,), tf.nn.sigmoid),
      ("64-20-10 relu", (20,), tf.nn.relu),
      ("64-20-20-10 sigmoid", (20, 20), tf.nn.sigmoid),
    )
  }


def problems() -> dict[str, Entry]:
  """What losses are measured on, by name."""
  sets = generated_problem_sets.softmax_2_class_problems(variant="evaluation")
  return {
    f"{TRAINED_ON}, training split": perceptrons(train=True)[TRAINED_ON],
    **{
      f"{name}, test split": entry
      for name, entry in perceptrons(train=False).items()
    },
    _SOFTMAX: sets[1],
  }


def contestants(
  runs: Sequence[experiment_runs.Run], optimizer: Spec
) -> list[Contestant]:
  """The best weights of each run, called as its configuration."""
  return [
    report.trained(optimizer, run.folder)[0]._replace(
      name=run.configuration.label
    )
    for run in runs
  ]


def accuracies(
  optimizers: Sequence[Contestant], num_steps: int, seeds: Sequence[int]
) -> list[Accuracy]:
  """Trains perceptrons on the training split and tests them on the other.

  Args:
    optimizers: the learned ones. Adam at its default and at the best of some
      learning rates comes in addition.
    num_steps: how long.
    seeds: one run each for every optimizer.
  """
  adam = BASELINES["Adam"]
  grid = [Contestant.of_rule(adam, r) for r in comparison.LEARNING_RATES]
  found = []
  for name, entry in perceptrons(train=True).items():
    task = Task.of(entry.spec.build(random_seed=0), *entry[1:])
    found += _test(name, task, optimizers, num_steps, seeds)
    rates = _test(name, task, grid, num_steps, seeds)
    best = min(rates, key=lambda rate: np.median(rate.losses))
    found += [r for r in rates if r.label == f"Adam {adam.learning_rate:g}"]
    found.append(best._replace(label=f"{best.label} (best)"))
  return found


def _test(name, task, optimizers, num_steps, seeds) -> list[Accuracy]:
  """One for each label of the optimizers, which share their rule."""
  train = optimizee.trainer(task, optimizee.rule_of(optimizers[0]))
  objective = optimizee.objective(task)
  test = datasets.digits(train=False)
  results: dict[str, list[tuple[float, float]]] = {}
  for optimizer in optimizers:
    label = optimizer.name
    if optimizer.learning_rate is not None:
      label += f" {optimizer.learning_rate:g}"
    for seed in seeds:
      start = evaluation.original_parameters(task.problem, seed)
      params = train(optimizer.weights, start, num_steps, seed)
      loss = float(objective(params))
      accuracy = float(task.problem.accuracy(params, *test))
      results.setdefault(label, []).append(
        (loss if np.isfinite(loss) else np.inf, accuracy)
      )
  return [
    Accuracy(name, label, *np.transpose(pairs))
    for label, pairs in results.items()
  ]


# Tables, in Markdown.


def run_table(runs: Sequence[experiment_runs.Run]) -> str:
  """What each configuration took, the seeds in turn."""
  rows = [["training", "unrolls", "CPU seconds"]]
  by_label: dict[str, list[Mapping[str, Any]]] = {}
  for run in runs:
    by_label.setdefault(run.configuration.label, []).append(run.outcome())
  for label, outcomes in by_label.items():
    columns = (
      ", ".join(f"{outcome[key]:.0f}" for outcome in outcomes)
      for key in ("unrolls", "cpu_seconds")
    )
    rows.append([label, *columns])
  return markdown(rows)


def loss_table(curves: Sequence[Curves], num_groups: int) -> str:
  """Final losses, for each problem and optimizer.

  Args:
    curves: those of `pooled_curves.measure`.
    num_groups: how many meta-training seeds a learned optimizer has.
  """
  rows = [
    ["problem", "optimizer", "final loss: median [quartiles]"]
    + ["median of each meta-training seed", "failed runs"]
  ]
  for c in curves:
    final = c.losses.on_data[:, -1]
    failed = ~(final < c.losses.on_data[:, 0])
    groups = "–"
    if c.learning_rate is None:
      finite = np.where(np.isfinite(final), final, np.inf)
      groups = ", ".join(
        f"{median:.3g}"
        for median in np.median(finite.reshape(num_groups, -1), axis=1)
      )
    low, median, high = c.quartiles()[:, -1]
    rows.append(
      [c.problem, c.label, f"{median:.3g} [{low:.3g}, {high:.3g}]", groups]
      + [f"{failed.sum()} of {len(failed)}"]
    )
  return markdown(rows)


def accuracy_table(found: Sequence[Accuracy]) -> str:
  """Losses on the training split and accuracies on the test split."""
  rows = [["problem", "optimizer", "training loss", "test accuracy"]]
  for a in found:
    low, median, high = _quartiles(a.losses)
    loss = f"{median:.3g} [{low:.3g}, {high:.3g}]"
    low, median, high = 100 * _quartiles(a.accuracies)
    accuracy = f"{median:.1f} % [{low:.1f}, {high:.1f}]"
    rows.append([a.problem, a.label, loss, accuracy])
  return markdown(rows)


def _quartiles(values):
  return np.quantile(values, (0.25, 0.5, 0.75), method="nearest")


def markdown(rows: Sequence[Sequence[str]]) -> str:
  """A table; its header is the first row."""
  header, *body = rows
  lines = [header, ["---"] * len(header), *body]
  return "\n".join(f"| {' | '.join(line)} |" for line in lines)

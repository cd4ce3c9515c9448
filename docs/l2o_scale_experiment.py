"""Compares ways of meta-training on the digits: see docs/experiments.md.

It writes all runs, tables and pictures into --folder. A run that is finished
there is not made again, and one that was interrupted goes on.
"""

import functools
import pathlib

from absl import app, flags

from learned_optimizer import (
  caller,
  files,
  program_choices,
  program_flags,
  program_start,
)

flags.DEFINE_string(
  "folder", "l2o_scale_experiment", "where to keep runs and results"
)
flags.DEFINE_integer(
  "num_unrolls", 1250, "budget of each run, unrolls of 20 steps", lower_bound=1
)
flags.DEFINE_integer("num_seeds", 3, "runs of each kind", lower_bound=1)
flags.DEFINE_integer("jobs", 2, "runs at a time", lower_bound=1)
flags.DEFINE_integer(
  "steps", 1000, "inner steps of the evaluation", lower_bound=1
)
flags.adopt_module_key_flags(program_flags)

FLAGS = flags.FLAGS


def main(argv: list[str]) -> None:
  """Runs the program."""
  program_start.run(FLAGS, argv, _experiment)


def _experiment() -> None:
  from docs import experiment_runs
  from learned_optimizer.metaopt import run_settings

  folder = pathlib.Path(caller.caller_path(FLAGS.folder))
  # Seed by seed: what is there after an interruption can be compared.
  runs = [
    experiment_runs.Run(configuration, seed, folder)
    for seed in range(1, FLAGS.num_seeds + 1)
    for configuration in experiment_runs.CONFIGURATIONS
  ]
  experiment_runs.train_all(runs, FLAGS.num_unrolls, FLAGS.jobs, _report)
  # Configuration by configuration, as in tables.
  runs.sort(
    key=lambda run: experiment_runs.CONFIGURATIONS.index(run.configuration)
  )
  recorded = run_settings.read(runs[0].folder)
  spec = program_choices.optimizer_spec(
    program_choices.optimizer_settings(FLAGS, recorded)
  )
  _write_results(folder, runs, spec)


def _report(run) -> None:
  costs = ", ".join(f"{k} {v:.0f}" for k, v in run.outcome().items())
  print(f"{run.train_dir.name}: {costs}", flush=True)


def _write_results(folder, runs, spec) -> None:
  from docs import (
    density_figure,
    experiment_results,
    pooled_curves,
    training_curves,
  )
  from learned_optimizer.metaopt import comparison
  from learned_optimizer.metaopt.comparison import Contestant
  from learned_optimizer.metaopt.task import Task
  from learned_optimizer.optimizer.baselines import BASELINES

  by_label = {}
  for run in runs:
    history = training_curves.read(run.folder)
    by_label.setdefault(run.configuration.label, []).append(history)
  training_curves.write_png(folder / "training.png", by_label)

  seeds = program_choices.integers(FLAGS.seeds)
  contestants = experiment_results.contestants(runs, spec)
  adam = BASELINES["Adam"]
  curves = pooled_curves.measure(
    experiment_results.problems(), contestants, [adam], FLAGS.steps, seeds
  )
  pooled_curves.write_png(folder / "losses.png", curves)
  comparison.write_csv(folder / "losses.csv", curves)
  tables = [
    experiment_results.run_table(runs),
    experiment_results.loss_table(curves, FLAGS.num_seeds),
  ]
  print(*tables, sep="\n\n", flush=True)
  found = experiment_results.accuracies(contestants, FLAGS.steps, seeds)
  tables.append(experiment_results.accuracy_table(found))
  print(f"\n{tables[-1]}", flush=True)
  files.write_text(folder / "tables.md", "\n\n".join(tables) + "\n")

  # One learned optimizer without regularisation and one with it.
  rate = next(c.learning_rate for c in curves if "best" in c.note)
  shown = [Contestant.of_rule(adam, rate)]
  for run, contestant in zip(runs, contestants, strict=True):
    if run.seed == 1 and run.configuration.name in ("cl", "cl_il_esd_1e-3"):
      shown.append(contestant)
  name = experiment_results.TRAINED_ON
  entry = experiment_results.perceptrons(train=True)[name]
  task = Task.of(entry.spec.build(random_seed=0), *entry[1:])
  spectra = density_figure.spectra(task, shown, FLAGS.steps, seeds[0])
  density_figure.write_png(folder / "density.png", {name: spectra})
  print(f"Results: {folder}")


if __name__ == "__main__":
  app.run(main, flags_parser=functools.partial(program_start.parse, FLAGS))

"""Compares L2O-DM and RNNProp with Adam on the digits: see docs/l2o_dm.md.

The first part evaluates released models, where --models says they are; the
second one meta-trains RNNProp and evaluates that. Results go into --folder: a
run of metarun or a problem that is finished there is not run again, only tables
and pictures are made anew.
"""

import functools
import json
import os
import pathlib
import resource
import subprocess
import sys
import time
from collections.abc import Mapping

from absl import app, flags

from learned_optimizer import (
  caller,
  files,
  program_choices,
  program_flags,
  program_start,
)

flags.DEFINE_string(
  "folder", "l2o_dm_experiment", "where to keep runs and results"
)
flags.DEFINE_string(
  "models",
  "",
  "folder of the released models, in which the folders dm_cl_il and "
  "rnnprop_cl_il hold one each; without it their part is skipped",
)
flags.DEFINE_integer(
  "released_steps", 10_000, "inner steps of released models", lower_bound=1
)
flags.DEFINE_integer(
  "num_seeds", 3, "runs of meta-training; 0 skips that part", lower_bound=0
)
flags.DEFINE_integer(
  "num_epochs", 100, "of meta-training, at most", lower_bound=1
)
flags.DEFINE_integer(
  "steps", 1000, "inner steps of what was meta-trained", lower_bound=1
)
flags.adopt_module_key_flags(program_flags)

FLAGS = flags.FLAGS

_TRAINING = (
  *("--optimizer=RNNProp", "--if_cl", "--if_mt"),
  *("--include_digits_mlp_problems", "--evaluation_epochs=5", "--noprogress"),
)


def main(argv: list[str]) -> None:
  """Runs the program."""
  program_start.run(FLAGS, argv, _experiment)


def _experiment() -> None:
  folder = pathlib.Path(caller.caller_path(FLAGS.folder))
  seeds = program_choices.integers(FLAGS.seeds)
  if FLAGS.models:
    models = pathlib.Path(caller.caller_path(FLAGS.models))
    _released(folder / "released", models, seeds)
  else:
    print("Released models are skipped: --models does not say where they are.")
  if FLAGS.num_seeds:
    _meta_trained(folder / "meta_trained", seeds)
  print(f"Results: {folder}")


def _released(folder, models, seeds) -> None:
  from docs import l2o_dm_results, pooled_curves
  from learned_optimizer.metaopt import comparison

  curves = l2o_dm_results.measure(
    folder,
    l2o_dm_results.perceptrons(),
    l2o_dm_results.released(models),
    FLAGS.released_steps,
    seeds,
  )
  comparison.write_csv(folder / "losses.csv", curves)
  pooled_curves.write_png(
    folder / "losses.png", l2o_dm_results.with_published(curves)
  )
  _write_tables(folder, [l2o_dm_results.released_table(curves)])


def _meta_trained(folder, seeds) -> None:
  from docs import (
    experiment_results,
    l2o_dm_results,
    pooled_curves,
    training_curves,
  )
  from learned_optimizer.metaopt import comparison, report, run_settings

  train_dirs = [folder / f"run-{n + 1}" for n in range(FLAGS.num_seeds)]
  outcomes = [_metarun(path, n + 1) for n, path in enumerate(train_dirs)]
  runs = [path / "RNNProp_GRUCell_20_2" for path in train_dirs]
  histories = [*map(training_curves.read, runs)]
  training_curves.write_png(folder / "training.png", {"RNNProp": histories})
  spec = program_choices.optimizer_spec(
    program_choices.optimizer_settings(FLAGS, run_settings.read(runs[0]))
  )
  curves = l2o_dm_results.measure(
    folder,
    l2o_dm_results.problems(),
    [report.trained(spec, run)[0] for run in runs],
    FLAGS.steps,
    seeds,
  )
  comparison.write_csv(folder / "losses.csv", curves)
  pooled_curves.write_png(folder / "losses.png", curves)
  tables = [
    l2o_dm_results.training_table(outcomes),
    experiment_results.loss_table(curves, FLAGS.num_seeds),
  ]
  _write_tables(folder, tables)


def _metarun(train_dir: pathlib.Path, seed: int) -> Mapping[str, float]:
  """Meta-trains unless that is done: what it took."""
  from learned_optimizer.metaopt.errors import RunError

  path = train_dir / "outcome.json"
  if path.exists():
    outcome = files.read_json(path)
    if outcome["num_epochs"] != FLAGS.num_epochs:
      raise RunError(
        f"{path} is of a run with --num_epochs={outcome['num_epochs']:g};"
        " remove its folder or give another --folder."
      )
    return outcome
  train_dir.mkdir(parents=True, exist_ok=True)
  arguments = [*_TRAINING, f"--seed={seed}", f"--train_dir={train_dir}"]
  arguments.append(f"--num_epochs={FLAGS.num_epochs}")
  started, used = time.monotonic(), _cpu_seconds()
  with open(train_dir / "log.txt", "a") as log:
    done = subprocess.run(
      [sys.executable, "-m", "learned_optimizer.metarun", *arguments],
      env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
      stdout=log,
      stderr=subprocess.STDOUT,
    )
  if done.returncode:
    raise RunError(
      f"metarun ended with status {done.returncode}; see {log.name}."
    )
  outcome = {
    "seconds": time.monotonic() - started,
    "cpu_seconds": _cpu_seconds() - used,
    "num_epochs": FLAGS.num_epochs,
  }
  files.write_json(path, outcome)
  print(f"{train_dir.name}: {json.dumps(outcome)}", flush=True)
  return outcome


def _cpu_seconds() -> float:
  """What processes that this one started took."""
  used = resource.getrusage(resource.RUSAGE_CHILDREN)
  return used.ru_utime + used.ru_stime


def _write_tables(folder, tables) -> None:
  text = "\n\n".join(tables)
  print(f"\n{text}\n", flush=True)
  files.write_text(folder / "tables.md", f"{text}\n")


if __name__ == "__main__":
  app.run(main, flags_parser=functools.partial(program_start.parse, FLAGS))

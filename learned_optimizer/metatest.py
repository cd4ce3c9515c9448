"""Evaluates the checkpoint of a learned optimizer, or a hand-designed one."""

import functools
import pathlib
from typing import Any

from absl import app, flags

from learned_optimizer import (
  caller,
  program_choices,
  program_flags,
  program_start,
  threads,
)

# Those that the original tests besides learned ones, at these learning rates.
_LEARNING_RATES = {"SGD": 1e-3, "Adam": 1e-4, "Adagrad": 1e-5}
# What the original defined and did not use.
_WITHOUT_EFFECT = (
  "task",
  "worker_tasks",
  "num_problems",
  "num_meta_iterations",
  "num_unroll_scale",
  "min_num_unrolls",
  "num_partial_unroll_itr_scale",
  "min_num_itr_partial_unroll",
  "meta_learning_rate",
  "gradient_clip_level",
  "rms_decay",
  "rms_epsilon",
  "l2_reg",
  "ps_tasks",
)
_SWITCHES_WITHOUT_EFFECT = ("set_profiling", "reset_rnn_params")

flags.DEFINE_string("save_dir", "opt/", "folder for records, table and picture")
flags.DEFINE_enum(
  "test_optimizer",
  "L2o",
  ["L2o", *_LEARNING_RATES],
  "what to test: the learned optimizer, or "
  + ", ".join(f"{name} at {rate:g}" for name, rate in _LEARNING_RATES.items()),
)
flags.DEFINE_string(
  "restore_model_name",
  "",
  "checkpoint in the folder of the run; by default the best one, else the last "
  "one",
)
flags.DEFINE_string(
  "path",
  "",
  "a learned optimizer in place of one in the folder of a run: a .l2l file of "
  "L2O-DM or RNNProp, or whatever else learned_optimizer.load reads",
)
flags.DEFINE_string("model_name", "mt", "end of the names of the records")
flags.DEFINE_integer(
  "num_testing_itrs", 100, "length of the runs", lower_bound=1
)
flags.DEFINE_boolean(
  "baselines",
  False,
  "compare with the learned optimizer untrained and with hand-designed ones at "
  "several learning rates",
)
program_flags.define_testing_steps(None)
# As the programs of L2O-DM and RNNProp call them.
flags.DEFINE_alias("output_path", "save_dir")
flags.DEFINE_alias("num_steps", "num_testing_itrs")
for _name in _WITHOUT_EFFECT:
  flags.DEFINE_string(_name, None, "accepted, but without effect")
for _name in _SWITCHES_WITHOUT_EFFECT:
  flags.DEFINE_boolean(_name, None, "accepted, but without effect")
flags.register_validator(
  "model_name",
  lambda name: name and "/" not in name,
  "must be a part of a file's name: not empty, and without a slash.",
)

FLAGS = flags.FLAGS
FLAGS.set_default("train_dir", "opt/")


def main(argv: list[str]) -> None:
  """Runs the program."""
  program_start.run(
    FLAGS, argv, _test, (*_WITHOUT_EFFECT, *_SWITCHES_WITHOUT_EFFECT)
  )


def _test() -> None:
  from learned_optimizer.metaopt import report, run_settings
  from learned_optimizer.optimizer import optimizers
  from learned_optimizer.optimizer.baselines import BASELINES
  from learned_optimizer.problems.problem_spec import Spec

  folder = program_choices.run_folder(FLAGS)
  recorded, read = {}, None
  if FLAGS.path:
    read = _read()
    FLAGS.set_default("optimizer", read.optimizer_name)
    if FLAGS.optimizer != read.optimizer_name:
      raise ValueError(
        f"--optimizer={FLAGS.optimizer} is given, but --path={FLAGS.path} is of"
        f" {read.optimizer_name}; without --optimizer it is evaluated."
      )
  else:
    recorded = run_settings.read(folder) or {}
  # Data come first: they may be missing.
  problems = program_choices.evaluation_problems(FLAGS, recorded)
  threads.fit(spec for spec, *_ in problems.values())
  seeds = program_choices.integers(FLAGS.seeds)
  if read:
    spec = Spec(optimizers.by_name(read.optimizer_name), (), read.settings)
  else:
    spec = program_choices.optimizer_spec(
      program_choices.optimizer_settings(FLAGS, recorded)
    )
  if FLAGS.test_optimizer == "L2o" and read:
    tested = report.Contestant(read.optimizer_name, spec, read.weights)
    source = FLAGS.path
  elif FLAGS.test_optimizer == "L2o":
    tested, source = report.trained(spec, folder, FLAGS.restore_model_name)
  else:
    rate = _LEARNING_RATES[FLAGS.test_optimizer]
    tested = report.Contestant.of_rule(BASELINES[FLAGS.test_optimizer], rate)
    source = f"{FLAGS.test_optimizer} {rate:g}"
  contestants, grids = [tested], []
  if FLAGS.baselines:
    contestants.append(report.untrained(spec))
    grids = [*BASELINES.values()]
  print(f"Evaluating {source} on seeds {', '.join(map(str, seeds))}.")
  output = pathlib.Path(caller.caller_path(FLAGS.save_dir))
  output.mkdir(parents=True, exist_ok=True)
  num_steps, table_steps = _lengths()
  curves = report.compare(
    problems,
    contestants,
    grids,
    num_steps,
    table_steps,
    seeds,
    FLAGS.progress,
  )
  firsts = [
    next(curve for curve in curves if curve.problem == name)
    for name in problems
  ]
  report.write_records(
    firsts,
    seeds,
    output,
    FLAGS.model_name,
    program_choices.is_l2o_dm(FLAGS, recorded),
  )
  report.write(curves, table_steps, output)


def _read() -> Any:
  """The `LearnedRule` that --path names."""
  from learned_optimizer.compat import sources

  if FLAGS.restore_model_name:
    raise ValueError(
      f"--path={FLAGS.path} and --restore_model_name={FLAGS.restore_model_name}"
      " are both given; one of them is accepted."
    )
  path = caller.caller_path(FLAGS.path)
  return sources.read(path if pathlib.Path(path).exists() else FLAGS.path)


def _lengths() -> tuple[int, list[int]]:
  """The length of the runs, and the steps that the table shows."""
  if not FLAGS.testing_steps:
    return FLAGS.num_testing_itrs, [FLAGS.num_testing_itrs]
  steps = program_choices.integers(FLAGS.testing_steps)
  lengths = [*steps]
  if FLAGS["num_testing_itrs"].present:
    lengths.append(FLAGS.num_testing_itrs)
  return max(lengths), steps


if __name__ == "__main__":
  app.run(main, flags_parser=functools.partial(program_start.parse, FLAGS))

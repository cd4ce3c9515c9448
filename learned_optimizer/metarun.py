"""Meta-trains a learned optimizer."""

import functools
import pathlib
import sys
import textwrap
from collections.abc import Mapping
from typing import Any

from absl import app, flags

from learned_optimizer import (
  program_choices,
  program_flags,
  program_start,
  threads,
  training_choices,
  training_flags,
)

_EVALUATION_STEPS = (200, 1000)

program_flags.define_testing_steps(_EVALUATION_STEPS)
flags.adopt_module_key_flags(training_flags)
flags.adopt_module_key_flags(program_flags)
for _name, _original in training_flags.L2O_DM_ALIASES.items():
  flags.DEFINE_alias(_name, _original)

FLAGS = flags.FLAGS

# Settings that stay the same when a run is continued, besides those of the
# optimizer.
_RUN_SETTINGS = (
  "num_meta_iterations",
  "num_parallel_problems",
  "num_unroll_scale",
  "min_num_unrolls",
  "num_partial_unroll_itr_scale",
  "min_num_itr_partial_unroll",
  "meta_learning_rate",
  "gradient_clip_level",
  "rms_decay",
  "rms_epsilon",
  "l2_reg",
  "l2_reg_scale",
  "embedded_digits",
  "reset_rnn_params",
  "carry_last_unroll",
  "worker_tasks",
  "xla",
  *training_flags.SCALE_FLAGS,
  *training_flags.L2O_DM_FLAGS,
)


def main(argv: list[str]) -> None:
  """Runs the program."""
  program_start.run(FLAGS, argv, _train)


def _train() -> None:
  from learned_optimizer.metaopt import run_settings, training
  from learned_optimizer.problems import problem_sets

  procedure = training_choices.resolve_procedure(FLAGS)
  training_choices.check(FLAGS, procedure)
  scale_settings = {
    "procedure": training_choices.procedure(FLAGS, procedure),
    "curriculum": training_choices.curriculum(FLAGS, procedure),
    "imitation": training_choices.imitation(FLAGS, procedure),
    "regularization": training_choices.regularization(FLAGS),
    "regularize_time": FLAGS.regularize_time,
    "reg_scale": FLAGS.reg_scale,
  }
  folder = program_choices.run_folder(FLAGS)
  default_sets = problem_sets.DEFAULT_SETS if procedure == "original" else ()
  names = program_choices.selected_sets(
    FLAGS, problem_sets.TRAINING_SETS, default_sets
  )
  recorded = run_settings.read(folder) or {}
  seed = FLAGS.seed
  if seed is None:
    seed = recorded.get("seed", run_settings.fresh_seed())
  optimizer = program_choices.optimizer_settings(FLAGS)
  settings = {name: FLAGS[name].value for name in _RUN_SETTINGS}
  settings |= {"procedure": procedure, "problem_sets": names, "seed": seed}
  settings |= optimizer
  run_settings.check(folder, settings, FLAGS.allow_changed_settings)
  problems = problem_sets.select_by_name(
    problem_sets.TRAINING_SETS,
    names,
    seed,
    **training_choices.problem_set_arguments(FLAGS, procedure),
  )
  threads.fit(spec for spec, *_ in problems.values())
  if not recorded:
    _show(settings)
  folder.mkdir(parents=True, exist_ok=True)
  result = training.train_optimizer(
    str(folder),
    program_choices.optimizer_spec(optimizer),
    [*problems.values()],
    FLAGS.num_problems,
    FLAGS.num_meta_iterations,
    *training_choices.lengths(FLAGS, procedure),
    learning_rate=FLAGS.meta_learning_rate,
    gradient_clip=FLAGS.gradient_clip_level,
    select_random_problems=FLAGS.worker_tasks == 1,
    obj_train_max_multiplier=FLAGS.objective_training_max_multiplier,
    seed=seed,
    rms_decay=FLAGS.rms_decay,
    rms_epsilon=FLAGS.rms_epsilon,
    l2_reg=FLAGS.l2_reg,
    reset_rnn_params=FLAGS.reset_rnn_params,
    carry_last_unroll=FLAGS.carry_last_unroll,
    set_profiling=FLAGS.set_profiling,
    num_parallel_problems=FLAGS.num_parallel_problems,
    xla=FLAGS.xla,
    validation=training_choices.validation(FLAGS),
    progress=FLAGS.progress,
    settings=settings,
    **scale_settings,
  )
  _tell(result, folder)
  if FLAGS.evaluate:
    _evaluate(folder, optimizer, problems)


def _tell(result: Any, folder: pathlib.Path) -> None:
  """Says how the run ended; leaves the program if it was interrupted."""
  if result.interrupted_by:
    print(
      f"Interrupted after {result.global_step} unrolls, saved in {folder}. The"
      " same command continues.",
      file=sys.stderr,
    )
    sys.exit(128 + result.interrupted_by)
  if result.already_finished:
    print(
      f"The run in {folder} is finished: {FLAGS.num_problems} problems,"
      f" {result.global_step} unrolls. A greater --num_problems continues it;"
      " another --train_dir starts anew."
    )
  else:
    print(f"Trained on {result.global_step} unrolls, saved in {folder}.")
    validated = 0 < FLAGS.evaluation_period <= FLAGS.num_meta_iterations
    if validated and not any(folder.glob("best-*")):
      print(
        "Warning: no validation had a finite cost, so that there is no best"
        " checkpoint.",
        file=sys.stderr,
      )


def _show(settings: Mapping[str, Any]) -> None:
  """Prints the settings of a run that begins."""
  text = ", ".join(f"{name}={value}" for name, value in settings.items())
  print(textwrap.fill(f"Settings: {text}", subsequent_indent="  "))


def _evaluate(
  folder: pathlib.Path,
  optimizer: Mapping[str, Any],
  problems: Mapping[str, Any],
) -> None:
  from learned_optimizer.metaopt import report
  from learned_optimizer.optimizer.baselines import BASELINES

  spec = program_choices.optimizer_spec(optimizer)
  trained, path = report.trained(spec, folder)
  seeds = program_choices.integers(FLAGS.seeds)
  print(f"Evaluating {path} on seeds {', '.join(map(str, seeds))}.")
  steps = program_choices.integers(FLAGS.testing_steps)
  curves = report.compare(
    problems,
    [trained, report.untrained(spec)],
    [*BASELINES.values()],
    max(steps),
    steps,
    seeds,
    FLAGS.progress,
  )
  report.write(curves, steps, folder)


if __name__ == "__main__":
  app.run(main, flags_parser=functools.partial(program_start.parse, FLAGS))

"""Evaluates the checkpoint of a learned optimizer against other optimizers."""

import functools
import pathlib

from absl import app, flags

from learned_optimizer import (
  caller,
  program_choices,
  program_flags,
  program_start,
)

flags.DEFINE_string(
  "save_dir",
  "",
  "folder for table and picture; by default the folder of the checkpoint",
)
flags.DEFINE_string(
  "restore_model_name",
  "",
  "checkpoint in that folder; by default the best one, else the last one",
)
flags.DEFINE_integer(
  "num_testing_itrs",
  100,
  "length of the runs, where --testing_steps does not say",
  lower_bound=1,
)
program_flags.define_testing_steps(None)

FLAGS = flags.FLAGS


def main(argv: list[str]) -> None:
  """Runs the program."""
  program_start.run(FLAGS, argv, _test)


def _test() -> None:
  from learned_optimizer.metaopt import report, run_settings
  from learned_optimizer.problems import problem_sets

  folder = program_choices.run_folder(FLAGS)
  names = program_choices.selected_sets(FLAGS, problem_sets.EVALUATION_SETS)
  recorded = run_settings.read(folder) or {}
  seed = recorded.get("seed", 0)
  arguments = program_choices.problem_set_arguments(FLAGS)
  arguments["l2_reg_scale"] = program_choices.setting(
    FLAGS, recorded, "l2_reg_scale"
  )
  steps = program_choices.integers(
    FLAGS.testing_steps or [FLAGS.num_testing_itrs]
  )
  report.evaluate(
    folder,
    program_choices.optimizer_spec(
      program_choices.optimizer_settings(FLAGS, recorded)
    ),
    problem_sets.select(problem_sets.EVALUATION_SETS, names, seed, **arguments),
    steps,
    program_choices.integers(FLAGS.seeds),
    output=pathlib.Path(caller.caller_path(FLAGS.save_dir) or folder),
    checkpoint_name=FLAGS.restore_model_name,
    progress=FLAGS.progress,
  )


if __name__ == "__main__":
  app.run(main, flags_parser=functools.partial(program_start.parse, FLAGS))

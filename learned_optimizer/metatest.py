"""Evaluates the checkpoint of a learned optimizer against other optimizers."""

import pathlib

from absl import app, flags

from learned_optimizer import caller, program_flags

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
  if len(argv) > 1:
    program_flags.fail(f"unknown arguments: {' '.join(argv[1:])}")
  program_flags.import_tensorflow_quietly()
  from learned_optimizer import metaopt

  program_flags.warn_of_flags_without_effect(FLAGS)
  try:
    _test()
  except KeyboardInterrupt:
    program_flags.fail("interrupted.", status=130)
  except (ValueError, OSError, metaopt.RunError) as error:
    program_flags.fail(error)


def _test() -> None:
  from learned_optimizer.metaopt import report, run_settings

  folder = program_flags.run_folder(FLAGS)
  names = program_flags.selected_sets(FLAGS, use_defaults=False)
  recorded = run_settings.read(folder) or {}
  settings = program_flags.optimizer_settings(FLAGS)
  for name in settings:
    # A run knows how its optimizer was built; flags may say otherwise.
    if name in recorded and not FLAGS[name].present:
      settings[name] = recorded[name]
  seed = recorded.get("seed", 0)
  steps = program_flags.integers(
    FLAGS.testing_steps or [FLAGS.num_testing_itrs]
  )
  report.evaluate(
    folder,
    program_flags.optimizer_spec(settings),
    program_flags.problems_and_data(names, seed, FLAGS.l2_reg_scale),
    steps,
    program_flags.integers(FLAGS.seeds),
    output=pathlib.Path(caller.caller_path(FLAGS.save_dir) or folder),
    checkpoint_name=FLAGS.restore_model_name,
    progress=FLAGS.progress,
  )


if __name__ == "__main__":
  app.run(main, flags_parser=program_flags.parse)

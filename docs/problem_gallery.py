"""Draws all problems of two parameters and prints the table of problem sets.

The paths are those of Adam and of gradient descent with momentum or, where
--train_dir is given, of the learned optimizer that was trained there.
"""

import functools
import pathlib

from absl import app, flags

from learned_optimizer import caller, program_choices, program_start

flags.DEFINE_string("output", "problem_gallery.png", "the picture to write")
flags.DEFINE_integer("steps", 100, "length of the paths", lower_bound=1)
flags.DEFINE_integer("seed", 56, "fixes where the paths start", lower_bound=0)

FLAGS = flags.FLAGS


def main(argv: list[str]) -> None:
  """Runs the program."""
  program_start.run(FLAGS, argv, _gallery)


def _gallery() -> None:
  from docs import set_table, surfaces

  if FLAGS["train_dir"].present:
    second = _learned(surfaces)
  else:
    second = surfaces.baseline("Momentum")
  output = pathlib.Path(caller.caller_path(FLAGS.output))
  surfaces.write_png(
    output,
    surfaces.all_panels(),
    [surfaces.baseline("Adam"), second],
    FLAGS.steps,
    FLAGS.seed,
  )
  print(set_table.markdown())
  print(f"\nPicture: {output}")


def _learned(surfaces):
  from learned_optimizer.metaopt import run_settings

  folder = program_choices.run_folder(FLAGS)
  recorded = run_settings.read(folder) or {}
  settings = program_choices.optimizer_settings(FLAGS, recorded)
  return surfaces.restored(program_choices.optimizer_spec(settings), folder)


if __name__ == "__main__":
  app.run(main, flags_parser=functools.partial(program_start.parse, FLAGS))

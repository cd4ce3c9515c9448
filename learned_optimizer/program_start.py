"""How metarun and metatest start and end."""

import math
import os
import pathlib
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from absl import flags, logging

from learned_optimizer import xla_settings

# Flags of both programs that are accepted for the sake of old command lines.
_WITHOUT_EFFECT = ("nan_l2_reg",)


def parse(values: flags.FlagValues, argv: list[str]) -> list[str]:
  """Parses flags for `app.run`; a wrong one ends the program with one line."""
  try:
    rest = values(argv)
  except flags.Error as error:
    fail(f"{error} (--help explains the flags)")
  for name, value in values.flag_values_dict().items():
    # Bounds of flags let it pass.
    if isinstance(value, float) and math.isnan(value):
      fail(f"--{name} must be a number, got nan.")
  return rest


def run(
  values: flags.FlagValues,
  argv: Sequence[str],
  work: Callable[[], None],
  without_effect: Sequence[str] = (),
) -> None:
  """Runs a program's work; what a user can mend ends it with one line.

  Args:
    values: the flags.
    argv: what is left of the command line besides the flags.
    work: the work, which may import TensorFlow.
    without_effect: flags that only this program accepts and does not use.
  """
  if len(argv) > 1:
    fail(f"unknown arguments: {' '.join(argv[1:])}")
  if not values["verbosity"].present:
    # What libraries tell of their progress is nothing for a program's user.
    logging.set_verbosity(logging.WARNING)
  xla_settings.compile_quickly()
  xla_settings.keep_programs()
  try:
    import_tensorflow_quietly()
    from learned_optimizer import metaopt
  except KeyboardInterrupt:
    fail("interrupted.", status=130)
  _warn_of_flags_without_effect(values, [*_WITHOUT_EFFECT, *without_effect])
  try:
    work()
  except KeyboardInterrupt:
    fail("interrupted.", status=130)
  except (ValueError, OSError, metaopt.RunError) as error:
    logging.debug("The error in full", exc_info=True)
    fail(error)


def fail(message: object, status: int = 1) -> NoReturn:
  """Ends the program with one line on standard error."""
  line = " ".join(str(message).split())
  print(f"{pathlib.Path(sys.argv[0]).stem}: {line}", file=sys.stderr)
  sys.exit(status)


def _warn_of_flags_without_effect(values, names):
  """Says so once if flags were changed that do nothing."""
  changed = [
    f"--{name}" for name in names if values[name].value != values[name].default
  ]
  if changed:
    print(
      f"Warning: {', '.join(changed)} had no effect in the original program"
      " and has none here.",
      file=sys.stderr,
    )


def import_tensorflow_quietly() -> None:
  """Imports TensorFlow without its notes on standard error.

  Those that it writes before it reads its log level can only be kept back at
  the file descriptor.
  """
  os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
  sys.stderr.flush()
  kept = os.dup(2)
  nowhere = os.open(os.devnull, os.O_WRONLY)
  os.dup2(nowhere, 2)
  try:
    import tensorflow as tf
  finally:
    os.dup2(kept, 2)
    os.close(kept)
    os.close(nowhere)
  tf.get_logger().setLevel("ERROR")

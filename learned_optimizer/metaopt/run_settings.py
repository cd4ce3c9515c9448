"""The settings of a run, as JSON beside its checkpoints."""

import json
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from learned_optimizer import files
from learned_optimizer.metaopt.errors import RunError

_NAME = "settings.json"


def read(folder: pathlib.Path) -> dict[str, Any] | None:
  """The recorded settings, or None where there are none.

  Raises:
    RunError: the file is damaged.
  """
  path = folder / _NAME
  if not path.exists():
    return None
  try:
    return files.read_json(path)
  except ValueError as error:
    raise RunError(str(error)) from error


def fresh_seed() -> int:
  """A seed for a run that was given none."""
  return int(np.random.default_rng().integers(2**32))


def check(
  folder: pathlib.Path, settings: Mapping[str, Any], allow_changes: bool
) -> None:
  """Compares the settings of a run with those that it was started with.

  Args:
    folder: the run's folder.
    settings: by name; JSON values.
    allow_changes: accept settings that differ from the recorded ones.

  Raises:
    RunError: some differ, and that is not allowed.
  """
  settings = json.loads(json.dumps(dict(settings)))
  recorded = read(folder) or {}
  changes = [
    f"--{name}: {recorded[name]!r} -> {settings[name]!r}"
    for name in settings
    if name in recorded and recorded[name] != settings[name]
  ]
  if changes and not allow_changes:
    raise RunError(
      f"The run in {folder} has other settings ({'; '.join(changes)}); give"
      " the old ones, another --train_dir, or --allow_changed_settings."
    )


def write(folder: pathlib.Path, settings: Mapping[str, Any]) -> None:
  """Records settings, by name; JSON values."""
  files.write_json(folder / _NAME, dict(settings))

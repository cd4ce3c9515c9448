"""Learned optimizers as folders of three files.

* `weights.npz`: the weights by checkpoint name, float32;
* `config.json`: format version, optimizer, settings of its rule;
* `training.json`: what is known of the meta-training, for people. Reading the
  optimizer does not need it.
"""

import json
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from learned_optimizer import files
from learned_optimizer.compat.learned_rule import LearnedRule
from learned_optimizer.optimizer import settings as rule_settings
from learned_optimizer.optimizer.checkpoints import CheckpointError

CONFIG = "config.json"
WEIGHTS = "weights.npz"
_TRAINING = "training.json"
_FORMAT_VERSION = 1


def write(learned: LearnedRule, folder: pathlib.Path) -> None:
  """Writes a folder, which appears as a whole.

  Args:
    learned: the optimizer.
    folder: absent or empty; folders above it are made.

  Raises:
    ValueError: it is there and not empty, or cannot be made.
  """
  if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
    raise ValueError(
      f"{folder} is there already; the name of a new or empty folder is"
      " accepted."
    )
  config = {
    "format_version": _FORMAT_VERSION,
    "optimizer": learned.optimizer_name,
    "settings": rule_settings.settings_of(learned.rule),
  }
  try:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with files.whole_folder(folder) as partial:
      np.savez(partial / WEIGHTS, **learned.weights)
      for name, value in ((CONFIG, config), (_TRAINING, learned.training)):
        text = json.dumps(dict(value), indent=2)
        (partial / name).write_text(text + "\n")
  except OSError as error:
    raise ValueError(
      f"The folder {folder} cannot be made ({error})."
    ) from error


def read(folder: pathlib.Path, given: Mapping[str, Any]) -> LearnedRule:
  """Reads what `write` wrote; executes nothing that it reads.

  Args:
    folder: the folder.
    given: settings that replace those in the folder.

  Raises:
    CheckpointError: a file is missing, damaged, or of another kind.
    ValueError: a given setting is not accepted.
  """
  path = folder / CONFIG
  try:
    config = files.read_json(path)
  except ValueError as error:
    raise CheckpointError(str(error)) from error
  version = config.get("format_version")
  if version != _FORMAT_VERSION:
    raise CheckpointError(
      f"{path} has format_version {version!r}; this version of"
      f" learned_optimizer reads {_FORMAT_VERSION}."
    )
  name, settings = config.get("optimizer"), config.get("settings")
  try:
    rule_settings.make_rule(name, settings)
  except ValueError as error:
    raise CheckpointError(f"{path} cannot be used: {error}") from error
  return LearnedRule.of_file(
    rule_settings.make_rule(name, settings | dict(given)),
    _read_arrays(folder / WEIGHTS),
    str(folder / WEIGHTS),
    _read_training(folder / _TRAINING),
  )


def _read_arrays(path):
  try:
    # An open file, since np.load leaves damaged ones open that it opened.
    with path.open("rb") as file:
      archive = np.load(file, allow_pickle=False)
      if not isinstance(archive, np.lib.npyio.NpzFile):
        raise ValueError("it is no archive of arrays")
      arrays = dict(archive)
  except Exception as error:  # Whatever a damaged file makes a reader raise.
    raise CheckpointError(f"{path} cannot be read ({error}).") from error
  for name, value in arrays.items():
    if value.dtype != np.float32:
      raise CheckpointError(
        f"{name} in {path} is {value.dtype}; float32 is accepted."
      )
  return arrays


def _read_training(path):
  """What is known; damage to this file does not matter."""
  try:
    return files.read_json(path)
  except ValueError:
    return {}

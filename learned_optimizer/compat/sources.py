"""Where learned optimizers are read from: runs, checkpoints, exported ones."""

import os
import pathlib
from collections.abc import Mapping
from typing import Any

from learned_optimizer import files
from learned_optimizer.compat import exported, inference, packaged
from learned_optimizer.compat.learned_rule import LearnedRule
from learned_optimizer.optimizer import (
  checkpoints,
  recorded_settings,
)
from learned_optimizer.optimizer import settings as rule_settings
from learned_optimizer.optimizer.checkpoints import CheckpointError
from learned_optimizer.optimizer.rule import Rule

_RECORDED = "settings.json"


def read(source: str | os.PathLike, **settings) -> LearnedRule:
  """Reads a learned optimizer.

  Args:
    source: the name of a packaged optimizer; or the path of
      * an exported folder;
      * a folder that metarun made: `--train_dir` with one run in it, or the
        run in there. The best weights are taken of a run that validated, else
        the last ones;
      * a TF1 checkpoint or a folder with some, of this package or of 2017 or
        2020. Without the settings of metarun beside it these are told from
        its variables.
    **settings: settings of the rule that replace those of the source, or that
      it does not tell.

  Raises:
    ValueError: there is nothing like that, it is damaged, or a setting is not
      accepted or does not fit the weights.
  """
  if source in packaged.names():
    return exported.read(packaged.folder(source), settings)
  path = pathlib.Path(source)
  if path.is_dir():
    if (path / exported.CONFIG).exists():
      return exported.read(path, settings)
    run = _run_folder(path)
    return _read_checkpoint(checkpoints.best_or_last(run), settings)
  if path.with_name(f"{path.name}.index").exists():
    return _read_checkpoint(str(path), settings)
  raise ValueError(
    f"There is no optimizer {os.fspath(source)!r}; the path of a run of"
    " metarun, of a TF1 checkpoint or of an exported folder is accepted, or"
    f" one of the names {', '.join(packaged.names()) or '(none)'}."
  )


def _run_folder(folder):
  """The folder, if it is a run, or else the only run in it."""
  if _is_run(folder):
    return folder
  runs = sorted(p for p in folder.iterdir() if p.is_dir() and _is_run(p))
  if len(runs) > 1:
    names = ", ".join(run.name for run in runs)
    raise CheckpointError(
      f"The folder {folder} holds several runs: {names}; give the path of one."
    )
  return runs[0] if runs else folder


def _is_run(folder):
  return (folder / _RECORDED).exists() or bool(checkpoints.newest(folder))


def _read_checkpoint(prefix: str, given: Mapping[str, Any]) -> LearnedRule:
  variables = checkpoints.read(prefix)
  recorded = _recorded_settings(pathlib.Path(prefix).parent)
  if "optimizer" in recorded:
    rule = _recorded_rule(recorded, given, prefix)
  else:
    shapes = {name: value.shape for name, value in variables.items()}
    rule = inference.infer(shapes, given, prefix)
  weights = {n: variables[n] for n in inference.weight_names(variables)}
  training = _training(pathlib.Path(prefix), variables, recorded)
  return LearnedRule.of_variables(rule, weights, prefix, training)


def _recorded_settings(folder):
  """What metarun recorded for the checkpoints in a folder, if it did."""
  # The best weights are in a folder of their own.
  for place in (folder, folder.parent)[: 1 + folder.name.startswith("best-")]:
    if (place / _RECORDED).exists():
      try:
        return files.read_json(place / _RECORDED)
      except ValueError as error:
        raise CheckpointError(str(error)) from error
  return {}


def _recorded_rule(recorded, given, prefix) -> Rule:
  name = recorded["optimizer"]
  try:
    arguments = recorded_settings.arguments(recorded)
    settings = rule_settings.accepted(name, arguments)
    rule_settings.make_rule(name, settings)
  except (TypeError, ValueError) as error:
    raise CheckpointError(
      f"The settings recorded for {prefix} cannot be used: {error}"
    ) from error
  return rule_settings.make_rule(name, settings | dict(given))


def _training(prefix, variables, recorded):
  """What is known of the meta-training, as JSON has it."""
  known = {"checkpoint": prefix.name, "settings": recorded}
  if "global_step" in variables:
    known["global_step"] = int(variables["global_step"])
  try:
    validation = files.read_json(prefix.parent / "validation.json")
    known["validation_cost"] = validation["cost"]
  except (KeyError, ValueError):
    pass  # The run did not validate.
  return known

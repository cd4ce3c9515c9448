"""Where learned optimizers are read from: runs, checkpoints, exported ones."""

import inspect
import os
import pathlib
import re
from collections.abc import Mapping
from typing import Any

from learned_optimizer import files
from learned_optimizer.compat import (
  arguments,
  exported,
  inference,
  l2l_files,
  packaged,
)
from learned_optimizer.compat.learned_rule import LearnedRule
from learned_optimizer.optimizer import checkpoints, recorded_settings
from learned_optimizer.optimizer import settings as rule_settings
from learned_optimizer.optimizer.checkpoints import CheckpointError
from learned_optimizer.optimizer.rule import Rule

_RECORDED = "settings.json"
_ACCEPTED = (
  "the path of a run of metarun, of a TF1 checkpoint, of a .l2l file or of an"
  " exported folder"
)
# Files that stand for the folder that they are in.
_OF_FOLDER = (exported.CONFIG, exported.WEIGHTS, _RECORDED, "checkpoint")
# What the name of a checkpoint's file has beyond the checkpoint's prefix.
_SUFFIX = re.compile(r"\.(index|meta|data-\d{5}-of-\d{5})$")
# Where to give what is no part of a learned optimizer.
_ELSEWHERE = {
  "learning_rate": "only Keras optimizers have one, which multiplies the steps",
  "seed": "it is for Keras optimizers and for `init` of the functional form",
  "weights": "those of the source are taken",
}


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
        its variables;
      * a `.l2l` file of the original L2O-DM or RNNProp, or a folder with one;
      * a file of one of these.
    **settings: settings of the rule that replace those of the source, or that
      it does not tell.

  Raises:
    TypeError: the source is neither a string nor a path.
    ValueError: there is nothing like that, it is damaged, or a setting is not
      accepted or does not fit the weights.
  """
  learned, _ = read_for(None, source, settings)
  return learned


def read_for(
  optimizer_class: type | None,
  source: str | os.PathLike,
  keywords: Mapping[str, Any],
) -> tuple[LearnedRule, dict[str, Any]]:
  """Reads a learned optimizer for an optimizer of Keras.

  Args:
    optimizer_class: the `LearnedOptimizer` of this Keras, or None where
      settings alone are accepted.
    source: as for `read`.
    keywords: settings, and arguments of the optimizer other than its weights.

  Returns:
    What was read, and those of the keywords that are for the optimizer.

  Raises:
    TypeError: the source is neither a string nor a path.
    ValueError: as for `read`, or a keyword is not accepted.
  """
  given, others = rule_settings.split(keywords)
  try:
    learned = _read(source, given)
  except CheckpointError as error:
    if given and _is_readable(source):
      raise CheckpointError(
        f"{error} It can be read without {', '.join(given)}."
      ) from error
    raise
  of_keras = _argument_names(optimizer_class)
  for name in others:
    if name in _ELSEWHERE and name not in of_keras:
      raise ValueError(f"{name} is not accepted: {_ELSEWHERE[name]}.")
  settings, _ = rule_settings.split(learned.settings)
  arguments.check_names(others, learned.optimizer_name, settings, of_keras)
  return learned, others


def check_path(path: Any, what: str) -> None:
  """Checks that something is a path, or a string that is not empty.

  Args:
    path: what is to be one.
    what: what it is called, for messages.

  Raises:
    TypeError: it is something else.
    ValueError: it is empty.
  """
  if not isinstance(path, str | os.PathLike):
    raise TypeError(
      f"{what} is {path!r}; a string or a pathlib.Path is accepted."
    )
  if not os.fspath(path):
    raise ValueError(f"{what} is {path!r}; the current folder is '.'.")


def _argument_names(optimizer_class):
  """The names of an optimizer's arguments, without weights and settings."""
  if optimizer_class is None:
    return []
  parameters = inspect.signature(optimizer_class.__init__).parameters.values()
  return [
    parameter.name
    for parameter in parameters
    if parameter.kind is parameter.KEYWORD_ONLY and parameter.name != "weights"
  ]


def _is_readable(source):
  try:
    _read(source, {})
  except ValueError:
    return False
  return True


def _read(source, given) -> LearnedRule:
  check_path(source, "The name or path of a learned optimizer")
  if source in packaged.names():
    return exported.read(packaged.folder(source), given)
  path = _meant(pathlib.Path(source))
  # Unlike the methods of paths these take names that no file can have.
  if os.path.isdir(path):
    if (path / exported.CONFIG).exists():
      return exported.read(path, given)
    if l2l_file := l2l_files.of_folder(path):
      return _read_l2l(l2l_file, given)
    return _read_checkpoint(_checkpoint(path), given)
  if os.path.exists(f"{path}.index"):
    return _read_checkpoint(str(path), given)
  if os.path.isfile(path) and l2l_files.is_name(path.name):
    return _read_l2l(path, given)
  raise ValueError(
    f"There is no optimizer {os.fspath(source)!r}; {_ACCEPTED} is accepted, or"
    f" one of the names {', '.join(packaged.names()) or '(none)'}."
  )


def _meant(path):
  """The folder or the checkpoint's prefix that one of its files stands for."""
  if not os.path.isfile(path):
    return path
  if path.name in _OF_FOLDER:
    return path.parent
  return path.with_name(_SUFFIX.sub("", path.name))


def _checkpoint(folder):
  """The best or last checkpoint of the run that a folder is or holds."""
  found = checkpoints.newest(_run_folder(folder))
  if found is None:
    raise CheckpointError(
      f"There is no checkpoint in {folder}, and no {exported.CONFIG}, which an"
      f" exported optimizer has; {_ACCEPTED} is accepted."
    )
  return found


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
  return LearnedRule.of_file(rule, weights, prefix, training)


def _read_l2l(path: pathlib.Path, given: Mapping[str, Any]) -> LearnedRule:
  weights = l2l_files.read(path)
  shapes = {name: value.shape for name, value in weights.items()}
  rule = inference.infer(shapes, given, str(path))
  return LearnedRule.of_file(rule, weights, str(path), {"file": path.name})


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
    settings = rule_settings.accepted(
      name, recorded_settings.arguments(recorded)
    )
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

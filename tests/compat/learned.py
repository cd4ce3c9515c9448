"""Learned optimizers and their files, for tests of what reads them."""

import json
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from learned_optimizer.compat.learned_rule import LearnedRule
from learned_optimizer.optimizer import recorded_settings
from learned_optimizer.optimizer import settings as rule_settings
from tests.optimizer import reference

SMALL = {"level_sizes": [2, 3, 4]}


def metarun_settings(name: str, **changes) -> dict[str, Any]:
  """Settings of a rule: metarun's defaults, but for the changes."""
  arguments = recorded_settings.arguments({"optimizer": name})
  return rule_settings.accepted(name, arguments) | changes


def learned(name: str = "HierarchicalRNN", **changes) -> LearnedRule:
  """A rule with explicit weights."""
  settings = metarun_settings(name, **changes)
  specs = rule_settings.make_rule(name, settings).weight_specs()
  return LearnedRule(name, settings, reference.filled_weights(specs))


def write_checkpoint(
  prefix: pathlib.Path, values: Mapping[str, np.ndarray]
) -> str:
  """Writes a TF1 checkpoint, and in its folder that it is the last one."""
  prefix.parent.mkdir(parents=True, exist_ok=True)
  tf.raw_ops.SaveV2(
    prefix=str(prefix),
    tensor_names=[*values],
    shape_and_slices=[""] * len(values),
    tensors=[tf.convert_to_tensor(value) for value in values.values()],
  )
  text = f'model_checkpoint_path: "{prefix.name}"\n'
  (prefix.parent / "checkpoint").write_text(text)
  return str(prefix)


def write_run(
  folder: pathlib.Path, rule: LearnedRule, recorded: Mapping[str, Any] | None
) -> None:
  """Writes what metarun leaves: a checkpoint with slots, its settings."""
  values = {"global_step": np.int64(12)}
  for name, value in rule.weights.items():
    slots = {f"{name}/RMSProp": value + 1.0, f"{name}/RMSProp_1": value + 2.0}
    values |= {name: value} | slots
  write_checkpoint(folder / "model.ckpt-12", values)
  if recorded is not None:
    (folder / "settings.json").write_text(json.dumps(recorded))


def assert_same(actual: LearnedRule, expected: LearnedRule) -> None:
  """Both have the same rule and exactly the same weights."""
  assert actual.optimizer_name == expected.optimizer_name
  assert actual.rule == expected.rule
  assert list(actual.weights) == list(expected.weights)
  for name, value in expected.weights.items():
    assert actual.weights[name].dtype == np.float32
    np.testing.assert_array_equal(actual.weights[name], value)

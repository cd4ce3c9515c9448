"""Rules by name, and what metarun's settings mean for them."""

import json

import pytest

from learned_optimizer.optimizer import optimizers, recorded_settings
from learned_optimizer.optimizer import settings as rule_settings


def test_every_optimizer_has_a_rule():
  assert tuple(rule_settings.RULES) == recorded_settings.OPTIMIZERS
  for name in recorded_settings.OPTIMIZERS:
    assert optimizers.by_name(name).__name__ == name


@pytest.mark.parametrize("name", recorded_settings.OPTIMIZERS)
def test_settings_survive_json(name):
  recorded = {"optimizer": name, "max_lr": 0.5, "initial_learning_rate": 0.25}
  arguments = recorded_settings.arguments(json.loads(json.dumps(recorded)))
  rule = rule_settings.make_rule(name, rule_settings.accepted(name, arguments))
  settings = json.loads(json.dumps(rule_settings.settings_of(rule)))
  assert rule_settings.make_rule(name, settings) == rule
  assert rule_settings.optimizer_name(rule) == name
  for setting, value in (
    ("init_lr_range", [1e-6, 0.5]),
    ("initial_rate", 0.25),
    ("learning_rate", 0.25),
    ("level_sizes", [10, 20, 20]),
    ("cell_sizes", [10, 20, 20]),
  ):
    assert settings.get(setting, value) == value


def test_arguments_of_rules_and_of_keras():
  arguments = {"level_sizes": [1], "beta1": 0.5, "learning_rate": 1, "x": 2}
  assert rule_settings.split(arguments) == (
    {"level_sizes": [1], "beta1": 0.5},
    {"learning_rate": 1, "x": 2},
  )


def test_only_rules_of_these_names():
  with pytest.raises(ValueError, match="optimizer is 'SGD'; one of Hier"):
    rule_settings.make_rule("SGD", {})

"""Rules by name, and what metarun's settings mean for them."""

import json
import math

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


@pytest.mark.parametrize("name", ["SGD", None, ["HierarchicalRNN"]])
def test_only_rules_of_these_names(name):
  with pytest.raises(ValueError, match="optimizer is .*; one of Hier"):
    rule_settings.make_rule(name, {})


LIST_OF_TWO = "a list of two numbers is accepted"


@pytest.mark.parametrize(
  ("name", "settings", "message"),
  [
    ("HierarchicalRNN", None, "settings is None; values by name are accepted"),
    ("HierarchicalRNN", {}, "level_sizes is missing, which HierarchicalRNN"),
    ("HierarchicalRNN", {"level_sizes": 3}, "level_sizes is 3; a list of int"),
    ("HierarchicalRNN", {"level_sizes": [2.0]}, r"is \[2.0\]; a list of int"),
    *[
      ("HierarchicalRNN", {"level_sizes": [2]} | changes, message)
      for changes, message in [
        ({"init_lr_range": 0.1}, f"init_lr_range is 0.1; {LIST_OF_TWO}"),
        ({"init_lr_range": (0.1,)}, rf"is \(0.1,\); {LIST_OF_TWO}"),
        ({"init_lr_range": [1e-6, math.nan]}, f"nan\\]; {LIST_OF_TWO}"),
        ({"init_lr_range": ["a", "b"]}, f"'b'\\]; {LIST_OF_TWO}"),
        ({"max_log_lr": math.nan}, "max_log_lr is nan; a number is accepted"),
        ({"max_log_lr": True}, "max_log_lr is True; a number is accepted"),
        ({"num_gradient_scales": True}, "is True; an integer is accepted"),
        ({"use_attention": 0}, "use_attention is 0; True or False is accepted"),
        (
          {"foo": 1},
          "foo is not a setting of HierarchicalRNN; those are level",
        ),
      ]
    ],
    ("CoordinatewiseRNN", {"cell_sizes": "23"}, "cell_sizes is '23'; a list"),
    (
      "CoordinatewiseRNN",
      {"cell_sizes": [2], "cell_cls": ["GRUCell"]},
      r"cell_cls is \['GRUCell'\]; a string is accepted",
    ),
    *[
      (
        "LearningRateSchedule",
        {"initial_rate": rate},
        "number or a list of num",
      )
      for rate in ["a", ["a"], None, math.nan, [0.1, math.nan]]
    ],
  ],
)
def test_settings_of_a_wrong_kind(name, settings, message):
  with pytest.raises(ValueError, match=message) as error:
    rule_settings.make_rule(name, settings)
  assert "\n" not in str(error.value)


def test_lists_and_tuples_mean_the_same():
  rules = [
    rule_settings.make_rule("LearningRateSchedule", {"initial_rate": rates})
    for rates in ([0.1, 1], (0.1, 1))
  ]
  assert rules[0] == rules[1]

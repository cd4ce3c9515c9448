"""Learned optimizers from runs, TF1 checkpoints and names."""

import pathlib
import shutil

import keras
import numpy as np
import pytest

import learned_optimizer
from learned_optimizer import packaged_data
from learned_optimizer.compat import exported, sources
from learned_optimizer.compat.learned_rule import LearnedRule
from learned_optimizer.optimizer import settings as rule_settings
from learned_optimizer.optimizer.hierarchical_rnn import HierarchicalRNNRule
from tests.compat import learned
from tests.optimizer import reference

# Settings of the hierarchical RNN that its variables show.
SHOWN = [
  {},
  {"level_sizes": [5]},
  {"level_sizes": [5, 2]},
  {"use_attention": True},
  {"learnable_decay": False},
  {"learnable_inp_decay": False},
  {"learnable_rnn_init": False},
  {"use_gradient_shortcut": False},
  {"use_gradient_shortcut": True, "num_gradient_scales": 6},
  {"num_gradient_scales": 1},
  {"use_gradient_shortcut": False, "num_gradient_scales": 2},
  {"use_grad_products": False},
  {"use_log_means_squared": False},
  {"use_relative_lr": False},
  {"dynamic_output_scale": False, "use_relative_lr": False},
  {
    "dynamic_output_scale": False,
    "use_relative_lr": False,
    "use_attention": True,
    "use_log_means_squared": False,
    "use_grad_products": False,
    "learnable_decay": False,
  },
]
OTHERS = [
  ("GlobalLearningRate", {}),
  ("TrainableAdam", {}),
  ("LearningRateSchedule", {"n_steps": 7}),
  ("CoordinatewiseRNN", {"cell_sizes": [3], "learnable_decay": False}),
  ("CoordinatewiseRNN", {"cell_sizes": [2], "dynamic_output_scale": False}),
  *(
    ("CoordinatewiseRNN", {"cell_sizes": [3, 2], "cell_cls": kind})
    for kind in ("LSTMCell", "BasicLSTMCell", "GRUCell", "BasicRNNCell")
  ),
]


@pytest.mark.parametrize(
  "name, changes",
  [("HierarchicalRNN", learned.SMALL | changes) for changes in SHOWN] + OTHERS,
  ids=str,
)
def test_settings_are_told_from_variables(tmp_path, name, changes):
  expected = learned.learned(name, **changes)
  learned.write_run(tmp_path, expected, recorded=None)
  actual = sources.read(tmp_path / "model.ckpt-12")
  learned.assert_same(actual, expected)
  training = {"checkpoint": "model.ckpt-12", "settings": {}, "global_step": 12}
  assert actual.training == training


def test_settings_that_are_given_come_before_defaults(tmp_path):
  changes = {
    "init_lr_range": (1e-3, 1e-1),
    "use_multiple_scale_decays": True,
    "use_problem_lr_mean": False,
    "max_log_lr": 2,
  }
  expected = learned.learned(level_sizes=(2, 2, 2), **changes)
  learned.write_run(tmp_path, expected, recorded=None)
  actual = sources.read(str(tmp_path), **changes)
  learned.assert_same(actual, expected)
  assert actual.rule != sources.read(tmp_path).rule


@pytest.mark.parametrize(
  "changes", [{"use_lr_shortcut": True}, {"use_extreme_indicator": True}]
)
def test_settings_that_variables_do_not_tell_apart(tmp_path, changes):
  expected = learned.learned(**learned.SMALL, **changes)
  learned.write_run(tmp_path, expected, recorded=None)
  with pytest.raises(ValueError) as error:
    sources.read(tmp_path)
  message = str(error.value)
  assert "use_extreme_indicator=True or use_lr_shortcut=True" in message
  assert "give the right one" in message
  learned.assert_same(sources.read(tmp_path, **changes), expected)


@pytest.mark.parametrize(
  "changes, message",
  [
    (
      {"level_sizes": [2, 3, 5]},
      r"12 cannot .*LOL/Level2_RNN/init_vector'\] has shape \(1, 4\); .*"
      r" \(1, 5\) is accepted\. It can be read without level_sizes\.",
    ),
    ({"use_attention": True}, r"has no LOL/attention_weights of .* \(2, 1\)"),
    (
      {"use_gradient_shortcut": False, "max_log_lr": 1},
      r"has LOL/PerTensor/GradsToDelta/Matrix of shape \(4, 1\), which .*"
      " without use_gradient_shortcut, max_log_lr",
    ),
    (
      {"use_atention": True},
      r"not an argument of HierarchicalRNN \(did you mean use_attention\?\);"
      r" accepted are its settings level_sizes, .*_layer_state\.$",
    ),
    ({"learning_rate": 0.1}, "learning_rate is not accepted: only Keras"),
    ({"seed": 1}, "seed is not accepted: it is for"),
    ({"n_steps": 1}, "n_steps is not a setting of HierarchicalRNN"),
    ({"use_attention": 1}, "use_attention is 1; True or False is accepted"),
    ({"max_log_lr": "1"}, "max_log_lr is '1'; a number is accepted"),
    ({"num_gradient_scales": 4.5}, "scales is 4.5; an integer is accepted"),
    ({"gradient_accumulation_steps": 2}, "steps is not an argument of Hier"),
    ({"level_sizes": 3}, "level_sizes is 3; a list of integers is accepted"),
    ({"level_sizes": [0]}, r"level_sizes is \[0\]"),
    ({"init_lr_range": ["a", "b"]}, r"init_lr_range is \['a', 'b'\]; a list"),
  ],
)
@pytest.mark.parametrize("recorded", [None, {"optimizer": "HierarchicalRNN"}])
def test_settings_that_do_not_fit(tmp_path, changes, message, recorded):
  if recorded:
    recorded = recorded | {"cell_sizes": ["2", "3", "4"]}
  learned.write_run(tmp_path, learned.learned(**learned.SMALL), recorded)
  sources.read(tmp_path)
  with pytest.raises(ValueError, match=message):
    sources.read(tmp_path, **changes)


def test_a_checkpoint_of_something_else(tmp_path):
  path = learned.write_checkpoint(tmp_path / "model.ckpt", {"w": np.ones(2)})
  with pytest.raises(ValueError, match="not of a learned optimizer: .*LOL/"):
    sources.read(path)


def test_a_checkpoint_that_is_not_finite(tmp_path):
  rule = learned.learned("GlobalLearningRate")
  values = dict.fromkeys(rule.weights, np.float32(np.inf))
  path = learned.write_checkpoint(tmp_path / "model.ckpt", values)
  for given in ({}, {"initial_rate": 1.0}):
    with pytest.raises(ValueError) as error:
      sources.read(path, **given)
    message = str(error.value)
    assert f"{path} cannot be used" in message
    assert "LOL/global_learning_rate'] has values that are NaN" in message
    assert "without" not in message


def test_a_damaged_checkpoint(tmp_path):
  (tmp_path / "model.ckpt.index").write_bytes(b"nothing")
  with pytest.raises(ValueError, match="model.ckpt cannot be read"):
    sources.read(tmp_path / "model.ckpt")


def test_a_folder_that_was_moved(tmp_path):
  """The list of checkpoints has the paths of the machine it was written on."""
  expected = learned.learned(**learned.SMALL)
  learned.write_run(tmp_path, expected, recorded=None)
  text = 'model_checkpoint_path: "/somewhere/else/model.ckpt-12"'
  (tmp_path / "checkpoint").write_text(text)
  learned.assert_same(sources.read(tmp_path), expected)


def test_the_released_checkpoint():
  folder = reference.shared("checkpoints/hess_cl_mt")
  released = sources.read(folder)
  assert released.rule == HierarchicalRNNRule(
    level_sizes=(10, 20, 20),
    use_problem_lr_mean=True,
    use_gradient_shortcut=True,
    use_grad_products=True,
  )
  (index,) = folder.rglob("*.index")
  learned.assert_same(sources.read(index.with_suffix("")), released)


# Runs of metarun.

RECORDED = {
  "optimizer": "HierarchicalRNN",
  "cell_cls": "GRUCell",
  "cell_sizes": ["2", "3", "4"],
  "initial_learning_rate": 1e-3,
  "min_lr": 1e-4,
  "max_lr": 1e-3,
  "num_gradient_scales": 2,
  "use_lr_shortcut": True,
  "use_multiple_scale_decays": True,
  "use_second_derivatives": False,
  "seed": 3,
}


def _recorded_rule():
  return learned.learned(
    level_sizes=[2, 3, 4],
    init_lr_range=(1e-4, 1e-3),
    num_gradient_scales=2,
    use_lr_shortcut=True,
    use_multiple_scale_decays=True,
  )


@pytest.mark.parametrize("given", ["", "run", "run/model.ckpt-12"])
def test_a_run_has_recorded_settings(tmp_path, given):
  expected = _recorded_rule()
  learned.write_run(tmp_path / "run", expected, RECORDED)
  (tmp_path / "notes").mkdir()
  actual = sources.read(tmp_path / given)
  learned.assert_same(actual, expected)
  assert actual.training["settings"] == RECORDED
  assert actual.training["global_step"] == 12
  changed = sources.read(tmp_path / given, init_lr_range=[1.0, 2.0])
  assert changed.rule.init_lr_range == (1.0, 2.0)


@pytest.mark.parametrize("given", ["", "best-8", "best-8/model.ckpt-8"])
def test_the_best_weights_of_a_run(tmp_path, given):
  expected = _recorded_rule()
  last = {name: value + 1.0 for name, value in expected.weights.items()}
  learned.write_run(
    tmp_path,
    LearnedRule(expected.optimizer_name, expected.settings, last),
    RECORDED,
  )
  best = tmp_path / "best-8"
  learned.write_checkpoint(best / "model.ckpt-8", expected.weights)
  (best / "validation.json").write_text('{"cost": -1.5}')
  actual = sources.read(tmp_path / given)
  learned.assert_same(actual, expected)
  assert actual.training["validation_cost"] == -1.5
  assert actual.training["checkpoint"] == "model.ckpt-8"


@pytest.mark.parametrize(
  "file",
  [
    "run/model.ckpt-12.index",
    "run/model.ckpt-12.data-00000-of-00001",
    "run/checkpoint",
    "run/settings.json",
    "exported/config.json",
    "exported/weights.npz",
  ],
)
def test_a_file_stands_for_what_it_is_part_of(tmp_path, file):
  expected = _recorded_rule()
  learned.write_run(tmp_path / "run", expected, RECORDED)
  exported.write(expected, tmp_path / "exported")
  (tmp_path / "run" / "model.ckpt-12.data-00000-of-00001").touch()
  learned.assert_same(sources.read(tmp_path / file), expected)


@pytest.mark.parametrize(
  "source, error, message",
  [
    (None, TypeError, "is None; a string or a pathlib.Path is accepted"),
    (3, TypeError, "optimizer is 3; a string"),
    (b"digits-mlp", TypeError, "is b'digits-mlp'; a string"),
    ("", ValueError, "optimizer is ''; the current folder is '.'"),
    ("x" * 5000, ValueError, "There is no optimizer 'xxx"),
    ("x\0", ValueError, "There is no optimizer"),
  ],
  ids=lambda value: repr(value)[:10],
)
def test_what_is_no_path(tmp_path, source, error, message):
  with pytest.raises(error, match=message):
    learned_optimizer.load(source)
  with pytest.raises(error, match=message):
    learned_optimizer.export(source, tmp_path / "new")
  assert not list(tmp_path.iterdir())


def test_several_runs_in_a_folder(tmp_path):
  for name in ("one", "two"):
    learned.write_run(tmp_path / name, _recorded_rule(), RECORDED)
  with pytest.raises(ValueError, match="holds several runs: one, two; give"):
    sources.read(tmp_path)


def test_folders_without_checkpoint(tmp_path):
  (tmp_path / "weights.npz").touch()
  message = "There is no checkpoint in .* and no config.json, .* is accepted"
  with pytest.raises(ValueError, match=message):
    sources.read(tmp_path)
  (tmp_path / "settings.json").write_text("{}")
  with pytest.raises(ValueError, match="There is no checkpoint in"):
    sources.read(tmp_path)


@pytest.mark.parametrize(
  "text, message",
  [
    ("[1]", "settings.json cannot be read"),
    ('{"optimizer": "SGD"}', "optimizer is 'SGD'; one of Hierarchical"),
    ('{"optimizer": [1]}', "cannot be used"),
    ('{"optimizer": "HierarchicalRNN", "cell_sizes": 3}', "cannot be used"),
    (
      '{"optimizer": "HierarchicalRNN", "max_lr": "a"}',
      r"cannot be used: init_lr_range is \(1e-06, 'a'\); a list of two numbers",
    ),
  ],
)
def test_damaged_recorded_settings(tmp_path, text, message):
  learned.write_run(tmp_path, _recorded_rule(), recorded=None)
  (tmp_path / "settings.json").write_text(text)
  with pytest.raises(ValueError, match=message):
    sources.read(tmp_path)


# As Keras optimizers, and by name.


@pytest.fixture
def registry(monkeypatch, tmp_path):
  """Names for optimizers of the test alone."""
  own = tmp_path / "optimizers"
  original = packaged_data.path

  def path(name):
    if name.startswith("learned_optimizer/data/optimizers"):
      place = own / name.removeprefix("learned_optimizer/data/optimizers/")
      return str(own if name.endswith("/optimizers") else place)
    return original(name)

  monkeypatch.setattr(packaged_data, "path", path)
  return own


def test_names(registry, tmp_path):
  assert learned_optimizer.names() == []
  for name, n_steps in (("two", 2), ("one", 1)):
    learned.write_run(
      tmp_path / name,
      learned.learned("LearningRateSchedule", n_steps=n_steps),
      None,
    )
    learned_optimizer.export(tmp_path / name, registry / name)
  assert learned_optimizer.names() == ["one", "two"]
  assert learned_optimizer.load("two").rule.n_steps == 2
  assert learned_optimizer.load("one", n_steps=1).rule.n_steps == 1
  with pytest.raises(ValueError) as error:
    learned_optimizer.load("no-such-name")
  message = str(error.value)
  assert "'no-such-name'" in message
  assert "one, two" in message
  assert "path" in message


def test_a_path_is_never_a_name(registry, tmp_path, monkeypatch):
  run = tmp_path / "one"
  learned.write_run(run, learned.learned("GlobalLearningRate"), None)
  learned_optimizer.export(run, registry / "one")
  shutil.rmtree(run)
  monkeypatch.chdir(tmp_path)
  learned_optimizer.load("one")
  for path in (pathlib.Path("one"), "./one"):
    with pytest.raises(ValueError, match="There is no optimizer"):
      learned_optimizer.load(path)


def test_load_makes_a_keras_optimizer(tmp_path):
  expected = _recorded_rule()
  learned.write_run(tmp_path, expected, RECORDED)
  optimizer = learned_optimizer.load(
    tmp_path, seed=1, max_log_lr=3, learning_rate=0.5, clipnorm=1.0
  )
  assert isinstance(optimizer, keras.optimizers.Optimizer)
  settings = {**expected.settings, "max_log_lr": 3}
  assert optimizer.rule == rule_settings.make_rule("HierarchicalRNN", settings)
  assert float(optimizer.learning_rate) == 0.5
  assert optimizer.clipnorm == 1.0
  for name, value in expected.weights.items():
    np.testing.assert_array_equal(optimizer.learned_weights[name], value)


@pytest.mark.parametrize(
  "keyword, message",
  [
    (
      "learningrate",
      r"not an argument of GlobalLearningRate \(did you mean learning_rate\?\);"
      r" accepted are learning_rate, .*clipnorm.* its settings initial_rate\.",
    ),
    ("intial_rate", r"\(did you mean initial_rate\?\)"),
    ("foo", "foo is not an argument of GlobalLearningRate; accepted are"),
    ("weights", "weights is not accepted: those of the source are taken"),
  ],
)
def test_unknown_keywords(tmp_path, keyword, message):
  exported.write(learned.learned("GlobalLearningRate"), tmp_path / "new")
  with pytest.raises(ValueError, match=message):
    learned_optimizer.load(tmp_path / "new", **{keyword: {}})


def test_learning_rate_is_that_of_keras(tmp_path):
  learned.write_run(tmp_path, learned.learned("TrainableAdam"), None)
  optimizer = learned_optimizer.load(tmp_path, learning_rate=2)
  assert float(optimizer.learning_rate) == 2.0
  assert optimizer.rule.learning_rate == 1e-3

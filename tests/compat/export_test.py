"""Learned optimizers as folders of their own."""

import io
import json
import pickle
import shutil
import zipfile

import numpy as np
import pytest

import learned_optimizer
from learned_optimizer.compat import exported, sources
from learned_optimizer.compat.learned_rule import LearnedRule
from tests.compat import learned

NAMES = [
  ("HierarchicalRNN", learned.SMALL | {"use_attention": True}),
  ("CoordinatewiseRNN", {"cell_sizes": [3, 2]}),
  ("GlobalLearningRate", {}),
  ("LearningRateSchedule", {"n_steps": 7}),
  ("TrainableAdam", {"faithful_second_moment": True}),
]
RECORDED = {"optimizer": "HierarchicalRNN", "cell_sizes": ["2", "3", "4"]}


class Touch:
  """Unpickling it makes a file."""

  def __init__(self, path):
    self._path = path

  def __reduce__(self):
    return open, (str(self._path), "w")


@pytest.fixture(scope="module")
def original():
  return learned.learned(**learned.SMALL)


@pytest.fixture
def folder(original, tmp_path):
  exported.write(original, tmp_path / "exported")
  return tmp_path / "exported"


@pytest.mark.parametrize("name, changes", NAMES)
def test_what_is_read_is_what_was_written(tmp_path, name, changes):
  expected = learned.learned(name, **changes)
  exported.write(expected, tmp_path / "new")
  learned.assert_same(sources.read(tmp_path / "new"), expected)


def test_files_of_a_run(original, tmp_path):
  learned.write_run(tmp_path / "runs" / "run", original, RECORDED)
  folder = tmp_path / "some" / "where" / "new"
  learned_optimizer.export(tmp_path / "runs", str(folder))
  names = sorted(path.name for path in folder.iterdir())
  assert names == ["config.json", "training.json", "weights.npz"]
  assert [p.name for p in folder.parent.iterdir()] == ["new"]
  config = json.loads((folder / "config.json").read_text())
  assert sorted(config) == ["format_version", "optimizer", "settings"]
  assert config["optimizer"] == "HierarchicalRNN"
  assert config["settings"]["level_sizes"] == [2, 3, 4]
  assert json.loads((folder / "training.json").read_text()) == {
    "checkpoint": "model.ckpt-12",
    "settings": RECORDED,
    "global_step": 12,
  }
  shutil.rmtree(tmp_path / "runs")
  (folder / "training.json").unlink()
  learned.assert_same(sources.read(folder), original)


def test_an_exported_optimizer_is_exported_again(folder, tmp_path):
  learned_optimizer.export(folder, tmp_path / "again", max_log_lr=1.0)
  assert sources.read(tmp_path / "again").rule.max_log_lr == 1.0
  assert sources.read(folder).rule.max_log_lr == 33.0
  assert sources.read(folder, max_log_lr=2.0).rule.max_log_lr == 2.0
  with pytest.raises(ValueError, match="max_lr is not .* mean max_log_lr"):
    sources.read(folder, max_lr=2.0)


def test_only_new_or_empty_folders_are_written(original, folder, tmp_path):
  before = {path.name: path.read_bytes() for path in folder.iterdir()}
  with pytest.raises(ValueError, match="exported is there already; the name"):
    exported.write(original, folder)
  assert {p.name: p.read_bytes() for p in folder.iterdir()} == before
  with pytest.raises(ValueError, match="config.json is there already"):
    exported.write(original, folder / "config.json")
  with pytest.raises(ValueError, match="config.json/new cannot be made"):
    exported.write(original, folder / "config.json" / "new")
  assert {p.name: p.read_bytes() for p in folder.iterdir()} == before
  (tmp_path / "empty").mkdir()
  exported.write(original, tmp_path / "empty")
  learned.assert_same(sources.read(tmp_path / "empty"), original)


@pytest.mark.parametrize(
  "folder, message", [(None, "folder is None"), ("", "folder is ''")]
)
def test_what_is_no_folder(folder, message):
  with pytest.raises((TypeError, ValueError), match=message):
    learned_optimizer.export("digits-mlp", folder)


def test_a_failure_leaves_nothing(original, tmp_path):
  broken = LearnedRule(
    original.optimizer_name, original.settings, original.weights, {"x": {1}}
  )
  with pytest.raises(TypeError):
    exported.write(broken, tmp_path / "new")
  assert not list(tmp_path.iterdir())


# Damaged files.


def _assert_refused(folder, file, message):
  with pytest.raises(ValueError, match=message) as error:
    sources.read(folder)
  text = str(error.value)
  assert str(folder / file) in text
  assert "\n" not in text


@pytest.mark.parametrize(
  "text",
  ["", "{", "[]", "null", '"text"', "\x00\x01", "[" * 10**6],
  ids=lambda text: repr(text[:5]),
)
def test_damaged_config(folder, text):
  (folder / "config.json").write_text(text)
  _assert_refused(folder, "config.json", "cannot be read")


@pytest.mark.parametrize(
  "changes, message",
  [
    ({"format_version": 2}, "format_version 2; this version .* reads 1"),
    ({"format_version": None}, "format_version None"),
    ({"optimizer": "SGD"}, "optimizer is 'SGD'; one of"),
    ({"optimizer": ["SGD"]}, r"optimizer is \['SGD'\]; one of Hierarchical"),
    ({"settings": [1]}, r"settings is \[1\]; values by name are accepted"),
    ({"settings": {}}, "level_sizes is missing, which HierarchicalRNN needs"),
    ({"settings": {"level_sizes": [2, "3"]}}, "level_sizes is .* list of int"),
    ({"settings": {"level_sizes": "23"}}, "level_sizes is '23'; a list of"),
    ({"settings": {"level_sizes": None}}, "level_sizes is None; a list of"),
    (
      {"settings": {"level_sizes": [2], "init_lr_range": {"a": 1}}},
      "init_lr_range is {'a': 1}; a list of two numbers is accepted",
    ),
    (
      {
        "optimizer": "CoordinatewiseRNN",
        "settings": {"cell_sizes": [2], "cell_cls": ["GRUCell"]},
      },
      r"cell_cls is \['GRUCell'\]; a string is accepted",
    ),
    (
      {"settings": {"level_sizes": [2], "max_log_lr": float("nan")}},
      "max_log_lr is nan; a number is accepted",
    ),
    ({"settings": {"level_sizes": [2], "os": 1}}, "os is not a setting"),
  ],
)
def test_config_of_something_else(folder, changes, message):
  path = folder / "config.json"
  path.write_text(json.dumps(json.loads(path.read_text()) | changes))
  _assert_refused(folder, "config.json", message)


@pytest.mark.parametrize("key", ["format_version", "optimizer", "settings"])
def test_config_without_a_part(folder, key):
  path = folder / "config.json"
  config = json.loads(path.read_text())
  del config[key]
  path.write_text(json.dumps(config))
  _assert_refused(folder, "config.json", f"{key}( is)? None")


@pytest.mark.parametrize(
  "changes, message",
  [
    ({"level_sizes": [2, 3, 5]}, r"has shape \(1, 4\); .* \(1, 5\) is"),
    ({"use_attention": True}, "has no LOL/attention_weights of shape"),
    ({"learnable_decay": False}, "has LOL/scl_decay_weights of shape"),
  ],
)
def test_weights_of_other_settings(folder, changes, message):
  path = folder / "config.json"
  config = json.loads(path.read_text())
  config["settings"] |= changes
  path.write_text(json.dumps(config))
  _assert_refused(folder, "weights.npz", message)


@pytest.mark.parametrize("keep", [0, 3, 100, 0.5, -1])
def test_truncated_weights(folder, keep):
  path = folder / "weights.npz"
  data = path.read_bytes()
  path.write_bytes(data[: int(len(data) * keep) if keep == 0.5 else keep])
  _assert_refused(folder, "weights.npz", "cannot be read")


def test_no_weights(folder):
  (folder / "weights.npz").unlink()
  _assert_refused(folder, "weights.npz", "cannot be read")


def test_changed_bytes(folder):
  path = folder / "weights.npz"
  data = bytearray(path.read_bytes())
  data[len(data) // 2] ^= 0xFF
  path.write_bytes(data)
  _assert_refused(folder, "weights.npz", "cannot be read")


def test_missing_and_strange_arrays(folder, original):
  path = folder / "weights.npz"
  arrays = dict(original.weights)
  del arrays["LOL/update_weights"]
  np.savez(path, **arrays)
  _assert_refused(folder, "weights.npz", "weights has no LOL/update_weights")
  for value in (np.float64([[0.0], [1.0]]), np.array([["a"], ["b"]])):
    np.savez(path, **arrays, **{"LOL/update_weights": value})
    _assert_refused(folder, "weights.npz", "LOL/update_weights in .*; float32")
  with path.open("wb") as file:
    np.save(file, np.ones(3, np.float32))
  _assert_refused(folder, "weights.npz", "no archive of arrays")


@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_weights_that_are_not_finite(folder, original, value):
  weights = dict(original.weights)
  weights["LOL/update_weights"] = np.float32([[0.0], [value]])
  np.savez(folder / "weights.npz", **weights)
  _assert_refused(folder, "weights.npz", "LOL/update_weights.* NaN or infinite")


@pytest.mark.parametrize("how", ["array", "member", "file"])
def test_nothing_is_unpickled(folder, original, tmp_path, how):
  path, made = folder / "weights.npz", tmp_path / "made"
  value = np.array([Touch(made)], object)
  if how == "array":
    np.savez(path, **{**original.weights, "LOL/update_weights": value})
  elif how == "member":
    np.savez(path, **original.weights)
    with zipfile.ZipFile(path, "a") as archive:
      buffer = io.BytesIO()
      np.save(buffer, value, allow_pickle=True)
      archive.writestr("extra.npy", buffer.getvalue())
  else:
    path.write_bytes(pickle.dumps(Touch(made)))
  _assert_refused(folder, "weights.npz", "cannot be read")
  assert not made.exists()


@pytest.mark.parametrize("text", [None, "{", "[1]"])
def test_training_does_not_matter(folder, original, text):
  (folder / "training.json").unlink()
  if text:
    (folder / "training.json").write_text(text)
  learned.assert_same(sources.read(folder), original)


def test_learned_rules_check_their_weights(original):
  name, settings = original.optimizer_name, original.settings
  weights = dict(original.weights)
  value = weights.pop("LOL/update_weights")
  with pytest.raises(ValueError, match="weights has no LOL/update_weights"):
    LearnedRule(name, settings, weights)
  weights["LOL/update_weights"] = value[:1]
  with pytest.raises(ValueError, match=r"has shape \(1, 1\); .* \(2, 1\)"):
    LearnedRule(name, settings, weights)
  weights |= {"LOL/update_weights": value, "other": value}
  with pytest.raises(ValueError, match=r"weights has other of shape \(2, 1\)"):
    LearnedRule(name, settings, weights)
  with pytest.raises(ValueError, match="weights is 3; a mapping"):
    LearnedRule(name, settings, 3)

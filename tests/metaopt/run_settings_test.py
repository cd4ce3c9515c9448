"""Settings of a run, which may not change unseen."""

import json

import pytest

from learned_optimizer import metaopt
from learned_optimizer.metaopt import run_settings


def test_settings_are_read_as_they_were_written(tmp_path):
  assert run_settings.read(tmp_path) is None
  settings = {"rate": 0.1, "sets": ["a", "b"], "seed": 2**32 - 1, "on": True}
  run_settings.write(tmp_path, settings)
  assert run_settings.read(tmp_path) == settings
  assert json.loads((tmp_path / "settings.json").read_text()) == settings
  run_settings.check(tmp_path, settings, allow_changes=False)


def test_changed_settings_are_listed_and_refused(tmp_path):
  run_settings.write(tmp_path, {"rate": 0.1, "sets": ["a"], "gone": 1, "x": 0})
  changed = {"rate": 0.2, "sets": ("a", "b"), "new": 2, "x": 0}
  with pytest.raises(metaopt.RunError) as error:
    run_settings.check(tmp_path, changed, allow_changes=False)
  message = str(error.value)
  assert "--rate: 0.1 -> 0.2; --sets: ['a'] -> ['a', 'b'])" in message
  assert "gone" not in message
  assert "new" not in message
  assert "--allow_changed_settings" in message
  run_settings.check(tmp_path, changed, allow_changes=True)
  assert run_settings.read(tmp_path)["rate"] == 0.1


@pytest.mark.parametrize("text", ["{", "[1]", "null", "\x00"])
def test_damaged_settings_are_an_error(tmp_path, text):
  (tmp_path / "settings.json").write_text(text)
  with pytest.raises(metaopt.RunError, match="settings.json cannot be read"):
    run_settings.read(tmp_path)

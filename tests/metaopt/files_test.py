"""Files that are whole or absent; settings that may not change unseen."""

import json
import os

import pytest

from learned_optimizer import metaopt
from learned_optimizer.metaopt import files, run_settings


def _names(folder):
  return sorted(path.name for path in folder.iterdir())


def test_a_folder_appears_as_a_whole(tmp_path):
  path = tmp_path / "new"
  with files.whole_folder(path) as partial:
    (partial / "a").write_text("1")
    assert not path.exists()
    assert partial.parent == tmp_path
    assert partial.name.startswith(".")
  assert _names(tmp_path) == ["new"]
  assert (path / "a").read_text() == "1"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_exception_leaves_no_folder(tmp_path, error):
  with pytest.raises(error), files.whole_folder(tmp_path / "new") as partial:
    (partial / "a").write_text("1")
    raise error
  assert _names(tmp_path) == []


def test_an_existing_folder_is_not_replaced(tmp_path):
  (tmp_path / "old").mkdir()
  (tmp_path / "old" / "a").write_text("1")
  with pytest.raises(OSError), files.whole_folder(tmp_path / "old"):
    pass
  assert (tmp_path / "old" / "a").read_text() == "1"
  assert _names(tmp_path) == ["old"]


def test_leftovers_of_a_dead_process_are_removed(tmp_path):
  with files.whole_folder(tmp_path / "new") as partial:
    pass
  (tmp_path / "new").rmdir()
  partial.mkdir()
  (partial / "old").write_text("half")
  with files.whole_folder(tmp_path / "new") as partial:
    (partial / "a").write_text("1")
  assert _names(tmp_path) == ["new"]
  assert _names(tmp_path / "new") == ["a"]


def test_contents_are_on_disk_before_the_name_is(tmp_path, monkeypatch):
  done = []
  fsync, rename = os.fsync, files.pathlib.Path.rename

  def recorded(descriptor):
    done.append(os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}")))
    fsync(descriptor)

  def renamed(self, target):
    done.append("rename")
    return rename(self, target)

  monkeypatch.setattr(os, "fsync", recorded)
  monkeypatch.setattr(files.pathlib.Path, "rename", renamed)
  with files.whole_folder(tmp_path / "new") as partial:
    (partial / "a").write_text("1")
  assert done == ["a", ".new.partial", "rename", tmp_path.name]
  done.clear()
  files.write_text(tmp_path / "text", "1")
  assert done[:2] == [".text.partial", "rename"]


def test_text_replaces_text_as_a_whole(tmp_path):
  path = tmp_path / "text"
  files.write_text(path, "old")
  files.write_text(path, "new")
  assert path.read_text() == "new"
  with pytest.raises(UnicodeEncodeError):
    files.write_text(path, "half \ud800")
  assert path.read_text() == "new"
  with pytest.raises(RuntimeError), files.whole_file(path) as partial:
    partial.write_text("half")
    raise RuntimeError
  assert path.read_text() == "new"
  assert _names(tmp_path) == ["text"]


def test_finds_what_is_numbered(tmp_path):
  for name in ("best-2", "best-10", "best-9", "best-x", "best-", "other-3"):
    (tmp_path / name).mkdir()
  (tmp_path / ".best-11.partial").mkdir()
  found = files.numbered(tmp_path, "best")
  assert [path.name for path in found] == ["best-2", "best-9", "best-10"]


# Settings.


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

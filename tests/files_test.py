"""Files that are whole or absent."""

import os

import pytest

from learned_optimizer import files


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


@pytest.mark.parametrize(
  "text", ["{", "[1]", "null", "\x00", None, "[" * 10**6]
)
def test_only_objects_are_read_as_json(tmp_path, text):
  path = tmp_path / "some.json"
  files.write_json(path, {"a": [1, 0.5, None]})
  assert files.read_json(path) == {"a": [1, 0.5, None]}
  path.unlink()
  if text is not None:
    path.write_text(text)
  with pytest.raises(ValueError, match="some.json cannot be read"):
    files.read_json(path)

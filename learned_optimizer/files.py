"""Files that are whole or absent, whenever the process dies."""

import contextlib
import json
import os
import pathlib
import shutil
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def whole_folder(path: pathlib.Path) -> Iterator[pathlib.Path]:
  """Yields a temporary folder that becomes the new folder `path`.

  Contents are flushed to disk before the rename. Leftovers of a process that
  died here are removed; an exception leaves nothing.
  """
  temporary = path.with_name(f".{path.name}.partial")
  shutil.rmtree(temporary, ignore_errors=True)
  temporary.mkdir()
  try:
    yield temporary
    for file in temporary.iterdir():
      _flush(file)
    _flush(temporary)
    temporary.rename(path)
  except BaseException:
    shutil.rmtree(temporary, ignore_errors=True)
    raise
  _flush(path.parent)


@contextlib.contextmanager
def whole_file(path: pathlib.Path) -> Iterator[pathlib.Path]:
  """Yields a temporary path; the file written there replaces `path`.

  An exception leaves `path` as it was.
  """
  temporary = path.with_name(f".{path.name}.partial")
  try:
    yield temporary
    _flush(temporary)
    temporary.rename(path)
  except BaseException:
    temporary.unlink(missing_ok=True)
    raise


def write_text(path: pathlib.Path, text: str) -> None:
  """Writes a file under a temporary name and renames it."""
  with whole_file(path) as temporary:
    temporary.write_text(text)


def write_json(path: pathlib.Path, value: Any) -> None:
  """Writes a JSON file, indented, under a temporary name first."""
  write_text(path, json.dumps(value, indent=2) + "\n")


def read_json(path: pathlib.Path) -> dict[str, Any]:
  """Reads a JSON file that holds an object.

  Raises:
    ValueError: it is missing or damaged, or holds something else.
  """
  try:
    value = json.loads(path.read_text())
  except (OSError, ValueError, RecursionError) as error:
    raise ValueError(f"{path} cannot be read ({error}).") from error
  if not isinstance(value, dict):
    raise ValueError(f"{path} cannot be read (it holds no JSON object).")
  return value


def numbered(folder: pathlib.Path, prefix: str) -> list[pathlib.Path]:
  """What is called `<prefix>-<number>` in a folder, by ascending number."""
  found = {
    int(path.name.removeprefix(f"{prefix}-")): path
    for path in folder.glob(f"{prefix}-*")
    if path.name.removeprefix(f"{prefix}-").isdecimal()
  }
  return [found[number] for number in sorted(found)]


def _flush(path: pathlib.Path) -> None:
  descriptor = os.open(path, os.O_RDONLY)
  try:
    os.fsync(descriptor)
  finally:
    os.close(descriptor)

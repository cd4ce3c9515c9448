"""The learned optimizers that come with the package."""

import pathlib

from learned_optimizer import packaged_data

_FOLDER = "learned_optimizer/data/optimizers"


def names() -> list[str]:
  """Their names, sorted."""
  try:
    root = pathlib.Path(packaged_data.path(_FOLDER))
  except FileNotFoundError:
    return []
  return sorted(path.parent.name for path in root.glob("*/config.json"))


def folder(name: str) -> pathlib.Path:
  """The exported folder of one of them."""
  return pathlib.Path(packaged_data.path(f"{_FOLDER}/{name}"))

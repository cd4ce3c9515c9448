"""Saved points of a meta-training run, from which it continues exactly.

A point is a folder `resume-<n>` of its own:

* `variables.npz`: weights, slots of the meta-optimizer, global_step; with a
  curriculum also, below `best/`, the best weights and slots so far;
* `inner.npz`: what the current problem carries between its meta-iterations;
* `state.json`: position, counters, state of the random generator.

It is written under a temporary name and renamed as a whole, and never changed
afterwards. The last two points that can be read are kept.
"""

import json
import pathlib
import shutil
from typing import Any, NamedTuple

import numpy as np

from learned_optimizer import files
from learned_optimizer.metaopt.errors import RunError

_KEPT = 2


class Point(NamedTuple):
  """The state of a run between two meta-iterations.

  Attributes:
    variables: everything a checkpoint holds, by name.
    inner: arrays of the current problem; empty between problems.
    state: position, counters and generator state, as JSON has them.
  """

  variables: dict[str, np.ndarray]
  inner: dict[str, np.ndarray]
  state: dict[str, Any]


def save(folder: pathlib.Path, point: Point) -> None:
  """Adds a point to a run's folder, and removes all but the last two."""
  older = _points(folder)
  number = _number(older[-1]) + 1 if older else 1
  with files.whole_folder(folder / f"resume-{number}") as partial:
    np.savez(partial / "variables.npz", **point.variables)
    np.savez(partial / "inner.npz", **point.inner)
    (partial / "state.json").write_text(json.dumps(point.state, indent=2))
  kept = 1
  for path in reversed(older):
    # A damaged one must not push out a whole one.
    if kept < _KEPT and _is_whole(path):
      kept += 1
    else:
      shutil.rmtree(path)


def load(folder: pathlib.Path) -> Point | None:
  """The newest readable point, or None where there is no point at all.

  Raises:
    RunError: there are points, but none can be read.
  """
  problems = []
  for path in reversed(_points(folder)):
    try:
      return _read(path)
    except Exception as error:  # Whatever a damaged file makes a reader raise.
      problems.append(f"{path.name}: {error}")
  if problems:
    raise RunError(
      f"No saved point in {folder} can be read ({'; '.join(problems)})."
    )
  return None


def _points(folder: pathlib.Path) -> list[pathlib.Path]:
  return files.numbered(folder, "resume")


def _number(path: pathlib.Path) -> int:
  return int(path.name.split("-")[1])


def _is_whole(path: pathlib.Path) -> bool:
  try:
    _read(path)
  except Exception:  # As above.
    return False
  return True


def _read(path: pathlib.Path) -> Point:
  return Point(
    _read_arrays(path / "variables.npz"),
    _read_arrays(path / "inner.npz"),
    json.loads((path / "state.json").read_text()),
  )


def _read_arrays(path):
  # An open file, since np.load leaves damaged ones open that it opened itself.
  with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
    return dict(archive)

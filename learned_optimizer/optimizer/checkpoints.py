"""Reading TF1 checkpoints, old and new."""

import pathlib
from collections.abc import Mapping

import numpy as np
import tensorflow as tf


class CheckpointError(ValueError):
  """A checkpoint cannot be used; the message is one sentence for the user."""


def read(path: str) -> dict[str, np.ndarray]:
  """All values of a TF1 checkpoint by name.

  Args:
    path: the checkpoint's prefix, without `.index`.

  Raises:
    CheckpointError: it does not exist or is damaged.
  """
  try:
    reader = tf.train.load_checkpoint(path)
    return {
      name: np.asarray(reader.get_tensor(name))
      for name in reader.get_variable_to_shape_map()
    }
  except (tf.errors.OpError, ValueError, RuntimeError, LookupError) as error:
    raise CheckpointError(
      f"The checkpoint {path} cannot be read; it is missing or damaged"
      f" ({str(error).splitlines()[0]})."
    ) from error


def matching(
  values: Mapping[str, np.ndarray],
  shapes: Mapping[str, tuple[int, ...]],
  path: str,
) -> dict[str, np.ndarray]:
  """The named values, checked against the shapes that they must have.

  Raises:
    CheckpointError: a name is missing or a shape differs.
  """
  for name, shape in shapes.items():
    if name not in values:
      raise CheckpointError(
        f"The checkpoint {path} has no variable {name}; it belongs to an"
        " optimizer of another kind or other settings."
      )
    if values[name].shape != tuple(shape):
      raise CheckpointError(
        f"The variable {name} has shape {values[name].shape} in the checkpoint"
        f" {path} and {tuple(shape)} with these settings."
      )
  return {name: values[name] for name in shapes}


def find(path: str) -> str:
  """The checkpoint that a path stands for.

  Args:
    path: a checkpoint's prefix, or a folder of checkpoints, whose best or
      last one it then is.

  Raises:
    CheckpointError: it is a folder without a checkpoint.
  """
  folder = pathlib.Path(path)
  return best_or_last(folder) if folder.is_dir() else path


def best_or_last(folder: pathlib.Path) -> str:
  """As `newest`, but a folder without a checkpoint is an error.

  Raises:
    CheckpointError: there is none.
  """
  found = newest(folder)
  if found is None:
    raise CheckpointError(f"There is no checkpoint in {folder}.")
  return found


def newest(folder: pathlib.Path) -> str | None:
  """The path of the folder's newest checkpoint, or None.

  The best one of a run that validated (`best-<step>/`) comes before the last.
  """
  return best(folder) or latest(folder)


def best(folder: pathlib.Path) -> str | None:
  """The path of the checkpoint of a run's best weights, or None."""
  folders = {
    int(path.name.removeprefix("best-")): path
    for path in folder.glob("best-*")
    if path.name.removeprefix("best-").isdecimal()
  }
  return latest(folders[max(folders)]) if folders else None


def latest(folder: pathlib.Path) -> str | None:
  """The path of the checkpoint written last, or None."""
  paths = kept(folder)
  return paths[-1] if paths else None


def kept(folder: pathlib.Path) -> list[str]:
  """The paths of a folder's checkpoints, the last one last.

  They are those that are listed. Where the list is missing or damaged, they
  are all `model.ckpt-<number>`.
  """
  numbers = {
    int(path.stem.removeprefix("model.ckpt-"))
    for path in folder.glob("model.ckpt-*.index")
    if path.stem.removeprefix("model.ckpt-").isdecimal()
  }
  return listed(folder) or [
    str(folder / f"model.ckpt-{number}") for number in sorted(numbers)
  ]


def listed(folder: pathlib.Path) -> list[str]:
  """The paths in the list `checkpoint` of a folder, the last one last.

  Where the folder was moved after it was written, paths are those of now.
  """
  try:
    state = tf.train.get_checkpoint_state(str(folder))
  except ValueError:  # Bytes that are no text.
    state = None
  if not state or not state.model_checkpoint_path:
    return []
  last = state.model_checkpoint_path
  others = [p for p in state.all_model_checkpoint_paths if p != last]
  return [_moved(folder, path) for path in (*others, last)]


def _moved(folder, path):
  here = folder / pathlib.PurePath(path).name
  is_here = here.with_name(f"{here.name}.index").exists()
  return str(here) if is_here else path

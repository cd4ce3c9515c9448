"""Reading TF1 checkpoints, old and new."""

import pathlib
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from learned_optimizer.metaopt import files
from learned_optimizer.metaopt.errors import RunError


def read(path: str) -> dict[str, np.ndarray]:
  """All values of a TF1 checkpoint by name.

  Args:
    path: the checkpoint's prefix, without `.index`.

  Raises:
    RunError: it does not exist or is damaged.
  """
  try:
    reader = tf.train.load_checkpoint(path)
    return {
      name: np.asarray(reader.get_tensor(name))
      for name in reader.get_variable_to_shape_map()
    }
  except (tf.errors.OpError, ValueError, RuntimeError) as error:
    raise RunError(
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
    RunError: a name is missing or a shape differs.
  """
  for name, shape in shapes.items():
    if name not in values:
      raise RunError(
        f"The checkpoint {path} has no variable {name}; it belongs to an"
        " optimizer of another kind or other settings."
      )
    if values[name].shape != tuple(shape):
      raise RunError(
        f"The variable {name} has shape {values[name].shape} in the checkpoint"
        f" {path} and {tuple(shape)} with these settings."
      )
  return {name: values[name] for name in shapes}


def newest(folder: pathlib.Path) -> str | None:
  """The path of the folder's newest checkpoint, or None.

  The best one of a run that validated (`best-<step>/`) comes before the last.
  """
  best = files.numbered(folder, "best")
  return latest(best[-1] if best else folder)


def latest(folder: pathlib.Path) -> str | None:
  """The path of the checkpoint written last, or None."""
  paths = kept(folder)
  return paths[-1] if paths else None


def kept(folder: pathlib.Path) -> list[str]:
  """The paths of a folder's checkpoints, oldest first.

  They are those that the file `checkpoint` lists. Where that file is missing
  or damaged, they are all `model.ckpt-<number>`.
  """
  try:
    state = tf.train.get_checkpoint_state(str(folder))
  except ValueError:  # Bytes that are no text.
    state = None
  if state and state.model_checkpoint_path:
    # The last one is not the newest if an older one was written again.
    last = state.model_checkpoint_path
    others = [p for p in state.all_model_checkpoint_paths if p != last]
    return [*others, last]
  numbers = {
    int(path.stem.removeprefix("model.ckpt-"))
    for path in folder.glob("model.ckpt-*.index")
    if path.stem.removeprefix("model.ckpt-").isdecimal()
  }
  return [str(folder / f"model.ckpt-{number}") for number in sorted(numbers)]

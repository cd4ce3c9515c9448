"""Optimizers that are themselves neural networks.

Importing this package imports neither TensorFlow nor Keras; the functions below
import what they need.
"""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
  import keras

__version__ = "0.1.0"


def load(
  path_or_name: str | os.PathLike, seed: int | None = None, **settings
) -> "keras.optimizers.Optimizer":
  """Loads a learned optimizer as a Keras optimizer.

  Args:
    path_or_name: one of `names()`; or the path of a run of metarun, of a TF1
      checkpoint, of a `.l2l` file of the original L2O-DM or RNNProp, of a
      folder with one of these, or of a folder made by `export`.
    seed: fixes the random numbers that its state starts with; None takes one
      from the global seed of Keras.
    **settings: arguments of every Keras optimizer, such as `learning_rate`,
      which multiplies the steps, or `weight_decay`. Also settings of the update
      rule: they replace those that are stored, and those that variables of a
      checkpoint do not tell.

  Returns:
    The optimizer, for `model.compile`.

  Raises:
    TypeError: `path_or_name` is neither a string nor a path.
    ValueError: there is no such optimizer, it is damaged, or an argument is not
      accepted.
  """
  from learned_optimizer.compat import keras, sources

  learned, arguments = sources.read_for(
    keras.LearnedOptimizer, path_or_name, settings
  )
  return keras.from_learned(learned, seed=seed, **arguments)


def names() -> list[str]:
  """The names of the learned optimizers that come with the package."""
  from learned_optimizer.compat import packaged

  return packaged.names()


def export(
  source: str | os.PathLike, folder: str | os.PathLike, **settings
) -> None:
  """Writes a learned optimizer to a folder of its own, without its run.

  The folder holds the weights, `weights.npz`, and the optimizer's settings,
  `config.json`. What is known of the meta-training is in `training.json`, which
  `load` does not need.

  Args:
    source: as for `load`.
    folder: the new folder; absent or empty.
    **settings: settings of the update rule, as for `load`.

  Raises:
    TypeError: `source` or `folder` is neither a string nor a path.
    ValueError: there is no such optimizer, it is damaged, a setting is not
      accepted, or the folder holds something or cannot be made.
  """
  import pathlib

  from learned_optimizer.compat import exported, sources

  sources.check_path(folder, "folder")
  exported.write(sources.read(source, **settings), pathlib.Path(folder))

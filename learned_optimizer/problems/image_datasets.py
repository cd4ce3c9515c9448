"""Data sets of images: MNIST, CIFAR-10, and embedded handwritten digits.

MNIST and CIFAR-10 have to be downloaded. Where that cannot be, the digits that
come with scikit-learn, enlarged, take their place.
"""

import os
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from learned_optimizer.problems import image_files
from learned_optimizer.problems.dataset import Dataset

# The loader of the original code left these out of MNIST's training images.
_MNIST_VALIDATION_SIZE = 5000


class ImageSource(NamedTuple):
  """Where MNIST and CIFAR-10 come from.

  The original's own files are preferred to a set that tensorflow-datasets
  (TFDS) prepared: they keep the original order of the rows.

  Attributes:
    data_dir: the local folder of the data; None is TFDS's own default. Looked
      for there are the files in which the sets were published: MNIST's
      `train-images-idx3-ubyte.gz`, `train-labels-idx1-ubyte.gz`,
      `t10k-images-idx3-ubyte.gz` and `t10k-labels-idx1-ubyte.gz`, also in
      `MNIST-data/`; CIFAR-10's `data_batch_1` to `data_batch_5` and
      `test_batch`, also in `cifar10/` or `cifar-10-batches-py/`; and then what
      TFDS prepared.
    download: whether a set that is not there is downloaded and prepared by
      TFDS.
    embedded_digits: whether to use, instead of all this, the digits that come
      with scikit-learn, in the shapes of the set that is asked for.
  """

  data_dir: str | None = None
  download: bool = False
  embedded_digits: bool = False


_DEFAULT_SOURCE = ImageSource()


class DataUnavailableError(ValueError):
  """A data set is neither on this machine nor to be downloaded."""


def mnist(train: bool = True, source: ImageSource = _DEFAULT_SOURCE) -> Dataset:
  """Loads the MNIST handwritten digits.

  As in the original, the first 5000 training images are left out, and a byte b
  becomes b times float32(1 / 255). The rows of the published files come in
  their order; those that TFDS prepared in its own, so that there other 5000
  images are left out.

  Args:
    train: whether to return the 55,000 images for training, or the 10,000 for
      testing.
    source: where the data come from.

  Returns:
    Data [N, 28, 28, 1] with values from 0 to 1, labels [N] from 0 to 9.

  Raises:
    DataUnavailableError: the source does not have the set.
    ValueError: a file is damaged or has too few images.
  """
  if source.embedded_digits:
    return _enlarged_digits(train, 28)
  names = (
    image_files.MNIST_TRAIN_FILES if train else image_files.MNIST_TEST_FILES
  )
  skipped = _MNIST_VALIDATION_SIZE if train else 0
  paths = _find(source, ("", "MNIST-data"), names)
  if paths:
    images, labels = image_files.read_mnist(paths)
    _check_size(len(images), skipped, paths[0])
    images, labels = images[skipped:], labels[skipped:]
  else:
    images, labels = _load_prepared("mnist", train, skipped, source, names)
  data = images.astype(np.float32) * np.float32(1 / 255)
  return Dataset(data, labels.astype(np.int32))


def cifar10(
  train: bool = True, source: ImageSource = _DEFAULT_SOURCE
) -> Dataset:
  """Loads the CIFAR-10 colour images.

  As in the original, a byte b becomes b / 255. The rows of the published files
  come in their order; those that TFDS prepared in its own.

  Args:
    train: whether to return the 50,000 images for training, or the 10,000 for
      testing.
    source: where the data come from.

  Returns:
    Data [N, 32, 32, 3] with values from 0 to 1, labels [N, 1] from 0 to 9.

  Raises:
    DataUnavailableError: the source does not have the set.
    ValueError: a file is damaged or has no images.
  """
  if source.embedded_digits:
    data, labels = _enlarged_digits(train, 32)
    return Dataset(np.repeat(data, 3, axis=-1), labels[:, np.newaxis])
  names = (
    image_files.CIFAR10_TRAIN_FILES if train else image_files.CIFAR10_TEST_FILES
  )
  paths = _find(source, ("", "cifar10", "cifar-10-batches-py"), names)
  if paths:
    images, labels = image_files.read_cifar10(paths)
    _check_size(len(images), 0, paths[0])
  else:
    images, labels = _load_prepared("cifar10", train, 0, source, names)
  data = images.astype(np.float32) / np.float32(255)
  return Dataset(data, labels.astype(np.int32)[:, np.newaxis])


def digits(train: bool = True) -> Dataset:
  """Loads the 8x8 handwritten digits that come with scikit-learn.

  Every fifth of the 1797 images is for testing, in the order of the file.

  Args:
    train: whether to return the 1438 images for training, or the 359 others.

  Returns:
    Data [N, 64] with values from 0 to 1, labels [N] from 0 to 9.
  """
  # scikit-learn is slow to import: only who needs it waits for it.
  from sklearn import datasets

  data, labels = datasets.load_digits(return_X_y=True)
  is_test = np.arange(len(data)) % 5 == 4
  chosen = ~is_test if train else is_test
  return Dataset(
    (data[chosen] / 16).astype(np.float32), labels[chosen].astype(np.int32)
  )


def _enlarged_digits(train: bool, size: int) -> Dataset:
  """Returns the digits as data [N, size, size, 1] and labels [N].

  Each pixel gets the value of the nearest of the 8x8 pixels, which is exact on
  every machine.
  """
  data, labels = digits(train)
  nearest = (2 * np.arange(size) + 1) * 8 // (2 * size)
  images = data.reshape(-1, 8, 8)[:, nearest][:, :, nearest]
  return Dataset(images[..., np.newaxis], labels)


def _find(
  source: ImageSource, folders: tuple[str, ...], names: tuple[str, ...]
) -> list[str] | None:
  """Returns the paths of the files in the first folder that has them all."""
  if not source.data_dir:
    return None
  for folder in folders:
    folder = os.path.join(os.path.expanduser(source.data_dir), folder)
    paths = [os.path.join(folder, name) for name in names]
    if all(os.path.isfile(path) for path in paths):
      return paths
  return None


def _check_size(num_images: int, skipped: int, path: str) -> None:
  if num_images <= skipped:
    raise ValueError(
      f"{path} must have more than {skipped} images, it has {num_images}"
    )


def _load_prepared(
  name: str,
  train: bool,
  skipped: int,
  source: ImageSource,
  file_names: tuple[str, ...],
) -> tuple[np.ndarray, np.ndarray]:
  """Loads a set that TFDS prepared, or lets TFDS prepare it.

  Args:
    name: TFDS's name of the set.
    train: whether to load the split for training.
    skipped: number of images at the beginning of the split to leave out.
    source: where the data come from.
    file_names: the published files, which were not found.

  Returns:
    Images, uint8 [N, height, width, channels], and labels, int64 [N].
  """
  # Slow to import, and needs packages that nothing else does.
  import tensorflow_datasets as tfds

  folder = os.path.expanduser(source.data_dir) if source.data_dir else None
  try:
    builder = tfds.builder(name, data_dir=folder, try_gcs=False)
  # It reads what is there; a file cut short can raise nearly anything.
  except Exception as error:
    raise ValueError(
      f"{name} in {folder or 'the default folder'} is damaged: "
      f"{_first_line(error)}"
    ) from error
  # The builder complains on its own where there is no folder at all.
  if not (os.path.isdir(builder.data_path) and builder.is_prepared()):
    if not source.download:
      where, why = "the default folder", ""
      if folder:
        where = folder
        why = (
          ", and the published files"
          f" ({', '.join(file_names)}) are not all there"
        )
        if not os.path.isdir(folder):
          where += ", which is no folder"
      raise DataUnavailableError(
        f"{name} is not in {where}: there is no {builder.data_path}, as"
        f" prepared by tensorflow-datasets{why}; name the folder that has it"
        " with --data_dir, let --download fetch it, or take other images with"
        " --embedded_digits"
      )
    _download(builder)
  split = "train" if train else "test"
  _check_size(
    builder.info.splits[split].num_examples, skipped, builder.data_dir
  )
  try:
    # In a graph of its own the same happens whatever the caller's context is.
    with tf.Graph().as_default():
      return tfds.as_numpy(
        builder.as_dataset(
          split=f"{split}[{skipped}:]", batch_size=-1, as_supervised=True
        )
      )
  except tf.errors.OpError as error:
    raise ValueError(
      f"{builder.data_dir} is damaged: {type(error).__name__} on reading"
    ) from error


def _download(builder: Any) -> None:
  import tensorflow_datasets as tfds

  try:
    builder.download_and_prepare(
      download_config=tfds.download.DownloadConfig(try_download_gcs=False)
    )
  # No connection, a wrong checksum, a full disk: there is no common class.
  except Exception as error:
    raise DataUnavailableError(
      f"{builder.name} could not be downloaded to {builder.data_dir}: "
      f"{_first_line(error)}; name a folder that has it with --data_dir, or "
      "take other images with --embedded_digits"
    ) from error


def _first_line(error: Exception) -> str:
  return f"{type(error).__name__}: {error}".splitlines()[0]

"""Reads the files in which MNIST and CIFAR-10 were published.

MNIST (http://yann.lecun.com/exdb/mnist) is four gzip files of the idx format: a
number that tells the kind, the size of each axis, and the bytes. CIFAR-10
(https://www.cs.toronto.edu/~kriz/cifar.html, "python version") is six files
that Python 2 pickled. A pickle can call any function, so those are read by an
unpickler that calls none.
"""

import gzip
import io
import pickle
import pickletools
import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

MNIST_TRAIN_FILES = ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz")
MNIST_TEST_FILES = ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz")
CIFAR10_TRAIN_FILES = tuple(f"data_batch_{i}" for i in range(1, 6))
CIFAR10_TEST_FILES = ("test_batch",)

_NUM_CLASSES = 10
_UNSIGNED_BYTES = 0x800  # The kind of an idx file, plus the number of axes.


def read_mnist(paths: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
  """Reads a file of images and the file of their labels.

  Args:
    paths: the two files, in this order.

  Returns:
    Images, uint8 [N, 28, 28, 1], and labels, uint8 [N].

  Raises:
    ValueError: a file is damaged or not of this data set; the message names it.
  """
  images_path, labels_path = paths
  images = _read_idx(images_path, (28, 28))
  labels = _read_idx(labels_path, ())
  _check_labels(labels, len(images), labels_path)
  return images[..., np.newaxis], labels


def read_cifar10(paths: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
  """Reads batches of images and labels.

  Args:
    paths: the files, whose rows are appended in this order.

  Returns:
    Images, uint8 [N, 32, 32, 3], and labels, integers [N].

  Raises:
    ValueError: a file is damaged or not of this data set; the message names it.
  """
  images, labels = zip(*map(_read_batch, paths), strict=True)
  return np.concatenate(images), np.concatenate(labels)


def _check_labels(labels: np.ndarray, num_images: int, path: str) -> None:
  if labels.shape != (num_images,):
    raise ValueError(
      f"{path} has labels of the shape {list(labels.shape)} for {num_images} "
      "images"
    )
  if labels.min(initial=0) < 0 or labels.max(initial=0) >= _NUM_CLASSES:
    raise ValueError(f"{path} has labels that are not from 0 to 9")


def _read_idx(path: str, item_shape: tuple[int, ...]) -> np.ndarray:
  """Returns the bytes of an idx file as an array [N, *item_shape]."""
  try:
    with gzip.open(path) as file:
      content = file.read()
  except (OSError, EOFError, zlib.error) as error:
    raise ValueError(f"{path} is damaged or no gzip file: {error}") from error
  num_axes = 1 + len(item_shape)
  header_size = 4 * (1 + num_axes)
  if len(content) < header_size:
    raise ValueError(f"{path} is cut short: it has {len(content)} bytes")
  kind, *shape = struct.unpack(f">{1 + num_axes}I", content[:header_size])
  if kind != _UNSIGNED_BYTES + num_axes or tuple(shape[1:]) != item_shape:
    raise ValueError(
      f"{path} is no idx file of bytes in the shape {['N', *item_shape]}"
    )
  if len(content) != header_size + np.prod(shape, dtype=object):
    raise ValueError(
      f"{path} has {len(content) - header_size} bytes after the header, which "
      f"announces an array of the shape {shape}"
    )
  return np.frombuffer(content, np.uint8, offset=header_size).reshape(shape)


class _Inert:
  """Stands for a thing of NumPy in a pickle, and only keeps its arguments."""

  args: tuple[Any, ...] = ()
  state: tuple[Any, ...] = ()

  def __init__(self, *args: Any) -> None:
    self.args = args

  def __setstate__(self, state: tuple[Any, ...]) -> None:
    self.state = state


class _BatchUnpickler(pickle.Unpickler):
  """Reads plain values and the recipes of arrays, and calls nothing."""

  def find_class(self, module: str, name: str) -> type[_Inert]:
    # What Python 2 writes for an array. Its parts are kept as they are.
    if (module, name) not in (
      ("numpy.core.multiarray", "_reconstruct"),
      ("numpy", "ndarray"),
      ("numpy", "dtype"),
    ):
      raise pickle.UnpicklingError(
        f"it calls {module}.{name}, which no file of CIFAR-10 does"
      )
    return _Inert


def _read_batch(path: str) -> tuple[np.ndarray, np.ndarray]:
  """Returns images [N, 32, 32, 3] and labels [N] of one file."""
  try:
    batch = _unpickle(path)
    images = _array(batch[b"data"])
    labels = batch[b"labels"]
    if not all(isinstance(label, int) for label in labels):
      raise ValueError("the labels are no integers")
    labels = np.array(labels, np.int64)
  # A damaged pickle can raise nearly anything.
  except Exception as error:
    raise ValueError(
      f"{path} is damaged or no batch of CIFAR-10: "
      f"{type(error).__name__}: {error}"
    ) from error
  if images.ndim != 2 or images.shape[1] != 3 * 32 * 32:
    raise ValueError(
      f"{path} has data of the shape {list(images.shape)}, not [N, 3072]"
    )
  _check_labels(labels, len(images), path)
  return images.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), labels


def _unpickle(path: str) -> Any:
  with open(path, "rb") as file:
    content = file.read()
  # Python makes a list as long as the largest number that a value is kept
  # under, which could take all memory.
  for opcode, argument, _ in pickletools.genops(content):
    if opcode.name in ("PUT", "LONG_BINPUT") and argument > len(content):
      raise pickle.UnpicklingError(f"it keeps a value as number {argument}")
  # The strings of Python 2 are bytes.
  return _BatchUnpickler(io.BytesIO(content), encoding="bytes").load()


def _array(recipe: _Inert) -> np.ndarray:
  """Returns the array of bytes that a pickle describes."""
  _, shape, dtype, is_fortran, content = recipe.state
  if dtype.args[0] != b"u1":
    raise ValueError("the data are no unsigned bytes")
  order = "F" if is_fortran else "C"
  return np.frombuffer(content, np.uint8).reshape(shape, order=order)

"""Small MNIST and CIFAR-10 sets on disk, as TFDS and as their authors did it.

An image shows its label as a bright square, so that programs can learn from it,
and the number of its row in the first two bytes, so that tests can check which
rows they got.
"""

import gzip
import io
import os
import pickle
import struct

import numpy as np


def images(num_rows, size, channels, first_row=0):
  """Returns images, uint8 [N, size, size, channels], and labels, int64 [N]."""
  rows = np.arange(first_row, first_row + num_rows)
  labels = rows * 7 % 10
  pixels = np.zeros((num_rows, size, size, channels), np.uint8)
  for label in range(10):
    x, y = 4 * (label % 5) + 4, 8 * (label // 5) + 8
    pixels[labels == label, y : y + 4, x : x + 4] = 250
  pixels[:, 0, 0, 0] = rows // 256
  pixels[:, 0, 1, 0] = rows % 256
  return pixels, labels


def rows_of(pixels):
  """Returns the numbers of the rows, from uint8 images."""
  return pixels[:, 0, 0, 0].astype(int) * 256 + pixels[:, 0, 1, 0]


def write_mnist(folder, num_train=5300, num_test=150):
  """Writes MNIST as TFDS prepares it, in TFDS's own order.

  The first 5000 rows for training are left out on reading.
  """
  _write_tfds(folder, "mnist", "3.0.1", (28, 28, 1), num_train, num_test)


def write_cifar10(folder, num_train=300, num_test=150):
  """Writes CIFAR-10 as TFDS prepares it, in TFDS's own order."""
  _write_tfds(folder, "cifar10", "3.0.2", (32, 32, 3), num_train, num_test)


def _write_tfds(folder, name, version, shape, num_train, num_test):
  # Slow to import, and needed by few who import this module.
  import tensorflow as tf
  import tensorflow_datasets as tfds

  features = {
    "image": tfds.features.Image(shape=shape),
    "label": tfds.features.ClassLabel(num_classes=10),
  }
  if name == "cifar10":
    features["id"] = tfds.features.Text()

  def split(num_rows):
    pixels, labels = images(num_rows, shape[0], shape[2])
    rows = {"image": pixels, "label": labels}
    if name == "cifar10":
      rows["id"] = [f"row_{i:05}" for i in range(num_rows)]
    return tf.data.Dataset.from_tensor_slices(rows)

  tfds.dataset_builders.store_as_tfds_dataset(
    name=name,
    version=version,
    features=tfds.features.FeaturesDict(features),
    split_datasets={"train": split(num_train), "test": split(num_test)},
    data_dir=folder,
  )


def write_published_mnist(folder, num_train=5300, num_test=150):
  """Writes the four files of MNIST, with the rows in order."""
  os.makedirs(folder, exist_ok=True)
  for name, num_rows in ("train", num_train), ("t10k", num_test):
    pixels, labels = images(num_rows, 28, 1)
    for file, array in (
      ("images-idx3-ubyte.gz", pixels[..., 0]),
      ("labels-idx1-ubyte.gz", labels.astype(np.uint8)),
    ):
      with gzip.open(os.path.join(folder, f"{name}-{file}"), "wb") as stream:
        stream.write(idx(array))


def idx(array):
  """Returns an array of bytes in the idx format."""
  sizes = struct.pack(f">{array.ndim}I", *array.shape)
  return bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()


def write_published_cifar10(folder, rows_per_file=60):
  """Writes the six files of CIFAR-10, with the rows in order."""
  os.makedirs(folder, exist_ok=True)
  names = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]
  for i, name in enumerate(names):
    pixels, labels = images(rows_per_file, 32, 3, i % 5 * rows_per_file)
    batch = {
      "batch_label": name,
      "labels": labels.tolist(),
      "data": pixels.transpose(0, 3, 1, 2).reshape(-1, 3072),
      "filenames": [f"row_{j:05}.png" for j in range(rows_per_file)],
    }
    with open(os.path.join(folder, name), "wb") as stream:
      stream.write(python2_pickle(batch))


class _Python2Pickler(pickle._Pickler):
  """Writes strings and bytes as Python 2 did its `str`."""

  dispatch = dict(pickle._Pickler.dispatch)

  def _save_string(self, string):
    content = string if isinstance(string, bytes) else string.encode()
    if len(content) < 256:
      self.write(pickle.SHORT_BINSTRING + bytes([len(content)]) + content)
    else:
      self.write(pickle.BINSTRING + struct.pack("<i", len(content)) + content)
    self.memoize(string)

  dispatch[bytes] = dispatch[str] = _save_string


def python2_pickle(value):
  """Returns what Python 2 pickles with protocol 2, arrays included."""
  stream = io.BytesIO()
  _Python2Pickler(stream, protocol=2).dump(value)
  # NumPy was called so then.
  return stream.getvalue().replace(b"cnumpy._core.", b"cnumpy.core.")

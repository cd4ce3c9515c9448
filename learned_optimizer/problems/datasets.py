"""Data sets: generated ones, and the embedded handwritten digits."""

from typing import NamedTuple, Protocol

import numpy as np

from learned_optimizer import generators


class Shuffler(Protocol):
  """What `Dataset.batch_indices` needs of a generator of numpy.

  Both `numpy.random.Generator` and `numpy.random.RandomState` have it.
  """

  def shuffle(self, x: np.ndarray) -> None:
    """Shuffles an array in place."""


class Dataset(NamedTuple):
  """Examples and labels.

  Attributes:
    data: float32 array, first axis the examples.
    labels: int32 array, first axis the examples.
  """

  data: np.ndarray
  labels: np.ndarray

  @property
  def size(self) -> int:
    """The number of examples."""
    return len(self.data)

  def batch_indices(
    self, num_batches: int, batch_size: int, generator: Shuffler
  ) -> list[list[int]]:
    """Draws the indices of the examples of successive batches.

    The examples are shuffled, dealt out in full batches, and shuffled again
    when fewer than a batch remain: those are left out of that epoch. If there
    are fewer examples than a batch, every batch is all of them in a new order.

    >>> dataset = Dataset(np.zeros((5, 1)), np.zeros(5))
    >>> dataset.batch_indices(4, 2, np.random.RandomState(7))
    [[0, 3], [2, 1], [2, 3], [0, 4]]

    Args:
      num_batches: number of batches.
      batch_size: number of examples in each; 0 gives empty batches.
      generator: does the shuffling, and is left advanced.

    Returns:
      A list of num_batches lists of indices.

    Raises:
      ValueError: data and labels differ in length, or an argument is negative.
    """
    if len(self.data) != len(self.labels):
      raise ValueError(
        "data and labels must have the same number of samples, got "
        f"{len(self.data)} and {len(self.labels)}"
      )
    if num_batches < 0 or batch_size < 0:
      raise ValueError(
        "num_batches and batch_size must be at least 0, got "
        f"{num_batches} and {batch_size}"
      )
    indices = np.arange(self.size)
    generator.shuffle(indices)
    batches = []
    end = 0
    for _ in range(num_batches):
      start, end = end, end + batch_size
      if end > self.size:
        generator.shuffle(indices)
        start, end = 0, batch_size
      batches.append(indices[start:end].tolist())
    return batches


EMPTY_DATASET = Dataset(np.zeros(0, np.float32), np.zeros(0, np.int32))


def random(
  n_features: int,
  n_samples: int,
  n_classes: int = 2,
  sep: float = 1.0,
  random_seed: int | None = None,
) -> Dataset:
  """Generates clusters on the corners of a hypercube, two for each class.

  This is `sklearn.datasets.make_classification` with informative features only;
  1 % of the labels are random.

  Args:
    n_features: number of features.
    n_samples: number of examples.
    n_classes: number of classes.
    sep: distance of the clusters, in units of half the side of the hypercube.
    random_seed: seed, or None for a fresh one.

  Returns:
    Data [n_samples, n_features], labels [n_samples].

  Raises:
    ValueError: the seed is not usable, or there are more clusters than corners.
  """
  # scikit-learn is slow to import: only who needs it waits for it.
  from sklearn import datasets

  data, labels = datasets.make_classification(
    n_samples=n_samples,
    n_features=n_features,
    n_informative=n_features,
    n_redundant=0,
    n_classes=n_classes,
    class_sep=sep,
    random_state=generators.resolve_seed(random_seed),
  )
  return Dataset(data.astype(np.float32), labels.astype(np.int32))


def random_mlp(
  n_features: int,
  n_samples: int,
  random_seed: int | None = None,
  n_layers: int = 6,
  width: int = 20,
) -> Dataset:
  """Generates normal examples, labelled by a random perceptron.

  All layers have relu outputs and weights N(0, 2 / n_features), also those with
  width inputs, as in the original. The label is 1 where the first output is
  positive. About one seed in seven gives all examples the same label.

  Args:
    n_features: number of features.
    n_samples: number of examples.
    random_seed: seed, or None for a fresh one.
    n_layers: number of layers of the labelling network.
    width: number of outputs of each layer.

  Returns:
    Data [n_samples, n_features], labels [n_samples], 0 or 1.

  Raises:
    ValueError: the seed is not usable.
  """
  random_state = np.random.RandomState(generators.resolve_seed(random_seed))
  data = random_state.normal(size=(n_samples, n_features))
  outputs = data
  for _ in range(n_layers):
    weights = random_state.normal(size=(outputs.shape[1], width))
    weights *= np.sqrt(2) / np.sqrt(n_features)
    outputs = np.maximum(outputs @ weights, 0)
  labels = outputs[:, 0] > 0
  return Dataset(data.astype(np.float32), labels.astype(np.int32))


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

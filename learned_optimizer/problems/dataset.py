"""A data set in memory, and the batches that are drawn from it."""

from typing import NamedTuple, Protocol

import numpy as np


class Shuffler(Protocol):
  """What `batch_indices` needs of a generator of numpy.

  Both `numpy.random.Generator` and `numpy.random.RandomState` have it.
  """

  def shuffle(self, x: np.ndarray) -> None:
    """Shuffles an array in place."""


def batch_indices(
  data_size: int, num_batches: int, batch_size: int, generator: Shuffler
) -> list[list[int]]:
  """Draws the indices of the examples of successive batches.

  The examples are shuffled, dealt out in full batches, and shuffled again when
  fewer than a batch remain: those are left out of that epoch. If there are
  fewer examples than a batch, every batch is all of them in a new order.

  >>> batch_indices(5, 4, 2, np.random.RandomState(7))
  [[0, 3], [2, 1], [2, 3], [0, 4]]

  Args:
    data_size: number of examples.
    num_batches: number of batches.
    batch_size: number of examples in each; 0 gives empty batches.
    generator: does the shuffling, and is left advanced.

  Returns:
    A list of num_batches lists of indices.

  Raises:
    ValueError: a number is negative.
  """
  if min(data_size, num_batches, batch_size) < 0:
    raise ValueError(
      "data_size, num_batches and batch_size must be at least 0, got "
      f"{data_size}, {num_batches} and {batch_size}"
    )
  indices = np.arange(data_size)
  generator.shuffle(indices)
  batches = []
  end = 0
  for _ in range(num_batches):
    start, end = end, end + batch_size
    if end > data_size:
      generator.shuffle(indices)
      start, end = 0, batch_size
    batches.append(indices[start:end].tolist())
  return batches


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

    Args:
      num_batches: number of batches.
      batch_size: number of examples in each; 0 gives empty batches.
      generator: does the shuffling, and is left advanced.

    Returns:
      A list of num_batches lists of indices, as of the function
      `batch_indices`.

    Raises:
      ValueError: data and labels differ in length, or an argument is negative.
    """
    if len(self.data) != len(self.labels):
      raise ValueError(
        "data and labels must have the same number of samples, got "
        f"{len(self.data)} and {len(self.labels)}"
      )
    return batch_indices(self.size, num_batches, batch_size, generator)


EMPTY_DATASET = Dataset(np.zeros(0, np.float32), np.zeros(0, np.int32))

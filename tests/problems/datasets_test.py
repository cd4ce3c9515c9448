"""Tests of data sets, their batches, and where they are found."""

import doctest
import inspect

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from learned_optimizer.problems import dataset as dataset_module
from learned_optimizer.problems import datasets


def of_size(size):
  return datasets.Dataset(np.zeros((size, 2), np.float32), np.zeros(size, int))


def test_names_of_the_original():
  """What callers of the original's module use, with its leading arguments."""
  for name, arguments in (
    ("noisy_parity_class", "n_samples n_classes n_context_ids noise_prob"),
    ("random", "n_features n_samples n_classes sep random_seed"),
    ("random_binary", "n_features n_samples random_seed"),
    ("random_symmetric", "n_features n_samples random_seed"),
    ("random_mlp", "n_features n_samples random_seed n_layers width"),
    ("batch_indices", "data_size num_batches batch_size"),
    ("mnist", "train"),
    ("cifar10", "train"),
  ):
    parameters = list(inspect.signature(getattr(datasets, name)).parameters)
    expected = arguments.split()
    assert parameters[: len(expected)] == expected
  data, labels = datasets.EMPTY_DATASET
  assert data.shape == labels.shape == (0,)
  assert (data.dtype, labels.dtype) == (np.float32, np.int32)
  assert datasets.EMPTY_DATASET.size == 0


def test_examples_in_docstrings():
  results = doctest.testmod(dataset_module)
  assert results.attempted and not results.failed


class TestBatchIndices:
  def test_check_values(self):
    random_state = np.random.RandomState
    assert of_size(5).batch_indices(4, 2, random_state(7)) == [
      [0, 3],
      [2, 1],
      [2, 3],
      [0, 4],
    ]
    assert datasets.batch_indices(5, 3, 23, random_state(7)) == [
      [2, 3, 0, 4, 1],
      [4, 1, 0, 3, 2],
      [1, 3, 2, 4, 0],
    ]
    empty = datasets.EMPTY_DATASET
    assert empty.batch_indices(3, 0, random_state(7)) == [[], [], []]

  @hypothesis.given(
    size=st.integers(1, 30),
    batch_size=st.integers(1, 40),
    num_batches=st.integers(0, 40),
    seed=st.integers(0, 2**32 - 1),
  )
  def test_epochs(self, size, batch_size, num_batches, seed):
    batches = of_size(size).batch_indices(
      num_batches, batch_size, np.random.default_rng(seed)
    )
    assert len(batches) == num_batches
    assert all(len(batch) == min(batch_size, size) for batch in batches)
    per_epoch = max(size // batch_size, 1)
    for start in range(0, num_batches, per_epoch):
      epoch = np.concatenate(batches[start : start + per_epoch]).tolist()
      assert len(set(epoch)) == len(epoch)
      assert set(epoch) <= set(range(size))
      if batch_size >= size:
        assert set(epoch) == set(range(size))

  @hypothesis.given(
    size=st.integers(0, 20),
    batch_size=st.integers(0, 25),
    num_batches=st.integers(0, 20),
    more_batches=st.integers(0, 20),
    seed=st.integers(0, 2**32 - 1),
  )
  def test_more_batches_begin_with_the_same(
    self, size, batch_size, num_batches, more_batches, seed
  ):
    few, many = (
      datasets.batch_indices(
        size, number, batch_size, np.random.RandomState(seed)
      )
      for number in (num_batches, num_batches + more_batches)
    )
    assert many[:num_batches] == few

  @hypothesis.given(seed=st.integers(0, 2**32 - 1))
  def test_generator_fixes_the_batches(self, seed):
    first, second = (
      of_size(9).batch_indices(7, 2, np.random.default_rng(seed))
      for _ in range(2)
    )
    assert first == second

  def test_bad_arguments(self):
    generator = np.random.default_rng(1)
    uneven = datasets.Dataset(np.zeros((3, 2)), np.zeros(4))
    with pytest.raises(ValueError, match="same number of samples, got 3 and 4"):
      uneven.batch_indices(1, 1, generator)
    with pytest.raises(ValueError, match="at least 0, got 3, -1 and 2"):
      of_size(3).batch_indices(-1, 2, generator)
    with pytest.raises(ValueError, match="at least 0, got 3, 1 and -2"):
      of_size(3).batch_indices(1, -2, generator)
    with pytest.raises(ValueError, match="at least 0, got -3, 1 and 2"):
      datasets.batch_indices(-3, 1, 2, generator)

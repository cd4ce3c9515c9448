"""Tests of the data sets."""

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from learned_optimizer import packaged_data
from learned_optimizer.problems import datasets


def of_size(size):
  return datasets.Dataset(np.zeros((size, 2), np.float32), np.zeros(size, int))


class TestBatchIndices:
  def test_check_values(self):
    random_state = np.random.RandomState
    assert of_size(5).batch_indices(4, 2, random_state(7)) == [
      [0, 3],
      [2, 1],
      [2, 3],
      [0, 4],
    ]
    assert of_size(5).batch_indices(3, 23, random_state(7)) == [
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
    with pytest.raises(ValueError, match="at least 0, got -1 and 2"):
      of_size(3).batch_indices(-1, 2, generator)
    with pytest.raises(ValueError, match="at least 0, got 1 and -2"):
      of_size(3).batch_indices(1, -2, generator)


class TestGenerated:
  @pytest.mark.parametrize(
    ("name", "dataset"),
    [
      (
        "random_10_1000_sep2",
        datasets.random(10, 1000, sep=2.0, random_seed=123),
      ),
      ("random_mlp_8_1000", datasets.random_mlp(8, 1000, random_seed=7)),
    ],
  )
  def test_golden_arrays(self, name, dataset):
    path = packaged_data.path("tests/golden/problems.npz")
    with np.load(path) as arrays:
      golden = {
        key: arrays[f"dataset/{name}/{key}"]
        for key in ("data", "labels", "batch_indices_seed3_n7_b3")
      }
    np.testing.assert_array_equal(dataset.data, golden["data"])
    np.testing.assert_array_equal(dataset.labels, golden["labels"])
    batches = dataset.batch_indices(7, 3, np.random.RandomState(3))
    np.testing.assert_array_equal(batches, golden["batch_indices_seed3_n7_b3"])

  @pytest.mark.parametrize(
    ("n_features", "sep", "first_values", "positive"),
    [
      (10, 2.0, (2.6698337, -4.759392, 0.84021354), 500),
      (100, 1.0, (9.921726, 10.950232, -10.265402), 501),
      (200, 1.5, (4.7486496, -10.503934, -9.069921), 502),
      (256, 1.5, (1.1860496, 0.5063988, -2.8193362), 497),
    ],
  )
  def test_random(self, n_features, sep, first_values, positive):
    data, labels = datasets.random(n_features, 1000, sep=sep, random_seed=123)
    assert data.shape == (1000, n_features)
    assert (data.dtype, labels.dtype) == (np.float32, np.int32)
    np.testing.assert_allclose(data[0, :3], first_values, rtol=1e-6)
    assert labels.sum() == positive

  def test_random_labels(self):
    dataset = datasets.random(10, 1000, sep=2.0, random_seed=123)
    assert dataset.labels[:10].tolist() == [1, 0, 0, 1, 0, 1, 1, 1, 0, 1]
    dataset = datasets.random(10, 10000, random_seed=1234)
    expected = (0.52879095, -0.07855063, 0.91700107)
    np.testing.assert_allclose(dataset.data[0, :3], expected, rtol=1e-6)
    assert dataset.labels.sum() == 4992
    labels = datasets.random(8, 100, n_classes=5, random_seed=1).labels
    assert set(labels) == set(range(5))

  @pytest.mark.parametrize(
    ("n_features", "positive"),
    [(5, 552), (7, 8), (8, 753), (9, 1000), (11, 0), (12, 566)],
  )
  def test_random_mlp(self, n_features, positive):
    data, labels = datasets.random_mlp(n_features, 1000, random_seed=1)
    assert data.shape == (1000, n_features)
    assert (data.dtype, labels.dtype) == (np.float32, np.int32)
    assert labels.sum() == positive

  @pytest.mark.parametrize("generate", [datasets.random, datasets.random_mlp])
  def test_without_seed(self, generate):
    before = np.random.get_state()[1].copy()
    first, second = generate(4, 20), generate(4, 20)
    assert not np.array_equal(first.data, second.data)
    np.testing.assert_array_equal(np.random.get_state()[1], before)

  @pytest.mark.parametrize("generate", [datasets.random, datasets.random_mlp])
  def test_bad_seed(self, generate):
    with pytest.raises(ValueError, match="random_seed must be from 0"):
      generate(4, 20, random_seed=-1)


class TestDigits:
  def test_split(self):
    train, test = datasets.digits(), datasets.digits(train=False)
    assert (train.size, test.size) == (1438, 359)
    for data, labels in train, test:
      assert data.shape == (len(labels), 64)
      assert (data.dtype, labels.dtype) == (np.float32, np.int32)
      assert (data.min(), data.max()) == (0, 1)
      assert set(labels) == set(range(10))
    # The file begins with the digits in order.
    assert train.labels[:8].tolist() == [0, 1, 2, 3, 5, 6, 7, 8]
    assert test.labels[:2].tolist() == [4, 9]
    np.testing.assert_array_equal(
      train.data[0, :8] * 16, [0, 0, 5, 13, 9, 1, 0, 0]
    )

"""Tests of the data sets that are drawn from a seed."""

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from learned_optimizer import generators, packaged_data
from learned_optimizer.problems import datasets

# By name: what generates few examples with the given random_seed.
GENERATORS = {
  "noisy_parity_class": lambda seed: datasets.noisy_parity_class(
    20, random_seed=seed
  ),
  "random": lambda seed: datasets.random(4, 20, random_seed=seed),
  "random_binary": lambda seed: datasets.random_binary(4, 20, seed),
  "random_symmetric": lambda seed: datasets.random_symmetric(4, 20, seed),
  "random_mlp": lambda seed: datasets.random_mlp(4, 20, seed),
}


@pytest.mark.parametrize(
  ("name", "dataset"),
  [
    ("noisy_parity_class_5", datasets.noisy_parity_class(5, random_seed=123)),
    (
      "random_10_1000_sep2",
      datasets.random(10, 1000, sep=2.0, random_seed=123),
    ),
    ("random_binary_20_100", datasets.random_binary(20, 100, 7)),
    ("random_symmetric_12_100", datasets.random_symmetric(12, 100, 7)),
    ("random_mlp_8_1000", datasets.random_mlp(8, 1000, random_seed=7)),
  ],
)
def test_golden_arrays(name, dataset):
  path = packaged_data.path("tests/golden/problems.npz")
  with np.load(path) as arrays:
    golden = {
      key: arrays[f"dataset/{name}/{key}"]
      for key in ("data", "labels", "batch_indices_seed3_n7_b3")
    }
  np.testing.assert_array_equal(dataset.data, golden["data"])
  np.testing.assert_array_equal(dataset.labels, golden["labels"])
  assert dataset.data.dtype == golden["data"].dtype == np.float32
  assert dataset.labels.dtype == golden["labels"].dtype == np.int32
  batches = dataset.batch_indices(7, 3, np.random.RandomState(3))
  np.testing.assert_array_equal(batches, golden["batch_indices_seed3_n7_b3"])


class TestCheckValues:
  def test_noisy_parity_class(self):
    data, labels = datasets.noisy_parity_class(5, random_seed=123)
    expected = ["01000", "00110", "11010", "10110", "00111"]
    assert data.tolist() == [list(map(float, row)) for row in expected]
    assert labels.tolist() == [1, 0, 1, 1, 1]

  def test_random_binary(self):
    data, labels = datasets.random_binary(4, 3, random_seed=1)
    expected = ["1100", "1111", "1001"]
    assert data.tolist() == [list(map(float, row)) for row in expected]
    assert labels.tolist() == [[0], [0], [0]]

  def test_random_symmetric(self):
    data, labels = datasets.random_symmetric(3, 4, random_seed=1)
    half = [
      (1.6243454, -0.6117564, -0.5281718),
      (-1.0729686, 0.8654076, -2.3015387),
    ]
    np.testing.assert_allclose(data[:2], half, rtol=1e-6)
    np.testing.assert_array_equal(data[2:], -data[:2])
    assert labels.tolist() == [[0], [0], [0], [0]]

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


class TestParity:
  @hypothesis.given(
    n_samples=st.integers(1, 30),
    n_classes=st.integers(1, 5),
    n_context_ids=st.integers(1, 6),
    seed=st.integers(0, 2**32 - 1),
  )
  def test_labels_without_noise(
    self, n_samples, n_classes, n_context_ids, seed
  ):
    data, labels = datasets.noisy_parity_class(
      n_samples, n_classes, n_context_ids, 0, seed
    )
    assert data.shape == (n_samples, n_context_ids)
    assert set(data.ravel()) <= set(range(n_classes))
    np.testing.assert_array_equal(labels, data.sum(axis=1) % n_classes)

  def test_share_of_noise(self):
    data, labels = datasets.noisy_parity_class(20000, 3, random_seed=1)
    shift = (labels - data.sum(axis=1)) % 3
    assert set(shift) == {0, 1}
    assert shift.mean() == pytest.approx(0.25, abs=0.02)


class TestSeeds:
  @pytest.mark.parametrize("generate", GENERATORS.values(), ids=GENERATORS)
  def test_without_seed(self, generate):
    before = np.random.get_state()[1].copy()
    first, second = generate(None), generate(None)
    assert not np.array_equal(first.data, second.data)
    np.testing.assert_array_equal(np.random.get_state()[1], before)

  @pytest.mark.parametrize("generate", GENERATORS.values(), ids=GENERATORS)
  def test_bad_seed(self, generate):
    with pytest.raises(ValueError, match="random_seed must be from 0"):
      generate(-1)

  @pytest.mark.parametrize(
    "name", ["random_binary", "random_symmetric", "random_mlp"]
  )
  def test_original_stream(self, name):
    """A seed was drawn from the global generator, which it then reseeded."""
    stream = generators.OriginalStream(42)
    generate = GENERATORS[name]
    for _ in range(2):
      before = np.random.RandomState()
      before.set_state(stream.random_state.get_state())
      seed = int(before.randint(generators.MAX_SEED))
      dataset = generate(stream)
      np.testing.assert_array_equal(dataset.data, generate(seed).data)
      np.testing.assert_array_equal(dataset.labels, generate(seed).labels)
    # The first draw after seed 42, which the specification gives.
    stream = generators.OriginalStream(42)
    np.testing.assert_array_equal(
      generate(stream).data, generate(1608637542).data
    )

  def test_original_stream_of_scikit_learn(self):
    """Without a seed it drew from the global generator itself."""
    stream = generators.OriginalStream(123)
    dataset = datasets.random(10, 1000, sep=2.0, random_seed=stream)
    expected = datasets.random(10, 1000, sep=2.0, random_seed=123)
    np.testing.assert_array_equal(dataset.data, expected.data)
    np.testing.assert_array_equal(dataset.labels, expected.labels)


class TestBadArguments:
  @pytest.mark.parametrize(
    ("generate", "message"),
    [
      (
        lambda: datasets.noisy_parity_class(0),
        "n_samples must be a positive integer, got 0",
      ),
      (
        lambda: datasets.noisy_parity_class(5, n_context_ids=0),
        "n_context_ids must be a positive integer, got 0",
      ),
      (
        lambda: datasets.noisy_parity_class(5, noise_prob=1.5),
        "noise_prob must be from 0 to 1, got 1.5",
      ),
      (
        lambda: datasets.random(4, 20, n_classes=0),
        "n_classes must be a positive integer, got 0",
      ),
      (
        lambda: datasets.random(2, 20, n_classes=4),
        "n_classes",
      ),
      (
        lambda: datasets.random_binary(-4, 20),
        "n_features must be a positive integer, got -4",
      ),
      (
        lambda: datasets.random_binary("4", 20),
        "n_features must be a positive integer, got '4'",
      ),
      (
        lambda: datasets.random_binary(4, 2.5),
        "n_samples must be a positive integer, got 2.5",
      ),
      (
        lambda: datasets.random_symmetric(4, 7),
        "n_samples must be even, got 7",
      ),
      (
        lambda: datasets.random_mlp(4, 20, n_layers=0),
        "n_layers must be a positive integer, got 0",
      ),
    ],
  )
  def test_message(self, generate, message):
    with pytest.raises(ValueError, match=message):
      generate()

"""How long to unroll."""

import numpy as np
import pytest

from learned_optimizer import packaged_data
from learned_optimizer.metaopt import sample_numiter, schedule, sigmoid_weights


def test_numbers_of_iterations_are_exponential_plus_a_minimum():
  generator, same = (np.random.default_rng(4) for _ in range(2))
  drawn = [sample_numiter(40, 5, generator) for _ in range(2000)]
  expected = [int(np.round(same.exponential(40)) + 5) for _ in drawn]
  assert drawn == expected
  assert min(drawn) >= 5
  assert all(isinstance(number, int) for number in drawn)
  assert np.mean(drawn) == pytest.approx(45, rel=0.1)
  assert {sample_numiter(0, 7, generator) for _ in range(9)} == {7}


def test_lengths_and_weights_of_the_original():
  """The same stream gives the same lengths, one distribution after another."""
  stream = np.random.RandomState(9)
  with np.load(packaged_data.path("tests/golden/problems.npz")) as golden:
    for scale, minimum in (40, 1), (200, 50):
      drawn = [sample_numiter(scale, minimum, stream) for _ in range(20)]
      key = f"sample_numiter_seed9_scale{scale}_min{minimum}"
      assert drawn == golden[key].tolist()
    weights = sigmoid_weights(30)
    np.testing.assert_allclose(
      weights, golden["sigmoid_weights_30"], rtol=1e-12
    )


def test_spans_follow_each_other():
  assert schedule.spans([3, 1, 4]) == [(0, 3), (3, 1), (4, 4)]
  assert schedule.spans([5]) == [(0, 5)]


def test_compiling_pays_for_long_runs_only():
  steps = schedule.mean_steps(lambda g: 10, lambda g: 20)
  assert steps == 10 * 20
  assert not schedule.pays_to_compile(15 * steps)
  assert schedule.pays_to_compile(150 * steps)

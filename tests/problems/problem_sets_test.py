"""Tests of the problem sets, and of the specs they consist of."""

import math

import numpy as np
import pytest
import tensorflow as tf

from learned_optimizer.problems import problem_generator as pg
from learned_optimizer.problems import problem_sets
from learned_optimizer.problems.problem_spec import Spec

SIZES = {
  "quadratic": 4,
  "noisy_quadratic": 4,
  "large_quadratic": 3,
  "softmax_2_class": 4,
  "noisy_softmax_2_class": 4,
  "fully_connected_random_2_class": 12,
  "digits_mlp": 1,
}


def parameter_counts(entries):
  return [
    sum(math.prod(shape) for shape in spec.build().param_shapes)
    for spec, _, _ in entries
  ]


class TestSpec:
  def test_builds_a_new_instance_each_time(self):
    spec = Spec(pg.Quadratic, [3], {"noise_stdev": 0.5})
    first, second = spec.build(), spec.build()
    assert first.param_shapes == second.param_shapes == [(3, 1)]
    assert first.noise_stdev == 0.5
    assert first.random_seed != second.random_seed

  @pytest.mark.parametrize(
    ("spec", "expected"),
    [
      (Spec(pg.Quadratic, (3,), {}), 7),
      (Spec(pg.Quadratic, (3,), {"random_seed": None}), 7),
      (Spec(pg.Quadratic, (3,), {"random_seed": 1}), 1),
      (Spec(pg.Quadratic, (3, 1), {}), 1),
      (Spec(pg.Quadratic, (3,), {"random_seed": 0}), 0),
    ],
  )
  def test_random_seed(self, spec, expected):
    assert spec.build(random_seed=7).random_seed == expected

  def test_callable_without_seed(self):
    assert Spec(lambda a, b: a + b, (1,), {"b": 2}).build(random_seed=7) == 3

  def test_kwargs_are_not_modified(self):
    spec = Spec(pg.Quadratic, (3,), {})
    spec.build(random_seed=7)
    assert spec.kwargs == {}


class TestSets:
  @pytest.mark.parametrize("name", SIZES)
  def test_entries(self, name):
    entries = problem_sets.PROBLEM_SETS[name].function(random_seed=3)
    assert len(entries) == SIZES[name]
    for spec, dataset, batch_size in entries:
      problem = spec.build(random_seed=5)
      if dataset is None:
        assert batch_size is None
        data, labels = None, None
      else:
        assert dataset.data.dtype == np.float32
        assert dataset.labels.dtype == np.int32
        (rows,) = dataset.batch_indices(1, batch_size, np.random.default_rng(1))
        assert len(rows) == batch_size
        data, labels = dataset.data[rows], dataset.labels[rows]
      with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        parameters = problem.init_tensors(seed=6)
        objective = problem.objective(parameters, data, labels)
        gradients = problem.gradients(objective, parameters)
        values = session.run([objective, *gradients])
      assert values[0] > 0
      assert all(np.isfinite(value).all() for value in values)

  def test_quadratics(self):
    sets = problem_sets
    assert parameter_counts(sets.quadratic_problems()) == [20, 25, 50, 100]
    assert parameter_counts(sets.quadratic_problems_large()) == [
      784,
      1024,
      2048,
    ]
    noisy = [s.build() for s, _, _ in sets.quadratic_problems_noisy()]
    assert [p.param_shapes[0][0] for p in noisy] == [20, 25, 50, 100]
    assert [p.noise_stdev for p in noisy] == [0.5, 0, 1, 2]
    for entries in sets.quadratic_problems(), sets.quadratic_problems_large():
      assert all(s.build().noise_stdev == 0 for s, _, _ in entries)

  @pytest.mark.parametrize(
    ("function", "noise"),
    [
      (problem_sets.softmax_2_class_problems, [0, 0, 0, 0]),
      (problem_sets.softmax_2_class_problems_noisy, [0.5, 0.1, 0.1, 0.5]),
    ],
  )
  def test_softmax(self, function, noise):
    entries = function()
    problems = [spec.build() for spec, _, _ in entries]
    assert [p.noise_stdev for p in problems] == noise
    assert [p.l2_reg_scale for p in problems] == [1e-3] * 4
    assert [batch_size for _, _, batch_size in entries] == [100, 50, 20, 100]
    shapes = [dataset.data.shape for _, dataset, _ in entries]
    assert shapes == [(1000, f) for f in (10, 100, 200, 256)]
    sums = [dataset.labels.sum() for _, dataset, _ in entries]
    assert sums == [500, 501, 502, 497]

  def test_fully_connected(self):
    entries = problem_sets.fully_connected_random_2_class_problems(1)
    assert parameter_counts(entries) == [
      *(129, 175, 94, 123, 98, 121),
      *(2530, 379, 282, 434, 386, 2498),
    ]
    assert [batch_size for _, _, batch_size in entries] == [
      *(10, 200, 100, 64, 128, 16),
      *(10, 200, 100, 64, 128, 16),
    ]
    repeated = problem_sets.fully_connected_random_2_class_problems(1)
    other = problem_sets.fully_connected_random_2_class_problems(2)
    fresh = problem_sets.fully_connected_random_2_class_problems()
    for (_, first, _), (_, second, _) in zip(entries, repeated, strict=True):
      np.testing.assert_array_equal(first.data, second.data)
      np.testing.assert_array_equal(first.labels, second.labels)
    for different in other, fresh:
      for (_, first, _), (_, second, _) in zip(entries, different, strict=True):
        assert not np.array_equal(first.data, second.data)
    first_values = {dataset.data[0, 0] for _, dataset, _ in entries}
    assert len(first_values) == len(entries)

  def test_digits_mlp(self):
    ((spec, dataset, batch_size),) = problem_sets.digits_mlp_problems()
    problem = spec.build()
    assert problem.param_shapes == [(64, 20), (20,), (20, 10), (10,)]
    assert problem.activation is tf.nn.sigmoid
    assert problem.l2_reg_scale == 0
    assert (dataset.size, batch_size) == (1438, 128)


class TestSelection:
  def test_registry(self):
    sets = problem_sets.PROBLEM_SETS
    assert list(sets) == list(SIZES)
    assert [name for name, entry in sets.items() if not entry.default] == [
      "quadratic",
      "digits_mlp",
    ]

  def test_select(self):
    names = ["fully_connected_random_2_class", "quadratic"]
    entries = problem_sets.select(names, random_seed=3)
    assert len(entries) == 12 + 4
    assert entries[0][0].callable is pg.FullyConnected
    assert entries[-1][0] == problem_sets.quadratic_problems()[-1][0]
    alone = problem_sets.fully_connected_random_2_class_problems(3)
    np.testing.assert_array_equal(entries[5][1].data, alone[5][1].data)

  def test_bad_selection(self):
    with pytest.raises(
      ValueError, match=r"unknown problem set 'bowls'.*quadratic, noisy_quad"
    ):
      problem_sets.select(["quadratic", "bowls"])
    with pytest.raises(
      ValueError, match=r"no problem set is selected.*quadratic, noisy_quad"
    ):
      problem_sets.select([])

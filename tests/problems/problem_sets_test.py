"""Tests of the problem sets, and of the specs they consist of."""

import math

import numpy as np
import pytest
import tensorflow as tf

from learned_optimizer import generators
from learned_optimizer.problems import problem_generator as pg
from learned_optimizer.problems import problem_sets
from learned_optimizer.problems.datasets import ImageSource
from learned_optimizer.problems.problem_spec import Spec

DIGITS = ImageSource(embedded_digits=True)

# Numbers of problems.
TRAINING_SIZES = {
  "sparse_softmax": 1,
  "mnist_conv": 1,
  "cifar10_conv": 1,
  "mnist_mlp": 1,
  "one_hot_sparse_softmax": 1,
  "quadratic": 4,
  "noisy_quadratic": 4,
  "large_quadratic": 3,
  "bowl": 4,
  "noisy_bowl": 4,
  "softmax_2_class": 4,
  "noisy_softmax_2_class": 4,
  "optimization_test": 9,
  "noisy_optimization_test": 9,
  "fully_connected_random_2_class": 12,
  "matmul": 10,
  "log_objective": 6,
  "rescale": 9,
  "norm": 3,
  "noisy_norm": 3,
  "sum": 6,
  "noisy_sum": 2,
  "sparse_gradient": 6,
  "min_max_well": 5,
  "sum_of_quadratics": 10,
  "projection_quadratic": 10,
  "outward_snake": 10,
  "dependency_chain": 10,
  "lasso": 1,
  "rastrigin": 1,
  "digits_mlp": 1,
  "simple": 1,
  "simple_multi": 1,
  "batched_quadratic": 1,
  "batched_lasso": 1,
  "square_cos": 1,
  "batched_rastrigin": 1,
  "mnist_conv_bn": 1,
  "cifar10_conv_bn": 1,
  "cifar10_nas": 1,
  "cifar10_lenet": 1,
}
TEST_SETS = [
  "mnist_mlp",
  "mnist_mlp_relu",
  "mnist_mlp_deeper",
  "mnist_conv",
  "mnist_conv_orig",
  "cifar10_conv",
  "mnist_conv_bn",
  "cifar10_conv_bn",
  "cifar10_nas",
  "cifar10_lenet",
]
# Parameters of each problem, where the specification of a set gives them.
NUM_PARAMETERS = {
  "quadratic": [20, 25, 50, 100],
  "noisy_quadratic": [20, 25, 50, 100],
  "large_quadratic": [784, 1024, 2048],
  "bowl": [2] * 4,
  "softmax_2_class": [22, 202, 402, 514],
  "optimization_test": [2] * 9,
  "fully_connected_random_2_class": [
    *(129, 175, 94, 123, 98, 121, 2530, 379, 282, 434, 386, 2498),
  ],
  "matmul": [
    *(2 * 4 * k for k in range(5, 9)),
    *(2 * 9 * k for k in range(19, 25)),
  ],
  "rescale": [18, 18, 18, 18, 18, 20, 25, 50, 100],
  "norm": [27, 25, 22],
  "noisy_norm": [19, 26, 23],
  "sum": [60, 45, 18, 36, 14, 6],
  "noisy_sum": [60, 36],
  "min_max_well": [20, 12, 56, 64, 13],
  "dependency_chain": [21, 13, 57, 65, 14, 21, 13, 57, 65, 14],
  "outward_snake": [20, 12, 56, 64, 13, 20, 12, 56, 64, 13],
  "mnist_conv": [64418],
  "cifar10_conv": [170714],
  "mnist_mlp": [15910],
  "digits_mlp": [1510],
  "simple": [1],
  "simple_multi": [2],
  "batched_quadratic": [1280],
  "batched_lasso": [256],
  "square_cos": [256],
  "batched_rastrigin": [256],
  "mnist_conv_bn": [18122],
  "cifar10_conv_bn": [13610],
  "cifar10_nas": [7578],
  "cifar10_lenet": [62006],
}
TEST_NUM_PARAMETERS = [
  *(15910, 15910, 16330, 18122, 64402, 13610, 18122, 13610, 7578, 62006),
]


def select(names, random_seed=1, sets=problem_sets.TRAINING_SETS):
  return problem_sets.select(sets, names, random_seed, DIGITS)


def sizes_of_data(entries):
  return [
    (*e.dataset.data.shape[::-1], e.batch_size) for e in entries if e.dataset
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
  def test_names(self):
    assert list(problem_sets.TRAINING_SETS) == list(TRAINING_SIZES)
    assert list(problem_sets.EVALUATION_SETS)[:10] == TEST_SETS

  @pytest.mark.parametrize("name", TRAINING_SIZES)
  def test_number_of_problems(self, name):
    entries = select([name])
    assert len(entries) == TRAINING_SIZES[name]
    problems = [entry.spec.build(random_seed=5) for entry in entries]
    if name in NUM_PARAMETERS:
      assert [p.num_params for p in problems] == NUM_PARAMETERS[name]
    for entry in entries:
      if entry.dataset is None:
        assert entry.batch_size is None
      else:
        assert entry.dataset.data.dtype == np.float32
        assert entry.dataset.labels.dtype == np.int32
        assert entry.dataset.size == len(entry.dataset.labels)

  def test_default_corpus(self):
    entries = select(problem_sets.DEFAULT_SETS)
    assert len(entries) == 101
    perceptrons = [
      e.spec.args[0].callable
      for e in entries
      if e.spec.callable is pg.SparseProblem and e.dataset
    ]
    assert perceptrons == [pg.FullyConnected] * 3
    # They follow the other problems with sparse gradients, which come last.
    assert [e.spec.callable for e in entries[-9:]] == [pg.SparseProblem] * 9

  def test_test_sets(self):
    entries = select(TEST_SETS, sets=problem_sets.EVALUATION_SETS)
    counts = [e.spec.build().num_params for e in entries]
    assert counts == TEST_NUM_PARAMETERS
    assert [e.batch_size for e in entries] == [
      *(128, 128, 128, 128, 64, 128, 128, 128, 128, 128),
    ]
    assert {e.dataset.size for e in entries} == {359}

  def test_images_for_training(self):
    names = ["mnist_conv", "cifar10_conv", "mnist_mlp"]
    names += ["mnist_conv_bn", "cifar10_conv_bn", "cifar10_nas"]
    entries = select([*names, "cifar10_lenet"])
    assert [e.batch_size for e in entries] == [64, 64, 128, 128, 128, 128, 128]
    mnist, cifar10 = (1438, 28, 28, 1), (1438, 32, 32, 3)
    assert [e.dataset.data.shape for e in entries] == [
      *(mnist, cifar10, mnist, mnist, cifar10, cifar10, cifar10),
    ]

  def test_noise(self):
    def noises(name):
      return [e.spec.build().noise_stdev for e in select([name])]

    assert noises("noisy_quadratic") == [0.5, 0, 1, 2]
    assert noises("noisy_bowl") == [0.1] * 4
    assert noises("noisy_softmax_2_class") == [0.5, 0.1, 0.1, 0.5]
    assert noises("noisy_optimization_test") == [1] * 9
    assert noises("noisy_norm") == [0.1] * 3
    for name in (
      *("quadratic", "bowl", "softmax_2_class", "optimization_test", "norm"),
      # A sum ignores the noise of what it sums.
      "noisy_sum",
    ):
      assert set(noises(name)) == {0}

  def test_softmax_data(self):
    entries = select(["softmax_2_class"])
    assert sizes_of_data(entries) == [
      *((10, 1000, 100), (100, 1000, 50), (200, 1000, 20), (256, 1000, 100)),
    ]
    sums = [entry.dataset.labels.sum() for entry in entries]
    assert sums == [500, 501, 502, 497]

  def test_parity_data(self):
    (entry,) = select(["sparse_softmax"])
    assert sizes_of_data([entry]) == [(5, 5, 23)]
    assert entry.dataset.labels.tolist() == [1, 0, 1, 1, 1]

  def test_data_of_functions(self):
    binary = [
      *((20, 1000, 100), (12, 200, 10), (56, 5000, 100), (64, 1000, 50)),
      *((13, 10000, 50), (20, 1000, 128), (12, 300, 16), (56, 5000, 128)),
      *((64, 1000, 64), (13, 10000, 32)),
    ]
    symmetric = list(binary)
    symmetric[1], symmetric[6] = (12, 100, 10), (12, 100, 16)
    assert sizes_of_data(select(["dependency_chain"])) == binary
    assert sizes_of_data(select(["outward_snake"])) == binary
    assert sizes_of_data(select(["sum_of_quadratics"])) == symmetric
    assert sizes_of_data(select(["projection_quadratic"])) == symmetric

  @pytest.mark.parametrize(
    "name", ["fully_connected_random_2_class", "outward_snake"]
  )
  def test_seed_fixes_generated_data(self, name):
    entries, repeated = select([name], 1), select(["bowl", name], 1)[4:]
    for (_, first, _), (_, second, _) in zip(entries, repeated, strict=True):
      np.testing.assert_array_equal(first.data, second.data)
      np.testing.assert_array_equal(first.labels, second.labels)
    for different in select([name], 2), select([name], None):
      for (_, first, _), (_, second, _) in zip(entries, different, strict=True):
        assert not np.array_equal(first.data, second.data)
    sums = {float(entry.dataset.data.sum()) for entry in entries}
    assert len(sums) == len(entries)

  def test_sets_have_data_of_their_own(self):
    for pair in (
      ("fully_connected_random_2_class", "sparse_gradient"),
      ("dependency_chain", "outward_snake"),
      ("sum_of_quadratics", "projection_quadratic"),
    ):
      entries = select(pair)
      sums = [float(np.sum(e.dataset.data**2)) for e in entries if e.dataset]
      assert len(set(sums)) == len(sums)

  def test_data_of_the_original_stream(self):
    stream = generators.OriginalStream(9)
    entries = problem_sets.dependency_chain_problems(stream)
    expected = np.random.RandomState(9)
    for (_, data, _), ndim, rows in zip(
      entries, (20, 12, 56), (1000, 200, 5000), strict=False
    ):
      expected.seed(expected.randint(generators.MAX_SEED))
      np.testing.assert_array_equal(
        data.data, expected.randint(2, size=(rows, ndim))
      )

  def test_l2_reg_scale(self):
    names = ["softmax_2_class", "fully_connected_random_2_class"]
    entries = problem_sets.select(
      problem_sets.TRAINING_SETS,
      [*names, "sparse_gradient", "digits_mlp"],
      l2_reg_scale=0.25,
    )
    specs = [e.spec for e in entries if e.dataset]
    specs = [s.args[0] if s.callable is pg.SparseProblem else s for s in specs]
    scales = [spec.build().l2_reg_scale for spec in specs]
    assert scales == [0.25] * (4 + 12 + 3) + [0]

  def test_adapted_rosenbrock(self):
    (local,) = problem_sets.adapter_rosenbrock_local()
    (worker,) = problem_sets.adapter_rosenbrock_worker()
    assert worker.spec.kwargs == {"device": "/job:worker"}
    for entry in local, worker:
      assert entry.spec.build().num_params == 2

  def test_rows_of_the_sums(self):
    sums = [e.spec.build(1) for e in problem_sets.sum_problems()]
    shapes = [[math.prod(s) for s in problem.param_shapes] for problem in sums]
    assert shapes[0] == [11, 3, 9, 7, 5, 13, 12]
    assert shapes[1] == [18, 25, 2]
    assert shapes[3] == [2] * 9 + [5, 13]


class TestNamedProblems:
  def test_problems(self):
    problems = problem_sets.test_problems(3, DIGITS)
    names = [problem.name for problem in problems]
    assert names == [
      *("quad_problem", "quad_problem_noise", "rosenbrock"),
      *("rosenbrock_noise", "softmax", "softmax_noise", "mlp_small"),
      *("mlp_large", "mlp_mnist_sigmoid", "mlp_mnist_relu"),
      *("convnet_mnist_sigmoid", "convnet_mnist_relu"),
    ]
    for entry in problems:
      problem = entry.spec.build()
      with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        if isinstance(entry.init, list):
          parameters = problem.init_fixed_variables(entry.init)
        else:
          parameters = problem.init_variables(entry.init)
        data = labels = None
        if entry.dataset is not None:
          data, labels = (x[: entry.batch_size] for x in entry.dataset)
        objective = problem.objective(parameters, data, labels)
        session.run(tf.compat.v1.global_variables_initializer())
        value = session.run(objective)
      assert np.isfinite(value)
      if entry.name == "quad_problem":
        np.testing.assert_allclose(value, 172.46321, rtol=1e-5)


class TestSelection:
  def test_select(self):
    names = ["fully_connected_random_2_class", "quadratic"]
    entries = select(names, 3)
    assert len(entries) == 12 + 4
    assert entries[0].spec.callable is pg.FullyConnected
    assert entries[-1] == problem_sets.quadratic_problems()[-1]

  def test_names(self):
    names = ["mnist_mlp", "quadratic", "sparse_gradient"]
    names += ["fully_connected_random_2_class"]
    by_name = problem_sets.select_by_name(
      problem_sets.TRAINING_SETS, names, 3, DIGITS
    )
    assert [*by_name] == [
      "mnist_mlp",
      *(f"quadratic-{i}" for i in range(4)),
      *(f"sparse_gradient-{i}" for i in range(9)),
      *(f"fully_connected_random_2_class-{i}" for i in range(12)),
    ]
    assert by_name["quadratic-3"] == problem_sets.quadratic_problems()[3]
    assert len(by_name) == len(select(names, 3))

  def test_bad_selection(self):
    with pytest.raises(
      ValueError, match=r"unknown problem set 'bowls'.*quadratic, noisy_quad"
    ):
      select(["quadratic", "bowls"])
    with pytest.raises(
      ValueError, match=r"no problem set is selected.*quadratic, noisy_quad"
    ):
      select([])

  def test_images_that_are_not_there(self, tmp_path):
    source = ImageSource(data_dir=str(tmp_path))
    with pytest.raises(ValueError, match="--data_dir"):
      problem_sets.select(
        problem_sets.TRAINING_SETS, ["mnist_mlp"], images=source
      )

"""The problems that contract tests run on, and what the tests share."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf

from learned_optimizer.problems import (
  keras_adapter,
  model_adapter,
  problem_spec,
)
from learned_optimizer.problems import problem_generator as pg
from tests.problems import adapted_models

# The first values of the N(0, 1) stream of an op seed, drawn by the original.
STREAMS = {
  6: (0.65751404, 0.67078364, 0.36795083, 0.2955586, -0.667974, -2.2784853),
  12: (-0.43663138, 0.8449775, -0.01180986, -0.8844008),
  18: (-0.29095292, 0.335445, -0.4498436, -0.11069998),
  24: (-1.1442853, -0.63032407, 0.26572636, -0.598623),
  30: (-0.38616714, 0.08485429, -2.7621093, -0.141348),
  5678: (0.06985295, -0.7493666, -0.17464796, -0.038110107),
}


@dataclasses.dataclass(frozen=True)
class Case:
  """A kind of problem: how to build it, and the data it is given.

  Attributes:
    name: a name for the reader.
    build: builds the problem; takes its `random_seed` and, where it has one,
      its `noise_stdev` by keyword.
    features: number of features of the data, or the shape of an example; 0
      without data.
    classes: number of classes of the labels.
    learning_rate: of gradient descent that stays near where it starts.
    tokens: number of values of the data if it is made of tokens.
    starts_normal: whether every initial tensor is normal, up to a factor.
    has_plain_noise: whether noise_stdev is an argument of build, and all that
      is random in gradients is what it stands for.
    fixed_starts: the indices of tensors that always start from the same values.
    without_influence: the indices of tensors whose gradient is exactly zero.
  """

  name: str
  build: Callable[..., pg.Problem]
  features: int | tuple[int, ...] = 0
  classes: int = 1
  learning_rate: float = 0.1
  tokens: int = 0
  starts_normal: bool = True
  has_plain_noise: bool = True
  fixed_starts: tuple[int, ...] = ()
  without_influence: tuple[int, ...] = ()

  def batch(self, size=6):
    """Data and labels, or Nones."""
    if not self.features:
      return None, None
    random_state = np.random.RandomState(5)
    shape = (size, *np.atleast_1d(self.features))
    if self.tokens:
      data = random_state.randint(self.tokens, size=shape)
    else:
      data = random_state.randn(*shape)
    data = data.astype(np.float32)
    labels = random_state.randint(self.classes, size=size).astype(np.int32)
    return data, labels


def spec(build, *args, **kwargs):
  return problem_spec.Spec(build, args, kwargs)


CASES = [
  Case("quadratic", lambda **k: pg.Quadratic(5, **k)),
  Case("norm", lambda **k: pg.Norm(4, norm_power=2.5, **k)),
  Case("norm_1", lambda **k: pg.Norm(4, norm_power=1.0, **k)),
  Case("lasso", lambda **k: pg.Lasso(4, 0.5, **k)),
  Case("rastrigin", lambda **k: pg.Rastrigin(3, **k), learning_rate=1e-3),
  Case(
    "isotropic",
    lambda random_seed=None, noise_stdev=0: pg.IsotropicQuadratic(
      [(3, 2), (4,)], random_seed, noise_stdev
    ),
  ),
  Case("bowl", lambda **k: pg.Bowl(5, 0.5, **k)),
  Case("saddle", pg.Saddle),
  Case("log_sum_exp", pg.LogSumExp),
  *(
    Case(build.__name__.lower(), build, learning_rate=rate, starts_normal=False)
    for build, rate in (
      (pg.Rosenbrock, 1e-4),
      (pg.Ackley, 0.1),
      (pg.Beale, 1e-6),
      (pg.Booth, 0.01),
      (pg.StyblinskiTang, 1e-3),
      (pg.Matyas, 0.1),
      (pg.Branin, 0.01),
      (pg.Michalewicz, 0.01),
    )
  ),
  Case(
    "dependency_chain",
    lambda **k: pg.DependencyChain(4, **k),
    learning_rate=1e-3,
  ),
  Case("min_max_well", lambda **k: pg.MinMaxWell(4, **k), learning_rate=1e-4),
  Case(
    "outward_snake",
    lambda **k: pg.OutwardSnake(4, **k),
    4,
    learning_rate=1e-3,
  ),
  Case(
    "projection_quadratic",
    lambda **k: pg.ProjectionQuadratic(4, **k),
    4,
    learning_rate=0.01,
  ),
  Case(
    "sum_of_quadratics",
    lambda **k: pg.SumOfQuadratics(4, **k),
    4,
    learning_rate=0.01,
  ),
  Case(
    "matmul",
    lambda **k: pg.MatMulAlgorithm(2, 5, **k),
    learning_rate=0.01,
    starts_normal=False,
    has_plain_noise=False,
  ),
  Case("rescale", lambda **k: pg.Rescale(spec(pg.Quadratic, 4), 3.0, **k)),
  Case(
    "sum",
    lambda **k: pg.SumTask(
      [
        spec(pg.Norm, 3, norm_power=3.0),
        spec(pg.Rescale, spec(pg.Quadratic, 2), 0.5),
        spec(pg.Bowl, 5.0),
      ],
      **k,
    ),
    learning_rate=0.01,
  ),
  Case(
    "log",
    lambda **k: pg.LogObjective(spec(pg.SoftmaxRegression, 4, 2), **k),
    4,
    2,
    has_plain_noise=False,
  ),
  Case(
    "sparse",
    lambda **k: pg.SparseProblem(
      spec(pg.SoftmaxRegression, 4, 3), zero_probability=0.0, **k
    ),
    4,
    2,
    has_plain_noise=False,
  ),
  Case(
    "model_adapter",
    lambda **k: model_adapter.ModelAdapter(
      adapted_models.make_least_squares, **k
    ),
    starts_normal=False,
  ),
  Case(
    "keras_dense",
    lambda **k: keras_adapter.KerasProblem(
      adapted_models.make_dense, adapted_models.cross_entropy, **k
    ),
    4,
    3,
    starts_normal=False,
  ),
  Case(
    "keras_convolutional",
    lambda **k: keras_adapter.KerasProblem(
      adapted_models.make_convolutional,
      "sparse_categorical_crossentropy",
      training=True,
      **k,
    ),
    16,
    3,
    starts_normal=False,
  ),
  Case("softmax", lambda **k: pg.SoftmaxRegression(4, 2, **k), 4, 2),
  Case(
    "softmax_training",
    lambda **k: pg.SoftmaxRegression(4, 3, variant="training", **k),
    4,
    3,
  ),
  Case(
    "fully_connected", lambda **k: pg.FullyConnected(4, 2, (3, 2), **k), 4, 2
  ),
  Case(
    "fully_connected_evaluation",
    lambda **k: pg.FullyConnected(4, 10, (3,), variant="evaluation", **k),
    4,
    10,
  ),
  *(
    Case(name, lambda build=build, **k: build(5, 3, **k), 4, 3, tokens=3)
    for name, build in (
      ("sparse_softmax", pg.SparseSoftmaxRegression),
      ("one_hot_sparse_softmax", pg.OneHotSparseSoftmaxRegression),
    )
  ),
  Case(
    "conv",
    lambda **k: pg.ConvNet(
      (2, 4, 3), 2, ((3, 3, 2), (2, 2, 3)), tf.nn.sigmoid, **k
    ),
    (4, 3, 2),
    2,
  ),
  Case(
    "conv_training",
    lambda **k: pg.TrainingConvNet(
      (2, 4, 3), 3, ((3, 3, 2),), tf.nn.sigmoid, **k
    ),
    (4, 3, 2),
    3,
  ),
  Case(
    "conv_evaluation",
    lambda **k: pg.EvaluationConvNet(
      (2, 9, 8), 3, ((3, 2, 2, 2),), tf.nn.sigmoid, affine_size=8, **k
    ),
    (9, 8, 2),
    3,
  ),
  Case("simple", lambda **k: pg.Simple(2, **k), fixed_starts=(0, 1)),
  *(
    Case(
      build.__name__.lower(),
      lambda build=build, **k: build(2, 3, **k),
      learning_rate=rate,
    )
    for build, rate in (
      (pg.BatchedQuadratic, 0.1),
      (pg.BatchedLasso, 0.1),
      (pg.SquareCos, 1e-3),
      (pg.BatchedRastrigin, 1e-3),
    )
  ),
  Case(
    "conv_normalised",
    lambda **k: pg.NormalisedConvNet((2, 9, 8), 3, ((3, 2, 2),), 2, **k),
    (9, 8, 2),
    3,
    fixed_starts=(1, 3),
    without_influence=(1,),
  ),
  Case(
    "searched_cell",
    lambda **k: pg.SearchedCell((2, 4, 3), 3, 2, **k),
    (4, 3, 2),
    3,
    learning_rate=1e-4,
    fixed_starts=(1, 3, 5, 7, 9),
    without_influence=(1, 3, 5, 7),
  ),
  Case(
    "le_net",
    lambda **k: pg.LeNet((1, 8, 7), 3, (2,), (3,), **k),
    (8, 7, 1),
    3,
    fixed_starts=(1, 3, 5),
    without_influence=(1, 3),
  ),
]


def each(cases):
  return pytest.mark.parametrize("case", cases, ids=lambda case: case.name)


each_case = each(CASES)
each_normal_case = each([case for case in CASES if case.starts_normal])
each_noisy_case = each([case for case in CASES if case.has_plain_noise])


def evaluate(build):
  """Returns the values of what build() makes in a graph of its own."""
  with tf.Graph().as_default(), tf.compat.v1.Session() as session:
    made = build()
    session.run(tf.compat.v1.global_variables_initializer())
    return session.run(made)


def objective_and_gradients(problem, parameters, data=None, labels=None):
  """Returns the objective and its gradients as numpy values."""

  def build():
    tensors = [tf.constant(p) for p in parameters]
    objective = problem.objective(tensors, data, labels)
    return objective, problem.gradients(objective, tensors)

  return evaluate(build)


def parameters_of(problem, seed=3):
  return problem.initial_parameters(np.random.default_rng(seed))


def norms(arrays):
  return [np.linalg.norm(a) for a in arrays]

"""Twelve problems with names and initial parameters, to compare results on."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from learned_optimizer import generators
from learned_optimizer.problems import datasets
from learned_optimizer.problems import problem_generator as pg
from learned_optimizer.problems.datasets import Dataset, ImageSource
from learned_optimizer.problems.problem_spec import Spec

_SEED = 1234
_INIT_SEED = 5678


class NamedProblem(NamedTuple):
  """A problem, what it is trained on, and where it starts.

  Attributes:
    spec: builds the problem.
    dataset: its data; None where it needs none.
    batch_size: rows per batch; None without data.
    name: its name.
    init: what its parameters start from: a seed for `Problem.init_variables`,
      arrays for `Problem.init_fixed_variables`, or None for unseeded ones.
  """

  spec: Spec
  dataset: Dataset | None
  batch_size: int | None
  name: str
  init: int | list[np.ndarray] | None


def test_problems(
  random_seed: generators.Seed = None, images: ImageSource = ImageSource()
) -> list[NamedProblem]:
  """A quadratic, Rosenbrock's function, and classifiers.

  The original's own function of this name raised an error.

  Args:
    random_seed: seed of the arrays that perceptrons start from; None for
      others every time.
    images: where MNIST comes from.
  """
  _, random_state = generators.seeded(random_seed)
  clusters = datasets.random(10, 10000, random_seed=_SEED)
  many_clusters = datasets.random(20, 10000, n_classes=10, random_seed=_SEED)
  mnist = datasets.mnist(True, images)
  problems = []
  for problem_class, args, data, name in (
    (pg.Quadratic, (20,), (None, None), "quad_problem"),
    (pg.Rosenbrock, (), (None, None), "rosenbrock"),
    (pg.SoftmaxRegression, (10, 2), (clusters, 100), "softmax"),
  ):
    for noise, suffix in (({}, ""), ({"noise_stdev": 1.0}, "_noise")):
      spec = Spec(problem_class, args, {"random_seed": _SEED, **noise})
      problems.append(NamedProblem(spec, *data, name + suffix, _INIT_SEED))
  hidden = {"hidden_sizes": (64,)}
  for args, kwargs, data, name in (
    ((10, 2), {}, (clusters, 100), "mlp_small"),
    ((20, 10), {}, (many_clusters, 100), "mlp_large"),
    ((784, 10), hidden, (mnist, 64), "mlp_mnist_sigmoid"),
    (
      (784, 10),
      hidden | {"activation": tf.nn.relu},
      (mnist, 64),
      "mlp_mnist_relu",
    ),
  ):
    spec = Spec(pg.FullyConnected, args, kwargs)
    start = _perceptron_start(spec.build().param_shapes, random_state)
    problems.append(NamedProblem(spec, *data, name, start))
  filters = ((3, 3, 8), (5, 5, 8))
  for activation, name in (
    (tf.nn.sigmoid, "convnet_mnist_sigmoid"),
    (tf.nn.relu, "convnet_mnist_relu"),
  ):
    spec = Spec(
      pg.ConvNet, ((1, 28, 28), 10, filters), {"activation": activation}
    )
    problems.append(NamedProblem(spec, mnist, 64, name, None))
  return problems


def _perceptron_start(shapes, random_state) -> list[np.ndarray]:
  """Matrices N(0, 2 / inputs), biases N(0, 0.01)."""
  scales = [np.sqrt(2 / s[0]) if len(s) == 2 else 0.1 for s in shapes]
  return [
    (scale * random_state.randn(*shape)).astype(np.float32)
    for scale, shape in zip(scales, shapes, strict=True)
  ]

"""Problem sets with generated data: classifiers, and functions of data.

Each set is a function that returns entries in the order of the original code;
its name there is its name here. `random_seed` fixes data that the original
drew without a seed; None draws other data every time. `l2_reg_scale` and
`variant` are those of `SoftmaxClassifier`.
"""

import zlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from learned_optimizer import generators
from learned_optimizer.problems import datasets
from learned_optimizer.problems import problem_generator as pg
from learned_optimizer.problems.entry import Entry
from learned_optimizer.problems.problem_spec import Spec

# Features, hidden sizes and batch size.
_PERCEPTRONS = (
  (8, (8, 5), 10),
  (12, (8, 5, 3), 200),
  (5, (4, 4, 4, 4), 100),
  (11, (4, 5, 6), 64),
  (9, (8,), 128),
  (7, (8, 5), 16),
  (8, (32, 64), 10),
  (12, (16, 8, 3), 200),
  (5, (8, 8, 8, 8), 100),
  (11, (10, 12, 12), 64),
  (9, (32,), 128),
  (7, (32, 64), 16),
)
# Dimensions, rows and batch size.
_BINARY_DATA = (
  (20, 1000, 100),
  (12, 200, 10),
  (56, 5000, 100),
  (64, 1000, 50),
  (13, 10000, 50),
  (20, 1000, 128),
  (12, 300, 16),
  (56, 5000, 128),
  (64, 1000, 64),
  (13, 10000, 32),
)
_SYMMETRIC_DATA = (
  (20, 1000, 100),
  (12, 100, 10),
  (56, 5000, 100),
  (64, 1000, 50),
  (13, 10000, 50),
  (20, 1000, 128),
  (12, 100, 16),
  (56, 5000, 128),
  (64, 1000, 64),
  (13, 10000, 32),
)


def sparse_softmax_2_class_sparse_problems(
  l2_reg_scale: float | None = None, variant: str = "original"
) -> list[Entry]:
  """Classification of five rows of noisy parities by an embedding."""
  return _parity(pg.SparseSoftmaxRegression, l2_reg_scale, variant)


def one_hot_sparse_softmax_2_class_sparse_problems(
  l2_reg_scale: float | None = None, variant: str = "original"
) -> list[Entry]:
  """The same with a matrix product in place of the lookup."""
  return _parity(pg.OneHotSparseSoftmaxRegression, l2_reg_scale, variant)


def softmax_2_class_problems(
  l2_reg_scale: float | None = None, variant: str = "original"
) -> list[Entry]:
  """Linear classification of generated clusters, two classes."""
  return _softmax_regressions((0, 0, 0, 0), l2_reg_scale, variant)


def softmax_2_class_problems_noisy(
  l2_reg_scale: float | None = None, variant: str = "original"
) -> list[Entry]:
  """Linear classification of generated clusters with noisy gradients."""
  return _softmax_regressions((0.5, 0.1, 0.1, 0.5), l2_reg_scale, variant)


def fully_connected_random_2_class_problems(
  random_seed: generators.Seed = None,
  l2_reg_scale: float | None = None,
  variant: str = "original",
) -> list[Entry]:
  """Small perceptrons, learning the labels of random perceptrons."""
  return list(
    _perceptrons(
      "perceptrons", _PERCEPTRONS, random_seed, l2_reg_scale, variant
    )
  )


def sparse_gradient_problems_mlp(
  random_seed: generators.Seed = None,
  l2_reg_scale: float | None = None,
  variant: str = "original",
) -> list[Entry]:
  """Three of these perceptrons, most of whose gradients are set to zero."""
  return [
    entry._replace(spec=Spec(pg.SparseProblem, [entry.spec], {}))
    for entry in _perceptrons(
      "sparse", _PERCEPTRONS[:3], random_seed, l2_reg_scale, variant
    )
  ]


def dependency_chain_problems(
  random_seed: generators.Seed = None,
) -> list[Entry]:
  """Chains of coordinates; they ignore their data."""
  return _functions_of_data(
    pg.DependencyChain, _BINARY_DATA, datasets.random_binary, random_seed
  )


def outward_snake_problems(random_seed: generators.Seed = None) -> list[Entry]:
  """Winding valleys that lead outwards."""
  return _functions_of_data(
    pg.OutwardSnake, _BINARY_DATA, datasets.random_binary, random_seed
  )


def sum_of_quadratics_problems(
  random_seed: generators.Seed = None,
) -> list[Entry]:
  """Parabolas around each row of the data; they may become negative."""
  return _functions_of_data(
    pg.SumOfQuadratics, _SYMMETRIC_DATA, datasets.random_symmetric, random_seed
  )


def projection_quadratic_problems(
  random_seed: generators.Seed = None,
) -> list[Entry]:
  """Parabolas along each row of the data."""
  return _functions_of_data(
    pg.ProjectionQuadratic,
    _SYMMETRIC_DATA,
    datasets.random_symmetric,
    random_seed,
  )


def _parity(problem_class, l2_reg_scale, variant) -> list[Entry]:
  spec = Spec(
    problem_class, (5, 2), {"l2_reg_scale": l2_reg_scale, "variant": variant}
  )
  dataset = datasets.noisy_parity_class(5, random_seed=123)
  return [Entry(spec, dataset, 23)]


def _softmax_regressions(
  noise_stdevs: Sequence[float], l2_reg_scale: float | None, variant: str
) -> list[Entry]:
  """The four linear classification problems, with these noises."""
  settings = ((10, 2.0, 100), (100, 1.0, 50), (200, 1.5, 20), (256, 1.5, 100))
  entries = []
  for (n_features, sep, batch_size), noise_stdev in zip(
    settings, noise_stdevs, strict=True
  ):
    spec = Spec(
      pg.SoftmaxRegression,
      (n_features, 2),
      {
        "noise_stdev": noise_stdev,
        "l2_reg_scale": l2_reg_scale,
        "variant": variant,
      },
    )
    dataset = datasets.random(n_features, 1000, sep=sep, random_seed=123)
    entries.append(Entry(spec, dataset, batch_size))
  return entries


def _perceptrons(
  name, settings, random_seed, l2_reg_scale, variant
) -> Iterator[Entry]:
  seeds = _seeds(name, random_seed)
  for n_features, hidden_sizes, batch_size in settings:
    spec = Spec(
      pg.FullyConnected,
      (n_features, 2),
      {
        "hidden_sizes": hidden_sizes,
        "activation": tf.nn.sigmoid,
        "l2_reg_scale": l2_reg_scale,
        "variant": variant,
      },
    )
    dataset = datasets.random_mlp(n_features, 1000, random_seed=next(seeds))
    yield Entry(spec, dataset, batch_size)


def _functions_of_data(
  problem_class: type[pg.Problem],
  settings: Sequence[tuple[int, int, int]],
  make_data: Callable[..., datasets.Dataset],
  random_seed: generators.Seed,
) -> list[Entry]:
  seeds = _seeds(problem_class.__name__, random_seed)
  return [
    Entry(
      Spec(problem_class, (ndim,), {}),
      make_data(ndim, num_rows, random_seed=next(seeds)),
      batch_size,
    )
    for ndim, num_rows, batch_size in settings
  ]


def _seeds(
  name: str, random_seed: generators.Seed
) -> Iterator[generators.Seed]:
  """One seed for each data set of a set; other sets have other ones."""
  if isinstance(random_seed, generators.OriginalStream):
    while True:
      yield random_seed
  seed = generators.resolve_seed(random_seed)
  generator = np.random.default_rng([seed, zlib.crc32(name.encode())])
  while True:
    yield int(generator.integers(generators.MAX_SEED))

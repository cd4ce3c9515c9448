"""Sets of problems to train and to evaluate on.

Every set is a function of a seed that returns a list of tuples: the spec of a
problem, its data set and its batch size, both None for problems without data.
The seed fixes generated data sets that have no seed of their own; sets without
such data ignore it. It does not fix the problems, which are built with seeds of
their own.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from learned_optimizer import generators
from learned_optimizer.problems import (
  classifiers,
  datasets,
  problem_spec,
  quadratic,
)

Entry = tuple[problem_spec.Spec, datasets.Dataset | None, int | None]


def quadratic_problems(random_seed: int | None = None) -> list[Entry]:
  """Quadratic problems of 20 to 100 dimensions."""
  del random_seed
  return _quadratics((20, 0), (25, 0), (50, 0), (100, 0))


def quadratic_problems_noisy(random_seed: int | None = None) -> list[Entry]:
  """Quadratic problems of 20 to 100 dimensions with noisy gradients."""
  del random_seed
  return _quadratics((20, 0.5), (25, 0.0), (50, 1.0), (100, 2.0))


def quadratic_problems_large(random_seed: int | None = None) -> list[Entry]:
  """Quadratic problems of 784 to 2048 dimensions."""
  del random_seed
  return _quadratics((784, 0), (1024, 0), (2048, 0))


def softmax_2_class_problems(random_seed: int | None = None) -> list[Entry]:
  """Linear classification of generated clusters, two classes."""
  del random_seed
  return _softmax_regressions((0, 0, 0, 0))


def softmax_2_class_problems_noisy(
  random_seed: int | None = None,
) -> list[Entry]:
  """Linear classification of generated clusters with noisy gradients."""
  del random_seed
  return _softmax_regressions((0.5, 0.1, 0.1, 0.5))


def fully_connected_random_2_class_problems(
  random_seed: int | None = None,
) -> list[Entry]:
  """Small perceptrons, learning the labels of random perceptrons."""
  settings = (
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
  random_state = np.random.RandomState(generators.resolve_seed(random_seed))
  entries = []
  for n_features, hidden_sizes, batch_size in settings:
    spec = problem_spec.Spec(
      classifiers.FullyConnected,
      (n_features, 2),
      {"hidden_sizes": hidden_sizes, "activation": tf.nn.sigmoid},
    )
    data_seed = random_state.randint(generators.MAX_SEED)
    dataset = datasets.random_mlp(n_features, 1000, random_seed=data_seed)
    entries.append((spec, dataset, batch_size))
  return entries


def digits_mlp_problems(random_seed: int | None = None) -> list[Entry]:
  """A 64-20-10 perceptron on the embedded handwritten digits."""
  del random_seed
  spec = problem_spec.Spec(
    classifiers.FullyConnected,
    (64, 10),
    {
      "hidden_sizes": (20,),
      "activation": tf.nn.sigmoid,
      "l2_reg_scale": 0.0,
    },
  )
  return [(spec, datasets.digits(train=True), 128)]


class ProblemSet(NamedTuple):
  """A set that can be selected by name.

  Attributes:
    function: returns the entries, given a seed or None.
    default: whether the set is selected unless the user says otherwise.
  """

  function: Callable[[int | None], list[Entry]]
  default: bool


# In the order of the original program, which is the order of selections.
PROBLEM_SETS: Mapping[str, ProblemSet] = {
  "quadratic": ProblemSet(quadratic_problems, False),
  "noisy_quadratic": ProblemSet(quadratic_problems_noisy, True),
  "large_quadratic": ProblemSet(quadratic_problems_large, True),
  "softmax_2_class": ProblemSet(softmax_2_class_problems, True),
  "noisy_softmax_2_class": ProblemSet(softmax_2_class_problems_noisy, True),
  "fully_connected_random_2_class": ProblemSet(
    fully_connected_random_2_class_problems, True
  ),
  "digits_mlp": ProblemSet(digits_mlp_problems, False),
}


def select(names: Iterable[str], random_seed: int | None = None) -> list[Entry]:
  """Concatenates the sets of given names.

  Args:
    names: keys of `PROBLEM_SETS`, in the order wanted.
    random_seed: given to each of the sets. The content of a set thus does not
      depend on what else is selected.

  Returns:
    The entries of all sets.

  Raises:
    ValueError: there is no name, or no set of that name.
  """
  names = list(names)
  known = ", ".join(PROBLEM_SETS)
  if not names:
    raise ValueError(f"no problem set is selected; choose some of: {known}")
  for name in names:
    if name not in PROBLEM_SETS:
      raise ValueError(f"unknown problem set {name!r}; choose some of: {known}")
  return [
    entry
    for name in names
    for entry in PROBLEM_SETS[name].function(random_seed)
  ]


def _quadratics(*settings: tuple[int, float]) -> list[Entry]:
  """One quadratic problem for each number of dimensions and noise."""
  return [
    (
      problem_spec.Spec(
        quadratic.Quadratic, (ndim,), {"noise_stdev": noise_stdev}
      ),
      None,
      None,
    )
    for ndim, noise_stdev in settings
  ]


def _softmax_regressions(noise_stdevs: Sequence[float]) -> list[Entry]:
  """The four linear classification problems, with these noises."""
  settings = ((10, 2.0, 100), (100, 1.0, 50), (200, 1.5, 20), (256, 1.5, 100))
  entries = []
  for (n_features, sep, batch_size), noise_stdev in zip(
    settings, noise_stdevs, strict=True
  ):
    spec = problem_spec.Spec(
      classifiers.SoftmaxRegression,
      (n_features, 2),
      {"noise_stdev": noise_stdev},
    )
    dataset = datasets.random(n_features, 1000, sep=sep, random_seed=123)
    entries.append((spec, dataset, batch_size))
  return entries

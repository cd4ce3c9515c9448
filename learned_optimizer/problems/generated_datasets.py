"""Data sets that are drawn from a seed."""

import numpy as np

from learned_optimizer import generators
from learned_optimizer.problems import arguments
from learned_optimizer.problems.dataset import Dataset


def noisy_parity_class(
  n_samples: int,
  n_classes: int = 2,
  n_context_ids: int = 5,
  noise_prob: float = 0.25,
  random_seed: generators.Seed = None,
) -> Dataset:
  """Generates rows of class numbers, labelled by their sum modulo n_classes.

  With a probability of noise_prob a label is one more, modulo n_classes.

  Args:
    n_samples: number of examples.
    n_classes: number of classes, and of the values that an entry can have.
    n_context_ids: number of entries of an example.
    noise_prob: probability that a label is changed.
    random_seed: seed, or None for a fresh one, or the stream to draw it from.

  Returns:
    Data [n_samples, n_context_ids], whole numbers; labels [n_samples].

  Raises:
    ValueError: the seed or a number is not usable, or noise_prob is no
      probability.
  """
  arguments.check_positive(
    n_samples=n_samples, n_classes=n_classes, n_context_ids=n_context_ids
  )
  if not 0 <= noise_prob <= 1:
    raise ValueError(f"noise_prob must be from 0 to 1, got {noise_prob!r}")
  _, random_state = generators.seeded(random_seed)
  data = random_state.randint(0, n_classes, (n_samples, n_context_ids))
  noise = random_state.binomial(1, noise_prob, n_samples)
  labels = (data.sum(axis=1) + noise) % n_classes
  return Dataset(data.astype(np.float32), labels.astype(np.int32))


def random(
  n_features: int,
  n_samples: int,
  n_classes: int = 2,
  sep: float = 1.0,
  random_seed: generators.Seed = None,
) -> Dataset:
  """Generates clusters on the corners of a hypercube, two for each class.

  This is `sklearn.datasets.make_classification` with informative features only;
  1 % of the labels are random.

  Args:
    n_features: number of features.
    n_samples: number of examples.
    n_classes: number of classes.
    sep: distance of the clusters, in units of half the side of the hypercube.
    random_seed: seed, or None for a fresh one. From a stream the examples are
      drawn directly, without a seed, as in the original.

  Returns:
    Data [n_samples, n_features], labels [n_samples].

  Raises:
    ValueError: the seed or a number is not usable, or there are more clusters
      than corners.
  """
  arguments.check_positive(
    n_features=n_features, n_samples=n_samples, n_classes=n_classes
  )
  # scikit-learn is slow to import: only who needs it waits for it.
  from sklearn import datasets

  if isinstance(random_seed, generators.OriginalStream):
    random_state = random_seed.random_state
  else:
    random_state = generators.resolve_seed(random_seed)
  data, labels = datasets.make_classification(
    n_samples=n_samples,
    n_features=n_features,
    n_informative=n_features,
    n_redundant=0,
    n_classes=n_classes,
    class_sep=sep,
    random_state=random_state,
  )
  return Dataset(data.astype(np.float32), labels.astype(np.int32))


def random_binary(
  n_features: int, n_samples: int, random_seed: generators.Seed = None
) -> Dataset:
  """Generates rows of zeros and ones, all with the label 0.

  Args:
    n_features: number of features.
    n_samples: number of examples.
    random_seed: seed, or None for a fresh one, or the stream to draw it from.

  Returns:
    Data [n_samples, n_features], 0 or 1; labels [n_samples, 1].

  Raises:
    ValueError: the seed or a number is not usable.
  """
  arguments.check_positive(n_features=n_features, n_samples=n_samples)
  _, random_state = generators.seeded(random_seed)
  data = random_state.randint(2, size=(n_samples, n_features))
  return Dataset(data.astype(np.float32), np.zeros((n_samples, 1), np.int32))


def random_symmetric(
  n_features: int, n_samples: int, random_seed: generators.Seed = None
) -> Dataset:
  """Generates normal examples and then their negatives, with the label 0.

  Args:
    n_features: number of features.
    n_samples: number of examples, an even number.
    random_seed: seed, or None for a fresh one, or the stream to draw it from.

  Returns:
    Data [n_samples, n_features], labels [n_samples, 1].

  Raises:
    ValueError: the seed or a number is not usable, or n_samples is odd.
  """
  arguments.check_positive(n_features=n_features, n_samples=n_samples)
  if n_samples % 2:
    raise ValueError(f"n_samples must be even, got {n_samples}")
  _, random_state = generators.seeded(random_seed)
  half = random_state.normal(size=(n_samples // 2, n_features))
  data = np.concatenate([half, -half])
  return Dataset(data.astype(np.float32), np.zeros((n_samples, 1), np.int32))


def random_mlp(
  n_features: int,
  n_samples: int,
  random_seed: generators.Seed = None,
  n_layers: int = 6,
  width: int = 20,
) -> Dataset:
  """Generates normal examples, labelled by a random perceptron.

  All layers have relu outputs and weights N(0, 2 / n_features), also those with
  width inputs, as in the original. The label is 1 where the first output is
  positive. About one seed in seven gives all examples the same label.

  Args:
    n_features: number of features.
    n_samples: number of examples.
    random_seed: seed, or None for a fresh one, or the stream to draw it from.
    n_layers: number of layers of the labelling network.
    width: number of outputs of each layer.

  Returns:
    Data [n_samples, n_features], labels [n_samples], 0 or 1.

  Raises:
    ValueError: the seed or a number is not usable.
  """
  arguments.check_positive(
    n_features=n_features, n_samples=n_samples, n_layers=n_layers, width=width
  )
  _, random_state = generators.seeded(random_seed)
  data = random_state.normal(size=(n_samples, n_features))
  outputs = data
  for _ in range(n_layers):
    weights = random_state.normal(size=(outputs.shape[1], width))
    weights *= np.sqrt(2) / np.sqrt(n_features)
    outputs = np.maximum(outputs @ weights, 0)
  labels = outputs[:, 0] > 0
  return Dataset(data.astype(np.float32), labels.astype(np.int32))

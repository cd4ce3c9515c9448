"""Problem sets of L2O-DM and RNNProp that their predecessors did not have.

Each set is a function that returns entries. As in the original code, problems
to evaluate on, here called test_*, are trained on the test split. Batches have
128 rows.
"""

from learned_optimizer.problems import datasets
from learned_optimizer.problems import problem_generator as pg
from learned_optimizer.problems.datasets import ImageSource
from learned_optimizer.problems.entry import Entry
from learned_optimizer.problems.problem_spec import Spec

_BATCH_SIZE = 128
_MNIST_CONV = Spec(pg.NormalisedConvNet, ((1, 28, 28), 10), {})
_CIFAR10_CONV = Spec(pg.NormalisedConvNet, ((3, 32, 32), 10), {"stride": 2})
_CIFAR10_NAS = Spec(pg.SearchedCell, ((3, 32, 32), 10), {})
_CIFAR10_LENET = Spec(pg.LeNet, ((3, 32, 32), 10), {})


def simple_problems() -> list[Entry]:
  """The square of one parameter."""
  return [Entry(Spec(pg.Simple, (), {}), None, None)]


def simple_multi_problems() -> list[Entry]:
  """The squares of two parameters."""
  return [Entry(Spec(pg.Simple, (2,), {}), None, None)]


def batched_quadratic_problems() -> list[Entry]:
  """128 random least-squares problems of ten dimensions, at once."""
  return [Entry(Spec(pg.BatchedQuadratic, (10,), {}), None, None)]


def batched_lasso_problems() -> list[Entry]:
  """128 of two dimensions with an L1 term."""
  return [Entry(Spec(pg.BatchedLasso, (2,), {}), None, None)]


def square_cos_problems() -> list[Entry]:
  """128 of two dimensions with ripples; their mean may become negative."""
  return [Entry(Spec(pg.SquareCos, (2,), {}), None, None)]


def batched_rastrigin_problems() -> list[Entry]:
  """128 Rastrigin functions of two dimensions."""
  return [Entry(Spec(pg.BatchedRastrigin, (2,), {}), None, None)]


def mnist_conv_bn_problems(images: ImageSource = ImageSource()) -> list[Entry]:
  """Two convolutional layers with batch normalisation on MNIST."""
  return [Entry(_MNIST_CONV, datasets.mnist(True, images), _BATCH_SIZE)]


def cifar10_conv_bn_problems(
  images: ImageSource = ImageSource(),
) -> list[Entry]:
  """Two convolutional layers with batch normalisation on CIFAR-10."""
  return [Entry(_CIFAR10_CONV, datasets.cifar10(True, images), _BATCH_SIZE)]


def cifar10_nas_problems(images: ImageSource = ImageSource()) -> list[Entry]:
  """A cell of an architecture search on CIFAR-10."""
  return [Entry(_CIFAR10_NAS, datasets.cifar10(True, images), _BATCH_SIZE)]


def cifar10_lenet_problems(images: ImageSource = ImageSource()) -> list[Entry]:
  """LeNet with batch normalisation on CIFAR-10."""
  return [Entry(_CIFAR10_LENET, datasets.cifar10(True, images), _BATCH_SIZE)]


def test_mnist_conv_bn_problems(
  images: ImageSource = ImageSource(),
) -> list[Entry]:
  """Those of `mnist_conv_bn_problems` on the test split."""
  return [Entry(_MNIST_CONV, datasets.mnist(False, images), _BATCH_SIZE)]


def test_cifar10_conv_bn_problems(
  images: ImageSource = ImageSource(),
) -> list[Entry]:
  """Those of `cifar10_conv_bn_problems` on the test split."""
  return [Entry(_CIFAR10_CONV, datasets.cifar10(False, images), _BATCH_SIZE)]


def test_cifar10_nas_problems(
  images: ImageSource = ImageSource(),
) -> list[Entry]:
  """Those of `cifar10_nas_problems` on the test split."""
  return [Entry(_CIFAR10_NAS, datasets.cifar10(False, images), _BATCH_SIZE)]


def test_cifar10_lenet_problems(
  images: ImageSource = ImageSource(),
) -> list[Entry]:
  """Those of `cifar10_lenet_problems` on the test split."""
  return [Entry(_CIFAR10_LENET, datasets.cifar10(False, images), _BATCH_SIZE)]

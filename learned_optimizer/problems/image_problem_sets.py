"""Problem sets of images: MNIST, CIFAR-10 and the embedded digits.

Each set is a function that returns entries; its name in the original code is
its name here. `images` says where the data come from. The problems are those of
L2O-Scale: sets for meta-training are of its training tree, those called test_*
of its evaluation tree, which trains its problems on the test split.
"""

import tensorflow as tf

from learned_optimizer.problems import datasets
from learned_optimizer.problems import problem_generator as pg
from learned_optimizer.problems.datasets import ImageSource
from learned_optimizer.problems.entry import Entry
from learned_optimizer.problems.problem_spec import Spec

_MNIST_SHAPE = (1, 28, 28)
_CIFAR10_SHAPE = (3, 32, 32)


def mnist_mlp_problems(images: ImageSource = ImageSource()) -> list[Entry]:
  """A 784-20-10 perceptron on MNIST."""
  spec = _perceptron((20,), tf.nn.sigmoid, "training")
  return [Entry(spec, datasets.mnist(True, images), 128)]


def mnist_conv_problems(images: ImageSource = ImageSource()) -> list[Entry]:
  """Two convolutional layers on MNIST."""
  spec = Spec(
    pg.TrainingConvNet, (_MNIST_SHAPE, 10, ((3, 3, 8), (5, 5, 8))), {}
  )
  return [Entry(spec, datasets.mnist(True, images), 64)]


def cifar10_conv_problems(images: ImageSource = ImageSource()) -> list[Entry]:
  """Two convolutional layers on CIFAR-10."""
  spec = Spec(
    pg.TrainingConvNet, (_CIFAR10_SHAPE, 10, ((3, 3, 16), (5, 5, 16))), {}
  )
  return [Entry(spec, datasets.cifar10(True, images), 64)]


def test_mnist_mlp_problems(
  images: ImageSource = ImageSource(),
) -> list[Entry]:
  """A 784-20-10 perceptron on the test split of MNIST."""
  spec = _perceptron((20,), tf.nn.sigmoid, "evaluation")
  return [Entry(spec, datasets.mnist(False, images), 128)]


def test_mnist_mlp_relu_problems(
  images: ImageSource = ImageSource(),
) -> list[Entry]:
  """The same with relu activation."""
  spec = _perceptron((20,), tf.nn.relu, "evaluation")
  return [Entry(spec, datasets.mnist(False, images), 128)]


def test_mnist_mlp_deeper_problems(
  images: ImageSource = ImageSource(),
) -> list[Entry]:
  """A 784-20-20-10 perceptron on the test split of MNIST."""
  spec = _perceptron((20, 20), tf.nn.sigmoid, "evaluation")
  return [Entry(spec, datasets.mnist(False, images), 128)]


def test_mnist_conv_problems(
  images: ImageSource = ImageSource(),
) -> list[Entry]:
  """Two convolutional layers with pooling on the test split of MNIST."""
  spec = Spec(
    pg.EvaluationConvNet,
    (_MNIST_SHAPE, 10, ((3, 3, 16, 1), (5, 5, 32, 1))),
    {"activation": tf.nn.relu, "affine_size": 512},
  )
  return [Entry(spec, datasets.mnist(False, images), 128)]


def test_mnist_conv_orig_problems(
  images: ImageSource = ImageSource(),
) -> list[Entry]:
  """The convolutional network of 2017 on the test split of MNIST."""
  spec = Spec(
    pg.ConvNet,
    (_MNIST_SHAPE, 10, ((3, 3, 8), (5, 5, 8))),
    {"activation": tf.nn.relu, "l2_reg_scale": 0.0},
  )
  return [Entry(spec, datasets.mnist(False, images), 64)]


def test_cifar10_conv_problems(
  images: ImageSource = ImageSource(),
) -> list[Entry]:
  """Two convolutional layers with pooling on the test split of CIFAR-10."""
  spec = Spec(
    pg.EvaluationConvNet,
    (_CIFAR10_SHAPE, 10, ((3, 3, 16, 2), (5, 5, 32, 2))),
    {"activation": tf.nn.relu, "affine_size": 32},
  )
  return [Entry(spec, datasets.cifar10(False, images), 128)]


def digits_mlp_problems(variant: str = "original") -> list[Entry]:
  """A 64-20-10 perceptron on the embedded handwritten digits."""
  spec = Spec(
    pg.FullyConnected,
    (64, 10),
    {
      "hidden_sizes": (20,),
      "activation": tf.nn.sigmoid,
      "l2_reg_scale": 0.0,
      "variant": variant,
    },
  )
  return [Entry(spec, datasets.digits(train=True), 128)]


def _perceptron(hidden_sizes, activation, variant):
  return Spec(
    pg.FullyConnected,
    (784, 10),
    {
      "hidden_sizes": hidden_sizes,
      "activation": activation,
      "variant": variant,
    },
  )

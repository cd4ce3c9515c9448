"""Convolutional networks with batch normalisation, of L2O-DM and RNNProp.

Batch normalisation has no parameters, as in the original code, where its scale
of 1 and its offset of 0 are no parameters of the problem; and it takes mean and
variance of the batch, always.
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from learned_optimizer import generators
from learned_optimizer.problems import (
  arguments,
  convolution,
  image_classifier,
  pooling,
  softmax_classifier,
)

_EPSILON = 1e-3


class _NormalisedClassifier(image_classifier.ImageClassifier):
  """Base class of networks with batch normalisation.

  Matrices and kernels start at N(0, 0.01**2), biases at 0. There is no
  regularisation. A bias before a normalisation, which takes it out again, has
  no influence; its gradient is exactly zero.
  """

  def _draw_parameters(self, generator: generators.Generator) -> list[Any]:
    return [
      generator.normal(0.0, 0.01 if len(shape) > 1 else 0.0, shape)
      for shape in self.param_shapes
    ]


class NormalisedConvNet(_NormalisedClassifier):
  """Convolutions with normalisation and pooling, the original's `mnist_conv`.

  A layer is a convolution within the image, a bias, batch normalisation, relu,
  and the maxima of squares of 2 x 2; an affine layer with relu follows. As in
  the original, no logit is therefore negative, and one of 0 has no gradient:
  training may end with all logits 0 and a loss of ln(n_classes).

  `EvaluationConvNet` is the same network without the statistics of the batch.
  """

  def __init__(
    self,
    image_shape: Sequence[int],
    n_classes: int,
    filter_list: Sequence[Sequence[int]] = ((3, 3, 16), (5, 5, 32)),
    stride: int = 1,
    random_seed: generators.Seed = None,
    noise_stdev: float = 0,
  ) -> None:
    """Initialises the problem with a kernel and a bias for each layer.

    Args:
      image_shape: channels, height and width of an image.
      n_classes: number of classes, at least 2.
      filter_list: height, width and output channels of each convolution.
      stride: that of all convolutions.
      random_seed: see base class.
      noise_stdev: standard deviation of the noise added to gradients.

    Raises:
      ValueError: an argument that cannot be used.
    """
    image_shape = image_classifier.checked_image_shape(image_shape)
    softmax_classifier.check_n_classes(n_classes)
    arguments.check_positive(stride=stride)
    filters = image_classifier.checked_filters(filter_list)
    param_shapes = []
    channels, *size = image_shape
    for index, (*extents, outputs) in enumerate(filters):
      param_shapes += [(*extents, channels, outputs), (outputs,)]
      size = _pooled_size(f"filter_list[{index}]", size, extents, stride)
      channels = outputs
    affine = (size[0] * size[1] * channels, n_classes)
    super().__init__(
      image_shape, [*param_shapes, affine, affine[1:]], random_seed, noise_stdev
    )
    self.stride = stride

  def _logits(
    self, parameters: Sequence[tf.Tensor], images: tf.Tensor
  ) -> tf.Tensor:
    *convolutions, w, b = parameters
    features = images
    for kernel, bias in zip(convolutions[::2], convolutions[1::2], strict=True):
      features = convolution.convolution(features, kernel, self.stride)
      features = pooling.max_pool(tf.nn.relu(_normalised(features, bias)))
    return tf.nn.relu(tf.matmul(tf.reshape(features, [-1, w.shape[0]]), w) + b)


class SearchedCell(_NormalisedClassifier):
  """A cell of an architecture search, the original's `nas`.

  With C(x) = relu(normalised(3 x 3 convolution of x that keeps its size, plus a
  bias)), P the mean of 3 x 3 neighbours, and four different C:

    n0 = C(images)
    n1 = C(n0)
    n2 = P(n1) + C(n0)
    n3 = n2 + C(n1) + n0

  Logits are relu(mean of n3 over the image . w + b); as for
  `NormalisedConvNet`, all of them may die.
  """

  def __init__(
    self,
    image_shape: Sequence[int],
    n_classes: int,
    channels: int = 16,
    random_seed: generators.Seed = None,
    noise_stdev: float = 0,
  ) -> None:
    """Initialises the problem with a kernel and a bias for each C, w and b.

    Args:
      image_shape: channels, height and width of an image.
      n_classes: number of classes, at least 2.
      channels: number of channels of every node.
      random_seed: see base class.
      noise_stdev: standard deviation of the noise added to gradients.

    Raises:
      ValueError: an argument that cannot be used.
    """
    image_shape = image_classifier.checked_image_shape(image_shape)
    softmax_classifier.check_n_classes(n_classes)
    arguments.check_positive(channels=channels)
    param_shapes = []
    for inputs in (image_shape[0], channels, channels, channels):
      param_shapes += [(3, 3, inputs, channels), (channels,)]
    param_shapes += [(channels, n_classes), (n_classes,)]
    super().__init__(image_shape, param_shapes, random_seed, noise_stdev)

  def _logits(
    self, parameters: Sequence[tf.Tensor], images: tf.Tensor
  ) -> tf.Tensor:
    *convolutions, w, b = parameters

    def layer(index: int, features: tf.Tensor) -> tf.Tensor:
      kernel, bias = convolutions[2 * index : 2 * index + 2]
      features = convolution.convolution(features, kernel, keep_size=True)
      return tf.nn.relu(_normalised(features, bias))

    n0 = layer(0, images)
    n1 = layer(1, n0)
    n2 = pooling.average_pool(n1) + layer(2, n0)
    n3 = n2 + layer(3, n1) + n0
    return tf.nn.relu(tf.matmul(tf.reduce_mean(n3, [1, 2]), w) + b)


class LeNet(_NormalisedClassifier):
  """LeNet with batch normalisation.

  5 x 5 convolutions within the image, each with a bias, batch normalisation,
  sigmoid and the maxima of squares of 2 x 2; then affine layers with batch
  normalisation and sigmoid; then linear logits. In the original it could not be
  built, as its normalisation was not told whether it is in training.
  """

  def __init__(
    self,
    image_shape: Sequence[int],
    n_classes: int,
    channels: Sequence[int] = (6, 16),
    hidden_sizes: Sequence[int] = (120, 84),
    random_seed: generators.Seed = None,
    noise_stdev: float = 0,
  ) -> None:
    """Initialises the problem with weights and a bias for each layer.

    Args:
      image_shape: channels, height and width of an image.
      n_classes: number of classes, at least 2.
      channels: output channels of each convolution.
      hidden_sizes: widths of the hidden affine layers.
      random_seed: see base class.
      noise_stdev: standard deviation of the noise added to gradients.

    Raises:
      ValueError: an argument that cannot be used.
    """
    image_shape = image_classifier.checked_image_shape(image_shape)
    softmax_classifier.check_n_classes(n_classes)
    param_shapes = []
    inputs, *size = image_shape
    for index, outputs in enumerate(channels):
      arguments.check_positive(**{f"channels[{index}]": outputs})
      param_shapes += [(5, 5, inputs, outputs), (outputs,)]
      size = _pooled_size(f"channels[{index}]", size, (5, 5), 1)
      inputs = outputs
    inputs *= size[0] * size[1]
    for index, outputs in enumerate(hidden_sizes):
      arguments.check_positive(**{f"hidden_sizes[{index}]": outputs})
      param_shapes += [(inputs, outputs), (outputs,)]
      inputs = outputs
    param_shapes += [(inputs, n_classes), (n_classes,)]
    super().__init__(image_shape, param_shapes, random_seed, noise_stdev)

  def _logits(
    self, parameters: Sequence[tf.Tensor], images: tf.Tensor
  ) -> tf.Tensor:
    *hidden, w, b = parameters
    features = images
    for weights, bias in zip(hidden[::2], hidden[1::2], strict=True):
      is_convolution = len(weights.shape) == 4
      if is_convolution:
        features = convolution.convolution(features, weights)
      else:
        features = tf.reshape(features, [-1, weights.shape[0]])
        features = tf.matmul(features, weights)
      features = tf.nn.sigmoid(_normalised(features, bias))
      if is_convolution:
        features = pooling.max_pool(features)
    return tf.matmul(tf.reshape(features, [-1, w.shape[0]]), w) + b


def _normalised(features: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
  """Normalises features plus a bias to mean 0 and variance 1.

  y = (x - mean(x)) / sqrt(mean((x - mean(x))^2) + 1e-3), with means over all
  axes but the last.

  The mean takes the bias out. To add it first would make its gradient of
  rounding errors, which optimizers that scale gradients take for real ones.

  Args:
    features: a tensor [..., channels].
    bias: a tensor [channels].

  Returns:
    A tensor of the shape of features.
  """
  axes = [*range(len(features.shape) - 1)]
  centred = features - tf.reduce_mean(features, axes)
  variance = tf.reduce_mean(tf.square(centred), axes)
  return centred * tf.math.rsqrt(variance + _EPSILON) + 0.0 * bias


def _pooled_size(
  argument: str, size: Sequence[int], extents: Sequence[int], stride: int
) -> list[int]:
  """Computes height and width after a convolution and `pooling.max_pool`.

  Args:
    argument: the name of what asks for the layer.
    size: height and width before.
    extents: height and width of the kernel.
    stride: that of the convolution.

  Raises:
    ValueError: nothing is left.
  """
  pooled = [
    ((pixels - extent) // stride + 1) // 2
    for pixels, extent in zip(size, extents, strict=True)
  ]
  if min(pooled) < 1:
    raise ValueError(
      f"{argument} must leave at least 2 x 2 pixels for pooling, got a kernel "
      f"of {extents[0]} x {extents[1]} with stride {stride} on "
      f"{size[0]} x {size[1]} pixels"
    )
  return pooled

"""Convolutional networks: that of the original and those of L2O-Scale."""

import abc
import math
from collections.abc import Sequence

import tensorflow as tf

from learned_optimizer import generators
from learned_optimizer.problems import (
  convolution,
  image_classifier,
  pooling,
  softmax_classifier,
)

# Batch normalisation that is never trained, with an epsilon of 1e-3: it divides
# by the square root of its initial variance, 1, plus epsilon.
_NORMALISATION = 1 / math.sqrt(1.001)


class _ConvolutionalClassifier(image_classifier.ImageClassifier):
  """Convolutional layers, then an affine one.

  Subclasses define `_layer`, and `_final_size` if layers change the size of
  images. They set three attributes of the class: `has_biases`, whether there is
  one for each kernel; `activates_logits`, whether the activation is applied to
  the logits, too; and `filter_lengths`, the lengths that the entries of
  filter_list may have.
  """

  has_biases = True
  activates_logits = True
  filter_lengths: tuple[int, ...] = (3,)

  def __init__(
    self,
    image_shape: Sequence[int],
    n_classes: int,
    filter_list: Sequence[Sequence[int]],
    activation: softmax_classifier.Activation = tf.nn.relu,
    random_seed: generators.Seed = None,
    noise_stdev: float = 0,
    *,
    l2_reg_scale: float | None = 0.0,
  ) -> None:
    """Initialises the problem with the parameters of each layer.

    Args:
      image_shape: channels, height and width of an image.
      n_classes: number of classes, at least 2.
      filter_list: height, width and output channels of each convolution.
      activation: function applied to the output of every convolution and, where
        `activates_logits` is set, to the logits.
      random_seed: see base class.
      noise_stdev: standard deviation of the noise added to gradients.
      l2_reg_scale: see base class.

    Raises:
      ValueError: an argument that cannot be used.
    """
    image_shape = image_classifier.checked_image_shape(image_shape)
    filters = image_classifier.checked_filters(filter_list, self.filter_lengths)
    softmax_classifier.check_n_classes(n_classes)
    param_shapes = []
    channels, *size = image_shape
    for height, width, outputs, *_ in filters:
      param_shapes.append((height, width, channels, outputs))
      if self.has_biases:
        param_shapes.append((outputs,))
      channels = outputs
    affine_size = math.prod(self._final_size(size, filters)) * channels
    super().__init__(
      image_shape,
      [*param_shapes, (affine_size, n_classes), (n_classes,)],
      random_seed,
      noise_stdev,
      l2_reg_scale,
    )
    self.activation = activation

  def _final_size(
    self, size: Sequence[int], filters: Sequence[tuple[int, ...]]
  ) -> Sequence[int]:
    """Computes height and width after all layers from those of the images."""
    del filters
    return size

  def _logits(
    self, parameters: Sequence[tf.Tensor], images: tf.Tensor
  ) -> tf.Tensor:
    *convolutions, w, b = parameters
    features = images
    step = 2 if self.has_biases else 1
    for index in range(0, len(convolutions), step):
      features = self._layer(features, *convolutions[index : index + step])
    logits = tf.matmul(tf.reshape(features, [-1, w.shape[0]]), w) + b
    return self.activation(logits) if self.activates_logits else logits

  @abc.abstractmethod
  def _layer(
    self, features: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor | None = None
  ) -> tf.Tensor:
    """Applies a convolutional layer.

    Args:
      features: a tensor [batch, height, width, in].
      kernel: a tensor [height, width, in, out].
      bias: a tensor [out]; None in classes without biases.

    Returns:
      A tensor [batch, height, width, out], where height and width may differ
      from those of features.
    """


class ConvNet(_ConvolutionalClassifier):
  """Convolutions of stride 1 without biases, then linear logits.

  The network of the original code; the evaluation code of L2O-Scale calls it
  `ConvNetOrig`, and has no regularisation. Images keep their size. Parameters
  start at N(0, 0.01**2).
  """

  has_biases = False
  activates_logits = False

  def __init__(
    self,
    image_shape: Sequence[int],
    n_classes: int,
    filter_list: Sequence[Sequence[int]],
    activation: softmax_classifier.Activation = tf.nn.relu,
    random_seed: generators.Seed = None,
    noise_stdev: float = 0,
    l2_reg_scale: float | None = None,
  ) -> None:
    """Initialises the problem with one kernel for each convolution, W and b.

    Args:
      image_shape: see base class.
      n_classes: see base class.
      filter_list: see base class.
      activation: see base class.
      random_seed: see base class.
      noise_stdev: see base class.
      l2_reg_scale: factor of the regularisation term; None for 1e-3.

    Raises:
      ValueError: an argument that cannot be used.
    """
    super().__init__(
      image_shape,
      n_classes,
      filter_list,
      activation,
      random_seed,
      noise_stdev,
      l2_reg_scale=l2_reg_scale,
    )

  def _layer(
    self, features: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor | None = None
  ) -> tf.Tensor:
    del bias
    return self.activation(
      convolution.convolution(features, kernel, keep_size=True)
    )


ConvNetOrig = ConvNet


class TrainingConvNet(_ConvolutionalClassifier):
  """`ConvNet` of the meta-training code of L2O-Scale: with biases.

  Images keep their size. As there, the activation is also applied to the
  logits: with the default one no logit is negative, and a logit of 0 has no
  gradient; and there is no regularisation unless l2_reg_scale is given.
  Parameters start at N(0, 0.01**2).
  """

  def _layer(
    self, features: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor | None = None
  ) -> tf.Tensor:
    return self.activation(
      convolution.convolution(features, kernel, keep_size=True) + bias
    )


class EvaluationConvNet(_ConvolutionalClassifier):
  """`ConvNet` of the evaluation code of L2O-Scale: with strides and pooling.

  A layer is a convolution within the image, a bias, batch normalisation with
  its initial statistics (a constant factor of 1 / sqrt(1.001)), the activation,
  and the maxima of squares of 2 x 2. As there, the activation is also applied
  to the logits. There is no regularisation. Parameters start at N(0, 0.01**2).
  The batch may have any size; it was 128 there.
  """

  filter_lengths = (3, 4)

  def __init__(
    self,
    image_shape: Sequence[int],
    n_classes: int,
    filter_list: Sequence[Sequence[int]],
    activation: softmax_classifier.Activation = tf.nn.relu,
    random_seed: generators.Seed = None,
    noise_stdev: float = 0,
    affine_size: int = 512,
    mode: str = "test",
  ) -> None:
    """Initialises the problem with a kernel and a bias for each layer.

    Args:
      image_shape: see base class.
      n_classes: see base class.
      filter_list: height, width, output channels and, if wanted, the stride of
        each convolution. All convolutions have the stride of the first one, as
        in L2O-Scale; without one it is 1.
      activation: see base class.
      random_seed: see base class.
      noise_stdev: see base class.
      affine_size: number of features of the last layer, which follows from the
        other arguments.
      mode: "test". Statistics of batches ("train") were never used.

    Raises:
      ValueError: an argument that cannot be used.
    """
    if mode != "test":
      raise ValueError(
        "mode must be 'test', batch normalisation with its initial statistics, "
        f"got {mode!r}"
      )
    super().__init__(
      image_shape, n_classes, filter_list, activation, random_seed, noise_stdev
    )
    self.stride = _stride(filter_list)
    expected = self.param_shapes[-2][0]
    if affine_size != expected:
      raise ValueError(
        f"affine_size must be {expected} for this image_shape and filter_list, "
        f"got {affine_size!r}"
      )

  def _final_size(
    self, size: Sequence[int], filters: Sequence[tuple[int, ...]]
  ) -> Sequence[int]:
    stride = _stride(filters)
    for index, kernel in enumerate(filters):
      before = size
      size = [
        ((pixels - extent) // stride + 1) // 2
        for pixels, extent in zip(size, kernel[:2], strict=True)
      ]
      if min(size) < 1:
        raise ValueError(
          f"filter_list[{index}] must leave at least 2 x 2 pixels for pooling, "
          f"got {kernel} with stride {stride} on {before[0]} x {before[1]}"
        )
    return size

  def _layer(
    self, features: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor | None = None
  ) -> tf.Tensor:
    features = convolution.convolution(features, kernel, self.stride) + bias
    return pooling.max_pool(self.activation(features * _NORMALISATION))


def _stride(filters: Sequence[Sequence[int]]) -> int:
  """The stride of the first convolution."""
  return filters[0][3] if len(filters[0]) == 4 else 1

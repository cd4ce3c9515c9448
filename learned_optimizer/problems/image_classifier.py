"""The base class of classifiers of images."""

import abc
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from learned_optimizer import generators
from learned_optimizer.problems import arguments, problem, softmax_classifier


class ImageClassifier(softmax_classifier.SoftmaxClassifier):
  """Base class of networks whose examples are images of one shape.

  Parameters start at N(0, 0.01**2). Some subclasses differ.

  Attributes:
    image_shape: channels, height and width of an image.
  """

  def __init__(
    self,
    image_shape: tuple[int, ...],
    param_shapes: Sequence[Sequence[int]],
    random_seed: generators.Seed,
    noise_stdev: float,
    l2_reg_scale: float | None = 0.0,
  ) -> None:
    """Initialises the classifier.

    Args:
      image_shape: channels, height and width of an image, checked.
      param_shapes: see base class.
      random_seed: see base class.
      noise_stdev: standard deviation of the noise added to gradients.
      l2_reg_scale: see base class.

    Raises:
      ValueError: another argument cannot be used.
    """
    super().__init__(
      param_shapes, random_seed, noise_stdev, l2_reg_scale=l2_reg_scale
    )
    self.image_shape = image_shape

  def _draw_parameters(self, generator: generators.Generator) -> list[Any]:
    return [generator.normal(0.0, 0.01, shape) for shape in self.param_shapes]

  def inference(
    self, parameters: Sequence[tf.Tensor], data: problem.Array
  ) -> tf.Tensor:
    """Computes the logits.

    Args:
      parameters: see base class.
      data: images, [batch, height, width, channels].

    Returns:
      A tensor [batch, n_classes] of the dtype of the parameters.

    Raises:
      ValueError: the images have another shape.
    """
    channels, height, width = self.image_shape
    data = tf.convert_to_tensor(data)
    shape = tf.TensorShape([None, height, width, channels])
    if not data.shape.is_compatible_with(shape):
      raise ValueError(f"data must have shape {shape}, got {data.shape}")
    images = tf.cast(tf.ensure_shape(data, shape), parameters[0].dtype)
    return self._logits(parameters, images)

  @abc.abstractmethod
  def _logits(
    self, parameters: Sequence[tf.Tensor], images: tf.Tensor
  ) -> tf.Tensor:
    """Computes the logits [batch, n_classes].

    Args:
      parameters: see base class.
      images: a tensor [batch, height, width, channels] of the dtype of the
        parameters.
    """


def checked_image_shape(image_shape: Sequence[int]) -> tuple[int, ...]:
  """Returns the shape as a tuple, or raises ValueError."""
  image_shape = tuple(image_shape)
  if len(image_shape) != 3:
    raise ValueError(
      f"image_shape must be (channels, height, width), got {image_shape}"
    )
  for index, size in enumerate(image_shape):
    arguments.check_positive(**{f"image_shape[{index}]": size})
  return image_shape


def checked_filters(
  filter_list: Sequence[Sequence[int]], lengths: tuple[int, ...] = (3,)
) -> list[tuple[int, ...]]:
  """Returns the filters as tuples, or raises ValueError.

  Args:
    filter_list: height, width, output channels and, if it may be, the stride
      of each convolution.
    lengths: numbers of entries that a tuple may have.
  """
  filters = [tuple(entries) for entries in filter_list]
  if not filters:
    raise ValueError("filter_list must have at least one filter, got none")
  for index, entries in enumerate(filters):
    if len(entries) not in lengths:
      accepted = "(height, width, channels)"
      if 4 in lengths:
        accepted += " or (height, width, channels, stride)"
      raise ValueError(
        f"filter_list[{index}] must be {accepted}, got {entries}"
      )
    for position, size in enumerate(entries):
      arguments.check_positive(**{f"filter_list[{index}][{position}]": size})
  return filters

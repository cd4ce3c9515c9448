"""Classifiers trained on a data set."""

import abc
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from learned_optimizer import generators
from learned_optimizer.problems import problem

Activation = Callable[[tf.Tensor], tf.Tensor]


class SoftmaxClassifier(problem.Problem):
  """Base class of classifiers: the cross-entropy of their logits.

  With two classes the loss is the sigmoid cross-entropy of the label and the
  *first* logit alone, as in the original code: a large first logit stands for
  class 1. The second logit has no influence on it. With more classes the loss
  is the softmax cross-entropy. Added to both is `l2_reg_scale` times the mean
  over the parameter tensors of their sums of squares.

  Parameters start at N(0, 1) * 1.2 / sqrt(first dimension of the tensor).
  """

  def __init__(
    self,
    param_shapes: Sequence[Sequence[int]],
    random_seed: generators.Seed,
    noise_stdev: float,
    init_fn: Callable[[tf.compat.v1.Session], Any] | None = None,
    l2_reg_scale: float = 1e-3,
  ) -> None:
    """Initialises the classifier.

    Args:
      param_shapes: see base class.
      random_seed: see base class.
      noise_stdev: see base class.
      init_fn: see base class.
      l2_reg_scale: factor of the regularisation term.

    Raises:
      ValueError: an argument that cannot be used.
    """
    if not l2_reg_scale >= 0:
      raise ValueError(f"l2_reg_scale must be at least 0, got {l2_reg_scale!r}")
    super().__init__(param_shapes, random_seed, noise_stdev, init_fn)
    self.l2_reg_scale = l2_reg_scale

  def _draw_parameters(self, generator: generators.Generator) -> list[Any]:
    return [
      generator.normal(size=shape) * 1.2 / math.sqrt(shape[0])
      for shape in self.param_shapes
    ]

  @abc.abstractmethod
  def inference(
    self, parameters: Sequence[tf.Tensor], data: problem.Array
  ) -> tf.Tensor:
    """Computes the logits.

    Args:
      parameters: tensors or variables of shapes `param_shapes`.
      data: examples, [batch, ...].

    Returns:
      A tensor [batch, n_classes] of the dtype of the parameters.
    """

  def objective(
    self,
    parameters: Sequence[tf.Tensor],
    data: problem.Array | None = None,
    labels: problem.Array | None = None,
  ) -> tf.Tensor:
    """Computes the mean cross-entropy of a batch, plus regularisation.

    Args:
      parameters: see base class.
      data: examples, [batch, ...].
      labels: classes counted from 0, integers [batch] or [batch, 1].

    Returns:
      A scalar of the dtype of the parameters.

    Raises:
      ValueError: data or labels are missing.
    """
    if data is None or labels is None:
      raise ValueError(
        f"{type(self).__name__} needs data and labels, got data={data!r}, "
        f"labels={labels!r}"
      )
    logits = self.inference(parameters, data)
    labels = tf.reshape(labels, [-1])
    if logits.shape[1] == 2:
      losses = tf.nn.sigmoid_cross_entropy_with_logits(
        labels=tf.cast(labels, logits.dtype), logits=logits[:, 0]
      )
    else:
      losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
        labels=labels, logits=logits
      )
    loss = tf.reduce_mean(losses)
    if not self.l2_reg_scale:
      return loss
    squares = tf.add_n([tf.reduce_sum(tf.square(p)) for p in parameters])
    return loss + self.l2_reg_scale * (squares / len(parameters))

  def argmax(self, logits: tf.Tensor) -> tf.Tensor:
    """Returns the predicted classes.

    With two classes the prediction is 1 where the first logit is positive, to
    agree with the loss. (The original took the larger of both logits, which
    inverts the predictions.)

    Args:
      logits: a tensor [batch, n_classes].

    Returns:
      An int32 tensor [batch].
    """
    if logits.shape[1] == 2:
      return tf.cast(logits[:, 0] > 0, tf.int32)
    return tf.argmax(logits, axis=1, output_type=tf.int32)

  def accuracy(
    self,
    parameters: Sequence[tf.Tensor],
    data: problem.Array,
    labels: problem.Array,
  ) -> tf.Tensor:
    """Returns the fraction of correct predictions, a float32 scalar.

    Args:
      parameters: tensors or variables of shapes `param_shapes`.
      data: examples, [batch, ...].
      labels: classes counted from 0, integers [batch] or [batch, 1].
    """
    predictions = self.argmax(self.inference(parameters, data))
    labels = tf.cast(tf.reshape(labels, [-1]), tf.int32)
    # Not ==, which compares identities in a TF1 graph.
    correct = tf.equal(predictions, labels)
    return tf.reduce_mean(tf.cast(correct, tf.float32))


class SoftmaxRegression(SoftmaxClassifier):
  """Linear classification: logits = X W + b."""

  def __init__(
    self,
    n_features: int,
    n_classes: int,
    activation: Activation = tf.identity,
    random_seed: generators.Seed = None,
    noise_stdev: float = 0,
    l2_reg_scale: float = 1e-3,
  ) -> None:
    """Initialises the problem with parameters W [F, C] and b [C].

    Args:
      n_features: number of features of an example.
      n_classes: number of classes, at least 2.
      activation: without effect, as in the original.
      random_seed: see base class.
      noise_stdev: standard deviation of the noise added to gradients.
      l2_reg_scale: factor of the regularisation term.

    Raises:
      ValueError: an argument that cannot be used.
    """
    problem.check_positive(n_features=n_features)
    _check_n_classes(n_classes)
    super().__init__(
      [(n_features, n_classes), (n_classes,)],
      random_seed,
      noise_stdev,
      l2_reg_scale=l2_reg_scale,
    )
    self.n_features = n_features
    self.activation = activation

  def inference(
    self, parameters: Sequence[tf.Tensor], data: problem.Array
  ) -> tf.Tensor:
    """See base class. Examples may have any shape of n_features elements."""
    w, b = parameters
    return tf.matmul(_flatten(data, self.n_features, w.dtype), w) + b


class FullyConnected(SoftmaxClassifier):
  """A multi-layer perceptron with linear logits."""

  def __init__(
    self,
    n_features: int,
    n_classes: int,
    hidden_sizes: Sequence[int] = (32, 64),
    activation: Activation = tf.nn.sigmoid,
    random_seed: generators.Seed = None,
    noise_stdev: float = 0,
    l2_reg_scale: float = 1e-3,
  ) -> None:
    """Initialises the problem with a matrix and a bias for each layer.

    Args:
      n_features: number of features of an example.
      n_classes: number of classes, at least 2.
      hidden_sizes: widths of the hidden layers, from the input on.
      activation: function applied to the output of every hidden layer.
      random_seed: see base class.
      noise_stdev: standard deviation of the noise added to gradients.
      l2_reg_scale: factor of the regularisation term.

    Raises:
      ValueError: an argument that cannot be used.
    """
    problem.check_positive(n_features=n_features)
    _check_n_classes(n_classes)
    for index, size in enumerate(hidden_sizes):
      problem.check_positive(**{f"hidden_sizes[{index}]": size})
    param_shapes = []
    for layer in itertools.pairwise((n_features, *hidden_sizes, n_classes)):
      param_shapes += [layer, layer[1:]]
    super().__init__(
      param_shapes, random_seed, noise_stdev, l2_reg_scale=l2_reg_scale
    )
    self.n_features = n_features
    self.activation = activation

  def inference(
    self, parameters: Sequence[tf.Tensor], data: problem.Array
  ) -> tf.Tensor:
    """See base class. Examples may have any shape of n_features elements."""
    w, b, *further = parameters
    outputs = tf.matmul(_flatten(data, self.n_features, w.dtype), w) + b
    for w, b in zip(further[::2], further[1::2], strict=True):
      outputs = tf.matmul(self.activation(outputs), w) + b
    return outputs


def _check_n_classes(n_classes: int) -> None:
  problem.check_positive(n_classes=n_classes)
  if n_classes < 2:
    raise ValueError(f"n_classes must be at least 2, got {n_classes}")


def _flatten(
  data: problem.Array, n_features: int, dtype: tf.DType
) -> tf.Tensor:
  return tf.cast(tf.reshape(data, [-1, n_features]), dtype)

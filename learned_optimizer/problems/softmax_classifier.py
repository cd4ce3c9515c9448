"""The base class of classifiers: their loss and their initial parameters."""

import abc
import math
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from learned_optimizer import generators
from learned_optimizer.problems import arguments, perceptron, problem

Activation = Callable[[tf.Tensor], tf.Tensor]

VARIANTS = ("original", "training", "evaluation")


class SoftmaxClassifier(problem.Problem):
  """Base class of classifiers: the cross-entropy of their logits.

  With two classes the loss is the sigmoid cross-entropy of the label and the
  *first* logit alone, as in the original code: a large first logit stands for
  class 1. The second logit has no influence on it. With more classes the loss
  is the softmax cross-entropy. Added to both is `l2_reg_scale` times the mean
  over the parameter tensors of their sums of squares.

  There are three variants of the original code:

  * "original", Learned Optimizers that Scale and Generalize (arXiv 1703.04813):
    `l2_reg_scale` is 1e-3 unless given. More than two classes were an error
    there; here every variant has them.
  * "training", the meta-training code of L2O-Scale (arXiv 2010.09089), and
    "evaluation", its evaluation code: without regularisation unless
    `l2_reg_scale` is given.

  Parameters start at N(0, 1) * 1.2 / sqrt(first dimension of the tensor), in
  the variant "training" at 0.01 times that. Some subclasses differ.

  Attributes:
    l2_reg_scale: factor of the regularisation term.
    variant: one of `VARIANTS`.
  """

  def __init__(
    self,
    param_shapes: Sequence[Sequence[int]],
    random_seed: generators.Seed,
    noise_stdev: float,
    init_fn: Callable[[tf.compat.v1.Session], Any] | None = None,
    l2_reg_scale: float | None = None,
    *,
    variant: str = "original",
  ) -> None:
    """Initialises the classifier.

    Args:
      param_shapes: see base class.
      random_seed: see base class.
      noise_stdev: see base class.
      init_fn: see base class.
      l2_reg_scale: factor of the regularisation term; None for that of the
        variant.
      variant: one of `VARIANTS`.

    Raises:
      ValueError: an argument that cannot be used.
    """
    if variant not in VARIANTS:
      raise ValueError(
        f"variant must be one of {', '.join(VARIANTS)}, got {variant!r}"
      )
    if l2_reg_scale is None:
      l2_reg_scale = 1e-3 if variant == "original" else 0.0
    if not l2_reg_scale >= 0:
      raise ValueError(f"l2_reg_scale must be at least 0, got {l2_reg_scale!r}")
    super().__init__(param_shapes, random_seed, noise_stdev, init_fn)
    self.l2_reg_scale = l2_reg_scale
    self.variant = variant

  def _draw_parameters(self, generator: generators.Generator) -> list[Any]:
    stdev = 0.01 if self.variant == "training" else 1.0
    return [
      generator.normal(0.0, stdev, shape) * 1.2 / math.sqrt(shape[0])
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
    self._check_given(data=data, labels=labels)
    labels = tf.reshape(labels, [-1])
    logits = self.inference(parameters, data)
    if logits.shape[1] == 2:
      first = perceptron.transpose(logits)[0]
      losses = tf.nn.sigmoid_cross_entropy_with_logits(
        labels=tf.cast(labels, logits.dtype), logits=first
      )
    else:
      losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
        labels=labels, logits=logits
      )
    loss = tf.reduce_mean(losses)
    if not self.l2_reg_scale:
      return loss
    squares = _sum_of_squares(*map(tf.convert_to_tensor, parameters))
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


@tf.custom_gradient
def _sum_of_squares(*tensors):
  """Of all elements. A loop keeps no more for its gradient than the tensors."""
  squares = tf.add_n([tf.reduce_sum(tf.square(tensor)) for tensor in tensors])

  def gradient(upstream):
    factor = 2.0 * upstream
    return [factor * tensor for tensor in tensors]

  return squares, gradient


def check_n_classes(n_classes: int) -> None:
  """Raises ValueError unless n_classes is an integer of at least 2."""
  arguments.check_positive(n_classes=n_classes)
  if n_classes < 2:
    raise ValueError(f"n_classes must be at least 2, got {n_classes}")

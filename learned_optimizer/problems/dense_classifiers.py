"""Linear classifiers and perceptrons, trained on a data set."""

import abc
import itertools
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from learned_optimizer import generators
from learned_optimizer.problems import (
  arguments,
  perceptron,
  problem,
  softmax_classifier,
)


class _LinearClassifier(softmax_classifier.SoftmaxClassifier):
  """Base class of linear classifiers: logits = features W + b.

  Subclasses set `has_embedding`, whether the features are made with the matrix
  of an embedding, which is then the first parameter.
  """

  has_embedding: bool

  def __init__(
    self,
    n_features: int,
    n_classes: int,
    activation: softmax_classifier.Activation = tf.identity,
    random_seed: generators.Seed = None,
    noise_stdev: float = 0,
    l2_reg_scale: float | None = None,
    *,
    variant: str = "original",
  ) -> None:
    """Initialises the problem with parameters W [F, C] and b [C].

    Args:
      n_features: number of features F, the width of the embedding if any.
      n_classes: number of classes C, and of tokens if any, at least 2.
      activation: without effect, as in the original.
      random_seed: see base class.
      noise_stdev: standard deviation of the noise added to gradients.
      l2_reg_scale: see base class.
      variant: see base class.

    Raises:
      ValueError: an argument that cannot be used.
    """
    arguments.check_positive(n_features=n_features)
    softmax_classifier.check_n_classes(n_classes)
    embedding = [(n_classes, n_features)] if self.has_embedding else []
    super().__init__(
      [*embedding, (n_features, n_classes), (n_classes,)],
      random_seed,
      noise_stdev,
      l2_reg_scale=l2_reg_scale,
      variant=variant,
    )
    self.n_features = n_features
    self.activation = activation


class _Perceptron(softmax_classifier.SoftmaxClassifier):
  """Base class of layers of matrices and biases, one at least.

  Subclasses set `n_features` and `activation`, a function applied to the output
  of every hidden layer.
  """

  n_features: int
  activation: softmax_classifier.Activation

  def arranged(self, data: problem.Array) -> Any:
    """See base class. What works in other ways gets data as they are."""
    base = softmax_classifier.SoftmaxClassifier
    if (
      type(self).inference is not _Perceptron.inference
      or type(self).objective is not base.objective
    ):
      return data
    return perceptron.Columns.of(data, self.n_features)

  def inference(self, parameters: Sequence[tf.Tensor], data: Any) -> tf.Tensor:
    """See base class. Examples may have any shape of n_features elements."""
    columns = perceptron.Columns.of(data, self.n_features)
    logits = perceptron.outputs(parameters, columns, self.activation)
    return perceptron.transpose(logits)


class SoftmaxRegression(_Perceptron, _LinearClassifier):
  """Linear classification: logits = X W + b, with W [F, C] and b [C]."""

  has_embedding = False


class _SparseSoftmaxRegression(_LinearClassifier):
  """Base class of linear classification of sums of embedded tokens."""

  has_embedding = True

  def inference(
    self, parameters: Sequence[tf.Tensor], data: problem.Array
  ) -> tf.Tensor:
    """See base class. Examples are [tokens], whole numbers below n_classes."""
    embedding, w, b = parameters
    return tf.matmul(self._embed(embedding, tf.cast(data, tf.int32)), w) + b

  @abc.abstractmethod
  def _embed(self, embedding: tf.Tensor, tokens: tf.Tensor) -> tf.Tensor:
    """Sums embeddings [C, F] of int32 tokens [batch, tokens] to [batch, F]."""


class SparseSoftmaxRegression(_SparseSoftmaxRegression):
  """Linear classification of sums of embedded tokens, looked up.

  logits = (sum over the tokens t of an example of E[t]) W + b, with parameters
  E [C, F], W [F, C] and b [C]. As in the original, the vocabulary has as many
  tokens as there are classes.

  Without regularisation the gradient with respect to E is `tf.IndexedSlices`;
  the term of the regularisation makes it dense.
  """

  def _embed(self, embedding: tf.Tensor, tokens: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(tf.gather(embedding, tokens), axis=1)


class OneHotSparseSoftmaxRegression(_SparseSoftmaxRegression):
  """`SparseSoftmaxRegression` by matrix products: all gradients are dense."""

  def _embed(self, embedding: tf.Tensor, tokens: tf.Tensor) -> tf.Tensor:
    one_hot = tf.one_hot(tokens, self.param_shapes[0][0], dtype=embedding.dtype)
    return tf.matmul(tf.reduce_sum(one_hot, axis=1), embedding)


class FullyConnected(_Perceptron):
  """A multi-layer perceptron with linear logits.

  In the variants "training" and "evaluation" parameters start at N(0, 0.01**2).
  """

  def __init__(
    self,
    n_features: int,
    n_classes: int,
    hidden_sizes: Sequence[int] = (32, 64),
    activation: softmax_classifier.Activation = tf.nn.sigmoid,
    random_seed: generators.Seed = None,
    noise_stdev: float = 0,
    l2_reg_scale: float | None = None,
    *,
    variant: str = "original",
  ) -> None:
    """Initialises the problem with a matrix and a bias for each layer.

    Args:
      n_features: number of features of an example.
      n_classes: number of classes, at least 2.
      hidden_sizes: widths of the hidden layers, from the input on.
      activation: function applied to the output of every hidden layer, of
        shape [batch, units].
      random_seed: see base class.
      noise_stdev: standard deviation of the noise added to gradients.
      l2_reg_scale: see base class.
      variant: see base class.

    Raises:
      ValueError: an argument that cannot be used.
    """
    arguments.check_positive(n_features=n_features)
    softmax_classifier.check_n_classes(n_classes)
    for index, size in enumerate(hidden_sizes):
      arguments.check_positive(**{f"hidden_sizes[{index}]": size})
    param_shapes = []
    for layer in itertools.pairwise((n_features, *hidden_sizes, n_classes)):
      param_shapes += [layer, layer[1:]]
    super().__init__(
      param_shapes,
      random_seed,
      noise_stdev,
      l2_reg_scale=l2_reg_scale,
      variant=variant,
    )
    self.n_features = n_features
    self.activation = activation

  def _draw_parameters(self, generator: generators.Generator) -> list[Any]:
    if self.variant == "original":
      return super()._draw_parameters(generator)
    return [generator.normal(0.0, 0.01, shape) for shape in self.param_shapes]

"""Small models and optimizers of the Keras tests."""

import functools

import keras
import numpy as np

from learned_optimizer.compat import keras as learned
from learned_optimizer.optimizer import settings
from tests.optimizer import reference

NUM_CLASSES = 3
SEED = 7


@keras.saving.register_keras_serializable("tests")
class Scale(keras.layers.Layer):
  """Multiplies by a scalar variable."""

  def build(self, input_shape):
    self.scale = self.add_weight(shape=(), initializer="ones", name="scale")

  def call(self, inputs):
    return inputs * self.scale


def _dense():
  return _sequential(
    keras.Input((4,)), keras.layers.Dense(3, activation="tanh")
  )


def _conv():
  return _sequential(
    keras.Input((4, 4, 1)),
    keras.layers.Conv2D(2, 3, activation="tanh"),
    keras.layers.Flatten(),
  )


def _embedding():
  return _sequential(
    keras.Input((3,), dtype="int32"),
    keras.layers.Embedding(10, 2),
    keras.layers.Flatten(),
  )


def _frozen():
  frozen = keras.layers.Dense(3, activation="tanh", trainable=False)
  return _sequential(
    keras.Input((4,)), keras.layers.Dense(3), frozen, keras.layers.Dense(2)
  )


def _scalar():
  return _sequential(keras.Input((4,)), Scale())


def _sequential(*layers):
  return keras.Sequential([*layers, keras.layers.Dense(NUM_CLASSES)])


MODELS = {
  "dense": _dense,
  "conv": _conv,
  "embedding": _embedding,
  "frozen": _frozen,
  "scalar": _scalar,
}


def inputs(model: str, size: int, generator: np.random.Generator) -> np.ndarray:
  """A batch of inputs of a model."""
  if model == "embedding":
    # Some rows of the table never occur, and some twice in a batch.
    return generator.integers(0, 8, (size, 3))
  shape = (4, 4, 1) if model == "conv" else (4,)
  return generator.normal(size=(size, *shape)).astype(np.float32)


def loss() -> keras.losses.Loss:
  """The loss of every model."""
  return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def filled(name: str, **rule_settings) -> dict[str, np.ndarray]:
  """Weights with which every part of a rule has an effect."""
  rule = settings.make_rule(name, rule_settings)
  return reference.filled_weights(rule.weight_specs())


def hierarchical(**arguments) -> learned.HierarchicalRNN:
  """A small hierarchical RNN; its steps depend on the gradient's size."""
  rule_settings = {
    "level_sizes": [3, 4, 5],
    "use_gradient_shortcut": True,
    "init_lr_range": [1e-2, 3e-2],
    "use_attention": arguments.pop("use_attention", False),
  }
  weights = filled("HierarchicalRNN", **rule_settings)
  return learned.HierarchicalRNN(
    **rule_settings, weights=weights, **{"seed": SEED, **arguments}
  )


OPTIMIZERS = {
  "hierarchical": hierarchical,
  "attending": functools.partial(hierarchical, use_attention=True),
  # With this epsilon steps depend on the gradient's size.
  "adam": functools.partial(
    learned.TrainableAdam, initial_rate=0.1, epsilon=0.1
  ),
  "rate": functools.partial(learned.GlobalLearningRate, initial_rate=0.3),
}

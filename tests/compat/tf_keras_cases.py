"""Small models and optimizers of the tf_keras tests."""

import contextlib
import functools
from collections.abc import Iterator

import tf_keras

from learned_optimizer.compat import tf_keras as learned
from tests.compat import acceptance, cases


class Scale(tf_keras.layers.Layer):
  """Multiplies by a scalar variable."""

  def build(self, input_shape):
    self.scale = self.add_weight("scale", shape=(), initializer="ones")

  def call(self, inputs):
    return inputs * self.scale


def _layers(name):
  layers = tf_keras.layers
  return {
    "dense": lambda: [
      tf_keras.Input((4,)),
      layers.Dense(3, activation="tanh"),
    ],
    "embedding": lambda: [
      tf_keras.Input((3,), dtype="int32"),
      layers.Embedding(10, 2),
      layers.Flatten(),
    ],
    "frozen": lambda: [
      tf_keras.Input((4,)),
      layers.Dense(3),
      layers.Dense(3, activation="tanh", trainable=False),
      layers.Dense(2),
    ],
    "scalar": lambda: [tf_keras.Input((4,)), Scale()],
  }[name]()


def make_model(name: str) -> tf_keras.Model:
  """A model with the initial parameters of that of Keras 3."""
  last = tf_keras.layers.Dense(cases.NUM_CLASSES)
  model = tf_keras.Sequential([*_layers(name), last])
  model.set_weights(acceptance.make_model(name).get_weights())
  return model


@contextlib.contextmanager
def policy(name: str) -> Iterator[None]:
  """The dtype policy of layers that are made within."""
  old = tf_keras.mixed_precision.global_policy()
  tf_keras.mixed_precision.set_global_policy(name)
  try:
    yield
  finally:
    tf_keras.mixed_precision.set_global_policy(old)


def loss() -> tf_keras.losses.Loss:
  """The loss of every model."""
  return tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def train(model: tf_keras.Model, name: str = "dense", **arguments) -> None:
  """An epoch on the data of the model of this name."""
  model.fit(
    *acceptance.data(name),
    batch_size=acceptance.BATCH_SIZE,
    shuffle=False,
    verbose=0,
    **arguments,
  )


def hierarchical(**arguments) -> learned.HierarchicalRNN:
  """The twin of `cases.hierarchical`."""
  twin = cases.hierarchical(use_attention=arguments.pop("use_attention", False))
  return learned.from_learned(
    twin._learned, **{"seed": cases.SEED, **arguments}
  )


OPTIMIZERS = {
  "hierarchical": hierarchical,
  "attending": functools.partial(hierarchical, use_attention=True),
  "adam": functools.partial(
    learned.TrainableAdam, initial_rate=0.1, epsilon=0.1
  ),
  "rate": functools.partial(learned.GlobalLearningRate, initial_rate=0.3),
}

# What the features of the acceptance matrix are.
_ARGUMENTS = {
  "clipnorm": {"clipnorm": 0.05},
  "global_clipnorm": {"global_clipnorm": 0.05},
  "weight_decay": {"weight_decay": 0.1},
}


def make_optimizer(rule: str, feature: str) -> learned.LearnedOptimizer:
  """The optimizer of a cell of the acceptance matrix."""
  arguments = dict(_ARGUMENTS.get(feature, {}))
  if feature == "schedule":
    schedules = tf_keras.optimizers.schedules
    arguments["learning_rate"] = schedules.PiecewiseConstantDecay(
      [0, 2], [1.0, 0.5, 0.25]
    )
  return OPTIMIZERS[rule](**arguments)

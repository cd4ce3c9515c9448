"""Models of TF1 and of Keras that tests make problems of."""

import keras
import tensorflow as tf


def make_least_squares():
  """A TF1 model: |W P + b - 1|^2, with a random W that is not trainable."""
  v1 = tf.compat.v1

  def make_loss():
    with v1.variable_scope("model"):
      p = v1.get_variable("p", [3, 2])
    w = v1.get_variable(
      "w", [4, 3], initializer=v1.glorot_normal_initializer(), trainable=False
    )
    b = tf.Variable(lambda: tf.random.uniform([2], 1.0, 2.0))
    return tf.reduce_mean(tf.square(tf.matmul(w, p) + b.read_value() - 1.0))

  return make_loss, None


def make_dense():
  """Two layers for 4 features and 3 classes."""
  layers = keras.layers
  return keras.Sequential(
    [
      keras.Input([4]),
      layers.Dense(
        3, "tanh", bias_initializer="random_normal", kernel_regularizer="l2"
      ),
      layers.Dense(3, bias_initializer="random_normal"),
    ]
  )


def cross_entropy(labels, logits):
  """Softmax cross-entropy of each example."""
  return keras.losses.sparse_categorical_crossentropy(labels, logits, True)


def make_convolutional():
  """A network for images of 4 x 4 pixels and 3 classes."""
  layers = keras.layers
  inputs = keras.Input([4, 4, 1])
  outputs = layers.Conv2D(
    2, 3, 1, "same", activation="tanh", bias_initializer="random_normal"
  )(inputs)
  outputs = layers.BatchNormalization(
    beta_initializer="random_normal", gamma_initializer="random_normal"
  )(outputs)
  outputs = layers.Flatten()(layers.AveragePooling2D(2)(outputs))
  outputs = layers.Dense(3, "softmax", bias_initializer="random_normal")(
    outputs
  )
  return keras.Model(inputs, outputs)

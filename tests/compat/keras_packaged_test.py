"""The optimizer that comes with the package trains Keras models."""

import keras
import numpy as np
import pytest
from sklearn import datasets

import learned_optimizer
from tests.compat import acceptance, cases

NUM_STEPS = 200
BATCH_SIZE = 128


def test_fits_a_tiny_model():
  assert "digits-mlp" in learned_optimizer.names()
  model = acceptance.make_model("dense")
  optimizer = learned_optimizer.load("digits-mlp", seed=0)
  assert isinstance(optimizer, keras.optimizers.Optimizer)
  model.compile(optimizer, cases.loss(), jit_compile=False)
  history = model.fit(*acceptance.data("dense"), epochs=20, verbose=0)
  losses = history.history["loss"]
  assert losses[-1] < losses[0]


def digits_loss(optimizer):
  """The loss on all digits after the steps it was meta-trained for."""
  images, labels = datasets.load_digits(return_X_y=True)
  images = images / 16.0
  keras.utils.set_random_seed(0)
  model = keras.Sequential(
    [
      keras.Input([64]),
      keras.layers.Dense(20, activation="sigmoid"),
      keras.layers.Dense(10),
    ]
  )
  model.compile(optimizer, cases.loss(), jit_compile=False)
  rows = np.random.default_rng(0).integers(
    0, len(images), NUM_STEPS * BATCH_SIZE
  )
  model.fit(
    images[rows], labels[rows], batch_size=BATCH_SIZE, shuffle=False, verbose=0
  )
  return model.evaluate(images, labels, verbose=0)


@pytest.mark.parametrize("seed", [0, 1])
def test_is_far_ahead_of_adam_on_what_it_learned(seed):
  loss = digits_loss(learned_optimizer.load("digits-mlp", seed=seed))
  assert loss < 0.1 * digits_loss(keras.optimizers.Adam(0.001))

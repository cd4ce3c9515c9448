"""Training that is saved and goes on equals training without a break."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from learned_optimizer.compat import keras as learned
from tests.compat import acceptance, cases

ARGUMENTS = [
  {"use_ema": True},
  {"gradient_accumulation_steps": 2},
  {"use_attention": True},
]


def compiled(**arguments):
  model = acceptance.make_model("dense")
  optimizer = cases.hierarchical(**arguments)
  model.compile(optimizer, cases.loss(), jit_compile=False)
  return model


def train(model, **arguments):
  model.fit(
    *acceptance.data("dense"),
    batch_size=acceptance.BATCH_SIZE,
    shuffle=False,
    verbose=0,
    **arguments,
  )


def assert_same_end(model, other):
  """After another epoch both are equal bit for bit, optimizers included."""
  train(model)
  train(other)
  for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
    np.testing.assert_array_equal(a, b)
  for a, b in zip(
    model.optimizer.variables, other.optimizer.variables, strict=True
  ):
    np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("arguments", ARGUMENTS, ids=str)
def test_save_and_load_model(arguments, tmp_path):
  model = compiled(**arguments)
  train(model)
  model.save(tmp_path / "model.keras")
  loaded = keras.models.load_model(tmp_path / "model.keras")
  assert type(loaded.optimizer) is learned.HierarchicalRNN
  assert loaded.optimizer.get_config() == model.optimizer.get_config()
  assert_same_end(model, loaded)


def test_without_attention_a_break_changes_nothing(tmp_path):
  model, other = compiled(), compiled()
  train(model, epochs=2)
  train(other)
  other.save(tmp_path / "model.keras")
  loaded = keras.models.load_model(tmp_path / "model.keras")
  train(loaded)
  for a, b in zip(model.get_weights(), loaded.get_weights(), strict=True):
    np.testing.assert_array_equal(a, b)


def test_with_attention_a_checkpoint_within_fit_changes_nothing(tmp_path):
  model = compiled(use_attention=True)
  path = str(tmp_path / "{epoch}.keras")
  train(model, epochs=2, callbacks=[keras.callbacks.ModelCheckpoint(path)])
  loaded = keras.models.load_model(path.format(epoch=1))
  train(loaded)
  for a, b in zip(model.get_weights(), loaded.get_weights(), strict=True):
    np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("is_built", [False, True])
def test_weights_file(is_built, tmp_path):
  model, other = compiled(), compiled()
  train(model)
  model.save_weights(tmp_path / "model.weights.h5")
  if is_built:
    other.optimizer.build(other.trainable_variables)
  other.load_weights(tmp_path / "model.weights.h5")
  assert_same_end(model, other)


@pytest.mark.parametrize("is_built", [False, True])
def test_checkpoint(is_built, tmp_path):
  model, other = compiled(), compiled()
  train(model)
  saved = tf.train.Checkpoint(model=model, optimizer=model.optimizer)
  path = saved.save(tmp_path / "checkpoint")
  if is_built:
    other.optimizer.build(other.trainable_variables)
  tf.train.Checkpoint(model=other, optimizer=other.optimizer).restore(path)
  assert_same_end(model, other)


def test_what_does_not_fit_is_refused(tmp_path):
  model = acceptance.make_model("dense")
  model.compile("adam", cases.loss(), jit_compile=False)
  train(model)
  store = {}
  model.optimizer.save_own_variables(store)
  optimizer = cases.hierarchical()
  optimizer.build(model.trainable_variables)
  with pytest.raises(ValueError, match="saved optimizer has 10 variables"):
    optimizer.load_own_variables(store)

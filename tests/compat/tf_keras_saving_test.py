"""tf_keras: training that is saved and goes on equals one without a break."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from learned_optimizer.compat import tf_keras as learned
from tests.compat import tf_keras_cases


def compiled(**arguments):
  model = tf_keras_cases.make_model("dense")
  optimizer = tf_keras_cases.hierarchical(**arguments)
  model.compile(optimizer, tf_keras_cases.loss(), run_eagerly=True)
  return model


def assert_same_end(model, other):
  """After another epoch both are equal bit for bit, optimizers included."""
  # Compiling is not part of what is saved.
  other.run_eagerly = True
  tf_keras_cases.train(model)
  tf_keras_cases.train(other)
  for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
    np.testing.assert_array_equal(a, b)
  for a, b in zip(
    model.optimizer.variables, other.optimizer.variables, strict=True
  ):
    np.testing.assert_array_equal(a.numpy(), b.numpy())


@pytest.mark.parametrize("suffix", ["keras", "h5"])
@pytest.mark.parametrize(
  "arguments", [{"use_ema": True}, {"use_attention": True}], ids=str
)
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5")
def test_save_and_load_model(arguments, suffix, tmp_path):
  model = compiled(**arguments)
  tf_keras_cases.train(model)
  model.save(tmp_path / f"model.{suffix}")
  loaded = tf_keras.models.load_model(tmp_path / f"model.{suffix}")
  assert type(loaded.optimizer) is learned.HierarchicalRNN
  assert loaded.optimizer.get_config() == model.optimizer.get_config()
  assert_same_end(model, loaded)


def test_a_break_changes_nothing(tmp_path):
  model, other = compiled(), compiled()
  tf_keras_cases.train(model, epochs=2)
  tf_keras_cases.train(other)
  other.save(tmp_path / "model.keras")
  loaded = tf_keras.models.load_model(tmp_path / "model.keras")
  loaded.run_eagerly = True
  tf_keras_cases.train(loaded)
  for a, b in zip(model.get_weights(), loaded.get_weights(), strict=True):
    np.testing.assert_array_equal(a, b)


def test_with_loss_scaling(tmp_path):
  model = tf_keras_cases.make_model("dense")
  model.compile(
    tf_keras.mixed_precision.LossScaleOptimizer(tf_keras_cases.hierarchical()),
    tf_keras_cases.loss(),
    run_eagerly=True,
  )
  tf_keras_cases.train(model)
  model.save(tmp_path / "model.keras")
  loaded = tf_keras.models.load_model(tmp_path / "model.keras")
  assert_same_end(model, loaded)


@pytest.mark.parametrize("is_built", [False, True])
def test_weights_file(is_built, tmp_path):
  model, other = compiled(), compiled()
  tf_keras_cases.train(model)
  model.save_weights(tmp_path / "model.weights.h5")
  if is_built:
    other.optimizer.build(other.trainable_variables)
  other.load_weights(tmp_path / "model.weights.h5")
  assert_same_end(model, other)


@pytest.mark.parametrize("is_built", [False, True])
def test_checkpoint(is_built, tmp_path):
  model, other = compiled(use_ema=True), compiled(use_ema=True)
  tf_keras_cases.train(model)
  saved = tf.train.Checkpoint(model=model, optimizer=model.optimizer)
  path = saved.save(tmp_path / "checkpoint")
  if is_built:
    other.optimizer.build(other.trainable_variables)
  status = tf.train.Checkpoint(model=other, optimizer=other.optimizer).restore(
    path
  )
  assert_same_end(model, other)
  status.assert_consumed()


def test_a_saved_model_is_refused_unless_it_leaves_the_optimizer(tmp_path):
  model = compiled()
  with pytest.raises(ValueError, match="include_optimizer=False"):
    model.save(tmp_path / "folder")
  model.save(tmp_path / "other", include_optimizer=False)
  loaded = tf_keras.models.load_model(tmp_path / "other", compile=False)
  for a, b in zip(model.get_weights(), loaded.get_weights(), strict=True):
    np.testing.assert_array_equal(a, b)


def test_what_does_not_fit_is_refused():
  model = compiled()
  optimizer = learned.GlobalLearningRate()
  with pytest.raises(ValueError, match="not yet been built"):
    optimizer.set_weights([])
  optimizer.build(model.trainable_variables)
  store = {}
  optimizer.save_own_variables(store)
  model.optimizer.build(model.trainable_variables)
  with pytest.raises(ValueError, match="saved optimizer has 2 variables"):
    model.optimizer.load_own_variables(store)
  with pytest.raises(ValueError, match="saved optimizer has 1 variables"):
    model.optimizer.set_weights([np.zeros([])])
  late = tf_keras_cases.hierarchical()
  late.load_own_variables(store)
  with pytest.raises(ValueError, match="saved optimizer has 2 variables"):
    late.build(model.trainable_variables)

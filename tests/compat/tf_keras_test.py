"""The optimizers for legacy Keras, beside those for Keras 3."""

import importlib
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import learned_optimizer
from learned_optimizer.compat import keras as learned_of_keras_3
from learned_optimizer.compat import tf_keras as learned
from tests.compat import acceptance, cases, tf_keras_cases, trajectories
from tests.optimizer import reference

ALL = {
  "hierarchical": tf_keras_cases.hierarchical,
  "coordinatewise": lambda **k: learned.CoordinatewiseRNN([3], "GRUCell", **k),
  "schedule": lambda **k: learned.LearningRateSchedule([0.1, 0.2], 5, **k),
  "adam": lambda **k: learned.TrainableAdam(0.1, beta1=0.8, **k),
  "rate": lambda **k: learned.GlobalLearningRate(0.1, **k),
}


CELLS = [
  acceptance.Cell(mode, "float32", *levels)
  for mode, *levels in [
    ("graph", "none", "mirrored", "scalar", "adam"),
    ("graph", "global_clipnorm", "mirrored", "embedding", "hierarchical"),
    ("graph", "weight_decay", "mirrored", "frozen", "attending"),
    ("eager", "weight_decay", "one", "frozen", "attending"),
    ("xla", "weight_decay", "one", "frozen", "attending"),
    ("graph", "clipnorm", "mirrored", "dense", "rate"),
    ("graph", "clipnorm", "one", "embedding", "adam"),
    ("graph", "schedule", "mirrored", "dense", "rate"),
    ("eager", "setter", "one", "dense", "rate"),
  ]
]


class Recorder(tf_keras.callbacks.Callback):
  """Keeps the model's parameters after each step."""

  def __init__(self):
    super().__init__()
    self.recorded = []

  def on_train_batch_end(self, batch, logs=None):
    self.recorded.append(self.model.get_weights())


def three_variables(dtype="float32"):
  shapes = [(2, 3), (4,), ()]
  return [tf.Variable(tf.ones(shape, dtype)) for shape in shapes]


def gradients(variables, size=0.1):
  return [size * tf.ones(v.shape, v.dtype) for v in variables]


def apply(optimizer, grads, variables):
  optimizer.apply_gradients(zip(grads, variables, strict=True))


def values(variables):
  return [v.numpy().astype(np.float64) for v in variables]


def assert_equal(actual, expected):
  for a, b in zip(actual, expected, strict=True):
    np.testing.assert_array_equal(a, b)


def assert_near(actual, expected, tolerance=1e-5):
  error = np.linalg.norm(actual - expected) / np.linalg.norm(expected)
  assert error < tolerance


def scope_of(devices):
  strategy = tf.distribute.get_strategy()
  if devices == "mirrored":
    strategy = acceptance.mirrored_strategy()
  return strategy.scope()


def compiled(model, optimizer, mode="graph"):
  model.compile(
    optimizer,
    tf_keras_cases.loss(),
    run_eagerly=mode == "eager",
    jit_compile=mode == "xla",
  )
  return model


# Training.


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_fit_is_plain_training(cell):
  with scope_of(cell.devices):
    model = tf_keras_cases.make_model(cell.model)
    optimizer = tf_keras_cases.make_optimizer(cell.rule, cell.feature)
    compiled(model, optimizer, cell.mode)
  callbacks = []
  if cell.feature == "setter":
    callbacks = [
      tf_keras.callbacks.LearningRateScheduler(lambda epoch: 0.5**epoch)
    ]
  tf_keras_cases.train(model, cell.model, epochs=2, callbacks=callbacks)
  actual = acceptance.flat(model.get_weights())
  expected = acceptance.expected(
    cell.policy, cell.feature, cell.model, cell.rule
  )
  assert_near(actual, expected)


@pytest.mark.parametrize("use_attention", [False, True])
def test_the_same_trajectory_as_the_pure_rule(use_attention):
  settings = trajectories.SETTINGS | {"use_attention": use_attention}
  weights = cases.filled("HierarchicalRNN", **settings)
  inputs, labels = trajectories.data(cases.NUM_CLASSES)
  # In float32 the rounding of two graphs grows beyond the limit in 50 steps.
  inputs = inputs.astype(np.float64)
  with tf_keras_cases.policy("float64"):
    model = tf_keras_cases.make_model("dense")
  params = model.get_weights()
  optimizer = learned.HierarchicalRNN(**settings, weights=weights)
  compiled(model, optimizer)
  recorder = Recorder()
  model.fit(
    inputs,
    labels,
    trajectories.BATCH_SIZE,
    shuffle=False,
    verbose=0,
    callbacks=[recorder],
  )
  pure = trajectories.pure(
    optimizer.rule,
    {name: value.astype(np.float64) for name, value in weights.items()},
    params,
    trajectories.batches(inputs, labels),
  )
  for actual, expected in zip(recorder.recorded, pure, strict=True):
    for a, b in zip(actual, expected, strict=True):
      reference.assert_tensor(a, b)


@pytest.mark.parametrize("devices", ["one", "mirrored"])
def test_moving_averages_are_those_of_tf_keras(devices):
  # The same steps as tf_keras's own gradient descent.
  ends = []
  for make in [
    lambda **k: learned.GlobalLearningRate(0.3, **k),
    lambda **k: tf_keras.optimizers.SGD(0.3, **k),
  ]:
    # Its own optimizers overwrite only at the end under MirroredStrategy.
    frequency = 3 if devices == "one" else None
    with scope_of(devices):
      optimizer = make(
        use_ema=True, ema_momentum=0.8, ema_overwrite_frequency=frequency
      )
      model = compiled(tf_keras_cases.make_model("dense"), optimizer)
    tf_keras_cases.train(model, epochs=2)
    ends.append(acceptance.flat(model.get_weights()))
  assert_near(*ends)


def test_moving_averages_overwrite_on_all_replicas():
  ends = []
  for devices in ["one", "mirrored"]:
    with scope_of(devices):
      optimizer = tf_keras_cases.hierarchical(
        use_attention=True,
        use_ema=True,
        ema_momentum=0.8,
        ema_overwrite_frequency=2,
      )
      model = compiled(tf_keras_cases.make_model("dense"), optimizer)
    tf_keras_cases.train(model, epochs=2)
    ends.append(acceptance.flat(model.get_weights()))
  assert_near(ends[1], ends[0])


@pytest.mark.parametrize("devices", ["one", "mirrored"])
def test_loss_scaling(devices):
  # The same steps as tf_keras's own gradient descent.
  ends = []
  for make in [learned.GlobalLearningRate, tf_keras.optimizers.SGD]:
    with tf_keras_cases.policy("mixed_float16"), scope_of(devices):
      model = tf_keras_cases.make_model("dense")
      optimizer = tf_keras.mixed_precision.LossScaleOptimizer(
        make(0.3), initial_scale=2.0**6
      )
      compiled(model, optimizer)
    tf_keras_cases.train(model, epochs=2)
    ends.append(acceptance.flat(model.get_weights()))
  assert_near(*ends)


def test_an_optimizer_made_outside_the_strategy():
  ends = []
  for devices in ["one", "mirrored"]:
    optimizer = tf_keras_cases.OPTIMIZERS["rate"](use_ema=True)
    with scope_of(devices):
      model = compiled(tf_keras_cases.make_model("dense"), optimizer)
    tf_keras_cases.train(model)
    optimizer.finalize_variable_values(model.trainable_variables)
    ends.append(acceptance.flat(model.get_weights()))
  assert_near(ends[1], ends[0])


def test_loss_scaling_skips_a_step_that_overflows():
  inner = tf_keras_cases.hierarchical()
  optimizer = tf_keras.mixed_precision.LossScaleOptimizer(inner)
  variables = three_variables()
  optimizer.build(variables)
  before = values(inner.variables)
  apply(optimizer, gradients(variables, np.inf), variables)
  after = values(inner.variables)
  assert after[0] == before[0] + 1
  assert_equal(after[1:], before[1:])
  assert all(np.all(value == 1.0) for value in values(variables))


def test_variables_hold_the_parameters_proper_after_fit():
  optimizer = tf_keras_cases.hierarchical(use_attention=True)
  model = compiled(tf_keras_cases.make_model("dense"), optimizer)
  recorder = Recorder()
  tf_keras_cases.train(model, callbacks=[recorder])
  attended, proper = recorder.recorded[-1], model.get_weights()
  assert all(np.any(a != p) for a, p in zip(attended, proper, strict=True))


def test_constraints_hold_for_the_parameters_proper():
  layer = tf_keras.layers.Dense(3, kernel_constraint="non_neg")
  model = tf_keras.Sequential([tf_keras.Input((4,)), layer])
  optimizer = tf_keras_cases.hierarchical(
    use_attention=True, learning_rate=10.0
  )
  tf_keras_cases.train(compiled(model, optimizer, "eager"), epochs=3)
  assert np.min(model.get_weights()[0]) == 0.0


def test_a_frozen_layer_after_build_stays():
  optimizer = tf_keras_cases.hierarchical()
  model = tf_keras_cases.make_model("dense")
  tf_keras_cases.train(compiled(model, optimizer, "eager"))
  model.layers[0].trainable = False
  before = [layer.get_weights() for layer in model.layers]
  tf_keras_cases.train(compiled(model, optimizer, "eager"))
  after = [layer.get_weights() for layer in model.layers]
  assert_equal(after[0], before[0])
  assert all(np.any(a != b) for a, b in zip(after[1], before[1], strict=True))


# One step.


@pytest.mark.parametrize("name", ALL)
def test_every_optimizer_moves_every_variable_and_clones(name):
  optimizer = ALL[name](clipnorm=1.0, weight_decay=0.1, seed=3)
  assert isinstance(optimizer, tf_keras.optimizers.Optimizer)
  clone = tf_keras.optimizers.deserialize(
    tf_keras.optimizers.serialize(optimizer)
  )
  assert type(clone) is type(optimizer)
  assert clone.get_config() == optimizer.get_config()
  made = learned.from_learned(
    optimizer._learned, seed=3, clipnorm=1.0, weight_decay=0.1
  )
  assert made.get_config() == optimizer.get_config()
  ours, theirs = three_variables(), three_variables()
  for _ in range(2):
    apply(optimizer, gradients(ours), ours)
    apply(clone, gradients(theirs), theirs)
  assert_equal(values(theirs), values(ours))
  assert optimizer.iterations.numpy() == 2
  for value in values(ours):
    assert np.all(value != 1.0) and np.all(np.isfinite(value))


def test_a_schedule_is_part_of_the_configuration():
  schedule = tf_keras.optimizers.schedules.ExponentialDecay(1.0, 2, 0.5)
  optimizer = learned.GlobalLearningRate(learning_rate=schedule)
  clone = learned.GlobalLearningRate.from_config(optimizer.get_config())
  assert clone.get_config() == optimizer.get_config()
  assert learned.GlobalLearningRate(learning_rate=2).get_config()[
    "learning_rate"
  ] == (2.0)


def test_tensors_without_gradient_are_as_if_they_did_not_exist():
  everything, alone = three_variables(), three_variables()[1:2]
  optimizer, other = (
    learned.HierarchicalRNN([3, 4, 5], init_lr_range=[0.01, 0.01], seed=3)
    for _ in range(2)
  )
  for _ in range(2):
    apply(optimizer, [None, gradients(alone)[0], None], everything)
    apply(other, gradients(alone), alone)
  assert_equal(values(everything)[1:2], values(alone))
  assert np.all(values(everything)[0] == 1.0)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_other_types(dtype):
  variables, expected = three_variables(dtype), three_variables()
  arguments = {"use_ema": True, "weight_decay": 0.1, "global_clipnorm": 0.2}
  for group in (variables, expected):
    optimizer = tf_keras_cases.hierarchical(**arguments)
    for _ in range(2):
      apply(optimizer, gradients(group), group)
  for variable, other in zip(variables, expected, strict=True):
    assert variable.dtype == dtype
    np.testing.assert_allclose(
      variable.numpy().astype(np.float64), other.numpy(), rtol=1e-2
    )


def test_slices_of_one_row_are_clipped_together():
  variables, expected = three_variables()[:1], three_variables()[:1]
  grads = tf.IndexedSlices(
    tf.ones([2, 3]), tf.constant([1, 1]), tf.constant([2, 3])
  )
  for group, grad in [
    (variables, grads),
    (expected, tf.convert_to_tensor(grads)),
  ]:
    apply(learned.GlobalLearningRate(0.1, clipnorm=1.0), [grad], group)
  np.testing.assert_allclose(*map(values, (variables, expected)), rtol=1e-6)


def test_some_are_excluded_from_weight_decay():
  variables = three_variables()
  optimizer = learned.GlobalLearningRate(0.0, weight_decay=0.5)
  optimizer.exclude_from_weight_decay(variables[1:])
  apply(optimizer, gradients(variables), variables)
  np.testing.assert_allclose(values(variables)[0], 0.5)
  assert np.all(values(variables)[1] == 1.0)


def test_update_step_is_a_step_of_one_variable():
  variables, expected = three_variables(), three_variables()
  optimizer, other = (tf_keras_cases.hierarchical() for _ in range(2))
  optimizer.build(variables)
  optimizer.update_step(gradients(variables)[1], variables[1])
  apply(other, [None, gradients(expected)[1], None], expected)
  assert_equal(values(variables), values(expected))


def test_a_loop_of_ones_own():
  variables = three_variables()
  optimizer = tf_keras_cases.hierarchical(use_attention=True)

  @tf.function
  def step():
    optimizer.minimize(lambda: sum(map(tf.reduce_sum, variables)), variables)

  step()
  attended = values(variables)
  optimizer.finalize_variable_values(variables)
  assert np.all(values(variables)[0] != attended[0])


def test_fresh_draws_follow_the_seed_of_tf_keras():
  ends = []
  for seed in [1, 1, 2]:
    tf_keras.utils.set_random_seed(seed)
    variables = three_variables()
    optimizer = learned.HierarchicalRNN([3, 4, 5])
    apply(optimizer, gradients(variables), variables)
    ends.append(acceptance.flat(values(variables)))
  np.testing.assert_array_equal(ends[0], ends[1])
  assert np.any(ends[0] != ends[2])


# Loading, and what is refused.


def test_load_means_the_same_in_both():
  optimizer = learned.load("digits-mlp", seed=3, learning_rate=0.5)
  twin = learned_optimizer.load("digits-mlp", seed=3, learning_rate=0.5)
  assert isinstance(optimizer, tf_keras.optimizers.Optimizer)
  assert type(optimizer).__name__ == type(twin).__name__
  ours, theirs = optimizer.get_config(), twin.get_config()
  for name in ["weights", "seed", "learning_rate"]:
    assert ours[name] == theirs[name]
  assert optimizer.rule == twin.rule
  for load in (learned.load, learned_optimizer.load):
    with pytest.raises(ValueError, match="no-such-optimizer"):
      load("no-such-optimizer")
    with pytest.raises(ValueError, match=r"\(did you mean use_attention\?\)"):
      load("digits-mlp", use_atention=True)


def test_without_tf_keras_it_says_how_to_install_it(monkeypatch):
  for name in list(sys.modules):
    if name.startswith("learned_optimizer.compat.tf_keras"):
      monkeypatch.delitem(sys.modules, name)
  monkeypatch.setitem(sys.modules, "tf_keras", None)
  with pytest.raises(ImportError, match="`pip install tf_keras==2.21"):
    importlib.import_module("learned_optimizer.compat.tf_keras")


def test_the_wrong_one_is_named():
  ours, theirs = learned.TrainableAdam(), learned_of_keras_3.TrainableAdam()
  with pytest.raises(ValueError, match=r"for tf_keras; .*compat\.keras\.Train"):
    acceptance.make_model("dense").compile(ours, cases.loss())
  model = tf_keras_cases.make_model("dense")
  with pytest.raises(ValueError, match=r"for Keras 3; .*compat\.tf_keras\."):
    model.compile(theirs, tf_keras_cases.loss())
  with pytest.raises(
    ValueError, match=r"are in\s+learned_optimizer.compat.ker"
  ):
    ours.build([keras.Variable(1.0)])


def test_errors_of_variables_and_gradients():
  with pytest.raises(ValueError, match="is int32; floating point is accepted"):
    learned.GlobalLearningRate().build([tf.Variable(1)])
  optimizer = learned.GlobalLearningRate()
  variables = three_variables()
  optimizer.build(variables)
  with pytest.raises(ValueError, match="No gradients provided"):
    apply(optimizer, [None] * 3, variables)
  with pytest.raises(
    ValueError, match="is not one of those that the optimizer"
  ):
    apply(optimizer, [tf.constant(1.0)], [tf.Variable(1.0)])
  with pytest.raises(ValueError, match=r"has shape \(2,\)"):
    apply(optimizer, [tf.ones(2)], variables[:1])
  apply(optimizer, [], [])
  assert optimizer.iterations.numpy() == 0

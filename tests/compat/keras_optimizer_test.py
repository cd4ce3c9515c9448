"""What a Keras optimizer does beyond the cells of the acceptance matrix."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from learned_optimizer.compat import keras as learned
from learned_optimizer.compat.learned_rule import LearnedRule
from tests.compat import acceptance, cases

ALL = {
  "hierarchical": cases.hierarchical,
  "coordinatewise": lambda **k: learned.CoordinatewiseRNN([3], "GRUCell", **k),
  "schedule": lambda **k: learned.LearningRateSchedule([0.1, 0.2], 5, **k),
  "adam": lambda **k: learned.TrainableAdam(0.1, beta1=0.8, **k),
  "rate": lambda **k: learned.GlobalLearningRate(0.1, **k),
}
every_optimizer = pytest.mark.parametrize("name", ALL)


def three_variables(dtype="float32"):
  shapes = [(2, 3), (4,), ()]
  return [keras.Variable(np.ones(shape), dtype=dtype) for shape in shapes]


def gradients(variables):
  return [0.1 * tf.ones(v.shape, v.dtype) for v in variables]


def values(variables):
  return [v.numpy().astype(np.float64) for v in variables]


def assert_equal(actual, expected):
  for a, b in zip(actual, expected, strict=True):
    np.testing.assert_array_equal(a, b)


@every_optimizer
def test_is_a_keras_optimizer_and_moves_every_variable(name):
  optimizer = ALL[name]()
  assert isinstance(optimizer, keras.optimizers.Optimizer)
  variables = three_variables()
  optimizer.apply(gradients(variables), variables)
  assert optimizer.iterations == 1
  for value in values(variables):
    assert np.all(value != 1.0) and np.all(np.isfinite(value))


@every_optimizer
def test_a_clone_is_the_same_optimizer(name):
  optimizer = ALL[name](clipnorm=1.0, seed=3)
  clone = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
  assert type(clone) is type(optimizer)
  assert clone.get_config() == optimizer.get_config()
  ours, theirs = three_variables(), three_variables()
  for _ in range(2):
    optimizer.apply(gradients(ours), ours)
    clone.apply(gradients(theirs), theirs)
  assert_equal(values(theirs), values(ours))


@every_optimizer
def test_from_learned(name):
  optimizer = ALL[name](seed=3)
  rule = LearnedRule(
    type(optimizer).__name__,
    optimizer._learned.settings,
    optimizer.learned_weights,
  )
  made = learned.from_learned(rule, seed=3, name=optimizer.name)
  assert made.get_config() == optimizer.get_config()


def test_a_whole_number_is_a_learning_rate():
  assert learned.GlobalLearningRate(learning_rate=2).learning_rate == 2.0
  rate = np.float32(0.5)
  assert learned.GlobalLearningRate(learning_rate=rate).learning_rate == 0.5


def test_learning_rate_multiplies_the_steps():
  moves = []
  for rate in [1.0, 0.25, lambda: 0.25]:
    variables = three_variables()
    cases.hierarchical(learning_rate=rate).apply(
      gradients(variables), variables
    )
    moves.append([1.0 - value for value in values(variables)])
  for whole, part, function in zip(*moves, strict=True):
    np.testing.assert_allclose(0.25 * whole, part, atol=1e-7)
    np.testing.assert_array_equal(part, function)


@pytest.mark.parametrize("name", ["hierarchical", "schedule", "adam"])
def test_tensors_without_gradient_are_as_if_they_did_not_exist(name):
  everything, alone = three_variables(), three_variables()[1:2]
  optimizer, other = ALL[name](), ALL[name]()
  if name == "hierarchical":
    # Without draws, which depend on the shapes.
    arguments = {"level_sizes": [3, 4, 5], "init_lr_range": [0.01, 0.01]}
    optimizer, other = (
      learned.HierarchicalRNN(**arguments, seed=3) for _ in range(2)
    )
  for _ in range(2):
    with pytest.warns(UserWarning, match="Gradients do not exist"):
      optimizer.apply([None, gradients(alone)[0], None], everything)
    other.apply(gradients(alone), alone)
  np.testing.assert_array_equal(everything[1].numpy(), alone[0].numpy())
  assert np.all(everything[0].numpy() == 1.0)
  # The state of the others is fresh: they start as they would at first.
  fresh = three_variables()[:1]
  if name != "hierarchical":
    with pytest.warns(UserWarning, match="Gradients do not exist"):
      optimizer.apply([gradients(fresh)[0], None, None], everything)
    ALL[name]().apply(gradients(fresh), fresh)
    np.testing.assert_array_equal(everything[0].numpy(), fresh[0].numpy())


def test_the_order_of_gradients_does_not_matter():
  straight, reverse = three_variables(), three_variables()
  for variables, step in [(straight, 1), (reverse, -1)]:
    optimizer = cases.hierarchical()
    optimizer.build(variables)
    optimizer.apply(gradients(variables)[::step], variables[::step])
  assert_equal(values(straight), values(reverse))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_other_types(dtype):
  variables, expected = three_variables(dtype), three_variables()
  arguments = {
    "use_ema": True,
    "gradient_accumulation_steps": 2,
    "weight_decay": 0.1,
    "global_clipnorm": 0.2,
  }
  for group in (variables, expected):
    optimizer = cases.hierarchical(**arguments)
    for _ in range(2):
      optimizer.apply(gradients(group), group)
  for variable, other in zip(variables, expected, strict=True):
    assert variable.dtype == dtype
    np.testing.assert_allclose(
      variable.numpy().astype(np.float64), other.numpy(), rtol=1e-2
    )


def test_fresh_draws_follow_keras_seed():
  ends = []
  for seed in [1, 1, 2]:
    keras.utils.set_random_seed(seed)
    variables = three_variables()
    optimizer = learned.HierarchicalRNN([3, 4, 5])
    optimizer.apply(gradients(variables), variables)
    ends.append(np.concatenate([v.ravel() for v in values(variables)]))
  np.testing.assert_array_equal(ends[0], ends[1])
  assert np.any(ends[0] != ends[2])


def test_update_step_is_a_step_of_one_variable():
  variables, expected = three_variables(), three_variables()
  optimizer, other = cases.hierarchical(), cases.hierarchical()
  optimizer.build(variables)
  optimizer.update_step(gradients(variables)[1], variables[1], 1.0)
  with pytest.warns(UserWarning, match="Gradients do not exist"):
    other.apply([None, gradients(expected)[1], None], expected)
  assert_equal(values(variables), values(expected))


def test_plain_variables_in_a_compiled_loop():
  variables = [tf.Variable(tf.ones(3)), tf.Variable(1.0)]
  optimizer = cases.hierarchical(use_attention=True)

  @tf.function(jit_compile=True)
  def step():
    optimizer.apply_gradients(zip(gradients(variables), variables, strict=True))

  step()
  attended = values(variables)
  optimizer.finalize_variable_values(variables)
  assert np.all(values(variables)[0] != attended[0])


def test_multi_optimizer():
  choice = keras.optimizers.OptimizerMap(cases.hierarchical())
  choice[".*bias"] = keras.optimizers.SGD(0.1)
  model = acceptance.make_model("dense")
  before = model.get_weights()
  model.compile(
    keras.optimizers.MultiOptimizer(choice), cases.loss(), jit_compile=False
  )
  model.fit(*acceptance.data("dense"), verbose=0)
  for old, new in zip(before, model.get_weights(), strict=True):
    assert np.all(old != new)


def test_constraints_hold_for_the_parameters_proper():
  model = keras.Sequential(
    [keras.Input((4,)), keras.layers.Dense(3, kernel_constraint="non_neg")]
  )
  optimizer = cases.hierarchical(use_attention=True, learning_rate=10.0)
  model.compile(optimizer, cases.loss(), jit_compile=False)
  model.fit(*acceptance.data("dense"), epochs=3, verbose=0)
  assert np.min(model.get_weights()[0]) == 0.0


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("rule", ["hierarchical", "attending"])
def test_a_model_that_the_first_step_builds(rule, jit_compile):
  ends = []
  for is_built in [False, True]:
    keras.utils.set_random_seed(1)
    layers = [keras.layers.Dense(3), keras.layers.Dense(cases.NUM_CLASSES)]
    model = keras.Sequential(layers)
    if is_built:
      model.build((None, 4))
    optimizer = cases.OPTIMIZERS[rule](use_ema=True)
    model.compile(optimizer, cases.loss(), jit_compile=jit_compile)
    model.fit(*acceptance.data("dense"), batch_size=4, verbose=0, shuffle=False)
    ends.append(model.get_weights())
  for unbuilt, built in zip(*ends, strict=True):
    np.testing.assert_allclose(unbuilt, built, rtol=1e-5, atol=1e-6)


def test_an_empty_list_of_gradients_does_nothing():
  optimizer = cases.hierarchical()
  variables = three_variables()
  optimizer.build(variables)
  optimizer.apply([], variables)
  assert optimizer.iterations == 0


def test_a_frozen_layer_after_build_stays():
  model = acceptance.make_model("dense")
  optimizer = cases.hierarchical()
  model.compile(optimizer, cases.loss(), jit_compile=False)
  model.fit(*acceptance.data("dense"), verbose=0)
  model.layers[0].trainable = False
  model.compile(optimizer, cases.loss(), jit_compile=False)
  before = model.get_weights()
  model.fit(*acceptance.data("dense"), verbose=0)
  after = model.get_weights()
  assert len(after) == 4
  pairs = zip(before, after, strict=True)
  assert sum(np.array_equal(a, b) for a, b in pairs) == 2


def test_errors_of_variables_and_gradients():
  optimizer = learned.GlobalLearningRate()
  with pytest.raises(ValueError, match="compat.tf_keras"):
    optimizer.build(["kernel"])
  optimizer = learned.GlobalLearningRate()
  with pytest.raises(ValueError, match="is int32; floating point is accepted"):
    optimizer.build([keras.Variable(1, dtype="int32")])
  assert not optimizer.built
  optimizer = learned.GlobalLearningRate()
  variables = three_variables()
  with pytest.raises(ValueError, match="No gradients provided"):
    optimizer.apply([None] * 3, variables)
  with pytest.raises(ValueError, match="Unknown variable"):
    optimizer.apply([tf.constant(1.0)], [keras.Variable(1.0)])
  with pytest.raises(ValueError, match=r"has shape \(2,\)"):
    optimizer.apply([tf.ones(2)], variables[:1])


def test_names_its_twin():
  assert "compat.tf_keras.TrainableAdam" in repr(learned.TrainableAdam())


def test_importing_it_loads_no_library_of_meta_training():
  # Keras itself imports some of these where they are installed.
  code = (
    "import sys, keras; before = set(sys.modules);"
    "import learned_optimizer.compat.keras;"
    "heavy = {'tensorflow_datasets', 'sklearn', 'matplotlib', 'tf_keras'};"
    "sys.exit(', '.join(heavy & (sys.modules.keys() - before)) or 0)"
  )
  environment = {"PYTHONPATH": ":".join(filter(None, sys.path))}
  result = subprocess.run(
    [sys.executable, "-c", code],
    env=environment,
    capture_output=True,
    text=True,
    check=False,
  )
  assert result.returncode == 0, result.stderr


def test_the_number_of_operations_hardly_grows_with_the_tensors():
  """A tensor more is read, cut out, moved and written; no rule is applied."""

  def count(num_tensors):
    variables = [tf.Variable(tf.ones(3)) for _ in range(num_tensors)]
    optimizer = cases.hierarchical()
    optimizer.build(variables)
    function = tf.function(optimizer.apply).get_concrete_function(
      gradients(variables), variables
    )
    return len(function.graph.get_operations())

  assert count(40) - count(20) <= 20 * 20

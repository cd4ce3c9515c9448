"""Problems made of Keras models."""

import random

import keras
import numpy as np
import pytest
import tensorflow as tf

from learned_optimizer.problems import problem_spec
from learned_optimizer.problems.keras_adapter import KerasProblem
from tests.problems.adapted_models import (
  cross_entropy,
  make_convolutional,
  make_dense,
)
from tests.problems.all_problems import evaluate, parameters_of

layers = keras.layers


def _data(features=4, classes=3, size=5):
  random_state = np.random.RandomState(1)
  data = random_state.randn(size, features).astype(np.float32)
  return data, random_state.randint(classes, size=size).astype(np.int32)


def _value(problem, data, labels, parameters=None):
  parameters = parameters or parameters_of(problem)
  return evaluate(
    lambda: problem.objective(
      [tf.constant(p) for p in parameters],
      tf.constant(data),
      tf.constant(labels),
    )
  )


def _sequential(*parts):
  return lambda: keras.Sequential([keras.Input([4]), *[p() for p in parts]])


class Own(keras.Layer):
  """A layer with a weight of its own, and one in a layer."""

  def __init__(self, scale=2.0, **kwargs):
    super().__init__(**kwargs)
    self.scale = scale
    self.inner = layers.Dense(3)

  def build(self, shape):
    self.inner.build(shape)
    self.shift = self.add_weight(shape=[3], initializer="random_normal")

  def call(self, inputs):
    return self.scale * self.inner(inputs) + self.shift


class Subclassed(keras.Model):
  """A model without inputs."""

  def __init__(self):
    super().__init__()
    self.recurrent = layers.Bidirectional(layers.LSTM(2))
    self.outputs_layer = layers.Dense(3)

  def call(self, inputs):
    sequence = keras.ops.reshape(inputs, [-1, 2, 2])
    return self.outputs_layer(self.recurrent(sequence))


def make_subclassed():
  model = Subclassed()
  model(np.zeros([1, 4], np.float32))
  return model


class TestObjective:
  def test_value_is_that_of_keras(self):
    problem = KerasProblem(make_dense, cross_entropy)
    data, labels = _data()
    parameters = parameters_of(problem)
    model = make_dense()
    model.set_weights(parameters)
    model.compile(loss=cross_entropy)
    expected = model.evaluate(data, labels, verbose=0)
    actual = _value(problem, data, labels, parameters)
    np.testing.assert_allclose(actual, expected, rtol=1e-5)
    # The regularisation loss is in it.
    without = np.mean(cross_entropy(labels, model(data)))
    penalty = 0.01 * np.sum(np.square(parameters[0]))
    np.testing.assert_allclose(actual, without + penalty, rtol=1e-5)

  @pytest.mark.parametrize(
    ("loss", "one_hot"),
    [
      ("sparse_categorical_crossentropy", False),
      ("SparseCategoricalCrossentropy", False),
      (keras.losses.SparseCategoricalCrossentropy(), False),
      ("categorical_crossentropy", True),
      ("mse", True),
      (keras.losses.CategoricalHinge(), True),
    ],
  )
  def test_losses(self, loss, one_hot):
    problem = KerasProblem(make_convolutional, loss)
    data, labels = _data(16)
    if one_hot:
      labels = np.eye(3, dtype=np.int32)[labels]
    parameters = parameters_of(problem)
    model = make_convolutional()
    outputs, _ = model.stateless_call(
      parameters, model.non_trainable_variables, data.reshape([-1, 4, 4, 1])
    )
    expected = np.mean(keras.losses.get(loss)(labels, outputs))
    actual = _value(problem, data, labels, parameters)
    np.testing.assert_allclose(actual, expected, rtol=1e-5)

  def test_training_takes_the_statistics_of_the_batch(self):
    data, labels = _data(16)
    problems = [
      KerasProblem(make_convolutional, "mse", training=training)
      for training in (False, True)
    ]
    labels = np.eye(3, dtype=np.int32)[labels]
    parameters = parameters_of(problems[0])
    model = make_convolutional()
    for problem, training in zip(problems, (False, True), strict=True):
      outputs, _ = model.stateless_call(
        parameters,
        model.non_trainable_variables,
        data.reshape([-1, 4, 4, 1]),
        training=training,
      )
      np.testing.assert_allclose(
        _value(problem, data, labels, parameters),
        np.mean(np.square(outputs - labels)),
        rtol=1e-5,
      )
    assert problems[0].structure != problems[1].structure

  def test_constants_are_values_of_the_model(self):
    model = make_convolutional()
    mean, variance = model.non_trainable_variables
    mean.assign([1.0, 2.0])
    problem = KerasProblem(model, "sparse_categorical_crossentropy")
    assert list(map(list, problem.constants.values())) == [[1, 2], [1, 1]]
    data, labels = _data(16)
    changed = problem.with_constants(
      {"constant_0": mean.numpy() + 5, "constant_1": variance.numpy()}
    )
    assert _value(problem, data, labels) != _value(changed, data, labels)

  def test_frozen_layers_are_constants(self):
    model = make_dense()
    model.layers[0].trainable = False
    problem = KerasProblem(model, cross_entropy)
    assert problem.param_shapes == [(3, 3), (3,)]
    kernel = problem.constants["constant_0"]
    np.testing.assert_array_equal(kernel, model.layers[0].kernel)

  def test_random_constants_are_drawn_from_the_seed(self):
    def make_model():
      model = keras.Sequential(
        [
          keras.Input([4]),
          layers.Dense(3, name="frozen"),
          layers.Dense(3, name="loaded"),
          layers.BatchNormalization(),
          layers.Dropout(0.5),
          layers.Dense(3),
        ]
      )
      model.get_layer("frozen").trainable = False
      model.get_layer("loaded").set_weights([2 * np.eye(3), np.ones(3)])
      model.get_layer("loaded").trainable = False
      return model

    one, again, other = (
      list(KerasProblem(make_model, "mse", random_seed=s).constants.values())
      for s in (1, 1, 2)
    )
    kernel, *rest = one
    np.testing.assert_array_equal(kernel, again[0])
    assert not np.any(kernel == other[0])
    assert 0.2 < kernel.std() < 1  # Glorot's uniform: sqrt(2 / 7) = 0.53
    for value, again_value, other_value in zip(
      rest[:-1], again[1:-1], other[1:-1], strict=True
    ):
      np.testing.assert_array_equal(value, again_value)
      np.testing.assert_array_equal(value, other_value)
    np.testing.assert_array_equal(one[2], 2 * np.eye(3))
    # A model that is given keeps its values, whatever the seed is.
    model = make_model()
    constants = KerasProblem(model, "mse", random_seed=1).constants
    np.testing.assert_array_equal(
      constants["constant_0"], model.get_layer("frozen").kernel
    )

  def test_random_constant_that_cannot_be_seeded(self):
    def make_model():
      model = keras.Sequential([keras.Input([4]), Own(), layers.Dense(3)])
      model.layers[0].trainable = False
      return model

    with pytest.raises(ValueError, match="own.* must be fixed by the seeds"):
      KerasProblem(make_model, "mse")

  def test_tokens_and_recurrent_layers(self):
    def make_model():
      return keras.Sequential(
        [
          keras.Input([4], dtype="int32"),
          layers.Embedding(7, 3),
          layers.GRU(2),
          layers.Dense(1, "sigmoid"),
        ]
      )

    problem = KerasProblem(make_model, "binary_crossentropy", training=True)
    data = np.array([[0, 1, 2, 3], [6, 5, 4, 3]], np.float32)
    labels = np.array([[0], [1]], np.int32)
    parameters = parameters_of(problem)
    model = make_model()
    model.set_weights(parameters)
    expected = keras.losses.BinaryCrossentropy()(labels, model(data))
    actual = _value(problem, data, labels, parameters)
    np.testing.assert_allclose(actual, expected, rtol=1e-5)

  def test_dropout_is_inert_or_refused(self):
    make_model = _sequential(
      lambda: layers.Dropout(0.5), lambda: layers.Dense(3)
    )
    data, labels = _data()
    problem = KerasProblem(make_model, cross_entropy)
    plain = KerasProblem(_sequential(lambda: layers.Dense(3)), cross_entropy)
    parameters = parameters_of(problem)
    assert _value(problem, data, labels, parameters) == _value(
      plain, data, labels, parameters
    )
    problem = KerasProblem(make_model, cross_entropy, training=True)
    with pytest.raises(ValueError, match="must not draw random numbers"):
      _value(problem, data, labels)


class TestInitialParameters:
  @pytest.mark.parametrize(
    "make_model",
    [
      make_dense,
      make_convolutional,
      make_subclassed,
      _sequential(lambda: layers.Dense(3, kernel_initializer="he_normal")),
      _sequential(
        lambda: layers.Dense(
          3, kernel_initializer=keras.initializers.GlorotUniform(seed=1)
        )
      ),
      lambda: keras.Sequential([make_dense(), layers.Dense(3)]),
    ],
  )
  @pytest.mark.parametrize("given", ["function", "model"])
  def test_are_fixed_by_the_generator(self, make_model, given):
    model = make_model()
    model = model if model.built else _built(make_model)()
    source = model if given == "model" else _built(make_model)
    problem = KerasProblem(source, "mse")
    assert problem.param_shapes == [v.shape for v in model.trainable_variables]
    generator = np.random.default_rng(1)
    first, other = (problem.initial_parameters(generator) for _ in range(2))
    again = problem.initial_parameters(np.random.default_rng(1))
    assert all(map(np.array_equal, first, again))
    for one, two, own in zip(
      first, other, model.trainable_variables, strict=True
    ):
      if len(one.shape) > 1:
        assert not np.any(one == two)
        deviation = np.std(own)
        assert 0.2 * deviation < np.std(one) < 5 * deviation

  def test_equal_layers_start_differently(self):
    problem = KerasProblem(
      _sequential(lambda: layers.Dense(4), lambda: layers.Dense(4)), "mse"
    )
    first, _, second, _ = parameters_of(problem)
    assert not np.any(first == second)

  def test_do_not_depend_on_global_generators(self):
    problem = KerasProblem(make_dense, cross_entropy)
    keras.utils.set_random_seed(1)
    state = random.getstate(), np.random.get_state()[1].copy()
    first = parameters_of(problem)
    keras.utils.set_random_seed(2)
    assert all(map(np.array_equal, first, parameters_of(problem)))
    keras.utils.set_random_seed(1)
    assert state[0] == random.getstate()
    np.testing.assert_array_equal(state[1], np.random.get_state()[1])

  def test_in_a_graph(self):
    with tf.Graph().as_default() as graph, tf.compat.v1.Session() as session:
      problem = KerasProblem(make_dense, cross_entropy)
      parameters = session.run(problem.init_tensors(seed=3))
      assert not graph.get_operations()[0].type.startswith("Var")
    expected = problem.initial_parameters(np.random.default_rng(3))
    assert all(map(np.array_equal, parameters, expected))

  def test_layer_that_cannot_be_seeded(self):
    with pytest.raises(ValueError, match="own.*/.* must be fixed by the seeds"):
      KerasProblem(_sequential(Own), "mse")

  def test_layer_that_cannot_be_copied(self):
    class Closed(layers.Dense):
      def get_config(self):
        raise NotImplementedError

    with pytest.raises(ValueError, match="Closed cannot be copied"):
      KerasProblem(_sequential(lambda: Closed(3)), "mse")


def _built(make_model):
  def make():
    model = make_model()
    if not model.built:
      model.build([None, 4])
    return model

  return make


class TestStructure:
  def test_one_function_is_one_structure(self):
    specs = [
      problem_spec.Spec(KerasProblem, (make_dense, cross_entropy), {}),
      problem_spec.Spec(KerasProblem, (make_dense, "mse"), {}),
      problem_spec.Spec(KerasProblem, (make_convolutional, "mse"), {}),
    ]
    structures = [spec.build(random_seed=1).structure for spec in specs]
    assert len(set(structures)) == 3
    for spec, structure in zip(specs, structures, strict=True):
      assert spec.build(random_seed=2).structure == structure

  def test_one_model_is_one_structure(self):
    model, other = make_dense(), make_dense()
    structure = KerasProblem(model, "mse").structure
    assert structure == KerasProblem(model, "mse").structure
    assert structure != KerasProblem(other, "mse").structure


class TestErrors:
  @pytest.mark.parametrize("model", [None, "model", lambda: 3])
  def test_no_model(self, model):
    with pytest.raises(
      ValueError, match="model must be a Keras model or a fun"
    ):
      KerasProblem(model, "mse")

  def test_model_without_weights_yet(self):
    with pytest.raises(ValueError, match="model must have its weights"):
      KerasProblem(lambda: keras.Sequential([layers.Dense(3)]), "mse")

  def test_nothing_to_train(self):
    with pytest.raises(ValueError, match="must have trainable weights"):
      KerasProblem(_sequential(layers.Flatten), "mse")

  def test_other_weights(self):
    with pytest.raises(ValueError, match="weights must be float32.*float64"):
      KerasProblem(_sequential(lambda: layers.Dense(3, dtype="float64")), "mse")

  @pytest.mark.parametrize("loss", [None, "nonsense", 3])
  def test_no_loss(self, loss):
    with pytest.raises(ValueError, match=f"loss must be .* got {loss!r}"):
      KerasProblem(make_dense, loss)

  def test_no_data(self):
    problem = KerasProblem(make_dense, "mse")
    with pytest.raises(ValueError, match="KerasProblem needs data and labels"):
      problem.objective(parameters_of(problem))

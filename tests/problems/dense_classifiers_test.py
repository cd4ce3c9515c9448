"""Tests of the classifiers."""

import math

import numpy as np
import pytest
import tensorflow as tf

from learned_optimizer.problems import datasets
from learned_optimizer.problems import problem_generator as pg
from tests.problems.all_problems import (
  evaluate,
  norms,
  objective_and_gradients,
  parameters_of,
)
from tests.problems.training import gradients_through_training

# noisy_parity_class(5, random_seed=123)
_PARITY = (
  np.array(
    [
      [0, 1, 0, 0, 0],
      [0, 0, 1, 1, 0],
      [1, 1, 0, 1, 0],
      [1, 0, 1, 1, 0],
      [0, 0, 1, 1, 1],
    ],
    np.float32,
  ),
  np.array([1, 0, 1, 1, 1], np.int32),
)


class _ByRows(pg.FullyConnected):
  """A perceptron as one writes it down."""

  def inference(self, parameters, data):
    values = tf.constant(data)
    *hidden, (w, b) = zip(parameters[::2], parameters[1::2], strict=True)
    for matrix, bias in hidden:
      values = self.activation(tf.matmul(values, matrix) + bias)
    return tf.matmul(values, w) + b


class TestCheckValues:
  """Numbers computed with the original code."""

  @pytest.mark.parametrize(
    ("l2_reg_scale", "expected"), [(1e-3, 1.3247106), (0, 1.3163650)]
  )
  def test_softmax_regression(self, l2_reg_scale, expected):
    random_state = np.random.RandomState(0)
    data, w, b = (random_state.randn(*s) for s in ((6, 4), (4, 2), (2,)))
    problem = pg.SoftmaxRegression(4, 2, l2_reg_scale=l2_reg_scale)
    value, _ = objective_and_gradients(
      problem,
      [w.astype(np.float32), b.astype(np.float32)],
      data.astype(np.float32),
      np.array([0, 1, 1, 0, 1, 0], np.int32),
    )
    np.testing.assert_allclose(value, expected, rtol=1e-5)

  def test_fully_connected(self):
    expected_norms = (
      0.08995819,
      0.06213452,
      0.19980006,
      0.15148744,
      0.8559108,
      0.54145145,
    )
    for activation, expected in (
      (tf.nn.sigmoid, 1.7360505),
      (tf.nn.relu, 3.7533755),
    ):
      problem = pg.FullyConnected(8, 2, (8, 5), activation=activation)
      random_state = np.random.RandomState(0)
      parameters = [
        random_state.randn(*shape).astype(np.float32)
        for shape in problem.param_shapes
      ]
      data = random_state.randn(10, 8).astype(np.float32)
      labels = random_state.randint(0, 2, 10)
      value, gradients = objective_and_gradients(
        problem, parameters, data, labels
      )
      np.testing.assert_allclose(value, expected, rtol=1e-5)
      if activation is tf.nn.sigmoid:
        np.testing.assert_allclose(norms(gradients), expected_norms, rtol=1e-5)

  @pytest.mark.parametrize("variant", ["training", "evaluation"])
  @pytest.mark.parametrize(
    ("hidden_sizes", "activation", "expected", "expected_at_start", "count"),
    [
      ((20,), tf.nn.sigmoid, 2.305851, 2.3071444, 15910),
      ((20,), tf.nn.relu, 2.373836, 2.3030589, 15910),
      ((20, 20), tf.nn.sigmoid, 2.3718114, 2.303769, 16330),
    ],
  )
  def test_ten_classes(
    self, hidden_sizes, activation, expected, expected_at_start, count, variant
  ):
    problem = pg.FullyConnected(
      784, 10, hidden_sizes, activation=activation, variant=variant
    )
    assert problem.num_params == count
    random_state = np.random.RandomState(0)
    parameters = [
      (0.1 * random_state.randn(*shape)).astype(np.float32)
      for shape in problem.param_shapes
    ]
    data = random_state.rand(128, 28, 28, 1).astype(np.float32)
    labels = random_state.randint(0, 10, 128)
    value, gradients = objective_and_gradients(
      problem, parameters, data, labels
    )
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    if (hidden_sizes, activation) == ((20,), tf.nn.sigmoid):
      expected_norms = [0.09063035, 0.00499126, 0.14960517, 0.06235167]
      np.testing.assert_allclose(norms(gradients), expected_norms, rtol=1e-5)

    def at_start():
      initial = problem.init_variables(6)
      return problem.objective(initial, data, labels), initial[0][0, 0]

    value, first = evaluate(at_start)
    np.testing.assert_allclose(first, 0.00657514, rtol=1e-5)
    np.testing.assert_allclose(value, expected_at_start, rtol=1e-5)

  @pytest.mark.parametrize(
    "build", [pg.SparseSoftmaxRegression, pg.OneHotSparseSoftmaxRegression]
  )
  def test_sparse_softmax_regression(self, build):
    problem = build(5, 2)
    assert problem.param_shapes == [(2, 5), (5, 2), (2,)]
    random_state = np.random.RandomState(0)
    parameters = [
      random_state.randn(*shape).astype(np.float32)
      for shape in problem.param_shapes
    ]
    value, _ = objective_and_gradients(problem, parameters, *_PARITY)
    np.testing.assert_allclose(value, 2.6500444, rtol=1e-5)


class TestSparseSoftmaxRegression:
  def test_gradients_of_rows(self):
    """Without regularisation they are sparse, with the values of the others."""
    sparse, one_hot = (
      build(5, 3, variant="evaluation", random_seed=1, noise_stdev=noise)
      for build, noise in (
        (pg.SparseSoftmaxRegression, 0.5),
        (pg.OneHotSparseSoftmaxRegression, 0.0),
      )
    )
    parameters = [10 * p for p in parameters_of(one_hot)]
    draws = [d[1] for d in sparse.draws(2, np.random.default_rng(1))]
    data, _ = _PARITY
    labels = np.array([0, 1, 2, 1, 0], np.int32)

    def build():
      tensors = [tf.constant(p) for p in parameters]
      value = sparse.objective(tensors, data, labels)
      exact = tf.gradients(value, tensors)
      noisy = sparse.gradients(value, tensors, draws)
      assert isinstance(exact[0], tf.IndexedSlices)
      assert isinstance(noisy[0], tf.IndexedSlices)
      assert not any(isinstance(g, tf.IndexedSlices) for g in noisy[1:])
      return (
        value,
        noisy[0].indices,
        noisy[0].values - exact[0].values,
        noisy[1] - exact[1],
        [tf.convert_to_tensor(g) for g in exact],
      )

    value, indices, row_noise, noise, gradients = evaluate(build)
    assert indices.tolist() == data.ravel().astype(int).tolist()
    # The noise of a row is shared by its occurrences, see Problem.gradients.
    shares = 1 / np.sqrt(np.bincount(indices)[indices])[:, None]
    np.testing.assert_allclose(
      row_noise, 0.5 * shares * draws[0][indices], atol=1e-6
    )
    np.testing.assert_allclose(noise, 0.5 * draws[1], atol=1e-6)
    expected = objective_and_gradients(one_hot, parameters, data, labels)
    np.testing.assert_allclose(value, expected[0], rtol=1e-6)
    for gradient, reference in zip(gradients, expected[1], strict=True):
      assert np.linalg.norm(reference) > 0
      np.testing.assert_allclose(gradient, reference, rtol=1e-5, atol=1e-6)

  def test_unregularised_in_a_compiled_loop(self):
    """Sparse gradients have noise and second derivatives there, too."""
    sparse = pg.SparseSoftmaxRegression(5, 2, l2_reg_scale=0.0, noise_stdev=0.3)
    one_hot = pg.OneHotSparseSoftmaxRegression(
      5, 2, l2_reg_scale=0.0, noise_stdev=0.3
    )
    data, labels = _PARITY
    rows, *draws = sparse.draws(3, np.random.default_rng(1))
    # The noise of a row grows with the root of how often it occurs.
    counts = np.bincount(data.ravel().astype(int))[:, None]
    row_sums = rows * np.sqrt(counts, dtype=np.float32)
    _, values = gradients_through_training(
      sparse,
      parameters_of(sparse),
      data,
      labels,
      learning_rate=0.1,
      draws=[rows, *draws],
    )
    references, _ = gradients_through_training(
      one_hot,
      parameters_of(one_hot),
      data,
      labels,
      learning_rate=0.1,
      draws=[row_sums, *draws],
    )
    for value, reference in zip(values, references, strict=True):
      assert np.linalg.norm(reference) > 0
      np.testing.assert_allclose(value, reference, rtol=1e-4, atol=1e-6)


class TestVariants:
  @pytest.mark.parametrize(
    "build",
    [
      lambda **k: pg.SoftmaxRegression(4, 3, **k),
      lambda **k: pg.SparseSoftmaxRegression(4, 3, **k),
      lambda **k: pg.OneHotSparseSoftmaxRegression(4, 3, **k),
      lambda **k: pg.FullyConnected(4, 3, **k),
    ],
  )
  def test_regularisation(self, build):
    assert build().l2_reg_scale == 1e-3
    assert build(variant="original").l2_reg_scale == 1e-3
    assert build(variant="training").l2_reg_scale == 0
    assert build(variant="evaluation").l2_reg_scale == 0
    assert build(variant="evaluation", l2_reg_scale=0.5).l2_reg_scale == 0.5
    with pytest.raises(
      ValueError,
      match="variant must be one of original, training, evaluation, got 'test'",
    ):
      build(variant="test")

  @pytest.mark.parametrize(
    ("build", "variant", "scales"),
    [
      (pg.SoftmaxRegression, "original", (0.06, 0.12)),
      (pg.SoftmaxRegression, "evaluation", (0.06, 0.12)),
      (pg.SoftmaxRegression, "training", (0.0006, 0.0012)),
      (pg.FullyConnected, "evaluation", (0.01,) * 6),
      (pg.FullyConnected, "training", (0.01,) * 6),
    ],
  )
  def test_initial_scale(self, build, variant, scales):
    """The scales are 1.2 / sqrt(400) and 1.2 / sqrt(100), or constant."""
    problem = build(400, 100, variant=variant)
    for parameters in (
      parameters_of(problem),
      evaluate(lambda: problem.init_tensors()),
    ):
      for parameter, scale in zip(parameters, scales, strict=True):
        np.testing.assert_allclose(parameter.std(), scale, rtol=0.4)
      np.testing.assert_allclose(parameters[0].std(), scales[0], rtol=0.03)


class TestClassifiers:
  def test_parameter_shapes(self):
    assert pg.SoftmaxRegression(4, 3).param_shapes == [(4, 3), (3,)]
    assert pg.FullyConnected(4, 2, []).param_shapes == [(4, 2), (2,)]
    shapes = [(7, 32), (32,), (32, 64), (64,), (64, 2), (2,)]
    assert pg.FullyConnected(7, 2).param_shapes == shapes

  def test_initial_scale(self):
    problem = pg.FullyConnected(400, 10, (100,))
    sources = (
      parameters_of(problem),
      evaluate(lambda: problem.init_tensors()),
    )
    for parameters in sources:
      scales = [p.std() * math.sqrt(p.shape[0]) / 1.2 for p in parameters]
      np.testing.assert_allclose(scales[0], 1, rtol=0.03)
      np.testing.assert_allclose(scales[1], 1, rtol=0.4)
      np.testing.assert_allclose(scales[2], 1, rtol=0.12)

  @pytest.mark.parametrize("classes", [2, 10])
  @pytest.mark.parametrize("labels_shape", [(6,), (6, 1)])
  def test_zero_parameters(self, classes, labels_shape):
    problem = pg.FullyConnected(4, classes, (3,))
    zeros = [np.zeros(s, np.float32) for s in problem.param_shapes]
    data = np.ones((6, 4), np.float32)
    labels = np.ones(labels_shape, np.int32)
    value, _ = objective_and_gradients(problem, zeros, data, labels)
    np.testing.assert_allclose(value, math.log(classes), rtol=1e-6)

  def test_one_example(self):
    problem = pg.SoftmaxRegression(4, 3, l2_reg_scale=0)
    w, b = parameters_of(problem)
    data = np.ones((1, 4), np.float32)
    value, _ = objective_and_gradients(problem, [w, b], data, np.array([[2]]))
    logits = (data @ w + b)[0].astype(np.float64)
    expected = np.log(np.exp(logits).sum()) - logits[2]
    np.testing.assert_allclose(value, expected, rtol=1e-5)

  @pytest.mark.parametrize(
    ("num_examples", "classes", "activation"),
    [(300, 2, tf.nn.sigmoid), (7, 3, tf.nn.softmax)],
  )
  def test_is_that_of_rows(self, num_examples, classes, activation):
    """Examples are computed with as columns; activations see rows."""
    settings = (4, classes, (5, 1, 3), activation)
    by_rows = _ByRows(*settings, random_seed=1, l2_reg_scale=0.1)
    problem = pg.FullyConnected(*settings, random_seed=1, l2_reg_scale=0.1)
    parameters = parameters_of(problem)
    generator = np.random.default_rng(0)
    data = generator.normal(size=(num_examples, 4)).astype(np.float32)
    labels = generator.integers(classes, size=num_examples).astype(np.int32)
    arranged = problem.arranged(data)
    assert arranged.matrix.shape == (4, num_examples)
    for given in data, arranged:
      np.testing.assert_allclose(
        problem.inference(parameters, given),
        by_rows.inference(parameters, data),
        rtol=1e-5,
        atol=1e-6,
      )
    of_rows, of_columns = (
      gradients_through_training(
        each, parameters, given, labels, learning_rate=0.5
      )
      for each, given in ((by_rows, data), (problem, arranged))
    )
    for actual in of_columns:
      for one, other in zip(actual, of_rows[0], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)

  def test_subclass_sees_its_examples(self):
    """Nothing is arranged for what does not know of it."""

    class Scaled(pg.SoftmaxRegression):
      def objective(self, parameters, data=None, labels=None):
        return super().objective(parameters, tf.cast(data, tf.float32), labels)

    data = np.ones((6, 4), np.float32)
    for problem in Scaled(4, 3), _ByRows(4, 3):
      assert problem.arranged(data) is data

  def test_batch_of_unknown_size(self):
    """Works with the unshaped placeholders of TF1 programs."""
    for problem in (
      pg.SoftmaxRegression(4, 2),
      pg.SoftmaxRegression(4, 3),
      pg.FullyConnected(4, 3, (2,)),
    ):
      with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        parameters = problem.init_variables(seed=6)
        data = tf.compat.v1.placeholder(tf.float32)
        labels = tf.compat.v1.placeholder(tf.int32)
        objective = problem.objective(parameters, data, labels)
        gradients = problem.gradients(objective, parameters)
        session.run(tf.compat.v1.global_variables_initializer())
        feeds = {data: np.ones((6, 4)), labels: np.zeros(6)}
        values = session.run(gradients, feeds)
      assert [v.shape for v in values] == problem.param_shapes

  def test_data_is_required(self):
    problem = pg.SoftmaxRegression(4, 2)
    with (
      tf.Graph().as_default(),
      pytest.raises(
        ValueError, match="SoftmaxRegression needs data and labels"
      ),
    ):
      problem.objective(problem.init_tensors())
    with (
      tf.Graph().as_default(),
      pytest.raises(ValueError, match="got none as data and labels"),
    ):
      problem.objective(problem.init_tensors(), *datasets.EMPTY_DATASET)

  @pytest.mark.parametrize("classes", [2, 3])
  def test_training_raises_accuracy(self, classes):
    """In particular, two classes are not mixed up."""
    problem = pg.SoftmaxRegression(4, classes)
    labels = np.arange(30, dtype=np.int32) % classes
    data = 3 * np.eye(4, dtype=np.float32)[labels]
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
      parameters = problem.init_variables(seed=6)
      objective = problem.objective(parameters, data, labels)
      step = [
        parameter.assign_sub(gradient)
        for parameter, gradient in zip(
          parameters, problem.gradients(objective, parameters), strict=True
        )
      ]
      accuracy = problem.accuracy(parameters, data, labels[:, None])
      session.run(tf.compat.v1.global_variables_initializer())
      for _ in range(50):
        session.run(step)
      assert session.run(accuracy) == 1

  def test_argmax(self):
    problem = pg.SoftmaxRegression(4, 2)
    two = evaluate(lambda: problem.argmax(tf.constant([[1.0, 5], [-1, -5]])))
    assert two.tolist() == [1, 0]
    three = evaluate(lambda: problem.argmax(tf.constant([[1.0, 5, 2]])))
    assert three.tolist() == [1]
    assert two.dtype == three.dtype == np.int32

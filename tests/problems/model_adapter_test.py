"""Problems made of TF1 model functions."""

import numpy as np
import pytest
import tensorflow as tf

from learned_optimizer.problems import problem_spec
from learned_optimizer.problems.model_adapter import ModelAdapter
from learned_optimizer.problems.rosenbrock_model import (
  make_rosenbrock_loss_and_init,
)
from tests.problems.adapted_models import make_least_squares
from tests.problems.all_problems import evaluate, parameters_of

v1 = tf.compat.v1


def _adapter(make_loss, make_init_fn=None, **settings):
  return ModelAdapter(lambda: (make_loss, make_init_fn), **settings)


def _value(problem, *parameters):
  return evaluate(
    lambda: problem.objective([tf.constant(p) for p in parameters])
  )


class TestRosenbrock:
  def test_value_and_derivatives(self):
    problem = ModelAdapter(make_rosenbrock_loss_and_init)
    assert problem.param_shapes == [(1,), (1,)]
    assert problem.parameter_names == ("x", "y")
    assert problem.constants == {"c": [100.0]}
    assert problem.noise_stdev == 0

    def build():
      point = [tf.constant([0.5]), tf.constant([-1.25])]
      objective = problem.objective(point)
      gradients = problem.gradients(objective, point)
      vector = [tf.constant([2.0]), tf.constant([3.0])]
      return objective, gradients, tf.gradients(gradients, point, vector)

    objective, gradients, products = evaluate(build)
    assert objective == 225.25
    np.testing.assert_allclose(gradients, [[299], [-300]], rtol=1e-6)
    # The Hessian is [[2 - 400 y + 1200 x^2, -400 x], [-400 x, 200]].
    np.testing.assert_allclose(products, [[1004], [200]], rtol=1e-6)

  def test_initial_distribution(self):
    problem = ModelAdapter(make_rosenbrock_loss_and_init)
    generator = np.random.default_rng(0)
    points = [problem.initial_parameters(generator) for _ in range(60)]
    points = np.reshape(points, [60, 2])
    assert np.all(np.abs(points) < np.sqrt(3))
    assert np.all(np.abs(points).max(axis=0) > 1.5)
    assert len(np.unique(points)) == 120

  def test_the_constant_is_replaced(self):
    problem = ModelAdapter(make_rosenbrock_loss_and_init)
    problem = problem.with_constants({"c": np.array([1.0], np.float32)})
    assert _value(problem, [0.5], [-1.25]) == 2.5

  @pytest.mark.parametrize("device", ["/job:worker", "/job:worker/cpu:0"])
  def test_on_a_device(self, device):
    spec = problem_spec.Spec(
      ModelAdapter, [make_rosenbrock_loss_and_init], {"device": device}
    )
    problem = spec.build(random_seed=1)
    assert _value(problem, [0.5], [-1.25]) == 225.25
    assert len(parameters_of(problem)) == 2

  def test_the_device_reaches_the_model(self):
    problem = ModelAdapter(make_rosenbrock_loss_and_init, "/job:ps/cpu:0")
    with tf.Graph().as_default():
      objective = problem.objective([tf.zeros([1]), tf.zeros([1])])
      assert objective.op.inputs[0].device == "/device:CPU:0"


class TestModelFunctions:
  def test_old_variables_in_all_spellings(self):
    def make_loss():
      with v1.variable_scope("layer"):
        a = v1.get_variable("a", initializer=[1.0, 2.0], use_resource=False)
      with v1.variable_scope("layer", reuse=True):
        same = v1.get_variable("a", [2])
      b = v1.Variable([3.0, 4.0], use_resource=False)
      c = tf.Variable([5.0, 6.0], trainable=False, name="c")
      step = v1.get_variable("step", initializer=7, trainable=False)
      sums = a * same + b.value() + c.read_value()
      return tf.reduce_sum(sums) + tf.cast(step, tf.float32)

    problem = _adapter(make_loss)
    assert problem.parameter_names == ("layer/a", "Variable")
    assert list(problem.constants) == ["c", "step"]
    assert problem.constants["step"] == 7
    np.testing.assert_array_equal(parameters_of(problem), [[1, 2], [3, 4]])
    assert _value(problem, [10.0, 20.0], [1.0, 1.0]) == 500 + 2 + 11 + 7

  def test_names_and_scopes_around_the_objective_do_not_matter(self):
    problem = ModelAdapter(make_least_squares, random_seed=1)
    parameters = parameters_of(problem)

    def build():
      tensors = [tf.constant(p) for p in parameters]
      v1.get_variable("w", [7])
      alone = problem.objective(tensors)
      with v1.variable_scope("outer", reuse=True):
        return alone, problem.objective(tensors), problem.objective(tensors)

    values = evaluate(build)
    w, (p, b) = problem.constants["w"], parameters
    assert len(set(values)) == 1
    expected = np.mean(np.square(w @ p + b - 1))
    np.testing.assert_allclose(values[0], expected, rtol=1e-5)

  def test_the_current_graph_gets_no_variables(self):
    with tf.Graph().as_default() as graph:
      problem = ModelAdapter(make_least_squares)
      problem.initial_parameters(np.random.default_rng(0))
      tensors = problem.init_tensors()
      assert all(isinstance(t, tf.Tensor) for t in tensors)
      problem.objective(tensors)
      assert not v1.global_variables() + v1.local_variables()
      assert graph.seed is None
      # A model may still make such variables here.
      v1.get_variable("w", [3])

  def test_seeds_fix_parameters_and_constants(self):
    first, second, other = (
      ModelAdapter(make_least_squares, random_seed=seed) for seed in (1, 1, 2)
    )
    w = first.constants["w"]
    np.testing.assert_array_equal(w, second.constants["w"])
    assert not np.any(w == other.constants["w"])
    for one, two in zip(
      parameters_of(first), parameters_of(other), strict=True
    ):
      np.testing.assert_array_equal(one, two)
    fixed, same, unseeded = (
      evaluate(lambda s=seed: first.init_tensors(s)) for seed in (6, 6, None)
    )
    for a, b, c in zip(fixed, same, unseeded, strict=True):
      np.testing.assert_array_equal(a, b)
      assert not np.any(a == c)

  def test_the_function_that_initialises_is_used(self):
    given = []

    def make_loss():
      scale = v1.get_variable("scale", initializer=1.0, trainable=False)
      x = v1.get_variable("x", [2], initializer=tf.zeros_initializer())
      return tf.reduce_sum(x * scale)

    def make_init_fn(variables):
      given.append([v.op.name for v in variables])
      x, scale = variables
      assigned = [x.assign([3.0, 4.0]), scale.assign(5.0)]
      return lambda session: session.run(assigned)

    problem = _adapter(make_loss, make_init_fn)
    np.testing.assert_array_equal(parameters_of(problem), [[3, 4]])
    assert problem.constants == {"scale": 5}
    assert all(names == ["x", "scale"] for names in given)

  def test_gradients_of_rows_are_slices(self):
    def make_loss():
      table = v1.get_variable("table", [5, 2])
      return tf.reduce_sum(tf.nn.embedding_lookup(table, [1, 3]))

    problem = _adapter(make_loss)
    with tf.Graph().as_default():
      (table,) = problem.init_tensors()
      objective = problem.objective([table])
      (gradient,) = problem.gradients(objective, [table])
      assert isinstance(gradient, tf.IndexedSlices)

  def test_eagerly(self):
    problem = ModelAdapter(make_rosenbrock_loss_and_init)
    point = [tf.constant([0.5]), tf.constant([-1.25])]
    assert problem.objective(point).numpy() == 225.25


class TestErrors:
  def test_no_function(self):
    with pytest.raises(ValueError, match="make_loss_and_init_fn must be a fun"):
      ModelAdapter("model")

  def test_no_device(self):
    with pytest.raises(ValueError, match="device must be .* got 'the:moon'"):
      ModelAdapter(make_rosenbrock_loss_and_init, "the:moon")

  def test_nothing_to_train(self):
    with pytest.raises(ValueError, match="no trainable variable"):
      _adapter(lambda: tf.constant(1.0))

  def test_unknown_shape(self):
    def make_loss():
      value = v1.placeholder_with_default([1.0], [None])
      return tf.reduce_sum(v1.Variable(value, validate_shape=False))

    with pytest.raises(ValueError, match="shape of the variable Variable must"):
      _adapter(make_loss)

  def test_loss_of_many_values(self):
    with pytest.raises(ValueError, match="loss must be a scalar"):
      _adapter(lambda: v1.get_variable("x", [2]) + 1)

  @pytest.mark.parametrize(
    ("numbers", "message"),
    [((2, 3), "got more than 2"), ((2, 1), "got 1 instead of 2")],
  )
  def test_other_variables_in_another_call(self, numbers, message):
    pending = iter(numbers)

    def make_loss():
      names = "abc"[: next(pending)]
      return tf.add_n([v1.get_variable(name, []) for name in names])

    problem = _adapter(make_loss)
    with pytest.raises(ValueError, match=message):
      _value(problem, 1.0, 2.0)

  def test_wrong_number_of_parameters(self):
    problem = ModelAdapter(make_rosenbrock_loss_and_init)
    with pytest.raises(ValueError, match="parameters must be 2 .* got 1"):
      _value(problem, [1.0])

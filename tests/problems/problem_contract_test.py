"""What any problem must do, tested for each of `all_problems.CASES`."""

import numpy as np
import pytest
import tensorflow as tf

from learned_optimizer import generators
from learned_optimizer.problems import problem_generator as pg
from tests.problems import all_problems
from tests.problems.all_problems import (
  each_case,
  each_noisy_case,
  each_normal_case,
  evaluate,
  objective_and_gradients,
  parameters_of,
)
from tests.problems.training import check_compiled_training


class TestEveryProblem:
  @each_case
  def test_initial_parameters(self, case):
    problem = case.build()
    parameters = parameters_of(problem)
    assert [p.shape for p in parameters] == problem.param_shapes
    assert all(p.dtype == np.float32 for p in parameters)
    repeated = parameters_of(problem)
    assert all(map(np.array_equal, parameters, repeated))

  @each_normal_case
  def test_initial_tensors_share_one_stream(self, case):
    problem = case.build()
    tensors = evaluate(lambda: problem.init_tensors(seed=6))
    stream = evaluate(
      lambda: generators.TensorGenerator(6).normal(
        size=[max(t.size for t in tensors)]
      )
    )
    for tensor in tensors:
      assert tensor.dtype == np.float32
      scale = tensor.flat[0] / stream[0]
      np.testing.assert_allclose(
        tensor.ravel(), scale * stream[: tensor.size], rtol=1e-6
      )

  @each_case
  def test_initial_tensors_without_seed_are_independent(self, case):
    first, second = evaluate(
      lambda: (case.build().init_tensors(), case.build().init_tensors())
    )
    equal = [*map(np.array_equal, first, second)]
    assert tuple(np.flatnonzero(equal)) == case.fixed_starts

  @each_case
  def test_initial_variables(self, case):
    problem = case.build()
    with tf.Graph().as_default() as graph, tf.compat.v1.Session() as session:
      variables = problem.init_variables(seed=6)
      others = problem.init_variables(seed=6)
      names = [v.name for v in variables]
      assert names[:1] == ["parameters/Variable:0"]
      assert names[1:2] in ([], ["parameters/Variable_1:0"])
      assert others[0].name == "parameters_1/Variable:0"
      collections = tf.compat.v1.GraphKeys
      for key in collections.GLOBAL_VARIABLES, collections.TRAINABLE_VARIABLES:
        in_collection = {v.name for v in graph.get_collection(key)}
        assert in_collection == {v.name for v in variables + others}
      assert all(v.handle.dtype == tf.resource for v in variables)
      session.run(tf.compat.v1.global_variables_initializer())
      values = session.run(variables)
    expected = evaluate(lambda: problem.init_tensors(seed=6))
    assert all(map(np.array_equal, values, expected))

  @each_case
  def test_initial_fixed_variables(self, case):
    problem = case.build()
    arrays = [p.astype(np.float64) for p in parameters_of(problem)]
    values = evaluate(lambda: problem.init_fixed_variables(arrays))
    assert all(v.dtype == np.float32 for v in values)
    assert all(map(np.array_equal, values, arrays))
    with pytest.raises(ValueError, match=r"arrays must have the shapes \[\("):
      problem.init_fixed_variables(arrays + arrays)

  @each_case
  def test_float64_gradients_are_finite_differences(self, case):
    problem = case.build(random_seed=1)
    data, labels = case.batch()
    parameters = [p.astype(np.float64) for p in parameters_of(problem)]
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
      tensors = [tf.constant(p) for p in parameters]
      objective = problem.objective(tensors, data, labels)
      assert objective.dtype == tf.float64
      gradients = session.run(problem.gradients(objective, tensors))
      for index, parameter in enumerate(parameters):
        for position in np.ndindex(parameter.shape):
          values = []
          for step in 1e-6, -1e-6:
            moved = parameter.copy()
            moved[position] += step
            values.append(session.run(objective, {tensors[index]: moved}))
          slope = (values[0] - values[1]) / 2e-6
          gradient = gradients[index][position]
          np.testing.assert_allclose(gradient, slope, rtol=1e-6, atol=1e-8)

  @each_case
  def test_compiled_second_derivatives_in_a_loop(self, case):
    """The gradient through three steps is the same with and without XLA."""
    noise = {"noise_stdev": 0.3} if case.has_plain_noise else {}
    problem = case.build(random_seed=1, **noise)
    data, labels = case.batch()
    constants = {
      name: tf.Variable(value) for name, value in problem.constants.items()
    }
    problem = problem.with_constants(constants)
    rows = np.array([[0, 2, 4], [1, 3, 5], [0, 1, 2]])
    check_compiled_training(
      problem,
      parameters_of(problem),
      data,
      labels,
      learning_rate=case.learning_rate,
      rows=None if data is None else rows,
      draws=problem.draws(3, np.random.default_rng(1)),
      rtol=1e-4,
      atol=1e-6,
      without_influence=case.without_influence,
    )

  @each_case
  def test_structure_tells_programs_apart(self, case):
    structure = case.build(random_seed=1).structure
    other = case.build(random_seed=2)
    assert structure == other.structure
    assert hash(structure) == hash(other.structure)
    copied = other.with_constants(case.build(random_seed=3).constants)
    assert structure == copied.structure

  @each_noisy_case
  def test_structure_depends_on_noise(self, case):
    assert case.build().structure != case.build(noise_stdev=0.5).structure

  def test_structures_of_different_settings_differ(self):
    problems = [
      *(case.build() for case in all_problems.CASES),
      pg.Quadratic(6),
      pg.SoftmaxRegression(4, 2, activation=tf.nn.relu),
      pg.SoftmaxRegression(4, 2, l2_reg_scale=1.0),
      pg.FullyConnected(4, 2, (2, 3)),
      pg.FullyConnected(4, 2, (3, 2), activation=tf.nn.relu),
    ]
    assert len({p.structure for p in problems}) == len(problems)

  @each_noisy_case
  def test_noise_is_that_of_the_draws(self, case):
    problem = case.build(noise_stdev=0.5, random_seed=1)
    exact = case.build(noise_stdev=0, random_seed=1)
    draws = problem.draws(4, np.random.default_rng(1))
    assert [d.shape for d in draws] == [(4, *s) for s in problem.param_shapes]
    assert all(d.dtype == np.float32 for d in draws)
    parameters = [tf.constant(p) for p in parameters_of(problem)]

    @tf.function
    def both(*parameters):
      objective = problem.objective(parameters, *case.batch())
      noisy = problem.gradients(objective, parameters, [d[2] for d in draws])
      return noisy, exact.gradients(objective, parameters)

    for noisy, gradient, draw in zip(*both(*parameters), draws, strict=True):
      np.testing.assert_allclose(
        noisy, gradient + 0.5 * draw[2], rtol=1e-5, atol=1e-6
      )

  @each_noisy_case
  def test_without_noise_there_is_nothing_random(self, case):
    problem = case.build()
    generator = np.random.default_rng(1)
    state = generator.bit_generator.state
    assert problem.draws(4, generator) == []
    assert generator.bit_generator.state == state
    with tf.Graph().as_default() as graph:
      parameters = [tf.constant(p) for p in parameters_of(problem)]
      objective = problem.objective(parameters, *case.batch())
      problem.gradients(objective, parameters, draws=[])
      assert not [op for op in graph.get_operations() if "Random" in op.type]

  @each_case
  def test_global_numpy_state_is_left_alone(self, case):
    before = np.random.get_state()[1].copy()
    case.build(random_seed=1)
    case.build()
    np.testing.assert_array_equal(np.random.get_state()[1], before)

  @each_case
  def test_constants_are_replaced_by_name_and_shape(self, case):
    problem = case.build(random_seed=1)
    with pytest.raises(ValueError, match="constants must be named"):
      problem.with_constants({**problem.constants, "extra": np.zeros(1)})
    for name, value in problem.constants.items():
      wrong = {**problem.constants, name: np.zeros((*value.shape, 1))}
      with pytest.raises(ValueError, match=rf"{name}.*must have shape"):
        problem.with_constants(wrong)
    other = case.build(random_seed=2)
    data, labels = case.batch()
    parameters = parameters_of(problem)
    expected = objective_and_gradients(other, parameters, data, labels)
    actual = objective_and_gradients(
      problem.with_constants(other.constants), parameters, data, labels
    )
    assert actual[0] == expected[0]
    differ = any(
      not np.array_equal(value, other.constants[name])
      for name, value in problem.constants.items()
    )
    if differ:
      original = objective_and_gradients(problem, parameters, data, labels)
      assert original[0] != expected[0]

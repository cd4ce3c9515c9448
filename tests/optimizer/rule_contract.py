"""What every update rule promises, as tests that any rule inherits.

A rule is put to the test by a subclass of `RuleContract` whose name begins
with `Test`, in a file that pytest collects.
"""

import abc
import copy
import random
from collections.abc import Mapping

import numpy as np
import pytest
import tensorflow as tf

from learned_optimizer.generators import TensorGenerator
from learned_optimizer.optimizer import unroll
from learned_optimizer.optimizer.rule import Rule, Slots, Update
from learned_optimizer.optimizer.trainable_optimizer import TrainableOptimizer
from tests.optimizer import reference

SHAPES = [(), (3,), (2, 3), (2, 1, 2, 2)]
_COLLECTIONS = [
  tf.compat.v1.GraphKeys.GLOBAL_VARIABLES,
  tf.compat.v1.GraphKeys.LOCAL_VARIABLES,
]


def _random_tensors(seed, dtype=np.float32):
  generator = np.random.default_rng(seed)
  return [tf.constant(generator.normal(size=s), dtype) for s in SHAPES]


def _curved(params):
  """A positive objective whose tensors and curvatures depend on each other."""
  sums = tf.add_n([tf.reduce_sum(tf.sin(p)) for p in params])
  bowls = [tf.reduce_sum(tf.square(p - 0.5)) for p in params]
  return 1.0 + tf.add_n(bowls) + 0.1 * tf.square(sums)


def _arrays(nest):
  return tf.nest.map_structure(lambda t: np.array(t), nest)


def _assert_same(actual, expected):
  tf.nest.assert_same_structure(actual, expected)
  for a, b in zip(
    tf.nest.flatten(actual), tf.nest.flatten(expected), strict=True
  ):
    np.testing.assert_array_equal(a, b)


def _assert_close(actual, expected, relative=1e-5):
  tf.nest.assert_same_structure(actual, expected)
  for a, b in zip(
    tf.nest.flatten(actual), tf.nest.flatten(expected), strict=True
  ):
    reference.assert_tensor(a, b, relative)


class RuleContract(abc.ABC):
  """Subclass this for a rule, and all tests below are its tests."""

  # Whether a rule moves `attended_params` away from `params`.
  attends = False
  # Whether the unroll and its gradient are compiled, which takes ten seconds.
  compiles_unroll = True

  @abc.abstractmethod
  def make_rule(self) -> Rule:
    """The rule."""

  @abc.abstractmethod
  def make_optimizer(self) -> TrainableOptimizer:
    """The TF1 optimizer with the same settings, in the current graph."""

  @abc.abstractmethod
  def slot_shapes(self, shape: tuple[int, ...]) -> Mapping[str, tuple]:
    """The original shape of each slot of a parameter tensor of this shape."""

  def global_shapes(self) -> list[tuple]:
    """The original shapes of the global state."""
    return []

  def _start(self, dtype=np.float32):
    """Rule, weights, parameters and a fresh state."""
    rule = self.make_rule()
    weights = {
      name: tf.cast(value, dtype)
      for name, value in rule.init_weights(seed=1).items()
    }
    params = _random_tensors(2, dtype)
    draws = rule.draws(params, np.random.default_rng(3))
    return rule, weights, params, rule.init_state(weights, params, draws)

  def _after_a_step(self):
    rule, weights, params, state = self._start()
    update = rule.update(weights, params, _random_tensors(4), state)
    return rule, weights, update.params, update.state

  def test_eager_graph_and_xla_agree(self):
    rule, weights, params, state = self._start()

    def step(weights, params, attended, state):
      # The objective is differentiated by hand, as eager code and graphs have
      # no way in common.
      sums = tf.add_n([tf.reduce_sum(tf.sin(p)) for p in attended])
      grads = [2.0 * (p - 0.5) + 0.2 * sums * tf.cos(p) for p in attended]
      return rule.update(weights, params, grads, state)

    with tf.Graph().as_default() as graph:
      inputs = tf.nest.map_structure(
        lambda t: tf.compat.v1.placeholder(t.dtype, t.shape),
        (weights, params, params, state),
      )
      fetches = step(*inputs)
    session = reference.quick_session(graph)

    def run_in_session(*values):
      feed = zip(
        tf.nest.flatten(inputs), tf.nest.flatten(_arrays(values)), strict=True
      )
      return session.run(fetches, dict(feed))

    modes = (step, run_in_session, tf.function(step, jit_compile=True))
    ends = []
    for run in modes:
      update = Update(params, params, params, state)
      for _ in range(3):
        update = run(
          weights,
          list(update.params),
          list(update.attended_params),
          update.state,
        )
      ends.append(_arrays(update))
    session.close()
    for end in ends[1:]:
      _assert_close(end, ends[0])
    moved = [
      np.linalg.norm(a - b) for a, b in zip(update.params, params, strict=True)
    ]
    assert min(moved) > 0

  def test_slots_round_trip(self):
    for rule, _, params, state in (self._start(), self._after_a_step()):
      slots = rule.to_slots(state, params)
      back = rule.from_slots(slots, params)
      _assert_same(_arrays(back), _arrays(state))
      _assert_same(
        _arrays(rule.to_slots(back, params)),
        _arrays(slots),
      )

  def test_slots_are_the_original_ones(self):
    rule, _, params, state = self._after_a_step()
    slots = rule.to_slots(state, params)
    keys = rule.slot_keys()
    assert keys == sorted(keys)
    assert len(slots.per_tensor) == len(SHAPES)
    for shape, tensors in zip(SHAPES, slots.per_tensor, strict=True):
      assert sorted(tensors) == keys
      assert {k: tuple(t.shape) for k, t in tensors.items()} == dict(
        self.slot_shapes(shape)
      )
    assert [tuple(t.shape) for t in slots.global_state] == self.global_shapes()

  def test_update_is_pure(self):
    rule, weights, params, state = self._after_a_step()
    grads = _random_tensors(5)
    inputs = (weights, params, grads, state)
    before = _arrays(inputs)
    attributes = copy.deepcopy(vars(rule))
    random.seed(6)
    np.random.seed(6)
    python_state, numpy_state = random.getstate(), np.random.get_state()
    tf.random.set_seed(6)
    drawn = tf.random.uniform([3])
    tf.random.set_seed(6)

    first = _arrays(rule.update(weights, params, grads, state))
    second = _arrays(rule.update(weights, params, grads, state))

    _assert_same(tf.random.uniform([3]), drawn)
    _assert_same(first, second)
    _assert_same(_arrays(inputs), before)
    assert vars(rule) == attributes
    assert random.getstate() == python_state
    for a, b in zip(np.random.get_state(), numpy_state, strict=True):
      np.testing.assert_array_equal(a, b)

  def test_a_graph_gets_neither_variables_nor_random_ops(self):
    rule, weights, params, state = self._start()
    draws = _arrays(rule.draws(params, np.random.default_rng(3)))
    weights, params, grads = _arrays((weights, params, _random_tensors(4)))
    with tf.Graph().as_default() as graph:
      params = [tf.constant(p) for p in params]
      weights = {k: tf.constant(v) for k, v in weights.items()}
      state = rule.init_state(weights, params, draws)
      slots = rule.to_slots(state, params)
      state = rule.from_slots(slots, params)
      rule.update(weights, params, [tf.constant(g) for g in grads], state)
      for collection in _COLLECTIONS:
        assert not graph.get_collection(collection)
      types = {node.op for node in graph.as_graph_def().node}
      for function in graph.as_graph_def().library.function:
        types |= {node.op for node in function.node_def}
    assert not [t for t in types if "Random" in t or "Var" in t or "Py" in t]

  def test_steps_are_old_minus_new(self):
    rule, weights, params, state = self._start()
    update = rule.update(weights, params, _random_tensors(4), state)
    for old, new, step in zip(params, update.params, update.steps, strict=True):
      assert step.shape == new.shape == old.shape
      np.testing.assert_array_equal(new, old - step)
    apart = [
      np.any(np.not_equal(a, p))
      for a, p in zip(update.attended_params, update.params, strict=True)
    ]
    assert all(apart) if self.attends else not any(apart)

  def test_prescribed_steps_move_parameters_and_nothing_else(self):
    rule, weights, params, state = self._start()
    grads, prescribed = _random_tensors(4), _random_tensors(5)
    own = rule.update(weights, params, grads, state)
    told = rule.update(weights, params, grads, state, prescribed)
    for old, new, step in zip(params, told.params, prescribed, strict=True):
      np.testing.assert_array_equal(new, old - step)
    _assert_same(_arrays(told.steps), _arrays(own.steps))
    own_slots = rule.to_slots(own.state, own.params)
    told_slots = rule.to_slots(told.state, told.params)
    for key in rule.slot_keys():
      for i, param in enumerate(told.params):
        slot = told_slots.per_tensor[i][key]
        follows = own_slots.per_tensor[i][key]
        # This slot is the parameters.
        expected = param if key == "true_param" else follows
        np.testing.assert_array_equal(slot, expected, err_msg=key)
    _assert_same(
      _arrays(told_slots.global_state), _arrays(own_slots.global_state)
    )
    attended = own.attended_params if self.attends else told.params
    _assert_same(_arrays(told.attended_params), _arrays(attended))

  def test_float64(self):
    rule, weights, params, state = self._start(np.float64)
    double = rule.update(weights, params, _random_tensors(4, np.float64), state)
    for tensor in tf.nest.flatten(double):
      assert tensor.dtype in (tf.float64, tf.int32)
    rule, weights, params, state = self._start()
    single = rule.update(weights, params, _random_tensors(4), state)
    _assert_close(_arrays(single), _arrays(double), relative=1e-4)

  def test_unroll_gradient_is_that_of_finite_differences(self):
    rule, weights, params, _ = self._start(np.float64)
    params = params[::2]  # More would only take longer.
    draws = _arrays(rule.draws(params, np.random.default_rng(3)))
    problem = reference.ToyProblem(
      lambda constants, params, data, labels: _curved(params), _arrays(params)
    )
    capacity, num_steps = 4, 3
    steps = unroll.Steps(
      num_steps,
      tf.zeros([capacity, 0], tf.int32),
      tf.constant([0.1, 0.2, 0.3, 0.4], tf.float64),
      [],
    )

    @tf.function(jit_compile=self.compiles_unroll)
    def value_and_gradients(weights):
      objective = problem.objective(params)
      start = unroll.Carried(
        objective, params, params, rule.init_state(weights, params, draws)
      )
      unrolled = unroll.unroll(
        rule,
        weights,
        problem,
        *reference.NO_DATA,
        start,
        objective,
        steps,
        unroll.UnrollSettings(
          use_log_objective=True, use_attention=self.attends
        ),
      )
      gradients = tf.gradients(
        unrolled.meta_objective,
        list(weights.values()),
        unconnected_gradients="zero",
      )
      return unrolled.meta_objective, gradients

    _, gradients = value_and_gradients(weights)
    assert any(np.any(g) for g in gradients)
    generator = np.random.default_rng(7)
    for _ in range(3):
      direction = {
        name: 1e-5 * generator.normal(size=value.shape)
        for name, value in weights.items()
      }
      ahead, _ = value_and_gradients(
        {name: weights[name] + d for name, d in direction.items()}
      )
      behind, _ = value_and_gradients(
        {name: weights[name] - d for name, d in direction.items()}
      )
      slope = sum(
        np.sum(g * d)
        for g, d in zip(gradients, direction.values(), strict=True)
      )
      np.testing.assert_allclose((ahead - behind) / 2, slope, rtol=1e-5)

  def test_weights_repeat_with_their_seed(self):
    rule = self.make_rule()
    weights = rule.init_weights(seed=8)
    _assert_same(_arrays(rule.init_weights(seed=8)), _arrays(weights))
    specs = rule.weight_specs()
    assert list(weights) == list(specs)
    for name, spec in specs.items():
      assert weights[name].dtype == tf.float32
      assert tuple(weights[name].shape) == tuple(spec.shape), name
      if spec.copy_of:
        _assert_same(weights[name].numpy(), weights[spec.copy_of].numpy())

  def test_draws_repeat_with_their_generator(self):
    rule = self.make_rule()
    params = _random_tensors(2)
    draws = _arrays(rule.draws(params, np.random.default_rng(9)))
    again = _arrays(rule.draws(params, np.random.default_rng(9)))
    other = _arrays(rule.draws(params, np.random.default_rng(10)))
    _assert_same(again, draws)
    if draws:
      with pytest.raises(AssertionError):
        _assert_same(other, draws)
    with tf.Graph().as_default():
      tensors = rule.draws(params, TensorGenerator(9))
      tf.nest.assert_same_structure(tensors, draws)
      for tensor, array in zip(
        tf.nest.flatten(tensors), tf.nest.flatten(draws), strict=True
      ):
        assert tuple(tensor.shape) == array.shape

  def test_apply_gradients_is_the_update_of_the_variables(self):
    """With scalars, sparse gradients, and variables without a gradient."""
    tf1 = tf.compat.v1
    rule = self.make_rule()
    values = _arrays(_random_tensors(2)[::2])
    values += [np.ones([4, 2], np.float32)] * 2
    grads = _arrays(_random_tensors(4)[::2])
    rows = np.array([[1, 2], [3, 4], [5, 6]], np.float32)
    grads += [np.array([[3, 4], [6, 8], [0, 0], [0, 0]], np.float32)] * 2
    with tf.Graph().as_default():
      optimizer = self.make_optimizer()
      variables = [tf.Variable(value) for value in values]
      idle = tf.Variable([1.0, 2.0])
      slices = [
        tf.IndexedSlices(tf.constant(rows), tf.constant([1, 0, 1]), shape)
        for shape in (None, tf.constant([4, 2]))
      ]
      given = [tf.constant(g) for g in grads[:-2]] + slices
      train = optimizer.apply_gradients(
        [(None, idle), *zip(given, variables, strict=True)]
      )
      assert not any(optimizer.get_slot(idle, key) for key in rule.slot_keys())
      slots = Slots(
        [
          {key: optimizer.get_slot(v, key) for key in rule.slot_keys()}
          for v in variables
        ],
        [v for v in tf1.global_variables() if "/global_state" in v.op.name],
      )
      weights = {
        v.op.name: v for v in tf1.global_variables() if v.op.name[:4] == "LOL/"
      }
      with reference.quick_session() as session:
        session.run(tf1.global_variables_initializer())
        old = session.run((weights, variables, slots))
        session.run(train)
        new = session.run((variables, slots))
        assert session.run(idle).tolist() == [1.0, 2.0]
    weights, params, slots = tf.nest.map_structure(tf.constant, old)
    _assert_same(_arrays(params), values)
    update = rule.update(
      weights,
      params,
      [tf.constant(grad) for grad in grads],
      rule.from_slots(slots, params),
    )
    expected = _arrays(
      (update.attended_params, rule.to_slots(update.state, update.params))
    )
    if rule.keeps_unseen_rows:
      for k in (-2, -1):
        expected[0][k][2:] = old[1][k][2:]
        for key, slot in expected[1].per_tensor[k].items():
          slot[4:] = old[2].per_tensor[k][key][4:]
    _assert_close(new, expected)

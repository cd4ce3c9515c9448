"""The TF1 shell: names, overrides, lengths of unrolls, order, errors."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from learned_optimizer.optimizer.hierarchical_rnn import (
  HierarchicalRNN,
  HierarchicalRNNRule,
)
from learned_optimizer.optimizer.trainable_optimizer import TrainableOptimizer
from tests.optimizer import reference
from tests.optimizer.unroller import METARUN_SETTINGS, Unroller

tf1 = tf.compat.v1

# Small, and the same everywhere: graphs are quicker to build with one level.
SMALL = dict(level_sizes=[3], init_lr_range=(1e-3, 1e-3))

SLOT_KEYS = [
  *(f"grad_accum{i}" for i in range(1, 5)),
  "inp_decay",
  "layer",
  "log_learning_rate",
  *(f"ms{i}" for i in range(1, 5)),
  "parameter",
  "scl_decay",
  "true_param",
]


def _gru(name, inputs, units):
  cell = f"{name}/BiasGRUCell"
  return {
    f"{cell}/gates/Affine/Matrix": (inputs + units, 2 * units),
    f"{cell}/gates/Affine/Bias": (2 * units,),
    f"{cell}/candidate/Affine/Matrix": (inputs + units, units),
    f"{cell}/candidate/Affine/Bias": (units,),
  }


# Names and shapes in checkpoints of the original, with its usual settings.
CHECKPOINT_SHAPES = {
  "Level0_RNN/init_vector": (1, 10),
  "Level1_RNN/init_vector": (1, 20),
  "Level2_RNN/init_vector": (1, 20),
  "update_weights": (10, 1),
  "scl_decay_weights": (10, 1),
  "scl_decay_bias": (1,),
  "inp_decay_weights": (10, 1),
  "inp_decay_bias": (1,),
  "learning_rate_weights": (10, 1),
  "learning_rate_bias": (1,),
  "PerTensor/Layer0_RNN/Param/Affine/Matrix": (20, 30),
  "PerTensor/Layer0_RNN/Param/Affine/Bias": (30,),
  "PerTensor/Layer0_RNN/Global/Affine/Matrix": (20, 30),
  "PerTensor/Layer0_RNN/Global/Affine/Bias": (30,),
  "PerTensor/Layer1_RNN/Affine/Matrix": (20, 60),
  "PerTensor/Layer1_RNN/Affine/Bias": (60,),
  "PerTensor/GradsToDelta/Matrix": (4, 1),
  "PerTensor/learning_rate_momentum_logit": (),
  "PerTensor/param_stepsize_offset": (),
  **_gru("PerTensor/Layer0_RNN", 12, 10),
  **_gru("PerTensor/Layer1_RNN", 22, 20),
  **_gru("Layer2_RNN", 20, 20),
}


@pytest.fixture
def graph():
  with tf.Graph().as_default() as graph:
    yield graph


def initialized_session():
  session = reference.quick_session()
  session.run(tf1.global_variables_initializer())
  session.run(tf1.local_variables_initializer())
  return session


def small_unroller(**settings):
  unroller = Unroller(
    reference.bowls(), reference.NO_DATA, **(SMALL | settings)
  )
  unroller.load(
    reference.filled_weights(HierarchicalRNNRule(**SMALL).weight_specs())
  )
  return unroller


class TestNames:
  def test_variables_are_those_of_a_checkpoint(self, graph):
    optimizer = HierarchicalRNN(**METARUN_SETTINGS)
    shapes = {
      v.op.name: tuple(v.shape) for v in tf1.get_collection("variables", "LOL")
    }
    expected = {f"LOL/{k}": shape for k, shape in CHECKPOINT_SHAPES.items()}
    assert len(expected) == 31
    assert shapes == expected
    assert shapes.keys() == optimizer.weights.keys()
    assert all(v.dtype.base_dtype == tf.float32 for v in tf1.global_variables())

  @pytest.mark.parametrize(
    "settings, added, removed",
    [
      (
        dict(use_attention=True),
        {"attention_weights", "PerTensor/GradsToAttnDelta/Matrix"},
        set(),
      ),
      (
        dict(dynamic_output_scale=False, use_relative_lr=False),
        set(),
        {
          "learning_rate_weights",
          "learning_rate_bias",
          "PerTensor/learning_rate_momentum_logit",
          "PerTensor/param_stepsize_offset",
        },
      ),
      (
        dict(num_gradient_scales=1),
        set(),
        {"inp_decay_weights", "inp_decay_bias"},
      ),
      (
        dict(learnable_decay=False),
        set(),
        {k for k in CHECKPOINT_SHAPES if "_decay_" in k},
      ),
      (
        dict(learnable_rnn_init=False),
        set(),
        {k for k in CHECKPOINT_SHAPES if "init_vector" in k},
      ),
      (
        dict(level_sizes=[10, 20]),
        set(),
        {"Level2_RNN/init_vector"}
        | {
          k
          for k in CHECKPOINT_SHAPES
          if any(
            part in k for part in ("Layer2", "Global", "Layer1_RNN/Affine")
          )
        },
      ),
      (
        dict(level_sizes=[10]),
        set(),
        {"Level1_RNN/init_vector", "Level2_RNN/init_vector"}
        | {
          k
          for k in CHECKPOINT_SHAPES
          if any(part in k for part in ("Layer2", "Layer1", "Global", "Param/"))
        },
      ),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else "",
  )
  def test_settings_change_the_list(self, settings, added, removed):
    rule = HierarchicalRNNRule(**(METARUN_SETTINGS | settings))
    names = {name.removeprefix("LOL/") for name in rule.weight_specs()}
    assert names == (CHECKPOINT_SHAPES.keys() | added) - removed

  @pytest.mark.parametrize(
    "settings, num_features",
    [
      ({}, 12),
      (dict(num_gradient_scales=1), 3),
      (dict(use_extreme_indicator=True, use_lr_shortcut=True), 14),
      (dict(dynamic_output_scale=False, use_relative_lr=False), 11),
      (dict(num_gradient_scales=11), 33),
      (
        dict(
          use_log_means_squared=False,
          use_relative_lr=False,
          use_grad_products=False,
        ),
        4,
      ),
    ],
  )
  def test_settings_change_the_inputs(self, settings, num_features):
    specs = HierarchicalRNNRule(**(METARUN_SETTINGS | settings)).weight_specs()
    layer0 = specs["LOL/PerTensor/Layer0_RNN/BiasGRUCell/gates/Affine/Matrix"]
    assert layer0.shape == (num_features + 10, 20)
    # Without additional inputs, level 1 sees the level-0 states alone.
    scales = settings.get("num_gradient_scales", 4)
    reported = num_features if num_features != scales else 0
    layer1 = specs["LOL/PerTensor/Layer1_RNN/BiasGRUCell/gates/Affine/Matrix"]
    assert layer1.shape == (10 + reported + 20, 40)

  def test_a_second_optimizer_shares_the_weights(self, graph):
    first, second = HierarchicalRNN(**SMALL), HierarchicalRNN(**SMALL)
    assert len(tf1.global_variables()) == len(first.weights)
    for name, variable in first.weights.items():
      assert second.weights[name] is variable

  def test_slots_and_global_state(self, graph):
    optimizer = HierarchicalRNN([3, 4, 5])
    assert isinstance(optimizer, tf1.train.Optimizer)
    matrix = tf1.get_variable("model/matrix", [2, 3])
    optimizer.apply_gradients([(tf.ones([2, 3]), matrix)])
    names = {v.op.name for v in tf1.global_variables()}
    names -= optimizer.weights.keys()
    slots = {f"model/matrix/hRNN_{key}" for key in SLOT_KEYS}
    assert names == slots | {"model/matrix", "hRNN/global_state"}
    assert optimizer.state_keys == SLOT_KEYS == optimizer.get_slot_names()
    trainable = {v.op.name for v in tf1.trainable_variables()}
    assert trainable == {"model/matrix", *optimizer.weights}

  def test_local_variables_stay_out_of_checkpoints(self, graph):
    optimizer = HierarchicalRNN(**SMALL)
    output = optimizer.train(reference.bowls(), reference.NO_DATA)
    assert set(tf1.global_variables()) == set(optimizer.weights.values())
    assert set(tf1.trainable_variables()) == set(optimizer.weights.values())
    names = [v.op.name for v in tf1.local_variables()]
    assert all(name.startswith("LOL/local_") for name in names)
    assert output.init_loop_vars[0].op.name == "LOL/local_state__float32_0"
    for shape in ("2_3", "4"):
      for k in (0, 1):  # Parameters, attended parameters.
        assert f"LOL/local_state_{shape}_float32_{k}" in names
    optimizer.train(reference.bowls(), reference.NO_DATA)
    assert len(set(tf1.local_variables())) == 2 * len(names)


class Descent(TrainableOptimizer):
  """Gradient descent with a slot per tensor and a count of all steps."""

  def __init__(self):
    super().__init__("Descent", ["velocity"], use_log_objective=True)
    self.weights = {"LOL/rate": tf1.get_variable("LOL/rate", initializer=0.1)}

  def _initialize_state(self, var):
    return {"velocity": tf.zeros_like(var)}

  def _initialize_global_state(self):
    return [tf.ones([1])]

  def _compute_update(self, param, grad, state):
    velocity = 0.5 * state["velocity"] + grad
    rate = self.weights["LOL/rate"]
    return param - rate * velocity, {"velocity": velocity}


class CountingDescent(Descent):
  """Its rate falls with the number of steps."""

  def _compute_updates(self, params, grads, states, global_state):
    grads = [grad / global_state[0][0] for grad in grads]
    updates = super()._compute_updates(params, grads, states, global_state)
    return (*updates[:2], [global_state[0] + 1.0], updates[3])


class Halved(HierarchicalRNN):
  """Takes half of every step, tensor by tensor."""

  def _compute_update(self, param, grad, state):
    new_param, new_state = super()._compute_update(param, grad, state)
    return 0.5 * (param + new_param), new_state


class HalvedTogether(HierarchicalRNN):
  """Takes half of every step, all tensors at once."""

  def _compute_updates(self, params, grads, states, global_state):
    new_params, *others = super()._compute_updates(
      params, grads, states, global_state
    )
    halves = [0.5 * (p + n) for p, n in zip(params, new_params, strict=True)]
    return halves, *others[:2], halves


class Faster(HierarchicalRNN):
  """Starts with a larger learning rate than its settings say."""

  def _initialize_state(self, var):
    state = super()._initialize_state(var)
    return state | {"log_learning_rate": state["log_learning_rate"] + 2.0}


class Elsewhere(HierarchicalRNN):
  """Starts with another global state."""

  def _initialize_global_state(self):
    return [2.0 + s for s in super()._initialize_global_state()]


def load_weights(session, optimizer, weights):
  """Sets them in one run."""
  variables = optimizer.weights
  session.run(
    [variables[name].initializer for name in weights or {}],
    {
      variables[name].initializer.inputs[1]: value
      for name, value in (weights or {}).items()
    },
  )


def unrolled_params(make_optimizer, num_steps, weights=None, **settings):
  """Parameters and meta-gradients after an unroll on the two bowls."""
  with tf.Graph().as_default():
    optimizer = make_optimizer(**settings)
    out = optimizer.train(reference.bowls(), reference.NO_DATA)
    grads = tf.gradients(out.metaobj, list(optimizer.weights.values()))
    with initialized_session() as session:
      load_weights(session, optimizer, weights)
      return session.run(
        (out.output_loop_vars[1:3], grads),
        {
          out.first_unroll: True,
          out.reset_state: True,
          out.obj_weights: np.full([num_steps], 1 / num_steps),
          out.batches: np.zeros([num_steps, 0]),
        },
      )


def applied_params(make_optimizer, num_steps, weights=None, **settings):
  """Parameters after `apply_gradients` as often."""
  with tf.Graph().as_default():
    optimizer = make_optimizer(**settings)
    problem = reference.bowls()
    variables = [tf.Variable(p) for p in problem.init_tensors()]
    train = optimizer.minimize(problem.objective(variables), var_list=variables)
    with reference.quick_session() as session:
      # Slots are initialised from the weights, so that these come first.
      session.run(tf1.variables_initializer(optimizer.weights.values()))
      load_weights(session, optimizer, weights)
      others = set(tf1.global_variables()) - set(optimizer.weights.values())
      session.run(tf1.variables_initializer(others))
      for _ in range(num_steps):
        session.run(train)
      return session.run(variables)


class TestOverrides:
  """`train` and `apply_gradients` honour what a subclass overrides."""

  @pytest.mark.parametrize("make_optimizer", [Descent, CountingDescent])
  def test_of_the_base_class(self, make_optimizer):
    params = [p.numpy() for p in reference.bowls().init_tensors()]
    a = [np.linspace(0.5, 3, 6).reshape(2, 3), np.array([1, 10, 0.1, 2])]
    c = [np.linspace(-1, 1, 6).reshape(2, 3), np.array([0.5, -0.5, 2, 0])]
    velocities = [0.0, 0.0]
    for t in range(3):
      for i in range(2):
        grad = a[i] * (params[i] - c[i])
        if make_optimizer is CountingDescent:
          grad /= t + 1
        velocities[i] = 0.5 * velocities[i] + grad
        params[i] = params[i] - 0.1 * velocities[i]
    unrolled, (rate_gradient,) = unrolled_params(make_optimizer, 3)
    applied = applied_params(make_optimizer, 3)
    for i in range(2):
      reference.assert_tensor(unrolled[i], params[i])
      reference.assert_tensor(applied[i], params[i])
    assert rate_gradient != 0

  @pytest.mark.parametrize(
    "make_optimizer, level_sizes",
    [
      (Halved, [2]),
      (HalvedTogether, [2]),
      (Faster, [2]),
      (Elsewhere, [2, 2, 2]),
    ],
  )
  def test_of_a_rule(self, make_optimizer, level_sizes):
    settings = dict(level_sizes=level_sizes, init_lr_range=(1e-3, 1e-3))
    weights = reference.filled_weights(
      HierarchicalRNNRule(**settings).weight_specs()
    )
    unrolled, gradients = unrolled_params(
      make_optimizer, 3, weights, **settings
    )
    assert all(np.any(g) for g in gradients)
    applied = applied_params(make_optimizer, 3, weights, **settings)
    problem, rule = reference.bowls(), HierarchicalRNNRule(**settings)
    usual = problem.init_tensors()
    state = rule.init_state(weights, usual, {})
    for _ in range(3):
      with tf.GradientTape() as tape:
        tape.watch(usual)
        objective = problem.objective(usual)
      grads = tape.gradient(objective, usual)
      usual, _, _, state = rule.update(weights, usual, grads, state)
    for i in range(2):
      reference.assert_tensor(unrolled[i], applied[i])
      assert np.abs(applied[i] - usual[i]).max() > 1e-6

  def test_the_parts_without_change_give_the_same_meta_gradients(self):
    class Unchanged(HierarchicalRNN):
      def _compute_updates(self, *args):
        return super()._compute_updates(*args)

    weights = reference.filled_weights(
      HierarchicalRNNRule(**SMALL).weight_specs()
    )
    params, gradients = unrolled_params(Unchanged, 3, weights, **SMALL)
    usual = unrolled_params(HierarchicalRNN, 3, weights, **SMALL)
    for actual, expected in zip(
      itertools.chain(params, gradients), itertools.chain(*usual), strict=True
    ):
      reference.assert_tensor(actual, expected, 1e-4)

  def test_cannot_be_compiled(self, graph):
    optimizer = HalvedTogether(**SMALL)
    with pytest.raises(ValueError, match="jit_compile is True.*HalvedTogether"):
      optimizer.train(reference.bowls(), reference.NO_DATA, jit_compile=True)


def test_arguments_have_the_order_and_defaults_of_the_original(graph):
  assert HierarchicalRNN([3]).unroll_settings.use_log_objective
  optimizer = HierarchicalRNN([3], (1e-3, 1e-2), False, True, True, False, 2)
  assert optimizer.rule.init_lr_range == (1e-3, 1e-2)
  assert not optimizer.rule.learnable_decay
  assert optimizer.rule.use_attention and optimizer.use_attention
  assert not optimizer.unroll_settings.use_log_objective
  assert optimizer.rule.num_gradient_scales == 2


def test_mean_layer_state_is_an_option():
  params = [tf.constant([1.0, 2.0]), tf.constant([3.0])]
  states = []
  for mean in (False, True):
    rule = HierarchicalRNNRule([2, 3, 4], use_mean_layer_state=mean)
    weights = rule.init_weights(1)
    draws = rule.draws(params, np.random.default_rng(1))
    state = rule.init_state(weights, params, draws)
    # Gradients of opposite signs, so that the layer states differ.
    update = rule.update(weights, params, [params[0], -params[1]], state)
    states.append(update.state)
    bias = update.state["layer"]
    assert not np.allclose(bias[:, 0], bias[:, 1])
  np.testing.assert_array_equal(states[0]["layer"], states[1]["layer"])
  assert not np.allclose(states[0]["global"], states[1]["global"])


class TestLengths:
  @pytest.mark.parametrize("use_log_objective", [False, True])
  def test_capacity_does_not_matter(self, use_log_objective):
    unroller = small_unroller(use_log_objective=use_log_objective)
    exact, padded = (unroller.run(3, capacity=c) for c in (3, 8))
    assert len(padded["objs"]) == 4
    reference.assert_meta_gradients(padded.pop("grads"), exact.pop("grads"))
    tf.nest.map_structure(np.testing.assert_array_equal, padded, exact)

  def test_an_unroll_compiled_without_meta_gradients(self):
    plain = small_unroller().run(3)
    unroller = small_unroller(jit_compile=True, meta_gradients=False)
    compiled = unroller.run(3, capacity=4)
    np.testing.assert_allclose(compiled["objs"], plain["objs"], rtol=1e-6)
    for actual, expected in zip(
      compiled["params"], plain["params"], strict=True
    ):
      reference.assert_tensor(actual, expected)

  def test_early_stop(self):
    """It tests the objective before the last step, so it comes one late."""
    settings = dict(init_lr_range=(1.0, 1.0), use_log_objective=False)
    objs = small_unroller(**settings).run(8)["objs"]
    multiplier = 0.5 * (objs[3] + objs[4]) / objs[0]
    assert np.all(objs[:4] < multiplier * objs[0])
    unroller = small_unroller(**settings, obj_train_max_multiplier=multiplier)
    stopped = unroller.run(8)
    np.testing.assert_allclose(stopped["objs"], objs[:5], rtol=1e-6)
    np.testing.assert_allclose(
      stopped["metaobj"], np.sum(objs[1:5]) / 8 / objs[0], rtol=1e-5
    )

  def test_a_multiplier_of_one_stops_at_once(self):
    stopped = small_unroller(obj_train_max_multiplier=1.0).run(8)
    assert len(stopped["objs"]) == 1
    reference.assert_tensor(
      stopped["params"][0], reference.bowls().init_tensors()[0], 0.0
    )

  @pytest.mark.parametrize("epsilon_in_numerator", [False, True])
  def test_log_objective(self, epsilon_in_numerator):
    result = small_unroller(
      use_log_objective=True, use_numerator_epsilon=epsilon_in_numerator
    ).run(3)
    objs = result["objs"].astype(np.float64)
    inside = objs + 1e-6 * epsilon_in_numerator
    relative = inside / (objs[0] + 1e-6) + 1e-6 * (not epsilon_in_numerator)
    np.testing.assert_allclose(
      result["metaobj"], np.mean(np.log(relative)), rtol=2e-5, atol=2e-7
    )


class TestApplyGradients:
  def test_one_initializer_in_any_order(self, graph):
    """Slots start from variables that the same run initialises."""
    optimizer = HierarchicalRNN(
      [3, 4, 5], use_attention=True, init_lr_range=(1e-3, 1e-3)
    )
    # Slow enough to come after the slots, if these did not wait for it.
    slow = tf.linalg.inv(tf.eye(300))[:3, 0]
    variable = tf.Variable(slow + 1.0)
    optimizer.minimize(tf.reduce_sum(variable**2), var_list=[variable])
    variables = tf1.global_variables()
    for seed in range(3):
      np.random.default_rng(seed).shuffle(variables)
      with tf1.Session() as session:
        session.run(tf1.variables_initializer(variables))
        value, slot, state, vector, global_state, vector2 = session.run(
          [
            variable,
            optimizer.get_slot(variable, "true_param"),
            optimizer.get_slot(variable, "layer"),
            optimizer.weights["LOL/Level1_RNN/init_vector"],
            next(v for v in variables if v.op.name == "hRNN/global_state"),
            optimizer.weights["LOL/Level2_RNN/init_vector"],
          ]
        )
      np.testing.assert_array_equal(value, [2, 1, 1])
      np.testing.assert_array_equal(slot, value)
      # Random initial values would differ if they were drawn once more.
      np.testing.assert_array_equal(state, vector)
      np.testing.assert_array_equal(global_state, vector2)

  def test_again_and_train_after_it(self, graph):
    optimizer = HierarchicalRNN([3, 4, 5])
    one, two = tf.Variable([1.0, 2.0]), tf.Variable([[3.0]])
    first = optimizer.minimize(tf.reduce_sum(one**2), var_list=[one])
    num_variables = len(tf1.global_variables())
    again = optimizer.minimize(tf.reduce_sum(one**4), var_list=[one])
    assert len(tf1.global_variables()) == num_variables
    other = optimizer.minimize(tf.reduce_sum(two**2), var_list=[two])
    out = optimizer.train(reference.bowls(), reference.NO_DATA)
    with initialized_session() as session:
      values = [session.run((one, two))]
      for op in (first, again, other):
        session.run(op)
        values.append(session.run((one, two)))
      moved = [
        tuple(np.any(a != b) for a, b in zip(old, new, strict=True))
        for old, new in itertools.pairwise(values)
      ]
      assert moved == [(True, False), (True, False), (False, True)]
      metaobj = session.run(
        out.metaobj,
        {
          out.first_unroll: True,
          out.reset_state: True,
          out.obj_weights: [0.5, 0.5],
          out.batches: np.zeros([2, 0]),
        },
      )
      assert np.isfinite(metaobj)

  def test_two_optimizers_in_one_graph(self, graph):
    """Each has its own slots and its own global state."""
    variable = tf.Variable([1.0, 2.0])
    for _ in range(2):
      optimizer = HierarchicalRNN([3, 4, 5])
      optimizer.minimize(tf.reduce_sum(variable**2), var_list=[variable])
    states = [v for v in tf1.global_variables() if "global_state" in v.op.name]
    assert len(states) == 2

  def test_global_step_and_name(self, graph):
    optimizer = HierarchicalRNN(**SMALL)
    step = tf1.train.get_or_create_global_step()
    variable = tf.Variable(1.0)
    train = optimizer.minimize(variable**2, step, [variable], name="move")
    assert isinstance(train, tf.Operation)
    assert train.name == "move"
    with initialized_session() as session:
      session.run(train)
      session.run(train)
      assert session.run(step) == 2

  @pytest.mark.parametrize("use_resource", [False, True])
  def test_attention(self, graph, use_resource):
    """Variables hold the attended point; the true parameters come on demand."""
    optimizer = HierarchicalRNN(**SMALL, use_attention=True)
    start = np.array([1.0, -2.0, 3.0], np.float32)
    variable = tf1.Variable(start, use_resource=use_resource)
    grads = [(tf.constant([0.1, 0.2, -0.3]), variable)]
    train, (true_param,) = optimizer.apply_gradients(
      grads, return_true_params=True
    )
    assert isinstance(train, tf.Operation)
    slot = optimizer.get_slot(variable, "true_param")
    with initialized_session() as session:
      before, _ = session.run((true_param, train))
      np.testing.assert_array_equal(before, start)
      attended, stored = session.run((variable, slot))
      assert np.all(stored != start)
      assert np.all(attended != stored)
      before, _ = session.run((true_param, train))
      np.testing.assert_array_equal(before, stored)

  def test_without_attention_true_parameters_are_the_variables(self, graph):
    optimizer = HierarchicalRNN(**SMALL)
    variable = tf.Variable([1.0, 2.0])
    train, (true_param,) = optimizer.apply_gradients(
      [(tf.ones([2]), variable)], return_true_params=True
    )
    with initialized_session() as session:
      for _ in range(2):
        value = session.run(variable)
        before, _ = session.run((true_param, train))
        np.testing.assert_array_equal(before, value)


class TestErrors:
  def test_no_gradient(self, graph):
    optimizer, variable = HierarchicalRNN(**SMALL), tf.Variable(1.0)
    for pairs in ([], [(None, variable)]):
      with pytest.raises(ValueError, match="No variable has a gradient"):
        optimizer.apply_gradients(pairs)

  def test_types(self, graph):
    optimizer, variable = HierarchicalRNN(**SMALL), tf.Variable(1.0)
    with pytest.raises(TypeError, match="gradient of .*Variable.* is 'g'"):
      optimizer.apply_gradients([("g", variable)])
    with pytest.raises(TypeError, match="is not a tf.Variable"):
      optimizer.apply_gradients([(tf.ones([]), tf.ones([]))])
    double = tf.ones([], tf.float64)
    slices = tf.IndexedSlices(tf.ones([1], tf.float64), tf.constant([0]))
    for gradient in double, slices:
      with pytest.raises(TypeError, match="gradient of Variable:0 is float64"):
        optimizer.apply_gradients([(gradient, variable)])

  def test_shapes_and_repetitions(self, graph):
    optimizer, variable = HierarchicalRNN(**SMALL), tf.Variable([1.0, 2.0])
    with pytest.raises(ValueError, match=r"Variable:0 has shape \(3,\); that"):
      optimizer.apply_gradients([(tf.ones([3]), variable)])
    with pytest.raises(ValueError, match="Variable:0 is given 2 times"):
      optimizer.apply_gradients([(tf.ones([2]), variable)] * 2)

  def test_unknown_shapes(self, graph):
    optimizer = HierarchicalRNN(**SMALL)
    problem = reference.ToyProblem(lambda *_: tf.zeros([]), [])
    unknown = tf1.placeholder(tf.float32, [None])
    problem.init_tensors = lambda: [tf.zeros([2]), unknown]
    with pytest.raises(ValueError, match=r"params\[1\] has shape \(None,\)"):
      optimizer.train(problem, reference.NO_DATA)

  @pytest.mark.parametrize(
    "settings, message",
    [
      (dict(level_sizes=[]), r"level_sizes is \[\]"),
      (dict(level_sizes=[1, 2, 3, 4]), r"level_sizes is \[1, 2, 3, 4\]"),
      (dict(level_sizes=[3, 0]), r"level_sizes is \[3, 0\]"),
      (dict(level_sizes=[3.5]), r"level_sizes is \[3.5\]"),
      (dict(init_lr_range=(1e-2, 1e-6)), r"init_lr_range is \(0.01, 1e-06\)"),
      (dict(init_lr_range=(0.0, 1.0)), r"init_lr_range is \(0.0, 1.0\)"),
      (dict(init_lr_range=(1e-3,)), r"init_lr_range is \(0.001,\)"),
      (dict(num_gradient_scales=0), "num_gradient_scales is 0"),
      (dict(dynamic_output_scale=False), "use_relative_lr is True"),
      (
        dict(
          dynamic_output_scale=False,
          use_relative_lr=False,
          use_extreme_indicator=True,
        ),
        "use_extreme_indicator is True",
      ),
      (
        dict(
          dynamic_output_scale=False,
          use_relative_lr=False,
          use_lr_shortcut=True,
        ),
        "use_lr_shortcut is True",
      ),
    ],
  )
  def test_settings(self, graph, settings, message):
    with pytest.raises(ValueError, match=message):
      HierarchicalRNN(**(dict(level_sizes=[3]) | settings))
    assert not tf1.global_variables()

  def test_settings_of_other_optimizers_are_ignored(self, graph):
    HierarchicalRNN(**SMALL, cell_cls="GRUCell", learning_rate=1.0)


def test_a_graph_and_a_keras_model_in_one_process():
  assert tf.executing_eagerly()
  with tf.Graph().as_default():
    optimizer = HierarchicalRNN(**SMALL)
    variable = tf.Variable([1.0, 2.0])
    train = optimizer.minimize(tf.reduce_sum(variable**2), var_list=[variable])
    with initialized_session() as session:
      session.run(train)
      assert np.all(session.run(variable) != [1.0, 2.0])
  assert tf.executing_eagerly()
  model = keras.Sequential([keras.layers.Dense(1)])
  model.compile(optimizer="sgd", loss="mse")
  history = model.fit(np.eye(4), np.ones([4, 1]), epochs=3, verbose=0)
  assert history.history["loss"][-1] < history.history["loss"][0]

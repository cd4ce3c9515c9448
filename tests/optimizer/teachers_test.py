"""Hand-designed rules against TensorFlow's own, and teachers that use them."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from learned_optimizer import packaged_data
from learned_optimizer.optimizer import teachers
from learned_optimizer.optimizer.baselines import BASELINES, AdamRule
from learned_optimizer.optimizer.imitation import Teacher
from tests.optimizer import reference

tf1 = tf.compat.v1
_RATE = 0.03
_ORIGINALS = {
  "SGD": tf1.train.GradientDescentOptimizer,
  "Momentum": functools.partial(tf1.train.MomentumOptimizer, momentum=0.9),
  "Nesterov": functools.partial(
    tf1.train.MomentumOptimizer, momentum=0.9, use_nesterov=True
  ),
  "RMSProp": tf1.train.RMSPropOptimizer,
  "Adagrad": tf1.train.AdagradOptimizer,
  "Adam": tf1.train.AdamOptimizer,
}


@pytest.fixture(scope="module")
def golden():
  return reference.load(
    packaged_data.path("tests/golden/scale_regularisers.npz")
  )


class TestBaselines:
  # The second coordinate has tiny gradients and starts at 0, so that its steps
  # can be told from rounding; the third one has none.
  curvature = np.float32([1.0, 0.0, 0.0, 20.0])
  slope = np.float32([0.0, 1e-9, 0.0, 3.0])
  start = (np.float32([0.7, 0.0, 0.2, -0.4]), np.float32(1.3))

  @classmethod
  def gradients(cls, params):
    vector, scalar = params
    return [
      cls.curvature * vector + cls.slope,
      tf.sin(3.0 * scalar) + 0.1 * tf.reduce_sum(vector),
    ]

  @pytest.fixture(scope="class")
  @classmethod
  def expected(cls):
    """The parameters after each of 20 steps, by the name of the rule."""
    with tf.Graph().as_default():
      variables, train = {}, {}
      for name, make in _ORIGINALS.items():
        variables[name] = [tf.Variable(value) for value in cls.start]
        grads = cls.gradients(variables[name])
        train[name] = make(_RATE).apply_gradients(
          zip(grads, variables[name], strict=True)
        )
      with reference.quick_session() as session:
        session.run(tf1.global_variables_initializer())
        trajectory = []
        for _ in range(20):
          session.run(train)
          trajectory.append(session.run(variables))
    return {
      name: [params[name] for params in trajectory] for name in _ORIGINALS
    }

  @pytest.mark.parametrize("name", BASELINES)
  def test_steps_are_those_of_tensorflow(self, expected, name):
    rule = BASELINES[name]()
    weights = {f"{name}/learning_rate": tf.constant(_RATE)}
    params = [tf.constant(value) for value in self.start]
    state = rule.init_state(weights, params, [])
    for recorded in expected[name]:
      update = rule.update(weights, params, self.gradients(params), state)
      params, state = update.params, update.state
      for param, value in zip(params, recorded, strict=True):
        np.testing.assert_allclose(param, value, rtol=2e-6)
    assert 0 < abs(params[0][1]) < 1e-1
    assert params[0][2] == self.start[0][2]

  def test_names_and_order(self):
    assert [*BASELINES] == [*_ORIGINALS]
    for name, rule_class in BASELINES.items():
      (weight,) = rule_class().init_weights().items()
      assert weight[0] == f"{name}/learning_rate"
      assert weight[1] == np.float32(rule_class.learning_rate)


def imitate(teacher, golden, jit_compile=False):
  """A function from parameters, state and batches to labels and the ends."""
  problem = reference.mlp(reference.tensors(golden, "init_param"))
  number = teacher.num_steps

  @tf.function(autograph=False, jit_compile=jit_compile)
  def run(params, state, batches):
    num_steps = batches.shape[0] // number
    records = [
      tf.TensorArray(p.dtype, num_steps, element_shape=p.shape) for p in params
    ]

    def step(index, params, state, records):
      def objective(params, k):
        rows = batches[index * number + k]
        data, labels = (
          tf.gather(golden[key], rows) for key in ("data", "labels")
        )
        return problem.objective(params, data, labels)

      steps, state = teacher.lead(objective, params, state)
      records = [r.write(index, s) for r, s in zip(records, steps, strict=True)]
      params = [p - s for p, s in zip(params, steps, strict=True)]
      return index + 1, params, state, records

    _, params, state, records = tf.while_loop(
      lambda index, *_: index < num_steps,
      step,
      (tf.constant(0), params, state, records),
      maximum_iterations=num_steps,
    )
    return [r.stack() for r in records], params, state

  return run


def start_of(teacher, golden, draws=(), dtype=np.float32):
  params = [
    tf.constant(param, dtype)
    for param in reference.tensors(golden, "init_param")
  ]
  return params, teacher.init_state(params, draws)


def racing(teacher, golden):
  """What the original's teacher did to the recorded problem in one step.

  It updated the output layer before the gradient of the hidden layer read the
  output layer's weights; the error was that of the old ones.
  """

  @tf.function(autograph=False)
  def run(params, states, rows):
    problem = reference.mlp(params)
    data, labels = (tf.gather(golden[key], rows) for key in ("data", "labels"))
    hidden, output = params[:2], params[2:]
    activations = tf.sigmoid(tf.matmul(data, hidden[0]) + hidden[1])
    logits = tf.matmul(activations, output[0]) + output[1]
    error = tf.stop_gradient(tf.nn.softmax(logits) - tf.one_hot(labels, 3))
    output_steps, output_state = teacher.lead(
      lambda p, _: problem.objective([*hidden, *p], data, labels),
      output,
      states[1],
    )
    new_matrix = output[0] - output_steps[0]

    def linearized(p, _):
      activations = tf.sigmoid(tf.matmul(data, p[0]) + p[1])
      scores = error * tf.matmul(activations, new_matrix)
      return tf.reduce_sum(scores) / rows.shape[0]

    hidden_steps, hidden_state = teacher.lead(linearized, hidden, states[0])
    steps = [*hidden_steps, *output_steps]
    params = [p - s for p, s in zip(params, steps, strict=True)]
    return steps, params, [hidden_state, output_state]

  return run


def test_recorded_labels(golden):
  """With the race of the original, by which they came about."""
  teacher = teachers.by_name("Adam")
  run = racing(teacher, golden)
  params = start_of(teacher, golden)[0]
  states = [teacher.init_state(p, ()) for p in (params[:2], params[2:])]
  recorded = reference.under(golden, "mt_labels_adam_k1/")
  for unroll, batches in enumerate(recorded["batches"]):
    for step, rows in enumerate(batches):
      labels, params, states = run(params, states, tf.constant(rows))
      for i, label in enumerate(labels):
        np.testing.assert_allclose(
          label,
          recorded[str(i)][unroll, step],
          rtol=1e-5,
          # Half a unit in the last place of the parameters, which differ by
          # the label.
          atol=1.2e-7,
        )


def mlp_gradient(params, data, labels):
  """The gradient of `reference.mlp` by hand."""
  matrix0, bias0, matrix1, bias1 = params
  hidden = 1 / (1 + np.exp(-(data @ matrix0 + bias0)))
  scores = np.exp(hidden @ matrix1 + bias1)
  error = scores / scores.sum(axis=1, keepdims=True)
  error[np.arange(len(labels)), labels] -= 1
  error /= len(labels)
  inner = error @ matrix1.T * hidden * (1 - hidden)
  return [data.T @ inner, inner.sum(0), hidden.T @ error, error.sum(0)]


@pytest.mark.parametrize("number", [1, 2])
def test_labels_are_those_of_a_loop(golden, number):
  teacher = teachers.by_name("Adam", number)
  params, state = start_of(teacher, golden, dtype=np.float64)
  batches = np.concatenate(golden["mt_labels_adam_k1/batches"])
  labels, params, _ = imitate(teacher, golden)(
    params, state, tf.constant(batches)
  )
  expected = [
    param.astype(np.float64)
    for param in reference.tensors(golden, "init_param")
  ]
  first, second = ([np.zeros_like(p) for p in expected] for _ in range(2))
  before = None
  for t, rows in enumerate(batches, start=1):
    if t % number == 1 % number:
      before = [param.copy() for param in expected]
    grads = mlp_gradient(expected, golden["data"][rows], golden["labels"][rows])
    factor = 0.01 * np.sqrt(1 - 0.999**t) / (1 - 0.9**t)
    for param, m, v, grad in zip(expected, first, second, grads, strict=True):
      m += 0.1 * (grad - m)
      v += 0.001 * (grad**2 - v)
      param -= factor * m / (np.sqrt(v) + 1e-8)
    if t % number == 0:
      for label, old, new in zip(labels, before, expected, strict=True):
        np.testing.assert_allclose(label[t // number - 1], old - new, rtol=1e-9)
  for param, value in zip(params, expected, strict=True):
    np.testing.assert_allclose(param, value, rtol=1e-9)
  assert all(label.shape[0] == 8 // number for label in labels)


def test_gradients_of_rows_and_of_nothing():
  teacher = teachers.by_name("Nesterov")

  @tf.function(autograph=False)
  def run(params):
    def objective(params, index):
      return 3.0 * tf.reduce_sum(tf.gather(params[0], [2, 0, 2]))

    return teacher.lead(objective, params, teacher.init_state(params, []))[0]

  table, idle = run([tf.zeros([4, 2]), tf.ones([3])])
  expected = 0.019 * 3 * np.float32([[1], [0], [2], [0]]) * np.ones([4, 2])
  np.testing.assert_allclose(table, expected, rtol=1e-6)
  np.testing.assert_array_equal(idle, [0, 0, 0])


def test_nothing_is_differentiated_through_a_teacher():
  teacher = teachers.by_name("random")

  @tf.function(autograph=False)
  def run(scale):
    params = [scale * tf.ones([3])]
    state = teacher.init_state(params, [0.5])
    steps, state = teacher.lead(
      lambda params, index: tf.reduce_sum(params[0] ** 2), params, state
    )
    total = tf.add_n([tf.reduce_sum(steps[0] ** 2)])
    for leaf in tf.nest.flatten(state["states"]):
      total += tf.reduce_sum(leaf)
    assert tf.gradients(total, [scale]) == [None]
    return total

  assert run(tf.constant(2.0)) > 0


def test_loss():
  teacher = teachers.by_name("Adam")
  steps = [np.float32([[1, 2], [3, 4]]), np.float32(5)]
  prescribed = [np.float32([[1, 0], [3, 1]]), np.float32(4)]
  loss = teacher.loss(
    [tf.constant(s) for s in steps], [tf.constant(p) for p in prescribed]
  )
  np.testing.assert_allclose(loss, (4 + 9 + 1) / 2 / 5, rtol=1e-6)


class TestRandom:
  def choices(self, teacher, golden, seed, number):
    generator = np.random.default_rng(seed)
    return [
      int(start_of(teacher, golden, draws)[1]["choice"])
      for draws in (teacher.draws([], generator) for _ in range(number))
    ]

  def test_generator_fixes_the_choice(self, golden):
    teacher = teachers.by_name("random")
    chosen = self.choices(teacher, golden, 3, 20)
    assert set(chosen) == {0, 1, 2}
    assert self.choices(teacher, golden, 3, 20) == chosen
    assert self.choices(teacher, golden, 4, 20) != chosen

  @pytest.mark.parametrize("number", [0.0, np.float32(1.0)])
  def test_ends_of_the_range(self, golden, number):
    _, state = start_of(teachers.by_name("random"), golden, [number])
    assert state["choice"] == (2 if number else 0)

  def test_labels_are_those_of_the_chosen_one(self, golden):
    batches = golden["mt_labels_adam_k1/batches"]
    teacher = teachers.by_name("random")
    run = imitate(teacher, golden, jit_compile=True)
    all_labels = []
    for index, name in enumerate(teachers.NAMES[:3]):
      alone = teachers.by_name(name)
      run_alone = imitate(alone, golden)
      ends = start_of(teacher, golden, [np.float32((index + 0.5) / 3)])
      ends_alone = start_of(alone, golden)
      for rows in tf.constant(batches):
        labels, *ends = run(*ends, rows)
        expected, *ends_alone = run_alone(*ends_alone, rows)
        for label, value in zip(labels, expected, strict=True):
          np.testing.assert_allclose(label, value, rtol=1e-5, atol=2e-7)
      assert ends[1]["choice"] == index
      all_labels.append(labels[0])
    for i in range(3):
      assert np.abs(all_labels[i] - all_labels[i - 1]).max() > 1e-4

  def test_others_may_diverge(self):
    teacher = teachers.by_name("random")
    params = [tf.constant([0.5, -0.5])]
    weights = {
      name: tf.constant(value) for name, value in teacher.weights.items()
    }
    for index in range(3):
      state = teacher.init_state(params, [(index + 0.5) / 3])
      for other in {0, 1, 2} - {index}:
        state["states"][other] = tf.nest.map_structure(
          lambda leaf: leaf * np.nan, state["states"][other]
        )
      update = teacher.rule.update(weights, params, params, state)
      assert np.all(np.isfinite(update.steps[0]))

  def test_state_consists_of_tensors_of_static_shapes(self):
    teacher = teachers.by_name("random")
    with tf.Graph().as_default():
      params = [tf.zeros([2, 3]), tf.zeros([])]
      draws = [tf1.placeholder(tf.float32, [])]
      state = teacher.init_state(params, draws)
      leaves = tf.nest.flatten(state)
      assert len(leaves) == 1 + 4 + 1 + 1
      assert all(leaf.shape.is_fully_defined() for leaf in leaves)

  def test_slots_round_trip(self, golden):
    teacher = teachers.by_name("random")
    params, state = start_of(teacher, golden, [0.9])
    slots = teacher.rule.to_slots(state, params)
    assert all(
      sorted(own) == teacher.rule.slot_keys() for own in slots.per_tensor
    )
    back = teacher.rule.from_slots(slots, params)
    tf.nest.map_structure(np.testing.assert_array_equal, back, state)


class TestInTurn:
  @pytest.mark.parametrize("number", range(4))
  def test_steps_are_those_of_the_rule_whose_turn_it_is(self, number):
    """The check values of L2O-DM's teachers, at gradients of .5, .25, .1."""
    teacher = teachers.in_turn(["Adam", "RMSProp", "Nesterov"])
    expected = (
      (-0.0099999932, -0.0093217613, -0.0082187895),
      (-0.0051987525, -0.0027297549, -0.0011502048),
      (-0.0095, -0.0088, -0.00757),
    )[number % 3]
    weights = {name: tf.constant(v) for name, v in teacher.weights.items()}
    params = [tf.zeros([2])]
    state = teacher.init_state(params, teachers.turn(number, 3))
    for gradient, change in zip((0.5, 0.25, 0.1), expected, strict=True):
      update = teacher.rule.update(weights, params, [[gradient] * 2], state)
      state = update.state
      np.testing.assert_allclose(update.steps[0], 2 * [-change], rtol=1e-6)

  def test_order_is_that_of_the_names(self):
    teacher = teachers.in_turn(["Nesterov", "Adam"], 3)
    assert [rule.name for rule in teacher.rule.rules] == ["Nesterov", "Adam"]
    assert teacher.num_steps == 3
    params = [tf.zeros([2])]
    for number in range(5):
      state = teacher.init_state(params, teachers.turn(number, 2))
      assert state["choice"] == number % 2


class TestErrors:
  @pytest.mark.parametrize("names", [[], ["Adam", "Adam"], ["adam"]])
  def test_names_of_turns(self, names):
    with pytest.raises(ValueError, match=r"names is \[.*one or several diff"):
      teachers.in_turn(names)

  def test_unknown_name(self):
    with pytest.raises(ValueError, match="mt_teacher is 'adam'; one of Adam, "):
      teachers.by_name("adam")

  @pytest.mark.parametrize("number", [0, -1, 2.0, True, "1"])
  def test_number_of_steps(self, number):
    with pytest.raises(ValueError, match="num_steps must be a positive int"):
      teachers.by_name("Adam", number)

  def test_weights_of_another_rule(self):
    with pytest.raises(ValueError, match=r"weights has the names \['rate'\]"):
      Teacher(AdamRule(), {"rate": 0.01})

"""Steps over chunks of columns against steps over all columns at once."""

import numpy as np
import pytest
import tensorflow as tf

from learned_optimizer.optimizer import columns, layout
from tests.optimizer import all_rules

SHAPES = [(9, 7), (), (5,), (40,)]
NAMES = [
  "hierarchical",
  "hierarchical-attention",
  "coordinatewise-lstm",
  "rnnprop",
]
NUM_STEPS = 3

WAYS = pytest.mark.parametrize("way", ["eager", "graph", "compiled"])


@pytest.fixture
def chunks(monkeypatch):
  """Returns a function that makes these tensors large."""

  def make_large():
    monkeypatch.setattr(layout, "_FEW_COORDINATES", 100)
    monkeypatch.setattr(layout, "_CHUNK", 32)

  return make_large


def params():
  generator = np.random.default_rng(0)
  return [tf.constant(generator.normal(size=s), tf.float32) for s in SHAPES]


def initial(rule):
  """Weights, and a state in slots, which do not depend on the layout."""
  weights = rule.init_weights(0)
  draws = rule.draws(params(), np.random.default_rng(1))
  return weights, rule.to_slots(
    rule.init_state(weights, params(), draws), params()
  )


def steps(rule, weights, slots):
  """Parameters and slots after some steps on a quadratic."""
  values = params()
  state = rule.from_slots(slots, values)
  for _ in range(NUM_STEPS):
    grads = [tf.sin(value) for value in values]
    update = rule.update(weights, values, grads, state)
    values, state = update.attended_params, update.state
  return values, rule.to_slots(state, values)


def in_this_way(way, function):
  if way == "eager":
    return function
  return tf.function(function, jit_compile=way == "compiled", autograph=False)


def assert_close(actual, expected, tolerance):
  for a, e in zip(
    tf.nest.flatten(actual), tf.nest.flatten(expected), strict=True
  ):
    assert np.linalg.norm(a - e) <= tolerance * np.linalg.norm(e) + 1e-9


@WAYS
@pytest.mark.parametrize("name", NAMES)
def test_steps(name, way, chunks):
  rule = all_rules.RULES[name]
  weights, slots = initial(rule)
  expected = steps(rule, weights, slots)
  chunks()
  assert layout.Layout(SHAPES).chunk == 32
  columns._compiled.cache_clear()
  actual = in_this_way(way, lambda w, s: steps(rule, w, s))(weights, slots)
  assert_close(actual, expected, 1e-5)
  # All steps run the same program, also eager ones.
  found = columns._compiled.cache_info()
  assert (found.misses, found.hits) == (1, NUM_STEPS - 1)


@pytest.mark.parametrize("way", ["graph", "compiled"])
def test_meta_gradients_through_inner_gradients(way, chunks):
  """In a loop that is differentiated, with second derivatives."""
  rule = all_rules.RULES["hierarchical"]
  weights, slots = initial(rule)

  def meta_gradients(weights):
    def step(i, values, state):
      with tf.GradientTape() as tape:
        tape.watch(values)
        value = tf.add_n([tf.reduce_sum(tf.cos(v)) for v in values])
      grads = tape.gradient(value, values)
      update = rule.update(weights, values, grads, state)
      return i + 1, update.params, update.state

    with tf.GradientTape() as tape:
      tape.watch(weights)
      start = (0, params(), rule.from_slots(slots, params()))
      _, values, _ = tf.while_loop(
        lambda i, *_: i < NUM_STEPS,
        step,
        start,
        maximum_iterations=NUM_STEPS,
      )
      meta = tf.add_n([tf.reduce_sum(tf.cos(v)) for v in values])
    return tape.gradient(meta, weights, unconnected_gradients="zero")

  expected = in_this_way("graph", meta_gradients)(weights)
  chunks()
  actual = in_this_way(way, meta_gradients)(weights)
  assert_close(actual, expected, 1e-4)

"""What rules do with gradients of any size, and with NaN and infinity."""

import functools
import math
from typing import NamedTuple

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies as st

from tests.optimizer import reference
from tests.optimizer.all_rules import RULES

# The square of a larger float32 is infinite.
LARGEST_ROOT = 1.8e19


class Behaviour(NamedTuple):
  """What becomes of a step whose gradient is exceptional, and of the next one.

  Each is "nan", "infinite", "zero" or "number"; a second one that is not
  "number" stays so for ever.

  Attributes:
    nan: where the gradient is NaN.
    infinite: where it is plus or minus infinity.
    huge: where its square overflows.
    huge_at_first: the same in the very first step.
    spreads: a step that is NaN makes those of the whole tensor NaN, and all
      steps after it. Otherwise no other coordinate is affected.
  """

  nan: tuple[str, str]
  infinite: tuple[str, str]
  huge: tuple[str, str]
  huge_at_first: tuple[str, str]
  spreads: bool = False


_NUMBERS, _NANS, _ZEROS = ("number",) * 2, ("nan",) * 2, ("zero",) * 2
_HIERARCHICAL = Behaviour(_NANS, _NANS, _NANS, _NANS, spreads=True)
_COORDINATEWISE = Behaviour(_NANS, _NANS, _NUMBERS, _NANS)
_DESCENT = Behaviour(
  ("nan", "number"), ("infinite", "number"), _NUMBERS, _NUMBERS
)
_MOMENTUM = Behaviour(_NANS, ("infinite",) * 2, _NUMBERS, _NUMBERS)
_ADAM = Behaviour(_NANS, _NANS, _ZEROS, _ZEROS)
BEHAVIOURS = {
  "hierarchical": _HIERARCHICAL,
  "hierarchical-attention": _HIERARCHICAL,
  "coordinatewise-lstm": _COORDINATEWISE,
  "coordinatewise-gru": _COORDINATEWISE,
  "trainable-adam": _ADAM,
  "trainable-adam-faithful": _MOMENTUM,
  "global-learning-rate": _DESCENT,
  "learning-rate-schedule": _DESCENT,
  # The logarithm of infinity saturates the gates.
  "l2o-dm": Behaviour(_NANS, _NUMBERS, _NUMBERS, _NUMBERS),
  "rnnprop": Behaviour(_NANS, _NANS, _NUMBERS, _NUMBERS),
  "sgd": _DESCENT,
  "momentum": _MOMENTUM,
  "nesterov": _MOMENTUM,
  "rmsprop": _ADAM._replace(infinite=("nan", "zero")),
  "adagrad": _ADAM._replace(infinite=("nan", "zero")),
  "adam": _ADAM,
  # The generator's first number selects Adam.
  "random-choice": _ADAM,
}
SHAPES = [(3,), (), (2, 2)]
COORDINATES = [
  (i, j) for i, s in enumerate(SHAPES) for j in range(math.prod(s))
]

every_rule = pytest.mark.parametrize("rule_name", RULES)


def examples(count):
  return hypothesis.settings(
    max_examples=count,
    deadline=None,
    # Examples are short, and to shorten a failing one takes minutes.
    phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
    suppress_health_check=list(hypothesis.HealthCheck),
  )


def magnitudes(low, high):
  """Numbers of either sign whose logarithms are spread evenly."""
  exponents = st.floats(np.log10(low), np.log10(high))
  return st.builds(
    lambda sign, exponent: float(np.float32(sign * 10.0**exponent)),
    st.sampled_from([-1.0, 1.0]),
    exponents,
  )


def gradients_of(shapes, values):
  """One array of drawn values for each shape."""
  return st.tuples(
    *(
      st.lists(values, min_size=n, max_size=n).map(
        functools.partial(lambda s, v: np.array(v, np.float32).reshape(s), s)
      )
      for s in shapes
      for n in [math.prod(s)]
    )
  )


ORDINARY = st.just(0.0) | magnitudes(1e-30, LARGEST_ROOT)
ANY = (
  st.just(0.0)
  | magnitudes(1e-30, 1e30)
  | st.sampled_from([np.nan, np.inf, -np.inf])
)
# Of one size, so that they change no state by much.
CLEAN = magnitudes(0.1, 0.9)


@functools.cache
def weights_of(rule_name):
  return RULES[rule_name].init_weights(seed=1)


def start(rule_name, shapes):
  """Parameters and a fresh state."""
  rule = RULES[rule_name]
  params = [tf.fill(shape, 0.5) for shape in shapes]
  draws = rule.draws(params, np.random.default_rng(2))
  return params, rule.init_state(weights_of(rule_name), params, draws)


def follow(rule_name, sequence, run=None):
  """The updates for each of some gradients."""
  params, state = start(rule_name, [np.shape(g) for g in sequence[0]])
  updates = []
  for grads in sequence:
    update = (run or RULES[rule_name].update)(
      weights_of(rule_name), params, [tf.constant(g) for g in grads], state
    )
    params, state = update.params, update.state
    updates.append(update)
  return updates


def without_division_by_zero(rule_name, sequence):
  """The original's second moment of Adam divides by zero at 1 and -1."""
  if rule_name != "trainable-adam-faithful":
    return sequence
  return [
    [np.where(abs(abs(g) - 1.0) < 1e-5, np.float32(0.5), g) for g in grads]
    for grads in sequence
  ]


def with_finite_sums(rule_name, sequence):
  """Adagrad adds up squares, so that less is too much for it."""
  if rule_name != "adagrad":
    return sequence
  limit = np.float32(LARGEST_ROOT / math.sqrt(len(sequence)))
  return [[np.clip(g, -limit, limit) for g in grads] for grads in sequence]


@every_rule
@examples(12)
@hypothesis.given(st.data())
def test_ordinary_gradients_have_finite_results(rule_name, data):
  """Of any shape, down to no element at all, and any size up to 1.8e19."""
  sizes = st.lists(st.integers(0, 3), max_size=3).map(tuple)
  shapes = data.draw(st.lists(sizes, min_size=1, max_size=4))
  drawn = data.draw(
    st.lists(gradients_of(shapes, ORDINARY), min_size=3, max_size=3)
  )
  drawn = with_finite_sums(rule_name, drawn)
  updates = follow(rule_name, without_division_by_zero(rule_name, drawn))
  for update in updates:
    for tensor in tf.nest.flatten(update):
      assert np.all(np.isfinite(tensor))
    for tensors in (update.params, update.attended_params, update.steps):
      assert [tuple(t.shape) for t in tensors] == shapes


def _kind(value):
  if np.isnan(value):
    return "nan"
  if np.isinf(value):
    return "infinite"
  return "number" if value else "zero"


def _flat(tensors):
  return np.concatenate([np.ravel(tensor) for tensor in tensors])


EXCEPTIONAL = {
  "nan": st.just(np.nan),
  "infinite": st.sampled_from([np.inf, -np.inf]),
  # Running means take in a part of a gradient, whose square then overflows.
  "huge": magnitudes(1e23, 1e30),
}


@pytest.mark.parametrize("exception", EXCEPTIONAL)
@every_rule
@examples(5)
@hypothesis.given(st.data())
def test_an_exceptional_gradient(rule_name, exception, data):
  behaviour = BEHAVIOURS[rule_name]
  before = data.draw(st.integers(0, 2))
  sequence = data.draw(
    st.lists(
      gradients_of(SHAPES, CLEAN), min_size=before + 3, max_size=before + 3
    )
  )
  i, j = data.draw(st.sampled_from(COORDINATES))
  usual = follow(rule_name, sequence)
  sequence[before][i].flat[j] = data.draw(EXCEPTIONAL[exception])
  updates = follow(rule_name, sequence)
  at_first = exception == "huge" and not before
  now, later = getattr(behaviour, "huge_at_first" if at_first else exception)
  place = COORDINATES.index((i, j))
  for t, (update, expected) in enumerate(zip(updates, usual, strict=True)):
    kinds = [_kind(step) for step in _flat(update.steps)]
    spoiled = {place}
    if behaviour.spreads and t == before:
      spoiled = {k for k, c in enumerate(COORDINATES) if c[0] == i}
    elif behaviour.spreads:
      spoiled = set(range(len(kinds)))
    if t < before:
      spoiled = set()
    for k in spoiled:
      assert kinds[k] == (now if t == before else later)
    others = [k for k in range(len(kinds)) if k not in spoiled]
    np.testing.assert_allclose(
      _flat(update.params)[others], _flat(expected.params)[others], rtol=1e-5
    )


@functools.cache
def compiled(rule_name, jit_compile):
  return tf.function(
    RULES[rule_name].update, autograph=False, jit_compile=jit_compile
  )


@every_rule
@examples(15)
@hypothesis.given(st.data())
def test_every_mode_does_the_same(rule_name, data):
  """NaN and infinities come in the same places, and numbers are as equal."""
  sequence = data.draw(
    st.tuples(
      gradients_of(SHAPES, CLEAN | ANY),
      gradients_of(SHAPES, ANY),
      gradients_of(SHAPES, CLEAN),
    )
  )
  sequence = without_division_by_zero(rule_name, sequence)
  eager = follow(rule_name, sequence)
  for jit_compile in (False, True):
    updates = follow(rule_name, sequence, compiled(rule_name, jit_compile))
    tf.nest.map_structure(_assert_same, updates, eager)


def _assert_same(actual, expected):
  actual, expected = np.array(actual), np.array(expected)
  finite = np.isfinite(expected)
  np.testing.assert_array_equal(actual[~finite], expected[~finite])
  reference.assert_tensor(actual[finite], expected[finite], relative=1e-4)

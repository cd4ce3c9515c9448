"""Every rule on every problem gives the same numbers however it is run.

To add a rule, add a line to `all_rules.RULES`; to add a problem, one to
`PROBLEMS`. Eagerly all pairs are run; in the other modes every rule is run on
one problem, which is another one for each rule, mode and dtype in turn. With
EVERY_CELL in the environment it is run on all of them.
"""

import functools
import importlib
import itertools
import os
import pkgutil

import numpy as np
import pytest
import tensorflow as tf

from learned_optimizer import optimizer
from learned_optimizer.optimizer.rule import Rule
from learned_optimizer.optimizer.slot_rule import SlotRule
from tests.optimizer import reference
from tests.optimizer.all_rules import RULES


def _normal(*shapes):
  generator = np.random.default_rng(len(shapes))
  return [generator.normal(size=s).astype(np.float32) for s in shapes]


_SAMPLES = reference.Data(
  _normal((16, 5))[0], np.arange(16, dtype=np.int32) % 2
)
PROBLEMS = {
  "quadratic": (
    reference.quadratic(*_normal((6, 6), (6, 1)), _normal((6, 1))),
    reference.NO_DATA,
  ),
  "rosenbrock": (reference.rosenbrock(), reference.NO_DATA),
  "softmax": (reference.softmax(_normal((5, 2), (2,))), _SAMPLES),
  "mlp": (reference.mlp(_normal((5, 4), (4,), (4, 2), (2,))), _SAMPLES),
}
MODES = {
  "eager": lambda step: step,
  "graph": functools.partial(tf.function, autograph=False),
  "xla": functools.partial(tf.function, autograph=False, jit_compile=True),
}
# Tolerances of one tensor after these steps, relative and absolute.
TOLERANCES = {"float32": (1e-5, 1e-7), "float64": (1e-11, 1e-13)}
NUM_STEPS = 4


@functools.cache
def trajectory(rule_name, problem_name, mode, dtype):
  """The objectives, and the last update as slots and tensors."""
  rule, (problem, data) = RULES[rule_name], PROBLEMS[problem_name]
  weights = {
    name: tf.cast(value, dtype)
    for name, value in rule.init_weights(seed=1).items()
  }

  def step(params, attended, state):
    with tf.GradientTape() as tape:
      tape.watch(attended)
      objective = problem.objective(attended, *data)
    grads = tape.gradient(objective, attended)
    return objective, rule.update(weights, params, grads, state)

  params = attended = [tf.cast(p, dtype) for p in problem.init_tensors()]
  state = rule.init_state(
    weights, params, rule.draws(params, np.random.default_rng(2))
  )
  run = MODES[mode](step)
  objectives = []
  for _ in range(NUM_STEPS):
    objective, update = run(params, attended, state)
    objectives.append(objective.numpy())
    params, attended, _, state = update
  return (
    np.array(objectives),
    update._replace(state=rule.to_slots(state, params)),
  )


def cells():
  """Rule, problem, mode and dtype of the cells that are run."""
  indices = map(range, map(len, (RULES, PROBLEMS, MODES, TOLERANCES)))
  names = itertools.product(RULES, PROBLEMS, MODES, TOLERANCES)
  for cell, (i, j, k, m) in zip(
    names, itertools.product(*indices), strict=True
  ):
    chosen = (i + 2 * k + m) % len(PROBLEMS) == j
    if chosen or cell[2] == "eager" or "EVERY_CELL" in os.environ:
      yield cell


@pytest.mark.parametrize("rule_name, problem_name, mode, dtype", [*cells()])
def test_grid(rule_name, problem_name, mode, dtype):
  objectives, update = trajectory(rule_name, problem_name, mode, dtype)
  expected = trajectory(rule_name, problem_name, "eager", dtype)
  relative, absolute = TOLERANCES[dtype]

  def assert_same(actual, expected):
    assert np.all(np.isfinite(actual))
    reference.assert_tensor(actual, expected, relative, absolute)

  tf.nest.map_structure(assert_same, (objectives, update), expected)
  assert objectives.dtype == dtype
  for tensor in tf.nest.flatten(update):
    assert tensor.dtype in (dtype, tf.int32)
  problem, _ = PROBLEMS[problem_name]
  for param, start in zip(update.params, problem.init_tensors(), strict=True):
    assert np.any(np.not_equal(param, tf.cast(start, dtype)))


def test_every_rule_and_every_problem_is_run_in_every_mode():
  run = set(cells())
  assert {(r, m, d) for r, _, m, d in run} == {
    *itertools.product(RULES, MODES, TOLERANCES)
  }
  assert {(p, m, d) for _, p, m, d in run} == {
    *itertools.product(PROBLEMS, MODES, TOLERANCES)
  }


def test_no_rule_is_missing():
  for module in pkgutil.iter_modules(optimizer.__path__, "learned_optimizer."):
    importlib.import_module(module.name.replace(".", ".optimizer.", 1))

  def concrete(rule_class):
    found = {rule_class} if not rule_class.__abstractmethods__ else set()
    return found.union(*map(concrete, rule_class.__subclasses__()))

  ours = {
    rule_class
    for rule_class in concrete(Rule)
    if rule_class.__module__.startswith("learned_optimizer.optimizer.")
  }
  assert ours - {SlotRule} == {type(rule) for rule in RULES.values()}

"""Every rule on every problem gives the same numbers however it is run.

To add a rule, add a line to `all_rules.RULES`; to add a problem, one to
`PROBLEMS`.
"""

import functools
import importlib
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
def trajectories(rule_name, dtype, mode):
  """Per problem the objectives, and the last update as slots and tensors.

  All problems share one program, because each costs seconds to compile.
  """
  rule = RULES[rule_name]
  weights = {
    name: tf.cast(value, dtype)
    for name, value in rule.init_weights(seed=1).items()
  }

  def step(starts):
    ends = {}
    for name, (params, attended, state) in starts.items():
      problem, data = PROBLEMS[name]
      with tf.GradientTape() as tape:
        tape.watch(attended)
        objective = problem.objective(attended, *data)
      grads = tape.gradient(objective, attended)
      update = rule.update(weights, params, grads, state)
      ends[name] = objective, update
    return ends

  starts = {}
  for name, (problem, _) in PROBLEMS.items():
    params = [tf.cast(param, dtype) for param in problem.init_tensors()]
    draws = rule.draws(params, np.random.default_rng(2))
    state = rule.init_state(weights, params, draws)
    starts[name] = params, params, state
  run = MODES[mode](step)
  objectives = {name: [] for name in starts}
  for _ in range(NUM_STEPS):
    ends = run(starts)
    for name, (objective, update) in ends.items():
      objectives[name].append(objective.numpy())
      starts[name] = (update.params, update.attended_params, update.state)
  return {
    name: (
      np.array(objectives[name]),
      update._replace(state=rule.to_slots(update.state, update.params)),
    )
    for name, (_, update) in ends.items()
  }


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("problem_name", PROBLEMS)
@pytest.mark.parametrize("rule_name", RULES)
def test_grid(rule_name, problem_name, mode, dtype):
  objectives, update = trajectories(rule_name, dtype, mode)[problem_name]
  expected = trajectories(rule_name, dtype, "eager")[problem_name]
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

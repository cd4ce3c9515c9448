"""Every setting of the hierarchical RNN gives the numbers of the original.

Each setting by itself is compared with recorded numbers, and each pair of
settings with a second reading of the equations.
"""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from learned_optimizer import packaged_data
from learned_optimizer.optimizer.hierarchical_rnn import (
  HierarchicalRNN,
  HierarchicalRNNRule,
)
from tests.optimizer import naive_hierarchical_rnn, reference, stepper
from tests.optimizer.unroller import (
  METARUN_SETTINGS,
  Unroller,
  hierarchical_draws,
)

BASE = dict(METARUN_SETTINGS, level_sizes=[4, 5, 6])
FIXED_LR = dict(dynamic_output_scale=False, use_relative_lr=False)
# What differs from the base in the rule, by the names of recorded numbers.
RULES = {
  "base": {},
  "use_attention_on": dict(use_attention=True),
  "use_extreme_indicator_on": dict(use_extreme_indicator=True),
  "zero_init_lr_weights_off": dict(zero_init_lr_weights=False),
  "use_log_means_squared_off": dict(use_log_means_squared=False),
  "use_problem_lr_mean_off": dict(use_problem_lr_mean=False),
  "use_relative_lr_off": dict(use_relative_lr=False),
  "use_gradient_shortcut_off": dict(use_gradient_shortcut=False),
  "use_grad_products_off": dict(use_grad_products=False),
  "learnable_inp_decay_off": dict(learnable_inp_decay=False),
  "dynamic_output_scale_off": FIXED_LR,
  "attention_on_gradient_shortcut_off": dict(
    use_attention=True, use_gradient_shortcut=False
  ),
  "num_gradient_scales_1": dict(num_gradient_scales=1),
  "num_gradient_scales_2": dict(num_gradient_scales=2),
  "levels_1": dict(level_sizes=[4]),
  "max_log_lr_m4": dict(max_log_lr=-4.0),
  "old_style_all_extra_features_off": dict(
    use_relative_lr=False, use_log_means_squared=False, use_grad_products=False
  ),
}
# What differs in the unroll too, whose steps by themselves are another's.
TRAINING = {
  "use_numerator_epsilon_on": ({}, dict(use_numerator_epsilon=True)),
  "use_second_derivatives_off": ({}, dict(use_second_derivatives=False)),
  "use_log_objective_off": ({}, dict(use_log_objective=False)),
  "obj_train_max_multiplier_1.0001": (
    {},
    dict(obj_train_max_multiplier=1.0001),
  ),
  # The second unroll starts above the limit, and stops before its first step.
  "dynamic_output_scale_off_obj_train_max_multiplier_1.05": (
    FIXED_LR,
    dict(obj_train_max_multiplier=1.05),
  ),
}
VARIANTS = {name: (settings, {}) for name, settings in RULES.items()} | TRAINING
# Those that `apply_gradients` has to do something else for.
APPLIED = ["base", "use_attention_on", "dynamic_output_scale_off", "levels_1"]


def problems_of(name):
  """The problems that there are recorded numbers for."""
  return ["softmax", "quad6"] if name == "base" else ["softmax"]


cases = pytest.mark.parametrize(
  "name, problem",
  [(name, problem) for name in RULES for problem in problems_of(name)],
)


@pytest.fixture(scope="module")
def golden():
  return reference.load(
    packaged_data.path("tests/golden/metagrad_variants.npz")
  )


def rule_of(name):
  return HierarchicalRNNRule(**(BASE | VARIANTS[name][0]))


def draws_of(golden, name, problem):
  """The random numbers of a fresh state."""
  rule, log_lrs = rule_of(name), []
  if rule.dynamic_output_scale:
    log_lrs = reference.tensors(golden, f"{problem}/init_log_learning_rate")
  init_vectors = []
  if not rule.learnable_rnn_init:
    init_vectors = reference.tensors(golden, f"{name}/init_vectors")
  return hierarchical_draws(log_lrs, init_vectors)


def arrays_of(golden, name, problem):
  """The variant's arrays among those of the problems, and a fresh state."""
  arrays = golden | reference.under(golden, f"{name}/")
  rule = rule_of(name)
  params = [
    tf.constant(p) for p in reference.tensors(arrays, f"{problem}/init_param")
  ]
  draws = draws_of(golden, name, problem)
  if "coordinates" in draws:
    draws["coordinates"] = [
      np.reshape(draw, p.shape)
      for draw, p in zip(draws["coordinates"], params, strict=True)
    ]
  weights = reference.under(arrays, "vars/")
  assert weights.keys() == rule.weight_specs().keys()
  slots = rule.to_slots(rule.init_state(weights, params, draws), params)
  for i, tensors in enumerate(slots.per_tensor):
    for key, value in tensors.items():
      arrays[f"{problem}/func/init_slot/{i}/{key}"] = value.numpy()
  for value in slots.global_state:
    arrays[f"{problem}/func/init_global/0"] = value.numpy()
  return arrays


@cases
def test_steps(golden, name, problem):
  arrays = arrays_of(golden, name, problem)
  stepper.assert_steps(
    rule_of(name), arrays, problem, "func", jit_compile=False
  )


@pytest.mark.parametrize("name", APPLIED)
def test_apply_gradients(golden, name):
  stepper.assert_apply_gradients(
    lambda: HierarchicalRNN(**(BASE | VARIANTS[name][0])),
    arrays_of(golden, name, "softmax"),
    "softmax",
    "func",
  )


@pytest.mark.parametrize(
  "name, problem",
  [(name, problem) for name in VARIANTS for problem in problems_of(name)],
)
def test_two_unrolls(golden, name, problem):
  arrays = arrays_of(golden, name, problem)
  rule_settings, training_settings = VARIANTS[name]
  unroller = Unroller(
    *reference.problem_and_data(arrays, problem),
    **(BASE | dict(use_log_objective=True) | rule_settings | training_settings),
  )
  unroller.load(reference.under(arrays, "vars/"))
  draws = draws_of(golden, name, problem)
  batches = arrays[f"{problem}/batches"]

  result = unroller.run(5, batches[:5], state_draws=draws)
  # The original cannot train one level; its equations can, without a loop.
  group = "pyunroll_5" if name == "levels_1" else "train_5_5/unroll0"
  reference.assert_scores(
    result, reference.under(arrays, f"{problem}/{group}/")
  )
  stepper.assert_last_step(result, arrays, problem, "func")
  if name != "levels_1":
    result = unroller.run(5, batches[5:], first=False, state_draws=draws)
    reference.assert_unroll(result, arrays, f"{problem}/train_5_5/unroll1")
    if name == "dynamic_output_scale_off_obj_train_max_multiplier_1.05":
      assert len(result["objs"]) == 1


# The base itself is compiled by the tests of parity.
EVERYTHING_ON = dict(
  use_attention=True,
  use_extreme_indicator=True,
  use_lr_shortcut=True,
  use_multiple_scale_decays=True,
  learnable_rnn_init=False,
)
LITTLE_ON = dict(FIXED_LR, level_sizes=[4], num_gradient_scales=1)


@pytest.mark.parametrize(
  "settings",
  [
    LITTLE_ON,
    dict(
      level_sizes=[4, 5], use_second_derivatives=False, use_log_objective=False
    ),
    dict(EVERYTHING_ON, use_numerator_epsilon=True),
  ],
  ids=["little_on", "levels_2_and_first_derivatives", "everything_on"],
)
def test_compiled_unrolls_are_the_plain_ones(golden, settings):
  """Each differs from the others in many settings, for it takes seconds."""
  settings = BASE | dict(use_log_objective=True) | settings
  results = []
  for jit_compile in (False, True):
    unroller = Unroller(
      *reference.problem_and_data(golden, "softmax"), jit_compile, **settings
    )
    rule = unroller.optimizer.rule
    unroller.load(reference.filled_weights(rule.weight_specs()))
    draws = rule.draws(unroller.out.init_params, np.random.default_rng(1))
    batches = golden["softmax/batches"]
    results.append(
      [
        unroller.run(5, batches[:5], state_draws=draws),
        unroller.run(5, batches[5:], first=False, state_draws=draws),
      ]
    )
  for plain, compiled in zip(*results, strict=True):
    grads = {f"grad/{name}": grad for name, grad in plain["grads"].items()}
    reference.assert_scores(compiled, plain | grads)
    for group in ("params", "attended", "global", "slots"):
      tf.nest.map_structure(
        reference.assert_tensor, compiled[group], plain[group]
      )


# Settings that change shapes or what is computed, each with the values that
# the base does not have. One that fixes the learning rate has no use for some.
TOGGLES = [
  dict(level_sizes=[4]),
  dict(level_sizes=[4, 5]),
  dict(num_gradient_scales=1),
  dict(num_gradient_scales=2),
  FIXED_LR,
  dict(use_relative_lr=False),
  dict(use_extreme_indicator=True),
  dict(use_lr_shortcut=True),
  dict(use_problem_lr_mean=False),
  dict(use_log_means_squared=False),
  dict(use_grad_products=False),
  dict(use_gradient_shortcut=False),
  dict(use_attention=True),
  dict(use_multiple_scale_decays=True),
  dict(learnable_decay=False),
  dict(learnable_inp_decay=False),
  dict(learnable_rnn_init=False),
  dict(max_log_lr=-4.0),
]
NEEDS_LR = {"use_relative_lr", "use_extreme_indicator", "use_lr_shortcut"}


def _fit(*settings):
  """Whether these settings may stand together."""
  names = [name for setting in settings for name in setting]
  fixed = FIXED_LR in settings
  return len(set(names)) == len(names) and not (fixed and NEEDS_LR & {*names})


PAIRS = [
  dict(a, **b) for a, b in itertools.combinations(TOGGLES, 2) if _fit(a, b)
]


class _Reads(dict):
  """A dictionary that knows which of its keys were asked for."""

  def __init__(self, *args):
    super().__init__(*args)
    self.read = set()

  def __getitem__(self, key):
    self.read.add(key)
    return super().__getitem__(key)


@pytest.mark.parametrize(
  "settings",
  [{}, *TOGGLES, *PAIRS, EVERYTHING_ON],
  ids=lambda s: "-".join(f"{k}={v}".replace(" ", "") for k, v in s.items()),
)
def test_pairs_of_settings(settings):
  """Weights, slots and two steps are those of the plain equations."""
  rule = HierarchicalRNNRule(
    **(BASE | dict(init_lr_range=(1e-8, 1e-1)) | settings)
  )
  generator = np.random.default_rng(1)
  params = [generator.normal(size=shape) for shape in [(2, 2), (3,), ()]]
  weights = _Reads(
    (name, np.asarray(value, np.float64))
    for name, value in reference.filled_weights(rule.weight_specs()).items()
  )
  draws = rule.draws(params, generator)
  slots = naive_hierarchical_rnn.fresh_slots(rule, weights, params, draws)
  attended = params

  tensors = {name: tf.constant(value) for name, value in weights.items()}
  ours = [tf.constant(param) for param in params]
  state = rule.init_state(tensors, ours, draws)
  for _ in range(2):
    back = rule.to_slots(
      rule.from_slots(rule.to_slots(state, ours), ours), ours
    )
    tf.nest.map_structure(
      np.testing.assert_array_equal, rule.to_slots(state, ours), back
    )
    for tensor in back.per_tensor:
      assert sorted(tensor) == rule.slot_keys()
    tf.nest.map_structure(
      _assert_equal, (back.per_tensor, back.global_state), tuple(slots)
    )
    grads = [generator.normal(size=param.shape) for param in params]
    params, attended, *slots = naive_hierarchical_rnn.update(
      rule, weights, params, grads, *slots
    )
    update = rule.update(
      tensors, ours, [tf.constant(grad) for grad in grads], state
    )
    ours, state = update.params, update.state
    tf.nest.map_structure(
      _assert_equal, (ours, update.attended_params), (params, attended)
    )
  back = rule.to_slots(state, ours)
  tf.nest.map_structure(
    _assert_equal, (back.per_tensor, back.global_state), tuple(slots)
  )
  assert weights.read == weights.keys()


def _assert_equal(actual, expected):
  reference.assert_tensor(actual, expected, relative=1e-10, absolute=1e-12)

"""The settings of an optimizer, told from the variables of its checkpoint.

Some settings can be read off the variables. Others decide together how many
input features there are: of these the combination is taken that has the right
number and departs least from metarun's defaults.
"""

import itertools
from collections.abc import Callable, Mapping
from typing import Any

from learned_optimizer.optimizer import recorded_settings
from learned_optimizer.optimizer import settings as rule_settings
from learned_optimizer.optimizer.checkpoints import CheckpointError
from learned_optimizer.optimizer.rule import Rule

Shapes = Mapping[str, tuple[int, ...]]

_SCOPE = "LOL/"
_LEVELS = ("PerTensor/Layer0_RNN", "PerTensor/Layer1_RNN", "Layer2_RNN")
_CANDIDATE_BIAS = "BiasGRUCell/candidate/Affine/Bias"
_CANDIDATE_MATRIX = f"{_LEVELS[0]}/BiasGRUCell/candidate/Affine/Matrix"
_SHORTCUT = "PerTensor/GradsToDelta/Matrix"
# Where the size of a cell shows: one of its biases, and how often it has it.
_CELL_BIASES = {
  "LSTMCell": ("lstm_cell/bias", 4),
  "BasicLSTMCell": ("basic_lstm_cell/bias", 4),
  "GRUCell": ("gru_cell/candidate/bias", 1),
  "BasicRNNCell": ("basic_rnn_cell/bias", 1),
}


def weight_names(shapes: Shapes) -> list[str]:
  """The names of weights among those of all variables of a checkpoint.

  The meta-optimizer's slots are called `<name of a weight>/<slot>`.
  """
  names = {name for name in shapes if name.startswith(_SCOPE)}

  def is_slot(name):
    return any(parent in names for parent in _parents(name))

  return sorted(name for name in names if not is_slot(name))


def infer(shapes: Shapes, given: Mapping[str, Any], path: str) -> Rule:
  """The rule whose weights are those of a checkpoint.

  Args:
    shapes: of all its variables, by name.
    given: settings that are known; the others are told from the variables, and
      where these cannot tell, have metarun's defaults.
    path: the checkpoint, for messages.

  Returns:
    The rule. Where none fits it is the one that the variables make the most
    likely.

  Raises:
    CheckpointError: there are no variables of an optimizer, or they fit
      several rules alike.
    ValueError: a given setting is not accepted.
  """
  weights = {name: tuple(shapes[name]) for name in weight_names(shapes)}
  has = {name.removeprefix(_SCOPE): shape for name, shape in weights.items()}
  optimizer = _optimizer(has, path)
  defaults = rule_settings.accepted(
    optimizer, recorded_settings.arguments({"optimizer": optimizer})
  )
  told, options = _READERS.get(optimizer, _nothing)(has)
  settings = defaults | told | dict(given)
  options = {name: v for name, v in options.items() if name not in given}

  fits = []
  departures = {
    choice: sum(
      value != settings[name]
      for name, value in zip(options, choice, strict=True)
    )
    for choice in itertools.product(*options.values())
  }
  for choice in sorted(departures, key=departures.get):
    if fits and departures[choice] > departures[fits[0]]:
      break
    if _fits(optimizer, settings | _named(options, choice), weights):
      fits.append(choice)
  if len(fits) > 1:
    raise CheckpointError(_ambiguity(path, settings, options, fits))
  chosen = _named(options, fits[0]) if fits else {}
  return rule_settings.make_rule(optimizer, settings | chosen)


def _parents(name):
  parts = name.split("/")
  return ["/".join(parts[:i]) for i in range(1, len(parts))]


def _named(options, choice):
  return dict(zip(options, choice, strict=True))


def _fits(optimizer, settings, weights):
  try:
    rule = rule_settings.make_rule(optimizer, settings)
  except ValueError:  # These settings do not go together.
    return False
  return weights == {n: tuple(s.shape) for n, s in rule.weight_specs().items()}


def _ambiguity(path, settings, options, fits):
  descriptions = []
  for choice in fits:
    changes = [
      f"{name}={value}"
      for name, value in _named(options, choice).items()
      if value != settings[name]
    ]
    descriptions.append(", ".join(changes))
  return (
    f"The variables of {path} fit several settings, {' or '.join(descriptions)}"
    " besides the defaults; give the right one."
  )


def _optimizer(has, path):
  """The optimizer's name, by a variable that only it has."""
  marks = {
    f"{_LEVELS[0]}/{_CANDIDATE_BIAS}": "HierarchicalRNN",
    "init_vector": "CoordinatewiseRNN",
    "global_learning_rate": "GlobalLearningRate",
    "learning_rates": "LearningRateSchedule",
    "log_learning_rate": "TrainableAdam",
    "input_projection/w": "RNNProp",
    "linear/w": "L2ODM",
  }
  for mark, optimizer in marks.items():
    if mark in has:
      return optimizer
  raise CheckpointError(
    f"The checkpoint {path} is not of a learned optimizer: it has none of the"
    f" variables {', '.join(f'{_SCOPE}{mark}' for mark in marks)}."
  )


# One function per optimizer. It returns the settings that variables show, and
# for those that they show together the possible values.


def _nothing(has):
  return {}, {}


def _learning_rate_schedule(has):
  return {"n_steps": _size(has, "learning_rates")}, {}


def _coordinatewise_rnn(has):
  told = {
    "learnable_decay": "decay_weights" in has,
    "dynamic_output_scale": "learning_rate_weights" in has,
  }
  for kind, (bias, width) in _CELL_BIASES.items():
    sizes = []
    while (name := f"multi_rnn_cell/cell_{len(sizes)}/{bias}") in has:
      sizes.append(_size(has, name) // width)
    if sizes:
      told |= {"cell_cls": kind, "cell_sizes": sizes}
  return told, {}


def _l2o_dm(has):
  told, _ = _rnnprop(has)
  if told and _size(has, "lstm_1/w_gates", 0) - told["layers"][0] == 1:
    told["preprocess"] = "identity"
  return told, {}


def _rnnprop(has):
  layers = []
  while (name := f"lstm_{len(layers) + 1}/b_gates") in has:
    layers.append(_size(has, name) // 4)
  return ({"layers": layers} if layers and all(layers) else {}), {}


def _hierarchical_rnn(has):
  biases = [f"{level}/{_CANDIDATE_BIAS}" for level in _LEVELS]
  sizes = [_size(has, bias) for bias in biases if bias in has]
  told = {
    "level_sizes": sizes,
    "learnable_decay": "scl_decay_weights" in has,
    "dynamic_output_scale": "learning_rate_weights" in has,
    "use_attention": "attention_weights" in has,
    "use_gradient_shortcut": _SHORTCUT in has,
    "learnable_rnn_init": "Level0_RNN/init_vector" in has,
  }
  rates = ("use_relative_lr", "use_extreme_indicator", "use_lr_shortcut")
  together = ["use_grad_products", "use_log_means_squared"]
  if told["dynamic_output_scale"]:
    together += rates
  else:
    told |= dict.fromkeys(rates, False)
  if "inp_decay_weights" in has:
    told["learnable_inp_decay"] = True
  elif told["learnable_decay"]:
    # Or there is one gradient scale, which has no decay to learn.
    together.append("learnable_inp_decay")
  options = {name: (True, False) for name in together}
  if _SHORTCUT in has:
    told["num_gradient_scales"] = _size(has, _SHORTCUT, 0)
  else:
    # Each scale is a feature.
    num_features = _size(has, _CANDIDATE_MATRIX, 0) - sizes[0]
    options["num_gradient_scales"] = range(1, num_features + 1)
  return told, options


def _size(has, name, axis=-1):
  """The size of a variable along an axis; 0 where there is none."""
  shape = has.get(name)
  return shape[axis] if shape else 0


_READERS: Mapping[str, Callable] = {
  "HierarchicalRNN": _hierarchical_rnn,
  "CoordinatewiseRNN": _coordinatewise_rnn,
  "LearningRateSchedule": _learning_rate_schedule,
  "L2ODM": _l2o_dm,
  "RNNProp": _rnnprop,
}

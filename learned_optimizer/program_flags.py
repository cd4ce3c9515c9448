"""The flags that metarun and metatest share, and what they stand for.

Nothing here imports TensorFlow, so that wrong flags are answered at once.
"""

import inspect
import os
import pathlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from absl import flags, logging

from learned_optimizer import caller

# The problem sets of the original program, in its order, and ours. A flag
# without a value leaves it to the program's default selection.
_PROBLEM_SET_NAMES = (
  "sparse_softmax",
  "one_hot_sparse_softmax",
  "quadratic",
  "noisy_quadratic",
  "large_quadratic",
  "bowl",
  "noisy_bowl",
  "softmax_2_class",
  "noisy_softmax_2_class",
  "optimization_test",
  "noisy_optimization_test",
  "fully_connected_random_2_class",
  "matmul",
  "log_objective",
  "rescale",
  "norm",
  "noisy_norm",
  "sum",
  "noisy_sum",
  "sparse_gradient",
  "min_max_well",
  "sum_of_quadratics",
  "projection_quadratic",
  "outward_snake",
  "dependency_chain",
  "digits_mlp",
)
_ORIGINAL_DEFAULTS = (
  "noisy_quadratic",
  "large_quadratic",
  "bowl",
  "noisy_bowl",
  "softmax_2_class",
  "noisy_softmax_2_class",
  "optimization_test",
  "noisy_optimization_test",
  "fully_connected_random_2_class",
  "matmul",
  "log_objective",
  "rescale",
  "norm",
  "noisy_norm",
  "sum",
  "noisy_sum",
  "sparse_gradient",
)
# Real data sets are trained on alone unless other sets are asked for.
_IMAGE_SETS = ("digits_mlp",)

# Flags that are settings of the optimizer: name, default, help.
_OPTIMIZER_SWITCHES = (
  ("zero_init_lr_weights", True, "start with zero learning-rate readout"),
  ("use_relative_lr", True, "input the learning rate relative to its mean"),
  ("use_extreme_indicator", False, "input how extreme the learning rate is"),
  ("use_log_means_squared", True, "input relative log mean squares"),
  ("use_problem_lr_mean", True, "that mean is over all tensors"),
  ("learnable_decay", True, "learn the decays"),
  ("dynamic_output_scale", True, "learn a learning rate per coordinate"),
  ("use_log_objective", True, "meta-objective is the mean log objective"),
  ("use_attention", False, "take gradients at a learned point"),
  ("use_second_derivatives", True, "differentiate inner gradients as well"),
  ("use_gradient_shortcut", True, "add a linear map of scaled gradients"),
  ("use_lr_shortcut", False, "input the learning rate relative to 1e-3"),
  ("use_grad_products", True, "input products of adjacent gradient scales"),
  ("use_multiple_scale_decays", False, "a decay of mean squares per scale"),
  ("use_numerator_epsilon", False, "epsilon in the numerator of the log"),
  ("learnable_inp_decay", True, "learn the decays of gradient scales"),
  ("learnable_rnn_init", True, "learn the initial RNN states"),
  ("use_mean_layer_state", False, "report the mean over tensors to level 2"),
  ("faithful_second_moment", False, "second moment of the original's Adam"),
)
_OPTIMIZER_NUMBERS = (
  ("max_log_lr", 33.0, "upper limit of the log learning rate"),
  ("biasgrucell_scale", 0.5, "scale of initial GRU matrices"),
  ("biasgrucell_gate_bias_init", 2.2, "initial bias of GRU gates"),
  ("hrnn_rnn_readout_scale", 0.5, "scale of initial readout weights"),
  ("hrnn_default_decay_var_init", 2.2, "initial bias of the input decay"),
  ("scale_decay_bias_init", 3.2, "initial bias of the mean-square decay"),
  ("learning_rate_momentum_logit_init", 3.2, "initial logit of the memory"),
  ("hrnn_affine_scale", 0.5, "scale of initial matrices between levels"),
  ("crnn_rnn_readout_scale", 0.5, "scale of initial readout weights"),
  ("crnn_default_decay_var_init", 2.2, "initial bias of the decay"),
)
_OTHER_OPTIMIZER_SETTINGS = (
  "optimizer",
  "cell_cls",
  "cell_sizes",
  "initial_learning_rate",
  "min_lr",
  "max_lr",
  "num_gradient_scales",
  "objective_training_max_multiplier",
)
# Accepted for the sake of old command lines.
_WITHOUT_EFFECT = ("nan_l2_reg",)
_OPTIMIZERS = (
  "HierarchicalRNN",
  "CoordinatewiseRNN",
  "GlobalLearningRate",
  "LearningRateSchedule",
  "TrainableAdam",
)

flags.DEFINE_string("train_dir", "/tmp/lol/", "folder of runs")
flags.DEFINE_enum(
  "optimizer", "HierarchicalRNN", _OPTIMIZERS, "learned optimizer"
)
flags.DEFINE_enum(
  "cell_cls",
  "GRUCell",
  ["GRUCell", "LSTMCell", "BasicLSTMCell", "BasicRNNCell"],
  "cells of CoordinatewiseRNN, and part of the run's folder name",
)
flags.DEFINE_list(
  "cell_sizes",
  ["10", "20", "20"],
  "units of the levels of HierarchicalRNN or of the stacked cells of "
  "CoordinatewiseRNN",
)
flags.DEFINE_integer("cell_size", 20, "part of the run's folder name")
flags.DEFINE_integer("num_cells", 2, "part of the run's folder name")
flags.DEFINE_float(
  "initial_learning_rate",
  1e-3,
  "of TrainableAdam, GlobalLearningRate and LearningRateSchedule",
  lower_bound=1e-30,
)
flags.DEFINE_float(
  "min_lr", 1e-6, "smallest initial learning rate", lower_bound=1e-30
)
flags.DEFINE_float(
  "max_lr", 1e-2, "largest initial learning rate", lower_bound=1e-30
)
flags.DEFINE_integer(
  "num_gradient_scales", 4, "number of momentum time scales", lower_bound=1
)
flags.DEFINE_float(
  "objective_training_max_multiplier",
  -1.0,
  "stop unrolls at this multiple of the initial objective, where positive",
)
for _name, _default, _help in _OPTIMIZER_SWITCHES:
  flags.DEFINE_boolean(_name, _default, _help)
for _name, _default, _help in _OPTIMIZER_NUMBERS:
  flags.DEFINE_float(_name, _default, _help)
flags.DEFINE_float("nan_l2_reg", 1e-2, "accepted, but without effect")
for _name in _PROBLEM_SET_NAMES:
  flags.DEFINE_boolean(
    f"include_{_name}_problems", None, f"include the problem set {_name}"
  )
flags.DEFINE_float(
  "l2_reg_scale", 1e-3, "weight of the L2 term of softmax problems"
)
flags.DEFINE_boolean(
  "progress",
  True,
  "show a progress bar; --noprogress prints lines for a log instead",
)
flags.DEFINE_list(
  "seeds",
  ["6", "12", "18", "24", "30"],
  "seeds of evaluation runs; each fixes initial parameters and batches",
)
flags.register_multi_flags_validator(
  ["min_lr", "max_lr"],
  lambda values: values["min_lr"] <= values["max_lr"],
  message="--min_lr must not be greater than --max_lr.",
)


def _are_integers(values: Sequence[str], smallest: int = 0) -> bool:
  return bool(values) and all(
    v.strip().isdigit() and int(v) >= smallest for v in values
  )


flags.register_validator(
  "cell_sizes",
  lambda sizes: _are_integers(sizes, smallest=1),
  "must be a list of positive integers.",
)
flags.register_validator(
  "seeds", _are_integers, "must be a list of non-negative integers."
)


def define_testing_steps(default: Sequence[int] | None) -> None:
  """Defines --testing_steps, whose default differs between the programs."""
  flags.DEFINE_list(
    "testing_steps",
    [str(step) for step in default] if default else None,
    "inner steps after which the table shows the loss; the last one is the "
    "length of the runs",
  )
  flags.register_validator(
    "testing_steps",
    lambda steps: steps is None or _are_integers(steps, smallest=1),
    "must be a list of positive integers.",
  )


def integers(values: Sequence[str]) -> list[int]:
  """The value of a list flag of integers."""
  return [int(value) for value in values]


def run_folder(values: flags.FlagValues) -> pathlib.Path:
  """The folder of the run that the flags describe.

  Relative paths count from the caller's directory.
  """
  name = "_".join(
    str(part)
    for part in (
      values.optimizer,
      values.cell_cls,
      values.cell_size,
      values.num_cells,
    )
  )
  return pathlib.Path(caller.caller_path(values.train_dir)) / name


def optimizer_settings(values: flags.FlagValues) -> dict[str, Any]:
  """The optimizer's settings by flag name, as JSON keeps them."""
  names = [name for name, *_ in (*_OPTIMIZER_SWITCHES, *_OPTIMIZER_NUMBERS)]
  names += _OTHER_OPTIMIZER_SETTINGS
  return {name: values[name].value for name in names}


def optimizer_spec(settings: Mapping[str, Any]) -> Any:
  """The `Spec` of the optimizer with these settings."""
  from learned_optimizer.optimizer import optimizers
  from learned_optimizer.problems.problem_spec import Spec

  arguments = {
    name: value
    for name, value in settings.items()
    if name not in _OTHER_OPTIMIZER_SETTINGS
  }
  arguments |= {
    "init_lr_range": (settings["min_lr"], settings["max_lr"]),
    "num_gradient_scales": settings["num_gradient_scales"],
    "obj_train_max_multiplier": settings["objective_training_max_multiplier"],
  }
  sizes = integers(settings["cell_sizes"])
  own = {
    "HierarchicalRNN": {"level_sizes": sizes},
    "CoordinatewiseRNN": {
      "cell_sizes": sizes,
      "cell_cls": settings["cell_cls"],
    },
    "TrainableAdam": {"learning_rate": settings["initial_learning_rate"]},
  }.get(
    settings["optimizer"], {"initial_rate": settings["initial_learning_rate"]}
  )
  return Spec(optimizers.by_name(settings["optimizer"]), (), arguments | own)


def selected_sets(values: flags.FlagValues, use_defaults: bool) -> list[str]:
  """The names of the problem sets that the flags select, in order.

  Args:
    values: the flags.
    use_defaults: fall back on the original's default sets for flags without a
      value, unless a set of real data is selected.

  Raises:
    ValueError: a set does not exist, or none is selected.
  """
  from learned_optimizer.problems.problem_sets import PROBLEM_SETS

  given = {
    name: values[f"include_{name}_problems"].value
    for name in _PROBLEM_SET_NAMES
  }
  use_defaults = use_defaults and not _selects_images(values)
  selected = []
  for name, value in given.items():
    if value is None and name in PROBLEM_SETS:
      value = use_defaults and PROBLEM_SETS[name].default
    if value and name not in PROBLEM_SETS:
      raise ValueError(
        f"--include_{name}_problems: there is no problem set {name}; choose"
        f" some of {', '.join(PROBLEM_SETS)}."
      )
    if value:
      selected.append(name)
  if not selected:
    raise ValueError(
      "No problem set is selected; give one of "
      + ", ".join(f"--include_{name}_problems" for name in PROBLEM_SETS)
      + "."
    )
  return selected


def note_missing_sets(values: flags.FlagValues) -> None:
  """Tells which of the original's default sets a default selection lacks."""
  from learned_optimizer.problems.problem_sets import PROBLEM_SETS

  given = {
    name: values[f"include_{name}_problems"].value
    for name in _ORIGINAL_DEFAULTS
  }
  missing = [n for n in given if given[n] is None and n not in PROBLEM_SETS]
  if missing and not _selects_images(values):
    print(
      "Note: these default problem sets of the original do not exist yet:"
      f" {', '.join(missing)}.",
      file=sys.stderr,
    )


def _selects_images(values: flags.FlagValues) -> bool:
  return any(values[f"include_{name}_problems"].value for name in _IMAGE_SETS)


def problems_and_data(
  names: Sequence[str], seed: int, l2_reg_scale: float
) -> list[tuple[Any, Any, int | None]]:
  """The problems of the named sets, with their data and batch sizes."""
  from learned_optimizer.problems import problem_sets

  entries = []
  for spec, dataset, batch_size in problem_sets.select(names, seed):
    if (
      "l2_reg_scale" in inspect.signature(spec.callable).parameters
      and "l2_reg_scale" not in spec.kwargs
    ):
      kwargs = {**spec.kwargs, "l2_reg_scale": l2_reg_scale}
      spec = spec._replace(kwargs=kwargs)
    entries.append((spec, dataset, batch_size))
  return entries


def warn_of_flags_without_effect(values: flags.FlagValues) -> None:
  """Says so once if flags were changed that do nothing."""
  changed = [
    f"--{name}"
    for name in _WITHOUT_EFFECT
    if values[name].value != values[name].default
  ]
  if changed:
    print(
      f"Warning: {', '.join(changed)} had no effect in the original program"
      " and has none here.",
      file=sys.stderr,
    )


def import_tensorflow_quietly() -> None:
  """Imports TensorFlow without its notes on standard error.

  Those that it writes before it reads its log level can only be kept back at
  the file descriptor.
  """
  os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
  sys.stderr.flush()
  kept = os.dup(2)
  nowhere = os.open(os.devnull, os.O_WRONLY)
  os.dup2(nowhere, 2)
  try:
    import tensorflow as tf
  finally:
    os.dup2(kept, 2)
    os.close(kept)
    os.close(nowhere)
  tf.get_logger().setLevel("ERROR")


def parse(argv: list[str]) -> list[str]:
  """Parses flags for `app.run`; a wrong one ends the program with one line."""
  try:
    return flags.FLAGS(argv)
  except flags.Error as error:
    fail(f"{error} (--help explains the flags)")


def run(argv: Sequence[str], work: Callable[[], None]) -> None:
  """Runs a program's work; what a user can mend ends it with one line.

  Args:
    argv: what is left of the command line besides the flags.
    work: the work, which may import TensorFlow.
  """
  if len(argv) > 1:
    fail(f"unknown arguments: {' '.join(argv[1:])}")
  import_tensorflow_quietly()
  from learned_optimizer import metaopt

  warn_of_flags_without_effect(flags.FLAGS)
  try:
    work()
  except KeyboardInterrupt:
    fail("interrupted.", status=130)
  except (ValueError, OSError, metaopt.RunError) as error:
    logging.debug("The error in full", exc_info=True)
    fail(error)


def fail(message: object, status: int = 1) -> NoReturn:
  """Ends the program with one line on standard error."""
  line = " ".join(str(message).split())
  print(f"{pathlib.Path(sys.argv[0]).stem}: {line}", file=sys.stderr)
  sys.exit(status)

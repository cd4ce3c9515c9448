"""What the flags of metarun stand for, besides those it shares."""

import functools
import sys
from collections.abc import Callable
from typing import Any

from absl import flags

from learned_optimizer import program_choices, program_flags
from learned_optimizer.training_flags import (
  L2O_DM_DEFAULTS,
  L2O_DM_FLAGS,
  L2O_DM_OWN_DEFAULTS,
  SCALE_DEFAULTS,
  SCALE_FLAGS,
)

# What the original calls whom to imitate.
_TEACHERS = {"adam": "Adam", "rmsprop": "RMSProp", "nag": "Nesterov"}


def resolve_procedure(values: flags.FlagValues) -> str:
  """Says which program to follow, and gives the flags its defaults.

  Args:
    values: the flags; those that are not given get other defaults unless the
      program is the original.

  Returns:
    "original", "l2o_scale" or "l2o_dm".
  """
  name = values.procedure
  if name == "auto":
    if values.optimizer in L2O_DM_OWN_DEFAULTS:
      name = "l2o_dm"
    else:
      name = "l2o_scale" if _asks_for_scale(values) else "original"
  defaults = {}
  if name == "l2o_scale":
    defaults = SCALE_DEFAULTS
  elif name == "l2o_dm":
    own = L2O_DM_OWN_DEFAULTS.get(values.optimizer, {})
    # Without a curriculum, evaluations are as long as training.
    steps = {"fix_num_steps_eval": values.fix_num_steps}
    defaults = L2O_DM_DEFAULTS | own | steps
  _set_defaults(values, defaults)
  if name == "l2o_dm":
    # The original keeps weights as often as it evaluates them.
    _set_defaults(values, {"save_period": values.evaluation_period or 1})
  return name


def _set_defaults(values, defaults):
  for name, default in defaults.items():
    # One that was given under another name would take the default all the same.
    if not values[name].present:
      values.set_default(name, default)


def _asks_for_scale(values):
  names = program_flags.PROBLEM_SET_NAMES
  return any(values[name].present for name in SCALE_FLAGS) or any(
    values[f"include_{name}_problems"].value
    for name in names
    if program_choices.is_downloaded(name)
  )


def check(values: flags.FlagValues, procedure_name: str) -> None:
  """Looks at flags that have to go together; warns of those without effect.

  Raises:
    ValueError: some do not.
  """
  if values.num_mt > len(values.optimizers):
    raise ValueError(
      f"--num_mt={values.num_mt} is more than the {len(values.optimizers)} of"
      " --optimizers; at most that is accepted."
    )
  _check_validation(values, procedure_name)
  _check_lengths(values, procedure_name)
  without_effect = {
    "--reg_optimizer": values.reg_optimizer
    and not _regularizes(values)
    and f"--regularize_time={values.regularize_time}"
    + (" in so few unrolls" if values.regularize_time != "none" else ""),
    "--fix_num_steps": values["fix_num_steps"].present
    and not (values.fix_unroll and not values.if_cl)
    and ("--if_cl" if values.if_cl else "--nofix_unroll"),
    "--fix_num_steps_eval": values["fix_num_steps_eval"].present
    and values.if_cl
    and "--if_cl",
    "--mt_ratio": values["mt_ratio"].present
    and values.if_cl
    and procedure_name == "l2o_dm"
    and "--if_cl, which has --mt_ratios",
    "--mt_ratios": values["mt_ratios"].present
    and not values.if_cl
    and "--noif_cl",
  }
  for switch, names in (
    ("if_mt", ("mt_ratio", "mt_k", "mt_teacher")),
    ("if_mt", ("optimizers", "num_mt", "mt_ratios")),
    ("if_cl", ("min_num_eval",)),
    ("if_scale", ("rd_scale_bound",)),
    ("reg_optimizer", ("alpha", "regularize_time", "reg_scale")),
    ("reg_optimizee", ("beta",)),
  ):
    for name in names:
      if values[name].present and not values[switch].value:
        without_effect[f"--{name}"] = f"--no{switch}"
  for names, procedures in (
    (("mini_batch_size", "data_freeze"), ("l2o_scale",)),
    (("save_period",), ("l2o_scale", "l2o_dm")),
    (("mt_teacher", "rms_decay", "rms_epsilon"), ("original", "l2o_scale")),
    ((name for name in L2O_DM_FLAGS if name != "min_num_eval"), ("l2o_dm",)),
  ):
    for name in names:
      if values[name].present and procedure_name not in procedures:
        without_effect[f"--{name}"] = f"--procedure={procedure_name}"
  for name, cause in without_effect.items():
    if cause:
      print(f"Warning: {name} has no effect with {cause}.", file=sys.stderr)


def _regularizes(values):
  """Whether a regulariser acts in some unroll, as far as can be known."""
  from learned_optimizer.metaopt import schedule

  # With lengths that are drawn, or with a curriculum, there may be many.
  number = 1000
  if values.fix_unroll and not values.if_cl:
    number = values.fix_num_steps // values.fix_unroll_length
  return any(
    schedule.regularizes(
      values.regularize_time, values.reg_scale, unroll, number
    )
    for unroll in range(number)
  )


def _check_validation(values, procedure_name):
  period, longest = values.evaluation_period, values.num_meta_iterations
  if procedure_name != "l2o_scale":
    longest *= values.num_problems
  if values.if_cl and not 0 < period <= longest:
    raise ValueError(
      f"--evaluation_period={period} does not suit --if_cl, which needs"
      f" validation; 1 to {longest} meta-iterations are accepted."
    )
  if period > longest:
    print(
      f"Warning: --evaluation_period={period} is longer than the"
      f" {longest} meta-iterations that count for it; the run never validates.",
      file=sys.stderr,
    )


def _check_lengths(values, procedure_name):
  from learned_optimizer.metaopt.curriculum import HORIZONS

  limits = {}
  if values.if_cl:
    limits["the first horizon"] = HORIZONS[0]
  else:
    if values.fix_unroll:
      limits["--fix_num_steps"] = values.fix_num_steps
    if procedure_name == "l2o_scale" and values.evaluation_period:
      limits["--fix_num_steps_eval"] = values.fix_num_steps_eval
  length = values.fix_unroll_length
  for name, limit in limits.items():
    if length > limit:
      raise ValueError(
        f"--fix_unroll_length={length} is more than {name}, {limit}; at most"
        " that is accepted."
      )


def procedure(values: flags.FlagValues, name: str) -> Any:
  """The `Procedure` of this name."""
  from learned_optimizer.metaopt import procedure as procedures

  if name == "original":
    return procedures.ORIGINAL
  if name == "l2o_dm":
    return procedures.L2O_DM._replace(
      scale_bound=values.rd_scale_bound if values.if_scale else None,
      save_period=values.save_period,
    )
  return procedures.L2O_SCALE._replace(
    mini_data=procedures.MiniData(values.mini_batch_size, values.data_freeze),
    save_period=values.save_period,
  )


def lengths(
  values: flags.FlagValues, procedure_name: str
) -> tuple[Callable, Callable]:
  """Functions that draw the number of unrolls and the steps of one."""
  from learned_optimizer.metaopt import sample_numiter

  if values.fix_unroll:
    number = values.fix_num_steps // values.fix_unroll_length
    return lambda _: number, lambda _: values.fix_unroll_length
  ranges = (
    (values.num_unroll_scale, values.min_num_unrolls),
    (values.num_partial_unroll_itr_scale, values.min_num_itr_partial_unroll),
  )
  limited = procedure_name == "l2o_scale"
  return tuple(
    functools.partial(
      sample_numiter,
      scale,
      smallest,
      max_steps=3 * smallest if limited else None,
    )
    for scale, smallest in ranges
  )


def curriculum(values: flags.FlagValues, procedure_name: str) -> Any:
  """The `Curriculum` to begin with, or None."""
  from learned_optimizer.metaopt import curriculum as curriculums

  if not values.if_cl:
    return None
  horizons = curriculums.HORIZONS
  if procedure_name == "l2o_dm":
    horizons = curriculums.L2O_DM_HORIZONS
  return curriculums.Curriculum(
    values.fix_unroll_length, horizons, values.min_num_eval
  )


def imitation(values: flags.FlagValues, procedure_name: str) -> Any:
  """Whom to imitate and how often, or None."""
  from learned_optimizer.metaopt.training_settings import Imitation
  from learned_optimizer.optimizer import teachers

  if not values.if_mt:
    return None
  if procedure_name == "l2o_dm":
    names = [_TEACHERS[name] for name in values.optimizers[: values.num_mt]]
    return Imitation(
      teachers.in_turn(names, values.mt_k),
      values.mt_ratio,
      [float(ratio) for ratio in values.mt_ratios],
      len(names),
    )
  teacher = teachers.by_name(values.mt_teacher, values.mt_k)
  return Imitation(teacher, values.mt_ratio)


def regularization(values: flags.FlagValues) -> Any:
  """What the objectives are regularised with, or None."""
  from learned_optimizer.optimizer.regularizers import options
  from learned_optimizer.optimizer.regularizers.regularization import (
    Regularization,
  )

  if not (values.reg_optimizer or values.reg_optimizee):
    return None
  return Regularization(
    options.by_name(values.reg_option, values.hessian_itrs),
    optimizer_weight=values.alpha if values.reg_optimizer else 0.0,
    optimizee_weight=values.beta if values.reg_optimizee else 0.0,
  )


def validation(values: flags.FlagValues) -> Any:
  """When and how to validate."""
  from learned_optimizer.metaopt.validation import Validation

  return Validation(
    values.evaluation_period,
    values.evaluation_epochs,
    values.fix_num_steps_eval,
    values.fix_unroll_length,
  )


def problem_set_arguments(
  values: flags.FlagValues, procedure_name: str
) -> dict[str, Any]:
  """The arguments of `problem_sets.select` besides sets, names and seed."""
  arguments = program_choices.problem_set_arguments(values)
  if procedure_name != "original":
    arguments["variant"] = "training"
  return arguments

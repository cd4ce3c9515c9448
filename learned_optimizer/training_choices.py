"""What the flags of metarun stand for, besides those it shares."""

import functools
import sys
from collections.abc import Callable
from typing import Any

from absl import flags

from learned_optimizer import program_choices, program_flags
from learned_optimizer.training_flags import SCALE_DEFAULTS, SCALE_FLAGS


def resolve_procedure(values: flags.FlagValues) -> str:
  """Says which program to follow, and gives the flags its defaults.

  Args:
    values: the flags; those that are not given get other defaults if the
      program is L2O-Scale.

  Returns:
    "original" or "l2o_scale".
  """
  name = values.procedure
  if name == "auto":
    name = "l2o_scale" if _asks_for_scale(values) else "original"
  if name == "l2o_scale":
    for flag, default in SCALE_DEFAULTS.items():
      values.set_default(flag, default)
  return name


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
  }
  for switch, names in (
    ("if_mt", ("mt_ratio", "mt_k", "mt_teacher")),
    ("reg_optimizer", ("alpha", "regularize_time", "reg_scale")),
    ("reg_optimizee", ("beta",)),
  ):
    for name in names:
      without_effect[f"--{name}"] = (
        values[name].present and not values[switch].value and f"--no{switch}"
      )
  for name in ("mini_batch_size", "data_freeze", "save_period"):
    without_effect[f"--{name}"] = (
      values[name].present
      and procedure_name == "original"
      and "--procedure=original"
    )
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
  if procedure_name == "original":
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


def curriculum(values: flags.FlagValues) -> Any:
  """The `Curriculum` to begin with, or None."""
  from learned_optimizer.metaopt.curriculum import Curriculum

  if not values.if_cl:
    return None
  return Curriculum(values.fix_unroll_length)


def imitation(values: flags.FlagValues) -> Any:
  """Whom to imitate and how often, or None."""
  from learned_optimizer.metaopt.training_settings import Imitation
  from learned_optimizer.optimizer import teachers

  if not values.if_mt:
    return None
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
  if procedure_name == "l2o_scale":
    arguments["variant"] = "training"
  return arguments

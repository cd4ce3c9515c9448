"""What the flags of metarun and metatest stand for."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from absl import flags

from learned_optimizer import caller
from learned_optimizer.optimizer import recorded_settings
from learned_optimizer.program_flags import PROBLEM_SET_NAMES


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


def optimizer_settings(
  values: flags.FlagValues, recorded: Mapping[str, Any] | None = None
) -> dict[str, Any]:
  """The optimizer's settings by flag name, as JSON keeps them.

  Args:
    values: the flags.
    recorded: settings of a run, see `setting`.
  """
  return {
    name: setting(values, recorded or {}, name)
    for name in recorded_settings.NAMES
  }


def setting(
  values: flags.FlagValues, recorded: Mapping[str, Any], name: str
) -> Any:
  """What a run recorded under a flag's name, unless the flag is given."""
  flag = values[name]
  return flag.value if flag.present else recorded.get(name, flag.value)


def optimizer_spec(settings: Mapping[str, Any]) -> Any:
  """The `Spec` of the optimizer with these settings."""
  from learned_optimizer.optimizer import optimizers
  from learned_optimizer.problems.problem_spec import Spec

  return Spec(
    optimizers.by_name(settings["optimizer"]),
    (),
    recorded_settings.arguments(settings),
  )


def selected_sets(
  values: flags.FlagValues,
  sets: Mapping[str, Any],
  default: Sequence[str] = (),
) -> list[str]:
  """The names of the problem sets that the flags select, in order of `sets`.

  Args:
    values: the flags.
    sets: the sets that the program has.
    default: those that flags without a value stand for, unless a set of images
      is selected.

  Raises:
    ValueError: a set does not exist, or none is selected.
  """
  given = {
    name: values[f"include_{name}_problems"].value for name in PROBLEM_SET_NAMES
  }
  for name, value in given.items():
    if value and name not in sets:
      raise ValueError(
        f"--include_{name}_problems: there is no problem set {name} here;"
        f" choose some of {', '.join(sets)}."
      )
  if any(value and _is_image_set(name) for name, value in given.items()):
    default = ()
  selected = [
    name
    for name in sets
    if (given[name] if given[name] is not None else name in default)
  ]
  if not selected:
    raise ValueError(
      "No problem set is selected; give one of "
      + ", ".join(f"--include_{name}_problems" for name in sets)
      + "."
    )
  return selected


def is_downloaded(name: str) -> bool:
  """Whether the data of a set do not come with the package."""
  return name.startswith(("mnist", "cifar10"))


def _is_image_set(name: str) -> bool:
  """Whether a set is of images, which one trains on alone as a rule."""
  return is_downloaded(name) or name.startswith("digits")


def problem_set_arguments(values: flags.FlagValues) -> dict[str, Any]:
  """The arguments of `problem_sets.select` besides sets, names and seed."""
  from learned_optimizer.problems.datasets import ImageSource

  data_dir = values.data_dir
  return {
    "images": ImageSource(
      data_dir=caller.caller_path(data_dir) if data_dir else None,
      download=values.download,
      embedded_digits=values.embedded_digits,
    ),
    "l2_reg_scale": values.l2_reg_scale,
  }


def is_l2o_dm(values: flags.FlagValues, recorded: Mapping[str, Any]) -> bool:
  """Whether to evaluate as the programs of L2O-DM and RNNProp do.

  Args:
    values: the flags.
    recorded: settings of the run; without any the optimizer decides.
  """
  if "procedure" in recorded:
    return recorded["procedure"] == "l2o_dm"
  return setting(values, recorded, "optimizer") in ("L2ODM", "RNNProp")


def evaluation_problems(
  values: flags.FlagValues, recorded: Mapping[str, Any]
) -> dict[str, Any]:
  """The problems to evaluate on, by name; their loss is that of the run.

  Args:
    values: the flags.
    recorded: settings of the run, see `setting`.
  """
  from learned_optimizer.problems import problem_sets

  arguments = problem_set_arguments(values)
  arguments["l2_reg_scale"] = setting(values, recorded, "l2_reg_scale")
  scale = recorded.get("procedure") == "l2o_scale"
  if scale or is_l2o_dm(values, recorded):
    arguments["variant"] = "evaluation"
  return problem_sets.select_by_name(
    problem_sets.EVALUATION_SETS,
    selected_sets(values, problem_sets.EVALUATION_SETS),
    recorded.get("seed", 0),
    **arguments,
  )

"""Draws runs of metarun: how they trained, and where their optimizers lead.

--figure=training draws the validation costs of runs, level by level;
--figure=losses the losses of problems under their optimizers, with bands
between the quartiles over --seeds; --figure=density the density of the
Hessian's eigenvalues before and after training with them and with --baseline.
Problems are selected as in metatest, with --include_<set>_problems.
"""

import functools
import pathlib
from collections.abc import Mapping
from typing import Any

from absl import app, flags

from learned_optimizer import (
  caller,
  program_choices,
  program_flags,
  program_start,
)

flags.DEFINE_enum(
  "figure", None, ["training", "losses", "density"], "what to draw"
)
flags.DEFINE_list(
  "runs",
  [],
  "folders of runs, as --train_dir of metarun names them, or for losses and "
  "density checkpoints in them, such as runs/HierarchicalRNN_GRUCell_20_2/"
  "model.ckpt-0",
)
flags.DEFINE_list(
  "labels",
  [],
  "what to call the runs; those of one label share a panel or a curve",
)
flags.DEFINE_enum(
  "baseline",
  "Adam",
  ["SGD", "Momentum", "Nesterov", "RMSProp", "Adagrad", "Adam"],
  "hand-designed optimizer to compare with",
)
flags.DEFINE_float(
  "baseline_learning_rate",
  None,
  "its learning rate in density; by default its own default",
  lower_bound=0,
)
flags.DEFINE_integer(
  "steps", 1000, "inner steps of losses and density", lower_bound=1
)
flags.DEFINE_string("output", "figure.png", "the picture to write")
flags.mark_flag_as_required("figure")
flags.register_multi_flags_validator(
  ["runs", "labels"],
  lambda values: (
    values["runs"] and len(values["labels"]) in (0, len(values["runs"]))
  ),
  message="--runs must name a run, and --labels as many labels or none.",
)
flags.adopt_module_key_flags(program_flags)

FLAGS = flags.FLAGS


def main(argv: list[str]) -> None:
  """Runs the program."""
  program_start.run(FLAGS, argv, _draw)


def _draw() -> None:
  output = pathlib.Path(caller.caller_path(FLAGS.output))
  paths = [pathlib.Path(caller.caller_path(path)) for path in FLAGS.runs]
  labels = FLAGS.labels or [path.name for path in paths]
  draw = {"training": _training, "losses": _losses, "density": _density}
  draw[FLAGS.figure](output, paths, labels)
  print(f"Picture: {output}")


def _training(output, paths, labels) -> None:
  from docs import training_curves

  runs: dict[str, list[Any]] = {}
  for path, label in zip(paths, labels, strict=True):
    runs.setdefault(label, []).append(training_curves.read(_folder(path)))
  training_curves.write_png(output, runs)


def _losses(output, paths, labels) -> None:
  from docs import pooled_curves
  from learned_optimizer.metaopt import comparison, plotting
  from learned_optimizer.optimizer.baselines import BASELINES

  curves = pooled_curves.measure(
    program_choices.evaluation_problems(FLAGS, _recorded(paths[0])),
    _contestants(paths, labels),
    [BASELINES[FLAGS.baseline]],
    FLAGS.steps,
    program_choices.integers(FLAGS.seeds),
  )
  print(comparison.table(curves, [FLAGS.steps]))
  plotting.write_png(output, curves)


def _density(output, paths, labels) -> None:
  from docs import density_figure
  from learned_optimizer.metaopt.comparison import Contestant
  from learned_optimizer.metaopt.task import Task, describe
  from learned_optimizer.optimizer.baselines import BASELINES

  baseline = BASELINES[FLAGS.baseline]
  rate = FLAGS.baseline_learning_rate
  if rate is None:
    rate = baseline.learning_rate
  contestants = [Contestant.of_rule(baseline, rate)]
  contestants += _contestants(paths, labels)
  seed, *_ = program_choices.integers(FLAGS.seeds)
  shown = {}
  problems = program_choices.evaluation_problems(FLAGS, _recorded(paths[0]))
  for name, (spec, dataset, batch_size) in problems.items():
    task = Task.of(spec.build(random_seed=seed), dataset, batch_size)
    shown[f"{name}: {describe(spec)}"] = density_figure.spectra(
      task, contestants, FLAGS.steps, seed
    )
  density_figure.write_png(output, shown)


def _recorded(path) -> Mapping[str, Any]:
  """The settings of a run."""
  from learned_optimizer.metaopt import run_settings

  return run_settings.read(_folder(path)) or {}


def _contestants(paths, labels) -> list[Any]:
  """The learned optimizers of the runs."""
  from learned_optimizer.metaopt import report

  contestants = []
  for path, label in zip(paths, labels, strict=True):
    folder = _folder(path)
    recorded = _recorded(path)
    spec = program_choices.optimizer_spec(
      program_choices.optimizer_settings(FLAGS, recorded)
    )
    checkpoint = "" if path.is_dir() else path.name
    contestant, _ = report.trained(spec, folder, checkpoint)
    contestants.append(contestant._replace(name=label))
  return contestants


def _folder(path: pathlib.Path) -> pathlib.Path:
  """The folder of a run: the path, what holds the checkpoint, or what is in it.

  Raises:
    ValueError: there is none, or more than one.
  """
  from learned_optimizer.optimizer import checkpoints

  def is_run(folder):
    settings = folder / "settings.json"
    return settings.exists() or checkpoints.newest(folder) is not None

  if not path.is_dir():
    return path.parent
  if is_run(path):
    return path
  found = [child for child in sorted(path.iterdir()) if is_run(child)]
  if len(found) != 1:
    raise ValueError(f"{path} holds {len(found)} runs; name the folder of one.")
  return found[0]


if __name__ == "__main__":
  app.run(main, flags_parser=functools.partial(program_start.parse, FLAGS))

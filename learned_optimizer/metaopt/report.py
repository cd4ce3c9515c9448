"""Reports: a table, a CSV, a picture, and the files of the original."""

import pathlib
import pickle
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tqdm

from learned_optimizer import files
from learned_optimizer.metaopt import comparison, plotting
from learned_optimizer.metaopt.comparison import Contestant, Curves
from learned_optimizer.optimizer import checkpoints
from learned_optimizer.problems.problem_spec import Spec


def trained(
  spec: Spec, folder: pathlib.Path, checkpoint_name: str = ""
) -> tuple[Contestant, str]:
  """A learned optimizer with the weights of a checkpoint.

  Args:
    spec: of the optimizer.
    folder: of the run.
    checkpoint_name: a checkpoint there; empty for the best or last.

  Returns:
    The contestant, and the path of the checkpoint.

  Raises:
    CheckpointError: there is none, it is damaged, or it does not fit.
  """
  if checkpoint_name:
    path = str(folder / checkpoint_name)
  else:
    path = checkpoints.best_or_last(folder)
  with tf.Graph().as_default():
    optimizer = spec.build()
  weights = optimizer.read_weights(path)
  return Contestant(type(optimizer).__name__, spec, weights), path


def untrained(spec: Spec) -> Contestant:
  """A learned optimizer with initial weights."""
  with tf.Graph().as_default():
    optimizer = spec.build()
  weights = optimizer.initial_weights(seed=0)
  return Contestant(f"{type(optimizer).__name__} untrained", spec, weights)


def compare(
  problems: Mapping[str, tuple[Any, Any, int | None]],
  contestants: Sequence[Contestant],
  grids: Sequence[Any],
  num_steps: int,
  table_steps: Sequence[int],
  seeds: Sequence[int],
  progress: bool = False,
) -> list[Curves]:
  """Compares optimizers under a bar, see `comparison.compare`.

  Args:
    problems: (problem spec, data set or None, batch size or None) by name.
    contestants: all are shown.
    grids: rules of which the best of some learning rates are shown.
    num_steps: length of the runs.
    table_steps: steps that the table shows.
    seeds: one run each.
    progress: show a bar on standard error.
  """
  total = comparison.num_runs(
    len(problems), len(contestants), grids, len(seeds)
  )
  with tqdm.tqdm(total=total, unit="run", disable=not progress) as bar:
    return comparison.compare(
      problems,
      contestants,
      grids,
      num_steps,
      table_steps,
      seeds,
      bar.update,
    )


def write(
  curves: Sequence[Curves], table_steps: Sequence[int], output: pathlib.Path
) -> None:
  """Prints a table; writes `evaluation.csv` and `evaluation.png`.

  Args:
    curves: what `compare` returned.
    table_steps: steps that the table shows.
    output: the folder.
  """
  print(comparison.table(curves, table_steps))
  comparison.write_csv(output / "evaluation.csv", curves)
  plotting.write_png(output / "evaluation.png", curves)
  print(f"Curves: {output / 'evaluation.csv'}")
  print(f"Picture: {output / 'evaluation.png'}")


def write_records(
  curves: Sequence[Curves],
  seeds: Sequence[int],
  output: pathlib.Path,
  model_name: str,
  of_l2o_dm: bool = False,
) -> None:
  """Writes the files of the original's evaluation.

  Each is the pickle of a list of losses on a batch for each step, NaN from
  where a run diverged: before the step as numpy.float32, or with `of_l2o_dm`
  after it as float. They are called
  `seed<seed>_eval_loss_record.pickle-<model_name>`, with `of_l2o_dm`
  `L2L_eval_loss_record.pickle-<model_name>` with `seed<seed>_` before it if
  there are several seeds; with several problems the problem's name follows.

  Args:
    curves: one for each problem.
    seeds: one run each.
    output: the folder.
    model_name: in the names of the files.
    of_l2o_dm: as L2O-DM and RNNProp have it, rather than L2O-Scale.
  """

  def record_name(seed):
    number = f"seed{seed}_"
    if of_l2o_dm:
      number = f"{number if len(seeds) > 1 else ''}L2L_"
    return f"{number}eval_loss_record.pickle-{model_name}"

  for c in curves:
    suffix = f"-{c.problem}" if len(curves) > 1 else ""
    diverged = []
    for seed, losses in zip(seeds, c.losses.on_batches, strict=True):
      path = output / f"{record_name(seed)}{suffix}"
      record = losses[1:].tolist() if of_l2o_dm else [*losses[:-1]]
      with files.whole_file(path) as partial:
        partial.write_bytes(pickle.dumps(record))
      if np.isnan(record[-1]):
        diverged.append(str(seed))
    if diverged:
      print(
        f"Warning: {c.label} diverged on {c.problem} with seeds"
        f" {', '.join(diverged)}; those records end in NaN.",
        file=sys.stderr,
      )
  several = "-*" if len(curves) > 1 else ""
  print(f"Records: {output}/{record_name('*')}{several}")

"""Evaluates a run's checkpoint: prints a table, writes a CSV and a picture."""

import pathlib
from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tqdm

from learned_optimizer.metaopt import comparison, plotting
from learned_optimizer.optimizer import checkpoints


def evaluate(
  folder: pathlib.Path,
  optimizer_spec: Any,
  problems_and_data: Sequence[tuple[Any, Any, int | None]],
  table_steps: Sequence[int],
  seeds: Sequence[int],
  output: pathlib.Path,
  checkpoint_name: str = "",
  progress: bool = False,
) -> None:
  """Compares a trained optimizer with itself untrained and with others.

  Args:
    folder: of the run.
    optimizer_spec: `Spec` of the optimizer.
    problems_and_data: (problem spec, data set or None, batch size or None).
    table_steps: steps that the table shows; runs are as long as the last.
    seeds: one run each.
    output: folder for `evaluation.csv` and `evaluation.png`.
    checkpoint_name: a checkpoint in `folder`; empty for the best or last.
    progress: show a bar on standard error.

  Raises:
    CheckpointError: there is none, it is damaged, or it does not fit.
  """
  if checkpoint_name:
    path = str(folder / checkpoint_name)
  else:
    path = checkpoints.best_or_last(folder)
  with tf.Graph().as_default():
    optimizer = optimizer_spec.build()
  name = type(optimizer).__name__
  weights = {
    name: optimizer.read_weights(path),
    f"{name} untrained": optimizer.initial_weights(seed=0),
  }
  output.mkdir(parents=True, exist_ok=True)
  total = comparison.num_runs(len(weights), len(problems_and_data), seeds)
  print(f"Evaluating {path} on seeds {', '.join(map(str, seeds))}.")
  with tqdm.tqdm(total=total, unit="run", disable=not progress) as bar:
    curves = comparison.compare(
      optimizer_spec,
      weights,
      problems_and_data,
      table_steps,
      seeds,
      bar.update,
    )
  print(comparison.table(curves, table_steps))
  comparison.write_csv(output / "evaluation.csv", curves)
  plotting.write_png(output / "evaluation.png", curves)
  print(f"Curves: {output / 'evaluation.csv'}")
  print(f"Picture: {output / 'evaluation.png'}")

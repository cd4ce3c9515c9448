"""What a meta-training run tells while it goes on."""

import pathlib
import time
from collections.abc import Sequence
from typing import Any, TextIO

import numpy as np
import tensorflow as tf
import tqdm

from learned_optimizer.metaopt.curriculum import Verdict
from learned_optimizer.metaopt.meta_graph import MetaGraph
from learned_optimizer.metaopt.task import describe

_SUMMARY_SECONDS = 30.0


class RunLog:
  """A bar or lines of text, and events for TensorBoard.

  A context manager, which completes both.
  """

  def __init__(
    self,
    folder: pathlib.Path,
    graph: MetaGraph,
    out: TextIO,
    bar: tqdm.tqdm,
  ):
    """Begins a file of events that shows the graph.

    Args:
      folder: of the events.
      graph: counts the steps.
      out: receives lines, unless the bar is shown.
      bar: counts meta-iterations.
    """
    self._graph = graph
    self._out = out
    self._bar = bar
    self._summarised_at = -np.inf
    with graph.session.graph.as_default():
      self._writer = tf.compat.v1.summary.FileWriter(
        str(folder), graph.session.graph
      )

  def __enter__(self):
    return self

  def __exit__(self, *exception):
    self._bar.close()
    self._writer.close()

  def problem(self, index: int, spec: Any, seconds: float) -> None:
    """A problem is about to be trained on."""
    self._print(
      f"--------- Problem #{index} ---------",
      describe(spec),
      f"Took {seconds:.1f} seconds to initialize.",
    )

  def unroll(self, meta_objective: float) -> None:
    """An unroll is complete."""
    self._bar.set_postfix(meta_objective=f"{meta_objective:.4f}", refresh=False)

  def meta_iteration(
    self,
    index: int,
    meta_objective: float,
    seconds: float,
    lengths: Sequence[int],
    note: str,
  ) -> None:
    """A meta-iteration is complete; `lengths` are those of its unrolls."""
    self._bar.update()
    steps = ", ".join(map(str, lengths))
    self._print(
      f"  [{index:02}] {meta_objective:.6f}, {seconds:.2f} seconds,"
      f" {sum(lengths)} iters (unrolled {steps} steps){note}"
    )

  def validation(self, cost: float, level: int | None) -> None:
    """The run was validated, at a level if it has a curriculum."""
    values = {"ValidationCost": cost}
    if level is not None:
      values["Level"] = level
    summary = tf.compat.v1.Summary()
    for tag, value in values.items():
      summary.value.add(tag=tag, simple_value=value)
    self.summary(summary)
    where = "" if level is None else f" (level {level})"
    self._print(f"  validation cost {cost:.6f}{where}")

  def curriculum_ends(self, level: int, verdict: Verdict) -> None:
    """No level follows."""
    self._print(f"  curriculum, level {level}: {verdict.value}")

  def _print(self, *lines):
    if self._bar.disable:
      print(*lines, sep="\n", file=self._out, flush=True)

  # Events.

  def summary_is_due(self) -> bool:
    """Whether the next unroll should be summarised; true at times only."""
    now = time.monotonic()
    due = now - self._summarised_at > _SUMMARY_SECONDS
    if due:
      self._summarised_at = now
    return due

  def summary(self, summary: Any) -> None:
    """Adds a summary, serialised or not."""
    self._writer.add_summary(summary, self._graph.global_step())

  def trace(self, metadata: Any, tag: str) -> None:
    """Adds the trace of a session run."""
    self._writer.add_run_metadata(metadata, tag, self._graph.global_step())

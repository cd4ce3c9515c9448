"""Draws how validation costs fall in meta-training, level by level."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from learned_optimizer import files

_COLUMNS = 3


class History(NamedTuple):
  """The validations of one run.

  Attributes:
    unrolls: how many the weights were trained on, int [validations].
    costs: validation costs, float [validations].
    levels: of the curriculum, int [validations]; -1 without one.
  """

  unrolls: np.ndarray
  costs: np.ndarray
  levels: np.ndarray


def read(folder: pathlib.Path) -> History:
  """Reads the validations of a run from its TensorBoard events.

  A run that was continued has several files of events. Where it fell back
  behind what it had already written, the later file counts.

  Raises:
    ValueError: there are none.
  """
  rows = []
  for path in sorted(folder.glob("events.out.tfevents.*")):
    found = _validations(path)
    if found:
      rows = [row for row in rows if row[0] < found[0][0]] + found
  if not rows:
    raise ValueError(
      f"{folder} has no events of a validation; a run that is shown needs"
      " --evaluation_period."
    )
  unrolls, costs, levels = zip(*rows, strict=True)
  return History(np.array(unrolls), np.array(costs), np.array(levels))


def _validations(path) -> list[tuple[int, float, int]]:
  rows = []
  try:
    for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
      event = tf.compat.v1.Event.FromString(record)
      values = {v.tag: v.simple_value for v in event.summary.value}
      if "ValidationCost" in values:
        level = int(values.get("Level", -1))
        rows.append((event.step, values["ValidationCost"], level))
  except tf.errors.DataLossError:
    pass  # The end of a file that is being written or was cut short.
  return rows


def write_png(
  path: pathlib.Path, runs: Mapping[str, Sequence[History]]
) -> None:
  """Draws the costs over unrolls, one panel for each label.

  Costs at different levels are those after different numbers of steps; so the
  curve of a run is cut into its levels, which differ in colour.

  Args:
    path: the file to write.
    runs: the validations of the runs of each label.
  """
  import matplotlib
  from matplotlib.figure import Figure
  from matplotlib.lines import Line2D

  rows = -(-len(runs) // _COLUMNS)
  columns = min(_COLUMNS, len(runs))
  figure = Figure(figsize=(0.6 + 3.6 * columns, 0.8 + 2.7 * rows))
  panels = figure.subplots(
    rows, columns, sharex=True, sharey=True, squeeze=False
  ).ravel()
  for unused in panels[len(runs) :]:
    unused.remove()
  histories = [history for group in runs.values() for history in group]
  levels = sorted({int(n) for h in histories for n in h.levels})
  colours = matplotlib.colormaps["turbo"].resampled(max(levels) + 3)
  styles = {n: {"color": colours(n + 1) if n >= 0 else "black"} for n in levels}
  for panel, (label, group) in zip(panels, runs.items(), strict=False):
    for history in group:
      for level in levels:
        shown = history.levels == level
        panel.plot(
          history.unrolls[shown],
          history.costs[shown],
          linewidth=1.1,
          marker="o",
          markersize=2.2,
          alpha=0.8,
          **styles[level],
        )
    panel.set_title(label, fontsize=10)
    panel.grid(alpha=0.3)
    panel.xaxis.set_tick_params(labelbottom=True)
  if min(np.nanmin(history.costs) for history in histories) > 0:
    panels[0].set_yscale("log")
  figure.supxlabel("unrolls trained on", fontsize=10)
  figure.supylabel("validation cost", fontsize=10)
  names = {n: f"level {n}" if n >= 0 else "no curriculum" for n in levels}
  figure.legend(
    handles=[
      Line2D([], [], marker="o", markersize=4, label=names[n], **styles[n])
      for n in levels
    ],
    loc="outside upper center",
    ncols=len(levels),
    frameon=False,
    fontsize=9,
  )
  figure.set_layout_engine("constrained")
  with files.whole_file(path) as partial:
    figure.savefig(partial, format="png", dpi=90)

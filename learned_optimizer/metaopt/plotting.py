"""Pictures of loss curves."""

import pathlib
from collections.abc import Sequence

import numpy as np

from learned_optimizer import files
from learned_optimizer.metaopt.comparison import Curves

# Matplotlib is imported where it is used: training does not need it.


def write_png(path: pathlib.Path, curves: Sequence[Curves]) -> None:
  """Draws medians with bands between the quartiles, one panel per problem."""
  from matplotlib.figure import Figure

  titles = list(dict.fromkeys(c.title for c in curves))
  figure = Figure(figsize=(10, 5 * len(titles)))
  panels = figure.subplots(len(titles), 1, squeeze=False)
  for panel, title in zip(panels[:, 0], titles, strict=True):
    shown = [c for c in curves if c.title == title]
    colours = dict.fromkeys(c.optimizer for c in shown)
    colours = {name: f"C{i}" for i, name in enumerate(colours)}
    seen = dict.fromkeys(colours, 0)
    start = max(c.losses.on_data[0, 0] for c in shown)
    for c in shown:
      low, median, high = c.quartiles()
      learned = c.learning_rate is None
      panel.plot(
        c.steps,
        median,
        color=colours[c.optimizer],
        linewidth=2.2 if learned else 1.2,
        linestyle=("-", "--", ":", "-.")[seen[c.optimizer] % 4],
        label=c.label,
        zorder=3 if learned else 2,
      )
      seen[c.optimizer] += 1
      panel.fill_between(
        c.steps, low, high, color=colours[c.optimizer], alpha=0.12, linewidth=0
      )
    medians = np.stack([c.quartiles()[1] for c in shown])
    # A logarithm needs something to show.
    if np.any((medians > 0) & (medians < np.inf)):
      panel.set_yscale("log")
    # Diverging runs must not squeeze the others.
    if 0 < start < np.inf:
      panel.set_ylim(top=10 * start)
    panel.set_title(title, fontsize=9, wrap=True)
    panel.set_xlabel("inner step")
    panel.set_ylabel("loss on all data")
    panel.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.01, 1.0))
    panel.grid(alpha=0.3)
  figure.tight_layout()
  with files.whole_file(path) as partial:
    figure.savefig(partial, format="png", dpi=120)

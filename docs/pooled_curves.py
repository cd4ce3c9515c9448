"""Losses of checkpoints, over seeds of training and of meta-training."""

import functools
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from learned_optimizer import files
from learned_optimizer.metaopt import comparison, plotting
from learned_optimizer.metaopt.comparison import Contestant, Curves
from learned_optimizer.metaopt.evaluation import Losses


def measure(
  problems: Mapping[str, tuple[Any, Any, int | None]],
  contestants: Sequence[Contestant],
  grids: Sequence[Any],
  num_steps: int,
  seeds: Sequence[int],
) -> list[Curves]:
  """Runs everything on every problem.

  Args:
    problems: (problem spec, data set or None, batch size or None) by name.
    contestants: those of the same name share a curve, over all their seeds.
    grids: rules of which the default and the best learning rate are shown.
    num_steps: length of the runs.
    seeds: one run each.

  Returns:
    One curve for each problem and name, and those of the grids.
  """
  curves = comparison.compare(
    problems, contestants, grids, num_steps, [num_steps], seeds
  )
  groups: dict[Any, list[Curves]] = {}
  for c in curves:
    groups.setdefault((c.problem, c.label), []).append(c)
  return [functools.reduce(_together, group) for group in groups.values()]


def _together(first: Curves, second: Curves) -> Curves:
  losses = map(np.concatenate, zip(first.losses, second.losses, strict=True))
  return first._replace(losses=Losses(*losses))


def write_png(path: pathlib.Path, curves: Sequence[Curves]) -> None:
  """As `plotting.write_png`, with few colours: the file is much smaller."""
  from PIL import Image

  plotting.write_png(path, curves)
  with Image.open(path) as picture:
    # Not the median cut, which mixes colours of thin lines with others.
    reduced = picture.convert("RGB").quantize(128, Image.Quantize.MAXCOVERAGE)
  with files.whole_file(path) as partial:
    reduced.save(partial, format="png", optimize=True)

"""Draws problems of two parameters, and the paths of optimizers on them."""

import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from learned_optimizer import files
from learned_optimizer.metaopt import comparison
from learned_optimizer.optimizer import checkpoints
from learned_optimizer.optimizer.baselines import BASELINES
from learned_optimizer.optimizer.rule import Rule
from learned_optimizer.problems import problem_generator as pg
from learned_optimizer.problems.problem import Problem

_COLUMNS = 4
_GRID = 161
_NUM_LEVELS = 13
# Dark enough to be read on the pale surfaces; their lightness differs as well.
_COLOURS = ("#0072B2", "#D55E00")
_LINES = ("-", (0, (3, 1.2)))


class Panel(NamedTuple):
  """One problem of two parameters and the part of the plane to show.

  Attributes:
    title: what it is called.
    problem: the problem.
    x: lower and upper limit of the first parameter.
    y: the same of the second one.
    minima: where its known global minima are.
  """

  title: str
  problem: Problem
  x: tuple[float, float]
  y: tuple[float, float]
  minima: Sequence[tuple[float, float]] = ()


class Optimizer(NamedTuple):
  """An update rule, and the weights to choose from.

  Attributes:
    name: what the legend calls it.
    rule: the update rule.
    weights: by what the panel's title shall say of them; shown are those whose
      path has the lowest mean objective.
  """

  name: str
  rule: Rule
  weights: Mapping[str, Mapping[str, Any]]


def all_panels() -> list[Panel]:
  """Every problem of two parameters, and two that exist in any dimension."""
  pi = math.pi
  return [
    *(
      _square(title, problem, -3, 3, (0, 0))
      for title, problem in (
        ("Bowl(0.1)", pg.Bowl(0.1)),
        ("Bowl(1)", pg.Bowl(1)),
        ("Bowl(5)", pg.Bowl(5)),
        ("Bowl(5, angle=π/4)", pg.Bowl(5, pi / 4)),
      )
    ),
    _square("Rosenbrock", pg.Rosenbrock(), -2, 3, (1, 1)),
    _square("Beale", pg.Beale(), -4.5, 4.5, (3, 0.5)),
    _square("Booth", pg.Booth(), -10, 10, (1, 3)),
    _square("Matyas", pg.Matyas(), -10, 10, (0, 0)),
    _square(
      *("StyblinskiTang", pg.StyblinskiTang(), -5, 5),
      (-2.90353403, -2.90353403),
    ),
    _square("Ackley", pg.Ackley(), -4, 4, (0, 0)),
    _square("Michalewicz", pg.Michalewicz(), 0, pi, (2.18531188, pi / 2)),
    Panel(
      *("Branin", pg.Branin(), (-6, 12), (-1, 17)),
      [(-pi, 12.275), (pi, 2.275), (9.42478, 2.475)],
    ),
    _square("LogSumExp", pg.LogSumExp(), -3, 3, (-math.log(2) / 2, 0)),
    _square("Saddle", pg.Saddle(), -3, 3),
    _square("Lasso(2)", pg.Lasso(2, random_seed=1234), -3, 3),
    _square("Rastrigin(2)", pg.Rastrigin(2, random_seed=1234), -2, 2),
  ]


def _square(title, problem, low, high, *minima) -> Panel:
  return Panel(title, problem, (low, high), (low, high), minima)


def baseline(name: str) -> Optimizer:
  """A hand-designed optimizer of this name, at the best learning rate."""
  rule = BASELINES[name]()
  (weight,) = rule.weight_specs()
  return Optimizer(
    name,
    rule,
    {f"rate {rate:g}": {weight: rate} for rate in comparison.LEARNING_RATES},
  )


def restored(optimizer_spec: Any, folder: pathlib.Path) -> Optimizer:
  """A learned optimizer with the weights of a run.

  Args:
    optimizer_spec: `Spec` of the optimizer.
    folder: of the run; its best or last checkpoint is taken.

  Raises:
    CheckpointError: there is none, it is damaged, or it does not fit.
  """
  path = checkpoints.best_or_last(folder)
  with tf.Graph().as_default():
    optimizer = optimizer_spec.build()
  weights = optimizer.read_weights(path)
  return Optimizer(type(optimizer).__name__, optimizer.rule, {"": weights})


def write_png(
  path: pathlib.Path,
  panels: Sequence[Panel],
  optimizers: Sequence[Optimizer],
  num_steps: int,
  seed: int,
) -> None:
  """Draws one panel per problem, with the paths of two optimizers.

  Both start from the same point, drawn from the part of the plane that is
  shown, since many initial distributions are much wider or narrower.

  Args:
    path: the file to write.
    panels: the problems.
    optimizers: two optimizers.
    num_steps: length of the paths.
    seed: fixes starts and initial optimizer states.
  """
  from matplotlib.figure import Figure

  rows = -(-len(panels) // _COLUMNS)
  figure = Figure(figsize=(3.3 * _COLUMNS, 3.35 * rows + 0.5))
  axes = figure.subplots(rows, _COLUMNS, squeeze=False).ravel()
  for unused in axes[len(panels) :]:
    unused.remove()
  for number, (panel, ax) in enumerate(zip(panels, axes, strict=False)):
    _draw_surface(ax, panel)
    generator = np.random.default_rng([seed, number])
    # Not too near to the edge.
    low, high = np.quantile([panel.x, panel.y], (0.1, 0.9), axis=1)
    start = generator.uniform(low, high).astype(np.float32)
    notes = []
    for index, optimizer in enumerate(optimizers):
      note, points = _best_path(
        panel.problem, optimizer, start, num_steps, generator
      )
      _draw_path(ax, points, index)
      notes.append(", ".join(filter(None, (optimizer.name, note))))
    _draw_marks(ax, start, panel.minima)
    ax.set_title(panel.title, fontsize=11, pad=19)
    ax.text(
      *(0.5, 1.025, " · ".join(notes)),
      transform=ax.transAxes,
      ha="center",
      fontsize=8,
      color="#444444",
    )
  height = figure.get_figheight()
  figure.legend(
    handles=_legend([optimizer.name for optimizer in optimizers]),
    loc="lower center",
    ncols=6,
    frameon=False,
    fontsize=10,
  )
  figure.tight_layout(rect=(0, 0.4 / height, 1, 1))
  with files.whole_file(path) as partial:
    figure.savefig(partial, format="png", dpi=80)


def _draw_surface(ax, panel: Panel) -> None:
  from matplotlib.colors import BoundaryNorm

  xm, ym = np.meshgrid(
    np.linspace(*panel.x, _GRID), np.linspace(*panel.y, _GRID)
  )
  points = np.stack([xm.ravel(), ym.ravel()], axis=1)
  z = _values(panel.problem, points).reshape(xm.shape)
  # The functions differ by orders of magnitude, within and among each other:
  # levels are quantiles, more of them where it is low, and colours are ranks.
  levels = np.unique(np.quantile(z, np.linspace(0, 1, _NUM_LEVELS) ** 2))
  norm = BoundaryNorm(levels, 256)
  ax.contourf(xm, ym, z, levels=levels, norm=norm, cmap=_pale_colours())
  ax.contour(
    *(xm, ym, z), levels=levels, colors="white", linewidths=0.4, alpha=0.7
  )
  ax.set_xlim(panel.x)
  ax.set_ylim(panel.y)
  ax.locator_params(nbins=5)
  ax.tick_params(labelsize=8)


def _pale_colours():
  """Light where the surface is high, a pale green-blue where it is low."""
  from matplotlib.colors import LinearSegmentedColormap

  return LinearSegmentedColormap.from_list(
    "pale", ["#7ea6a8", "#cfdcd8", "#f8f5ec"]
  )


def _draw_path(ax, points: np.ndarray, index: int) -> None:
  from matplotlib import patheffects

  halo = [patheffects.withStroke(linewidth=2.8, foreground="white")]
  ax.plot(
    *points.T,
    color=_COLOURS[index],
    linestyle=_LINES[index],
    linewidth=1.5,
    path_effects=halo,
  )
  ax.plot(*points[-1], **_end_mark(index))


def _draw_marks(ax, start: np.ndarray, minima) -> None:
  for minimum in minima:
    ax.plot(*minimum, **_MINIMUM)
  ax.plot(*start, **_START)


_START = {
  "marker": "o",
  "markersize": 6,
  "markerfacecolor": "white",
  "markeredgecolor": "black",
  "linestyle": "none",
  "zorder": 6,
}
_MINIMUM = {
  "marker": "*",
  "markersize": 15,
  "markerfacecolor": "#F0E442",
  "markeredgecolor": "black",
  "markeredgewidth": 0.8,
  "linestyle": "none",
  "zorder": 3,
}


def _end_mark(index: int) -> dict[str, Any]:
  return {
    "marker": "sD"[index],
    "markersize": 4.5,
    "markerfacecolor": _COLOURS[index],
    "markeredgecolor": "white",
    "linestyle": "none",
    "zorder": 7,
  }


def _legend(names: Sequence[str]) -> list[Any]:
  from matplotlib.lines import Line2D

  handles = [
    Line2D([], [], color=colour, linestyle=line, linewidth=1.8, label=name)
    for name, colour, line in zip(names, _COLOURS, _LINES, strict=True)
  ]
  handles.append(Line2D([], [], **_START, label="start"))
  handles += [
    Line2D([], [], **_end_mark(index), label=f"end of {name}")
    for index, name in enumerate(names)
  ]
  return [*handles, Line2D([], [], **_MINIMUM, label="global minimum")]


def _best_path(
  problem: Problem,
  optimizer: Optimizer,
  start: np.ndarray,
  num_steps: int,
  generator: np.random.Generator,
) -> tuple[str, np.ndarray]:
  """The path of the lowest mean objective: what it is, [steps + 1, 2]."""
  start = [start.reshape(shape) for shape in problem.param_shapes]
  draws = optimizer.rule.draws(start, generator)
  run = tf.function(
    lambda weights: _run(
      problem, optimizer.rule, weights, start, draws, num_steps
    )
  )
  paths = {}
  for note, weights in optimizer.weights.items():
    weights = {k: tf.constant(v, tf.float32) for k, v in weights.items()}
    paths[note] = run(weights).numpy()
  means = {
    note: np.mean(_values(problem, points)) for note, points in paths.items()
  }
  best = min(means, key=lambda note: np.nan_to_num(means[note], nan=np.inf))
  return best, paths[best]


def _run(problem, rule, weights, start, draws, num_steps) -> tf.Tensor:
  """The parameters before the first and after each step, [steps + 1, 2]."""
  params = [tf.constant(array) for array in start]
  draws = tf.nest.map_structure(
    lambda array: tf.constant(array, tf.float32), draws
  )
  state = rule.init_state(weights, params, draws)

  def step(carried, _):
    params, attended, state = carried
    grads = problem.gradients(problem.objective(attended), attended)
    update = rule.update(weights, params, grads, state)
    return update.params, update.attended_params, update.state

  params_after, *_ = tf.scan(
    step, tf.range(num_steps), initializer=(params, params, state)
  )
  (first,), (rest,) = params, params_after
  return tf.reshape(tf.concat([first[tf.newaxis], rest], axis=0), [-1, 2])


def _values(problem: Problem, points: np.ndarray) -> np.ndarray:
  """The objective at points [n, 2]: [n]."""
  (shape,) = problem.param_shapes
  points = points.reshape(-1, *shape).astype(np.float32)
  return tf.vectorized_map(lambda p: problem.objective([p]), points).numpy()

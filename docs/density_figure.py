"""Draws the density of the Hessian's eigenvalues before and after training."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from docs import optimizee
from learned_optimizer import files
from learned_optimizer.metaopt import evaluation
from learned_optimizer.metaopt.comparison import Contestant
from learned_optimizer.metaopt.task import Task
from learned_optimizer.optimizer.regularizers import eigenvalue_density
from learned_optimizer.optimizer.regularizers.eigenvalue_density import Density

# Width of the Gaussians, in units of the axis, which is linear near zero, up to
# this fraction of the largest eigenvalue, and logarithmic beyond.
_WIDTH = 0.12
_LINEAR_FRACTION = 1e-3
_COLOURS = ("#777777", "#0072B2", "#D55E00", "#009E73", "#CC79A7")
_LINES = ("-", "--", "-", "-.", ":")


class Spectrum(NamedTuple):
  """The eigenvalues at one point.

  Attributes:
    name: what the point is.
    loss: the objective there, on all data.
    density: of the eigenvalues of its Hessian.
  """

  name: str
  loss: float
  density: Density


def spectra(
  task: Task,
  contestants: Sequence[Contestant],
  num_steps: int,
  seed: int,
  num_probes: int = 10,
  num_lanczos_steps: int = 30,
) -> list[Spectrum]:
  """The spectra where training starts and where each optimizer leads.

  Args:
    task: what is trained. The Hessian is that of its objective on all data.
    contestants: what trains it, all from the same start.
    num_steps: how long.
    seed: fixes start, batches, initial optimizer states and probes.
    num_probes: see `eigenvalue_density`.
    num_lanczos_steps: its `num_steps`, at most the number of parameters.

  Raises:
    ValueError: training diverged.
  """
  initial = evaluation.original_parameters(task.problem, seed)
  points = {"before training": initial}
  for contestant in contestants:
    label = contestant.name
    if contestant.learning_rate is not None:
      label += f" {contestant.learning_rate:g}"
    train = optimizee.trainer(task, optimizee.rule_of(contestant))
    params = train(contestant.weights, initial, num_steps, seed)
    if not all(np.all(np.isfinite(param)) for param in params):
      raise ValueError(f"{label} diverged; choose fewer steps or another seed.")
    points[f"after {num_steps} steps of {label}"] = params
  objective = optimizee.objective(task)
  num_lanczos_steps = min(num_lanczos_steps, task.problem.num_params)
  return [
    Spectrum(
      name,
      float(objective([tf.constant(param) for param in params])),
      eigenvalue_density.eigenvalue_density(
        objective,
        params,
        np.random.default_rng(seed),
        num_probes,
        num_lanczos_steps,
      ),
    )
    for name, params in points.items()
  ]


def write_png(
  path: pathlib.Path, shown: Mapping[str, Sequence[Spectrum]]
) -> None:
  """Draws the densities, one panel per problem.

  Each eigenvalue is a Gaussian of a fixed width on the axis, which is linear
  near zero and logarithmic beyond: so the height is the fraction of all
  eigenvalues per unit of that axis.

  Args:
    path: the file to write.
    shown: what to draw, by the titles of the panels.
  """
  from matplotlib.figure import Figure

  figure = Figure(figsize=(8, 5 * len(shown)), layout="constrained")
  panels = figure.subplots(len(shown), 1, squeeze=False)
  for panel, (title, spectra) in zip(panels[:, 0], shown.items(), strict=True):
    _draw(panel, spectra)
    panel.set_title(title, fontsize=9, wrap=True)
  with files.whole_file(path) as partial:
    figure.savefig(partial, format="png", dpi=90)


def _draw(panel, spectra) -> None:
  nodes = np.concatenate([s.density.nodes.ravel() for s in spectra])
  largest = np.max(np.abs(nodes)) or 1.0
  scale = _LINEAR_FRACTION * largest
  low, high = np.arcsinh(np.array([min(0.0, nodes.min()), nodes.max()]) / scale)
  axis = np.linspace(low - 4 * _WIDTH, high + 4 * _WIDTH, 1500)
  eigenvalues = scale * np.sinh(axis)
  for index, spectrum in enumerate(spectra):
    style = index % len(_COLOURS)
    values = _smooth(spectrum.density, scale, axis)
    panel.plot(
      eigenvalues,
      values,
      color=_COLOURS[style],
      linestyle=_LINES[style],
      linewidth=1.6,
      label=(
        f"{spectrum.name}: loss {spectrum.loss:.3g},"
        f" largest {spectrum.density.nodes.max():.3g},"
        f" mean {spectrum.density.moment(1):.2g}"
      ),
    )
    if not index:
      panel.fill_between(eigenvalues, values, 1e-9, color="0.9")
  panel.set_xscale("asinh", linear_width=scale)
  exponents = np.log10([3 * scale, largest])
  powers = 10.0 ** np.arange(np.ceil(exponents[0]), exponents[1] + 1e-6)
  panel.set_xticks([*-powers[::-1], 0, *powers])
  panel.minorticks_off()
  panel.set_xlim(eigenvalues[0], eigenvalues[-1])
  panel.set_yscale("log")
  panel.set_ylim(1e-5, 10)
  panel.set_xlabel("eigenvalue of the Hessian on all data")
  panel.set_ylabel("fraction per unit of the axis")
  panel.grid(alpha=0.3)
  panel.legend(
    loc="upper center", bbox_to_anchor=(0.5, -0.13), frameon=False, fontsize=9
  )


def _smooth(density: Density, scale: float, axis: np.ndarray) -> np.ndarray:
  """The density over the axis of arcsinh(eigenvalue / scale)."""
  centres = np.arcsinh(density.nodes.ravel() / scale)
  distances = (axis[:, np.newaxis] - centres) / _WIDTH
  gaussians = np.exp(-0.5 * distances**2) / (_WIDTH * np.sqrt(2 * np.pi))
  return gaussians @ density.weights.ravel()

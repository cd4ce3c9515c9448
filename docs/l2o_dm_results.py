"""What came out of the L2O-DM experiment: curves that are kept, tables."""

import hashlib
import json
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from docs import experiment_results, pooled_curves
from learned_optimizer import files
from learned_optimizer.compat import sources
from learned_optimizer.metaopt.comparison import Contestant, Curves
from learned_optimizer.metaopt.evaluation import Losses
from learned_optimizer.optimizer import optimizers
from learned_optimizer.optimizer.baselines import BASELINES
from learned_optimizer.problems import problem_sets
from learned_optimizer.problems.datasets import ImageSource
from learned_optimizer.problems.entry import Entry
from learned_optimizer.problems.problem_spec import Spec

# Natural logarithms of the final loss of the 784-20-10 perceptron on MNIST, the
# mean of ten runs, read off the figures published with the models.
PUBLISHED = {"dm_cl_il": -10.8, "rnnprop_cl_il": -10.4}
_LARGE = "784-20-10"
# Of the sets of metatest; the first one is trained on. The last two are linear
# classification and Rosenbrock's function.
_SETS = (
  "digits_mlp",
  "mnist_mlp_deeper",
  "softmax_2_class",
  "optimization_test",
)
_SHOWN = (*_SETS[:2], "softmax_2_class-1", "optimization_test-7")


def released(models: pathlib.Path) -> list[Contestant]:
  """The released models, each in a folder of its name."""
  contestants = []
  for name in PUBLISHED:
    read = sources.read(models / name)
    spec = Spec(optimizers.by_name(read.optimizer_name), (), read.settings)
    contestants.append(Contestant(name, spec, read.weights))
  return contestants


def perceptrons() -> dict[str, Entry]:
  """What released models train: sigmoid perceptrons on the training split."""
  selected = _select(problem_sets.TRAINING_SETS, ("digits_mlp", "mnist_mlp"))
  return dict(zip(("64-20-10", _LARGE), selected.values(), strict=True))


def problems() -> dict[str, Entry]:
  """What a meta-trained optimizer trains, its own problem first."""
  selected = _select(problem_sets.EVALUATION_SETS, _SETS)
  return {name: selected[name] for name in _SHOWN}


def _select(sets, names) -> dict[str, Entry]:
  return problem_sets.select_by_name(
    sets,
    names,
    random_seed=0,
    images=ImageSource(embedded_digits=True),
    variant="evaluation",
  )


def measure(
  folder: pathlib.Path,
  entries: Mapping[str, Entry],
  contestants: Sequence[Contestant],
  num_steps: int,
  seeds: Sequence[int],
) -> list[Curves]:
  """As `pooled_curves.measure`, beside Adam; what is in the folder is kept.

  Args:
    folder: gets a JSON file for each problem.
    entries: the problems by name.
    contestants: the learned optimizers.
    num_steps: length of the runs.
    seeds: one run each.

  Raises:
    ValueError: a file in the folder is of other runs, or damaged.
  """
  folder.mkdir(parents=True, exist_ok=True)
  curves = []
  for name, entry in entries.items():
    path = folder / f"{name}.json"
    settings = {
      "steps": num_steps,
      "seeds": [*seeds],
      "optimizers": [contestant.name for contestant in contestants],
      "weights": [*map(_digest, contestants)],
    }
    if not path.exists():
      found = pooled_curves.measure(
        {name: entry}, contestants, [BASELINES["Adam"]], num_steps, seeds
      )
      files.write_json(path, settings | {"curves": [*map(_to_json, found)]})
      print(f"{path.name}: done", flush=True)
    kept = files.read_json(path)
    if {key: kept.get(key) for key in settings} != settings:
      raise ValueError(
        f"{path} is of runs with other settings than {json.dumps(settings)};"
        " remove it or give another --folder."
      )
    curves += map(_from_json, kept["curves"])
  return curves


def _digest(contestant: Contestant) -> str:
  """Tells weights apart."""
  digest = hashlib.sha256()
  for name, value in sorted(contestant.weights.items()):
    digest.update(name.encode() + np.float32(value).tobytes())
  return digest.hexdigest()


def _to_json(curves: Curves) -> dict[str, Any]:
  values = curves._asdict()
  return values | {
    "steps": curves.steps.tolist(),
    "losses": curves.losses.on_data.tolist(),
  }


def _from_json(values: Mapping[str, Any]) -> Curves:
  losses = np.float32(values["losses"])
  steps = np.array(values["steps"])
  # The losses on batches are not kept.
  nothing = np.zeros([len(losses), 0], np.float32)
  return Curves(**values | {"steps": steps, "losses": Losses(losses, nothing)})


def with_published(curves: Sequence[Curves]) -> list[Curves]:
  """Adds the published final losses, as marks at the end, where they belong."""
  marks = []
  like = next(c for c in curves if c.problem == _LARGE)
  for name, logarithm in PUBLISHED.items():
    losses = np.full_like(like.losses.on_data[:1], math.exp(logarithm))
    # A single point, the first, is not drawn.
    losses[:, 1 : -max(2, len(like.steps) // 20)] = np.nan
    mark = like._replace(
      optimizer=f"{name}, published for MNIST",
      losses=like.losses._replace(on_data=losses),
    )
    marks.append(mark)
  return [*curves, *marks]


def released_table(curves: Sequence[Curves]) -> str:
  """Losses after a tenth of the steps and at the end, beside published ones."""
  end = curves[0].steps[-1]
  tenth = curves[0].steps[np.searchsorted(curves[0].steps, end // 10)]
  rows = [
    ["problem", "optimizer"]
    + [f"loss after {step} steps: median [quartiles]" for step in (tenth, end)]
    + ["ln of the last median", "published, on MNIST"]
  ]
  for c in curves:
    _, last, _ = c.quartiles_after(end)
    published = ""
    if c.problem == _LARGE and c.optimizer in PUBLISHED:
      published = f"{PUBLISHED[c.optimizer]:.1f}"
    rows.append(
      [c.problem, c.label]
      + [_quartiles(c, step) for step in (tenth, end)]
      + [f"{np.log(last):.1f}", published]
    )
  return experiment_results.markdown(rows)


def _quartiles(curves, step) -> str:
  low, median, high = curves.quartiles_after(step)
  return f"{median:.3g} [{low:.3g}, {high:.3g}]"


def training_table(outcomes: Sequence[Mapping[str, float]]) -> str:
  """What each run of meta-training took."""
  rows = [["seed", "seconds", "CPU seconds"]]
  for seed, outcome in enumerate(outcomes, start=1):
    rows.append(
      [f"{seed}", f"{outcome['seconds']:.0f}", f"{outcome['cpu_seconds']:.0f}"]
    )
  return experiment_results.markdown(rows)

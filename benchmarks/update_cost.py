"""What a step of a learned optimizer costs, beside Adam's and copying.

Each update, and each whole training step of an MLP, is one program compiled by
XLA. It is timed in turn with that of Keras Adam, and the update also with what
it cannot be cheaper than: to read and write as many bytes as its state and the
parameters have (for small models mostly the call itself). Quotients are those
within a round.
"""

import functools
import gc
import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from absl import app, flags

from benchmarks import tables
from benchmarks.tables import Quartiles
from learned_optimizer import program_start

if TYPE_CHECKING:
  import keras
  from matplotlib.axes import Axes
  from matplotlib.figure import Figure

RULES = (
  "HierarchicalRNN",
  "CoordinatewiseRNN",
  "TrainableAdam",
  "GlobalLearningRate",
  "LearningRateSchedule",
  "L2ODM",
  "RNNProp",
)
NUM_PARAMETERS = (10**4, 10**5, 10**6, 10**7)
NUM_TENSORS = (6, 150)
BATCH_SIZES = (32, 128, 512)

UPDATE = "update alone"
STEP = "training step"

# Units of the layers. Those that are trained are common perceptrons, the small
# ones of four tensors; the others all have six.
_TRAINED = {
  10**4: (784, 12, 10),
  10**5: (784, 128, 10),
  10**6: (784, 900, 300, 10),
  10**7: (784, 4440, 1480, 10),
}
_OF_SIX_TENSORS = {
  10**4: (784, 12, 4, 10),
  10**5: (784, 120, 40, 10),
  10**6: (784, 900, 300, 10),
  10**7: (784, 4440, 1480, 10),
}
# Rounds take this long or a single call.
_LEAST_SECONDS = 0.1
_NUM_CLASSES = 10


class Selection(NamedTuple):
  """What is measured: all combinations.

  Attributes:
    rules: names from `RULES`.
    num_parameters: numbers from `NUM_PARAMETERS`.
    num_tensors: numbers from `NUM_TENSORS`.
    batch_sizes: of training steps; none of these where it is empty.
    repeats: rounds of each measurement.
  """

  rules: Sequence[str]
  num_parameters: Sequence[int]
  num_tensors: Sequence[int]
  batch_sizes: Sequence[int]
  repeats: int


class _Prepared(NamedTuple):
  """A compiled program.

  Attributes:
    run: one step.
    first_seconds: until the end of the first one, build and compilation
      included.
    optimizer: what takes the step.
    num_parameters: that it moves.
    num_tensors: which they make up.
  """

  run: Callable[[], Any]
  first_seconds: float
  optimizer: "keras.optimizers.Optimizer"
  num_parameters: int
  num_tensors: int


def updates(selection: Selection) -> Iterator[tables.Row]:
  """Costs of updates alone, one row for each optimizer and set of tensors."""
  for num_tensors in selection.num_tensors:
    for num_parameters in selection.num_parameters:
      units = _units(num_parameters, num_tensors, _OF_SIX_TENSORS)
      adam = _update("Adam", units)
      for name in ("Adam", *selection.rules):
        # Memory of the one before has to be free for the next.
        gc.collect()
        prepared = adam if name == "Adam" else _update(name, units)
        yield _update_row(name, prepared, adam, selection.repeats)


def training_steps(selection: Selection) -> Iterator[tables.Row]:
  """Costs of training steps, one row for each optimizer, model and batch."""
  for num_tensors in selection.num_tensors:
    for num_parameters in selection.num_parameters:
      units = _units(num_parameters, num_tensors, _TRAINED)
      for batch_size in selection.batch_sizes:
        adam = _training_step("Adam", units, batch_size)
        for name in ("Adam", *selection.rules):
          gc.collect()
          prepared = (
            adam if name == "Adam" else _training_step(name, units, batch_size)
          )
          yield _step_row(name, prepared, adam, batch_size, selection.repeats)


def _units(num_parameters, num_tensors, of_few_tensors):
  """The units of dense layers with about so many parameters in all."""
  if num_tensors == NUM_TENSORS[0]:
    return of_few_tensors[num_parameters]
  num_layers = num_tensors // 2
  # The root of units * (units + 1) = parameters of a layer.
  units = round(math.sqrt(num_parameters / num_layers + 0.25) - 0.5)
  return (units,) * (num_layers + 1)


def _optimizer(name):
  import keras

  import learned_optimizer
  from learned_optimizer.compat import keras as learned

  if name == "Adam":
    return keras.optimizers.Adam()
  if name == "HierarchicalRNN":
    return learned_optimizer.load("digits-mlp", seed=0)
  sizes = {"cell_sizes": [20, 20]} if name == "CoordinatewiseRNN" else {}
  return getattr(learned, name)(**sizes, seed=0)


def _update(name, units):
  """An optimizer's update of the tensors of dense layers."""
  import keras
  import numpy as np
  import tensorflow as tf

  generator = np.random.default_rng(0)
  shapes = []
  for i in range(1, len(units)):
    shapes += [units[i - 1 : i + 1], units[i : i + 1]]

  def draw(shape, scale):
    return scale * generator.standard_normal(shape, np.float32)

  variables = [keras.Variable(draw(shape, 0.05)) for shape in shapes]
  grads = [tf.constant(draw(shape, 0.01)) for shape in shapes]
  optimizer = _optimizer(name)
  apply = tf.function(
    lambda *grads: optimizer.apply(grads, variables), jit_compile=True
  )

  def first():
    optimizer.build(variables)
    apply(*grads)

  seconds, _ = tables.timed(first)
  return _Prepared(
    lambda: apply(*grads),
    seconds,
    optimizer,
    sum(map(math.prod, shapes)),
    len(shapes),
  )


def _training_step(name, units, batch_size):
  """A step of `fit` on one batch that lies in memory."""
  import keras
  import numpy as np
  import tensorflow as tf

  keras.utils.set_random_seed(0)
  *hidden, last = units[1:]
  layers = [keras.layers.Dense(n, activation="relu") for n in hidden]
  model = keras.Sequential(
    [keras.Input([units[0]]), *layers, keras.layers.Dense(last)]
  )
  loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
  model.compile(_optimizer(name), loss, jit_compile=True)
  generator = np.random.default_rng(0)
  batch = (
    generator.random([batch_size, units[0]], np.float32),
    generator.integers(_NUM_CLASSES, size=batch_size),
  )
  batches = iter(tf.data.Dataset.from_tensors(batch).repeat())
  model.make_train_function()
  seconds, _ = tables.timed(lambda: model.train_function(batches))
  return _Prepared(
    lambda: model.train_function(batches),
    seconds,
    model.optimizer,
    model.count_params(),
    len(model.trainable_variables),
  )


def _num_state_floats(prepared):
  """Numbers of float32 that a step replaces: state and parameters."""
  weights = getattr(prepared.optimizer, "learned_weights", {})
  return (
    prepared.num_parameters
    + sum(math.prod(v.shape) for v in prepared.optimizer.variables)
    - sum(weight.size for weight in weights.values())
  )


def _copy(num_floats):
  """Reads and writes each of so many float32 once, where they lie."""
  import tensorflow as tf

  state = tf.Variable(tf.zeros([num_floats]))

  @tf.function(jit_compile=True)
  def copy():
    # Anything that is not the identity, which would be left out.
    state.assign(state + 1.0)

  return copy


def _update_row(name, prepared, adam, repeats):
  num_floats = _num_state_floats(prepared)
  seconds = tables.measure(
    {"Adam": adam.run, name: prepared.run, "copy": _copy(num_floats)},
    repeats,
    _LEAST_SECONDS,
  )
  own, copy = seconds[name], seconds["copy"]
  nanoseconds = 1e9 / prepared.num_parameters
  return {
    "optimizer": name,
    "parameters": prepared.num_parameters,
    "tensors": prepared.num_tensors,
    "CPU-ns/parameter": Quartiles.of(own.cpu * nanoseconds),
    "ns/parameter": Quartiles.of(own.wall * nanoseconds),
    "x Adam, CPU": Quartiles.of(own.cpu / seconds["Adam"].cpu),
    "bytes/parameter": 2 * 4 * num_floats / prepared.num_parameters,
    "copying them, CPU-ns": Quartiles.of(copy.cpu * nanoseconds),
    "x copying, CPU": Quartiles.of(own.cpu / copy.cpu),
    "first step, s": prepared.first_seconds,
  }


def _step_row(name, prepared, adam, batch_size, repeats):
  seconds = tables.measure(
    {"Adam": adam.run, name: prepared.run}, repeats, _LEAST_SECONDS
  )
  own, reference = seconds[name], seconds["Adam"]
  above = (own.cpu - reference.cpu) * 1e9 / prepared.num_parameters
  return {
    "optimizer": name,
    "parameters": prepared.num_parameters,
    "tensors": prepared.num_tensors,
    "batch": batch_size,
    "CPU-ms": Quartiles.of(own.cpu * 1e3),
    "ms": Quartiles.of(own.wall * 1e3),
    "x Adam, CPU": Quartiles.of(own.cpu / reference.cpu),
    "x Adam": Quartiles.of(own.wall / reference.wall),
    "above Adam, CPU-ns/parameter": Quartiles.of(above),
    "first step, s": prepared.first_seconds,
  }


def draw(measured: dict[str, list[tables.Row]]) -> "Figure":
  """Draws medians with bars between the quartiles.

  Args:
    measured: rows by `UPDATE` and `STEP`; the latter may be missing.
  """
  from matplotlib.figure import Figure

  steps = measured.get(STEP, [])
  batch_sizes = sorted({row["batch"] for row in steps})
  figure = Figure(figsize=(5.5 * (1 + len(batch_sizes)), 5.5))
  panels = figure.subplots(1, 1 + len(batch_sizes), squeeze=False)[0]
  _draw(panels[0], measured[UPDATE], "CPU-ns/parameter")
  _draw_copying(panels[0], measured[UPDATE])
  panels[0].set_title("update alone (dotted: copying HierarchicalRNN's state)")
  panels[0].set_ylabel("CPU-ns per parameter")
  for panel, batch_size in zip(panels[1:], batch_sizes, strict=True):
    rows = [row for row in steps if row["batch"] == batch_size]
    _draw(panel, rows, "x Adam, CPU")
    panel.set_title(f"training step, batch {batch_size}")
    panel.set_ylabel("CPU time, multiples of Adam's")
  for panel in panels:
    panel.set_xscale("log")
    panel.set_yscale("log")
    panel.set_xlabel("parameters")
    panel.grid(alpha=0.3)
  panels[0].legend(fontsize=8)
  figure.tight_layout()
  return figure


def _draw(panel: "Axes", rows, column):
  """A line for each optimizer, dashed for many tensors."""
  import numpy as np

  for index, name in enumerate(("Adam", *RULES)):
    for many in (False, True):
      points = [
        (row["parameters"], *row[column])
        for row in rows
        if row["optimizer"] == name
        and (row["tensors"] == NUM_TENSORS[-1]) == many
      ]
      if points:
        size, low, median, high = np.transpose(sorted(points))
        panel.errorbar(
          size,
          median,
          [median - low, high - median],
          color=f"C{index}",
          linestyle="--" if many else "-",
          marker="o",
          markersize=3,
          capsize=2,
          label=f"{name}, {NUM_TENSORS[-1]} tensors" if many else name,
        )


def _draw_copying(panel: "Axes", rows):
  points = sorted(
    (row["parameters"], row["copying them, CPU-ns"].median)
    for row in rows
    if row["optimizer"] == RULES[0] and row["tensors"] == NUM_TENSORS[0]
  )
  if points:
    panel.plot(*zip(*points, strict=True), color="C1", linestyle=":")


def main(argv: Sequence[str]) -> None:
  """Measures, prints tables and writes what --folder asks for."""
  del argv
  program_start.import_tensorflow_quietly()
  values = flags.FLAGS
  selection = Selection(
    values.rules,
    [int(float(n)) for n in values.parameters],
    [int(n) for n in values.tensors],
    [int(n) for n in values.batch_sizes],
    values.repeats,
  )
  if values.all:
    selection = Selection(
      RULES, NUM_PARAMETERS, NUM_TENSORS, BATCH_SIZES, values.repeats
    )
  measured = {}
  for title, function in ((UPDATE, updates), (STEP, training_steps)):
    for row in function(selection):
      measured.setdefault(title, []).append(row)
      _show(title, row)
      if values.folder:
        # What is there stays, whatever happens to a run of an hour.
        tables.write(values.folder, "update_cost", measured)
  for title, rows in measured.items():
    tables.print_table(title, rows)
  if values.folder:
    tables.write(values.folder, "update_cost", measured, draw(measured))


def _show(title, row):
  """One line of progress."""
  batch = f", batch {row['batch']}" if "batch" in row else ""
  print(
    f"{title}: {row['optimizer']}, {row['parameters']} parameters in"
    f" {row['tensors']} tensors{batch}: {row['x Adam, CPU'].median:.2f} x Adam",
    flush=True,
  )


def _define_flags() -> None:
  """Here, since tests import this beside programs with the same flags."""

  def define(name, default, accepted, text, least=1):
    flags.DEFINE_list(name, default, f"{text}: of {', '.join(accepted)}")
    flags.register_validator(
      name,
      lambda values: len(values) >= least and set(values) <= set(accepted),
      f"--{name} takes {'one or more' if least else 'any'} of"
      f" {', '.join(accepted)}.",
    )

  define("rules", [*RULES], RULES, "which learned rules")
  sizes = [f"1e{math.log10(n):.0f}" for n in NUM_PARAMETERS]
  text = "numbers of parameters; 1e7 takes up to 10 GB"
  define("parameters", sizes[:-1], sizes, text)
  tensors = [*map(str, NUM_TENSORS)]
  text = "numbers of tensors; trained MLPs of up to four layers count as 6"
  define("tensors", tensors[:1], tensors, text)
  batch_sizes = [*map(str, BATCH_SIZES)]
  text = "of training steps, which an empty list leaves out"
  define("batch_sizes", batch_sizes[1:2], batch_sizes, text, least=0)
  flags.DEFINE_integer("repeats", 11, "rounds of each timing", lower_bound=1)
  flags.DEFINE_boolean("all", False, "all that those lists accept; takes hours")
  flags.DEFINE_string("folder", "", "where to write JSON and PNG, if anywhere")


if __name__ == "__main__":
  _define_flags()
  parse = functools.partial(program_start.parse, flags.FLAGS)
  app.run(main, flags_parser=parse)

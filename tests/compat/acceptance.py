"""Cells of the acceptance matrix, and plain training to compare them with."""

import contextlib
import functools
import itertools
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from learned_optimizer.compat import keras as learned
from tests.compat import cases

NUM_EPOCHS = 2
STEPS_PER_EPOCH = 2
BATCH_SIZE = 8

FACTORS = {
  "mode": ["eager", "graph", "xla"],
  "policy": ["float32", "mixed_float16", "mixed_bfloat16"],
  "feature": [
    "none",
    "clipnorm",
    "global_clipnorm",
    "weight_decay",
    "ema",
    "accumulation",
    "schedule",
    "setter",
  ],
  "devices": ["one", "mirrored"],
  "model": ["dense", "conv", "embedding", "frozen", "scalar"],
  "rule": ["hierarchical", "attending", "adam", "rate"],
}

# Relative to the norm of all parameters, for gradients that need not be those
# of the very same computation: in half precision these are rounded otherwise.
TOLERANCES = {"float32": 1e-5, "mixed_float16": 1e-3, "mixed_bfloat16": 5e-3}

_ARGUMENTS = {
  "clipnorm": {"clipnorm": 0.05},
  "global_clipnorm": {"global_clipnorm": 0.05},
  "weight_decay": {"weight_decay": 0.1},
  "ema": {
    "use_ema": True,
    "ema_momentum": 0.8,
    "ema_overwrite_frequency": 3,
  },
  "accumulation": {"gradient_accumulation_steps": 2},
}


class Cell(NamedTuple):
  """One level of each factor."""

  mode: str
  policy: str
  feature: str
  devices: str
  model: str
  rule: str

  def __str__(self):
    return "-".join(self)


def all_cells() -> list[Cell]:
  """Every cell of the hierarchical RNN."""
  return _cells(FACTORS | {"rule": ["hierarchical"]})


def covering_cells() -> list[Cell]:
  """Cells of all rules with every pair of levels, chosen greedily."""
  cells = _cells(FACTORS)
  np.random.default_rng(0).shuffle(cells)
  cells = [Cell(*map(str, cell)) for cell in cells]
  pairs = {
    cell: frozenset(itertools.combinations(enumerate(cell), 2))
    for cell in cells
  }
  missing = frozenset().union(*pairs.values())
  chosen = []
  while missing:
    best = max(cells, key=lambda cell: len(pairs[cell] & missing))
    chosen.append(best)
    missing -= pairs[best]
  return chosen


def _cells(factors):
  """The product of these factors.

  Keras cannot compile a step under `MirroredStrategy`.
  """
  cells = itertools.starmap(Cell, itertools.product(*factors.values()))
  return [
    cell
    for cell in cells
    if not (cell.mode == "xla" and cell.devices == "mirrored")
  ]


def tolerance(cell: Cell) -> float:
  """How far the parameters may be from those of plain training."""
  # Two replicas have a gradient of half a batch each.
  return TOLERANCES[cell.policy if cell.devices == "mirrored" else "float32"]


def run(cell: Cell) -> np.ndarray:
  """All parameters after `fit`, side by side."""
  with _policy(cell.policy):
    strategy = tf.distribute.get_strategy()
    if cell.devices == "mirrored":
      strategy = mirrored_strategy()
    with strategy.scope():
      model = make_model(cell.model)
      optimizer = make_optimizer(cell)
      if cell.policy == "mixed_float16":
        optimizer = keras.optimizers.LossScaleOptimizer(
          optimizer, initial_scale=2.0**6
        )
      model.compile(
        optimizer,
        cases.loss(),
        run_eagerly=cell.mode == "eager",
        jit_compile=cell.mode == "xla",
      )
    callbacks = []
    if cell.feature == "setter":
      callbacks = [keras.callbacks.LearningRateScheduler(_rate_of_epoch)]
    inputs, labels = data(cell.model)
    model.fit(
      inputs,
      labels,
      batch_size=BATCH_SIZE,
      epochs=NUM_EPOCHS,
      shuffle=False,
      verbose=0,
      callbacks=callbacks,
    )
    return flat(model.get_weights())


@functools.cache
def mirrored_strategy() -> tf.distribute.Strategy:
  """Two replicas. Collectives of a second one in a process clash with its."""
  return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


def expected_of(cell: Cell) -> np.ndarray:
  """All parameters of a cell after plain training."""
  # In half precision every mode rounds other intermediate values of a model.
  mode = "eager" if cell.policy == "float32" else cell.mode
  return expected(cell.policy, cell.feature, cell.model, cell.rule, mode)


@functools.cache
def expected(
  policy: str, feature: str, model: str, rule: str, mode: str = "eager"
) -> np.ndarray:
  """All parameters after plain training, a step of the rule at a time.

  Of the mode only how the model computes its gradients matters.
  """
  cell = Cell(mode, policy, feature, "one", model, rule)
  with _policy(policy):
    model = make_model(cell.model)
    optimizer = make_optimizer(cell)
    inputs, labels = data(cell.model)
    plain = PlainTraining(model, optimizer, mode)
    for step in range(NUM_EPOCHS * STEPS_PER_EPOCH):
      rows = slice(
        step % STEPS_PER_EPOCH * BATCH_SIZE,
        (step % STEPS_PER_EPOCH + 1) * BATCH_SIZE,
      )
      rate = 1.0
      if feature == "setter":
        rate = _rate_of_epoch(step // STEPS_PER_EPOCH)
      if feature == "schedule":
        rate = float(_schedule()(step))
      plain.step(inputs[rows], labels[rows], rate)
    plain.finish()
    return flat(model.get_weights())


class PlainTraining:
  """What an optimizer with these arguments does, written down step by step."""

  def __init__(self, model, optimizer, mode):
    self._model = model
    self._gradients = self._model_gradients
    if mode != "eager":
      self._gradients = tf.function(
        self._model_gradients, jit_compile=mode == "xla"
      )
    self._optimizer = optimizer
    rule = optimizer.rule
    self._weights = {
      k: tf.constant(v) for k, v in optimizer.learned_weights.items()
    }
    self._params = [tf.constant(v) for v in model.trainable_variables]
    draws = rule.draws(self._params, np.random.default_rng(cases.SEED))
    self._state = rule.init_state(self._weights, self._params, draws)
    self._attends = "true_param" in self._state
    self._averages = None
    self._sums = []
    self._seen = [frozenset()] * len(self._params)
    self._num_updates = 0

  def step(self, inputs, labels, rate):
    variables = self._model.trainable_variables
    grads = self._gradients(inputs, labels)
    self._seen = [
      seen | _rows(grad) for seen, grad in zip(self._seen, grads, strict=True)
    ]
    grads = [tf.convert_to_tensor(grad) for grad in grads]
    self._sums.append(grads)
    num_batches = self._optimizer.gradient_accumulation_steps or 1
    if len(self._sums) == num_batches:
      means = [sum(gs) / num_batches for gs in zip(*self._sums, strict=True)]
      self._update(means, rate)
      self._sums = []
      self._seen = [frozenset()] * len(variables)
    if self._optimizer.use_ema:
      self._average()

  def _model_gradients(self, inputs, labels):
    with tf.GradientTape() as tape:
      value = cases.loss()(labels, self._model(inputs, training=True))
    variables = self._model.trainable_variables
    return tape.gradient(value, [v.value for v in variables])

  def _update(self, grads, rate):
    optimizer = self._optimizer
    if optimizer.clipnorm:
      grads = [tf.clip_by_norm(grad, optimizer.clipnorm) for grad in grads]
    if optimizer.global_clipnorm:
      grads, _ = tf.clip_by_global_norm(grads, optimizer.global_clipnorm)
    decay = 1.0 - rate * (optimizer.weight_decay or 0.0)
    params = [decay * param for param in self._params]
    if self._attends:
      self._state["true_param"] = _row(params)
    update = optimizer.rule.update(self._weights, params, grads, self._state)
    moves = [_mask(*pair) for pair in zip(params, self._seen, strict=True)]
    if not optimizer.rule.keeps_unseen_rows:
      moves = [tf.ones_like(param) for param in params]
    columns = _row(moves) > 0
    self._state = {
      key: tf.where(columns, new, self._state[key])
      if new.shape[-1] == columns.shape[-1]
      else new
      for key, new in update.state.items()
    }
    self._params = [
      p - rate * m * s
      for p, m, s in zip(params, moves, update.steps, strict=True)
    ]
    values = self._params
    if self._attends:
      self._state["true_param"] = _row(self._params)
      values = [
        p + rate * (a - p)
        for p, a in zip(params, update.attended_params, strict=True)
      ]
    self._num_updates += 1
    self._set(values)

  def _average(self):
    momentum = self._optimizer.ema_momentum
    if self._averages is None:
      self._averages = self._params
    else:
      self._averages = [
        momentum * average + (1.0 - momentum) * param
        for average, param in zip(self._averages, self._params, strict=True)
      ]
    if self._num_updates % self._optimizer.ema_overwrite_frequency == 0:
      self._params = self._averages
      if self._attends:
        self._state["true_param"] = _row(self._params)
      self._set(self._params)

  def finish(self):
    self._set(self._averages or self._params)

  def _set(self, values):
    for variable, value in zip(
      self._model.trainable_variables, values, strict=True
    ):
      variable.assign(value)


def make_model(name: str) -> keras.Model:
  """The model, always with the same initial parameters."""
  keras.utils.set_random_seed(1)
  return cases.MODELS[name]()


def make_optimizer(cell: Cell) -> learned.LearnedOptimizer:
  """The optimizer of a cell."""
  arguments = dict(_ARGUMENTS.get(cell.feature, {}))
  if cell.feature == "schedule":
    arguments["learning_rate"] = _schedule()
  return cases.OPTIMIZERS[cell.rule](**arguments)


def data(model: str) -> tuple[np.ndarray, np.ndarray]:
  """Inputs and labels of one epoch."""
  generator = np.random.default_rng(0)
  size = BATCH_SIZE * STEPS_PER_EPOCH
  return (
    cases.inputs(model, size, generator),
    generator.integers(0, cases.NUM_CLASSES, size),
  )


def flat(arrays: list[Any]) -> np.ndarray:
  """Arrays side by side."""
  return np.concatenate([np.ravel(a).astype(np.float64) for a in arrays])


def _rows(grad):
  """Which rows a gradient has."""
  if isinstance(grad, tf.IndexedSlices):
    return frozenset(grad.indices.numpy().tolist())
  return frozenset(range(grad.shape[0] if grad.shape.rank else 1))


def _mask(param, rows):
  """One in these rows of a parameter, else zero."""
  mask = np.zeros(param.shape, np.float32)
  mask[sorted(rows) if mask.ndim else ...] = 1.0
  return tf.constant(mask)


def _row(params):
  return tf.concat([tf.reshape(p, [1, -1]) for p in params], axis=1)


def _rate_of_epoch(epoch, rate=None):
  return 1.0 if epoch == 0 else 0.5


def _schedule():
  schedules = keras.optimizers.schedules
  return schedules.PiecewiseConstantDecay([0, 2], [1.0, 0.5, 0.25])


@contextlib.contextmanager
def _policy(name):
  """A context with a dtype policy.

  In half precision graphs are not simplified arithmetically: which sums and
  products are reordered, and so rounded otherwise, depends on what else is in
  the graph of the gradients.
  """
  old_policy = keras.config.dtype_policy()
  options = tf.config.optimizer.get_experimental_options()
  keras.config.set_dtype_policy(name)
  tf.config.optimizer.set_experimental_options(
    {"arithmetic_optimization": name == "float32"}
  )
  try:
    yield
  finally:
    keras.config.set_dtype_policy(old_policy)
    tf.config.optimizer.set_experimental_options(
      {"arithmetic_optimization": True} | options
    )

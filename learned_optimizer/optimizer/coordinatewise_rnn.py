"""The coordinatewise RNN optimizer (compare arXiv 1606.04474).

One stack of RNN cells runs on every coordinate by itself. It sees the scaled
gradient and decides on the step, on the learning rate and on the decay of the
mean square that scales the next gradient.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from learned_optimizer.optimizer import scaling
from learned_optimizer.optimizer.layout import Layout
from learned_optimizer.optimizer.rnn_cells import (
  LSTM,
  Affine,
  BasicRNN,
  BiasGRU,
)
from learned_optimizer.optimizer.rule import (
  Draws,
  Generator,
  Rule,
  Slots,
  State,
  Update,
  Weights,
  WeightSpec,
)
from learned_optimizer.optimizer.rule_optimizer import RuleOptimizer


class _CellKind(NamedTuple):
  """One kind of cell, under the names of its TF1 variables.

  Attributes:
    scope: the variables' innermost common scope.
    parts: rows of state per unit; the last `units` rows are the output.
    affines: for each affine map [inputs + units] -> [width * units] the end of
      its scope, its width, and its initial bias.
    cell: makes the cell from these maps.
  """

  scope: str
  parts: int
  affines: Sequence[tuple[str, int, float]]
  cell: Callable[..., Callable[[tf.Tensor, tf.Tensor], tf.Tensor]]


_CELLS = {
  "LSTMCell": _CellKind("lstm_cell", 2, [("", 4, 0.0)], LSTM),
  "BasicLSTMCell": _CellKind("basic_lstm_cell", 2, [("", 4, 0.0)], LSTM),
  "GRUCell": _CellKind(
    "gru_cell", 1, [("/gates", 2, 1.0), ("/candidate", 1, 0.0)], BiasGRU
  ),
  "BasicRNNCell": _CellKind("basic_rnn_cell", 1, [("", 1, 0.0)], BasicRNN),
}


@dataclasses.dataclass(frozen=True)
class CoordinatewiseRNNRule(Rule):
  """The update rule of the coordinatewise RNN.

  With G the scaled gradient and o the output of the stack, per coordinate:

    decay' = sigmoid(o . decay_weights + decay_bias)
    learning_rate' = 2 sigmoid(o . learning_rate_weights + learning_rate_bias)
                     learning_rate
    param' = param - learning_rate' (o . update_weights)

  The state is a dictionary of matrices with one column per coordinate:
  `rnn` [S, N], the states of all cells, bottom first, where an LSTM's is
  [cell; hidden]; `decay`, `learning_rate` and `rms` [1, N]. Mean squares start
  at 1 with decay 1, so that the first gradient is seen unscaled.

  Attributes:
    cell_sizes: number of units of each cell, bottom first.
    cell_cls: the cells: "LSTMCell", "BasicLSTMCell" (the same under another
      variable name), "GRUCell" or "BasicRNNCell".
    init_lr_range: smallest and largest initial learning rate.
    dynamic_output_scale: learn how learning rates change, else keep them.
    learnable_decay: learn the decay of mean squares, else it is constant.
    zero_init_lr_weights: start with zero learning-rate readout weights.
    crnn_rnn_readout_scale: scale of the initial readout weights.
    crnn_default_decay_var_init: initial bias of the decay.

  Raises:
    ValueError: if a setting is out of range.
  """

  name = "cRNN"

  cell_sizes: Sequence[int]
  cell_cls: str = "LSTMCell"
  init_lr_range: tuple[float, float] = (1.0, 1.0)
  dynamic_output_scale: bool = True
  learnable_decay: bool = True
  zero_init_lr_weights: bool = False
  crnn_rnn_readout_scale: float = 0.5
  crnn_default_decay_var_init: float = 2.2

  def __post_init__(self):
    sizes = list(self.cell_sizes)
    if not sizes or not all(
      isinstance(size, int) and size > 0 for size in sizes
    ):
      raise ValueError(
        f"cell_sizes is {sizes}; one or more positive integers are accepted."
      )
    if self.cell_cls not in _CELLS:
      raise ValueError(
        f"cell_cls is {self.cell_cls!r}; {', '.join(_CELLS)} are accepted."
      )
    lr_range = self.init_lr_range
    if len(lr_range) != 2 or not 0 < lr_range[0] <= lr_range[1]:
      raise ValueError(
        f"init_lr_range is {lr_range}; two positive numbers in ascending order"
        " are accepted."
      )

  @property
  def _cell_kind(self):
    return _CELLS[self.cell_cls]

  @property
  def num_states(self) -> int:
    """S, the number of state rows of all cells together."""
    return self._cell_kind.parts * sum(self.cell_sizes)

  def weight_specs(self) -> Mapping[str, WeightSpec]:
    specs = {}
    units = self.cell_sizes[-1]

    def constant(name, shape, value):
      specs[f"LOL/{name}"] = WeightSpec(
        shape, lambda generator: np.full(shape, value, np.float32)
      )

    def uniform(name, shape, limit):
      specs[f"LOL/{name}"] = WeightSpec(
        shape, lambda generator: generator.uniform(-limit, limit, shape)
      )

    def readout(name):
      std = self.crnn_rnn_readout_scale / math.sqrt(units)
      specs[f"LOL/{name}_weights"] = WeightSpec(
        (units, 1), lambda generator: generator.normal(0.0, std, (units, 1))
      )

    readout("update")
    if self.learnable_decay:
      readout("decay")
      constant("decay_bias", (1,), self.crnn_default_decay_var_init)
    if self.dynamic_output_scale:
      if self.zero_init_lr_weights:
        constant("learning_rate_weights", (units, 1), 0.0)
      else:
        readout("learning_rate")
      constant("learning_rate_bias", (1,), 0.0)
    uniform("init_vector", (1, self.num_states), 1.0)
    inputs = 1
    for i, units_here in enumerate(self.cell_sizes):
      for end, width, bias in self._cell_kind.affines:
        scope = f"{self._cell_scope(i)}{end}"
        rows, columns = inputs + units_here, width * units_here
        glorot = math.sqrt(6.0 / (rows + columns))
        uniform(f"{scope}/kernel", (rows, columns), glorot)
        constant(f"{scope}/bias", (columns,), bias)
      inputs = units_here
    return specs

  def _cell_scope(self, i):
    return f"multi_rnn_cell/cell_{i}/{self._cell_kind.scope}"

  def draws(self, params: Sequence[Any], generator: Generator) -> Draws:
    low, high = (math.log(lr) for lr in self.init_lr_range)
    if low == high:
      return []
    return [generator.uniform(low, high, tuple(p.shape)) for p in params]

  def init_state(
    self, weights: Weights, params: Sequence[tf.Tensor], draws: Draws
  ) -> State:
    layout = Layout.of(params)
    dtype = params[0].dtype
    ones = tf.ones([1, layout.num_coordinates], dtype)
    learning_rate = self.init_lr_range[0] * ones
    if draws:
      learning_rate = tf.exp(
        layout.flatten([tf.cast(draw, dtype) for draw in draws])
      )
    init_vector = tf.reshape(weights["LOL/init_vector"], [self.num_states, 1])
    return {
      "decay": ones,
      "learning_rate": learning_rate,
      "rms": ones,
      "rnn": init_vector * ones,
    }

  def slot_keys(self) -> list[str]:
    return ["decay", "learning_rate", "rms", "rnn"]

  def to_slots(self, state: State, params: Sequence[tf.Tensor]) -> Slots:
    layout = Layout.of(params)
    blocks = {key: layout.split(state[key]) for key in self.slot_keys()}
    return Slots(
      [
        {key: tf.transpose(blocks[key][i]) for key in blocks}
        for i in range(len(params))
      ],
      [],
    )

  def from_slots(self, slots: Slots, params: Sequence[tf.Tensor]) -> State:
    layout = Layout.of(params)
    return {
      key: layout.join([tf.transpose(slot[key]) for slot in slots.per_tensor])
      for key in self.slot_keys()
    }

  def update(
    self,
    weights: Weights,
    params: Sequence[tf.Tensor],
    grads: Sequence[tf.Tensor],
    state: State,
    prescribed_steps: Sequence[tf.Tensor] | None = None,
  ) -> Update:
    layout = Layout.of(params)
    grad = layout.flatten(grads)
    rms = self._mean_square(layout, grad, state)
    rnn, output = self._run_cells(
      weights, scaling.rms_scale(grad, rms), state["rnn"]
    )
    decay = tf.sigmoid(
      self._read_out(
        weights,
        "decay",
        output,
        self.learnable_decay,
        self.crnn_default_decay_var_init,
      )
    )
    learning_rate = state["learning_rate"] * (
      2.0
      * tf.sigmoid(
        self._read_out(
          weights, "learning_rate", output, self.dynamic_output_scale, 0.0
        )
      )
    )
    direction = tf.matmul(
      weights["LOL/update_weights"], output, transpose_a=True
    )
    steps = layout.unflatten(learning_rate * direction)
    moves = steps if prescribed_steps is None else prescribed_steps
    new_params = [p - move for p, move in zip(params, moves, strict=True)]
    new_state = {
      "decay": decay,
      "learning_rate": learning_rate,
      "rms": rms,
      "rnn": rnn,
    }
    return Update(new_params, new_params, steps, new_state)

  def _mean_square(self, layout, grad, state):
    # A mean square counts as not yet begun only where it is exactly zero for
    # the whole tensor, so that coordinates with zero gradient keep theirs.
    used = layout.sum(tf.cast(tf.not_equal(state["rms"], 0.0), grad.dtype))
    fresh = layout.spread(tf.cast(tf.equal(used, 0.0), grad.dtype)) > 0.5
    return scaling.mean_squared(grad, state["decay"], state["rms"], fresh)

  def _run_cells(self, weights, inputs, state):
    """The new states of all cells [S, N], and the last one's output."""
    heights = [self._cell_kind.parts * size for size in self.cell_sizes]
    new_states = []
    for i, old in enumerate(tf.split(state, heights, axis=0)):
      scope = f"LOL/{self._cell_scope(i)}"
      affines = [
        Affine(weights[f"{scope}{end}/kernel"], weights[f"{scope}{end}/bias"])
        for end, _, _ in self._cell_kind.affines
      ]
      new_states.append(self._cell_kind.cell(*affines)(inputs, old))
      inputs = new_states[-1][-self.cell_sizes[i] :]
    return tf.concat(new_states, axis=0), inputs

  def _read_out(self, weights, kind, output, learned, bias):
    """An affine map of the output to [1, N]; constant where not learned."""
    if learned:
      matrix = weights[f"LOL/{kind}_weights"]
      biases = weights[f"LOL/{kind}_bias"]
    else:
      # Zero weights rather than none, so that NaN passes as when learned.
      matrix = tf.zeros([self.cell_sizes[-1], 1], output.dtype)
      biases = tf.constant([bias], output.dtype)
    return Affine(matrix, biases)(output)


class CoordinatewiseRNN(RuleOptimizer):
  """The coordinatewise RNN as a TF1 optimizer; slots are `cRNN_<key>`."""

  def __init__(
    self,
    cell_sizes: Sequence[int],
    cell_cls: str | type = "LSTMCell",
    init_lr_range: tuple[float, float] = (1.0, 1.0),
    dynamic_output_scale: bool = True,
    learnable_decay: bool = True,
    zero_init_lr_weights: bool = False,
    random_seed: int | None = None,
    **kwargs,
  ):
    """Builds the optimizer and its `LOL/` variables in the current graph.

    Args:
      cell_sizes: number of units of each cell, bottom first.
      cell_cls: the name of the cells' class, or a class of such a name.
      init_lr_range: smallest and largest initial learning rate.
      dynamic_output_scale: learn how learning rates change.
      learnable_decay: learn the decay of mean squares.
      zero_init_lr_weights: start with zero learning-rate readout weights.
      random_seed: seed of every initial value, as an op seed of the graph.
      **kwargs: settings of `CoordinatewiseRNNRule` and `TrainableOptimizer`;
        others are ignored, so that one set of settings fits every optimizer.
    """
    args = (
      cell_sizes,
      getattr(cell_cls, "__name__", cell_cls),
      init_lr_range,
      dynamic_output_scale,
      learnable_decay,
      zero_init_lr_weights,
    )
    super().__init__(CoordinatewiseRNNRule, args, random_seed, kwargs)

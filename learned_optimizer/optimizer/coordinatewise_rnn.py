"""The coordinatewise RNN optimizer (compare arXiv 1606.04474).

One stack of RNN cells runs on every coordinate by itself. It sees the scaled
gradient and decides on the step, on the learning rate and on the decay of the
mean square that scales the next gradient.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from learned_optimizer.generators import Generator
from learned_optimizer.optimizer import columns, scaling
from learned_optimizer.optimizer.columns_rule import ColumnsRule
from learned_optimizer.optimizer.layout import Layout
from learned_optimizer.optimizer.rnn_cells import (
  LSTM,
  Affine,
  BasicRNN,
  BiasGRU,
  apply_together,
)
from learned_optimizer.optimizer.rule import (
  Draws,
  State,
  Update,
  Weights,
  WeightSpec,
  check_learning_rates,
  moved,
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
class CoordinatewiseRNNRule(ColumnsRule):
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
  keeps_unseen_rows = True

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
    # Rules are keys of what is compiled for them.
    object.__setattr__(self, "cell_sizes", tuple(sizes))
    object.__setattr__(self, "init_lr_range", tuple(self.init_lr_range))
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
    check_learning_rates(self.init_lr_range)

  @property
  def cell_kind(self) -> _CellKind:
    """The kind of the cells."""
    return _CELLS[self.cell_cls]

  @property
  def num_states(self) -> int:
    """S, the number of state rows of all cells together."""
    return self.cell_kind.parts * sum(self.cell_sizes)

  def weight_specs(self) -> Mapping[str, WeightSpec]:
    specs = {}
    units = self.cell_sizes[-1]

    constant = WeightSpec.constant
    std = self.crnn_rnn_readout_scale / math.sqrt(units)
    readout = WeightSpec.normal((units, 1), std)
    specs["update_weights"] = readout
    if self.learnable_decay:
      specs["decay_weights"] = readout
      specs["decay_bias"] = constant((1,), self.crnn_default_decay_var_init)
    if self.dynamic_output_scale:
      specs["learning_rate_weights"] = readout
      if self.zero_init_lr_weights:
        specs["learning_rate_weights"] = constant((units, 1), 0.0)
      specs["learning_rate_bias"] = constant((1,), 0.0)
    specs["init_vector"] = WeightSpec.uniform((1, self.num_states), 1.0)
    inputs = 1
    for i, units_here in enumerate(self.cell_sizes):
      for end, width, bias in self.cell_kind.affines:
        scope = f"{self.cell_scope(i)}{end}"
        rows, columns = inputs + units_here, width * units_here
        glorot = math.sqrt(6.0 / (rows + columns))
        kernel = WeightSpec.uniform((rows, columns), glorot)
        specs[f"{scope}/kernel"] = kernel
        specs[f"{scope}/bias"] = constant((columns,), bias)
      inputs = units_here
    return {f"LOL/{name}": spec for name, spec in specs.items()}

  def cell_scope(self, i: int) -> str:
    """The innermost common scope of the i-th cell's variables."""
    return f"multi_rnn_cell/cell_{i}/{self.cell_kind.scope}"

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
    ones = tf.ones([1, layout.num_columns], dtype)
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

  def update(
    self,
    weights: Weights,
    params: Sequence[tf.Tensor],
    grads: Sequence[tf.Tensor],
    state: State,
    prescribed_steps: Sequence[tf.Tensor] | None = None,
  ) -> Update:
    layout = Layout.of(params)
    new_state, _ = columns.apply(
      _CoordinateCell(self),
      layout,
      weights,
      {"fresh": scaling.is_fresh(state["rms"], layout)},
      state | {"grad": layout.flatten(grads)},
    )
    steps = layout.unflatten(new_state.pop("step"))
    new_params = moved(params, steps, prescribed_steps)
    return Update(new_params, new_params, steps, new_state)


@dataclasses.dataclass(frozen=True)
class _CoordinateCell:
  """The step of each coordinate, as `columns.apply` takes it.

  `per_tensor` has `fresh` [1, T]; `columns` has the gradient, `grad` [1, N],
  and the rule's state. It returns the new state and `step`; nothing is summed.
  """

  rule: CoordinatewiseRNNRule

  def __call__(self, shared, per_tensor, columns, spread):
    """See `columns.Cell`."""
    grad, decay = columns["grad"], columns["decay"]
    fresh = spread(per_tensor["fresh"])
    rms = scaling.mean_squared(grad, decay, columns["rms"], fresh)
    rnn, output = self._run_cells(
      shared, scaling.rms_scale(grad, rms), columns["rnn"]
    )
    outputs = self._read_out(shared, output)
    learning_rate = columns["learning_rate"] * (
      2.0 * tf.sigmoid(outputs["learning_rate"])
    )
    new_columns = {
      "decay": tf.sigmoid(outputs["decay"]),
      "learning_rate": learning_rate,
      "rms": rms,
      "rnn": rnn,
      "step": learning_rate * outputs["update"],
    }
    return new_columns, grad[:0]

  def _run_cells(self, weights, inputs, state):
    """The new states of all cells [S, N], and the last one's output."""
    rule = self.rule
    kind = rule.cell_kind
    heights = [kind.parts * size for size in rule.cell_sizes]
    new_states = []
    for i, old in enumerate(tf.split(state, heights, axis=0)):
      scope = f"LOL/{rule.cell_scope(i)}"
      affines = [
        Affine(weights[f"{scope}{end}/kernel"], weights[f"{scope}{end}/bias"])
        for end, _, _ in kind.affines
      ]
      new_states.append(kind.cell(*affines)(inputs, old))
      inputs = new_states[-1][-rule.cell_sizes[i] :]
    return tf.concat(new_states, axis=0), inputs

  def _read_out(self, weights, output):
    """All that is linear in the output of the stack, one row [1, N] each."""
    rule = self.rule
    constant = functools.partial(Affine.constant, output)
    maps = {
      "update": Affine(weights["LOL/update_weights"], constant(0.0).bias),
      "decay": constant(rule.crnn_default_decay_var_init),
      "learning_rate": constant(0.0),
    }
    if rule.learnable_decay:
      maps["decay"] = Affine.read_out(weights, "decay")
    if rule.dynamic_output_scale:
      maps["learning_rate"] = Affine.read_out(weights, "learning_rate")
    return apply_together(maps, output)


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
    super().__init__(
      CoordinatewiseRNNRule,
      cell_sizes=cell_sizes,
      cell_cls=getattr(cell_cls, "__name__", cell_cls),
      init_lr_range=init_lr_range,
      dynamic_output_scale=dynamic_output_scale,
      learnable_decay=learnable_decay,
      zero_init_lr_weights=zero_init_lr_weights,
      random_seed=random_seed,
      **kwargs,
    )

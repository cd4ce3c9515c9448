"""The hierarchical RNN optimizer (arXiv 1703.04813, sections 3 and 4).

Up to three levels of GRU cells: one state per coordinate (level 0), one per
parameter tensor (level 1) and one for the whole problem (level 2). Lower
levels report averages upwards; upper levels bias the gates of lower ones.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from learned_optimizer.generators import Generator
from learned_optimizer.optimizer import (
  columns,
  hierarchical_rnn_weights,
  scaling,
)
from learned_optimizer.optimizer.hierarchical_rnn_cell import (
  MIN_LOG_LR,
  CoordinateCell,
)
from learned_optimizer.optimizer.layout import Layout
from learned_optimizer.optimizer.rnn_cells import Affine, BiasGRU
from learned_optimizer.optimizer.rule import (
  Draws,
  Rule,
  Slots,
  State,
  Update,
  Weights,
  WeightSpec,
  check_learning_rates,
  moved,
)
from learned_optimizer.optimizer.rule_optimizer import RuleOptimizer


@dataclasses.dataclass(frozen=True)
class HierarchicalRNNRule(Rule):
  """The update rule of the hierarchical RNN.

  The state is a dictionary of matrices with one column per coordinate
  (N columns), per tensor (T) or for the problem (P; 1, unless it is for
  several instances, see `instances`):
  `hidden` [level_sizes[0], N], `layer` [level_sizes[1], T], `global`
  [level_sizes[2], P], `grad_accum` and `ms` [num_gradient_scales, N],
  `scl_decay`, `inp_decay`, `log_learning_rate` and `true_param` [1, N]. Parts
  that the settings do not call for are absent.

  Attributes:
    level_sizes: number of units of one, two or three levels, lowest first.
    init_lr_range: smallest and largest initial learning rate.
    learnable_decay: learn the decays of gradient scales and averages.
    dynamic_output_scale: learn a learning rate per coordinate and bring the
      update of each tensor to root mean square 1 before applying it.
    use_attention: take gradients at a learned point beside the parameters.
    num_gradient_scales: number of momentum time scales.
    zero_init_lr_weights: start with zero learning-rate readout weights.
    use_log_means_squared: input the relative log mean squares.
    use_relative_lr: input the log learning rate relative to its mean.
    use_extreme_indicator: input how far the learning rate is out of 1e-6..1.
    max_log_lr: upper limit of the log learning rate; the lower one is -33.
    use_problem_lr_mean: that mean is over the problem, not over the tensor.
    use_gradient_shortcut: add a linear map of the scaled gradients.
    use_lr_shortcut: input the log learning rate relative to 1e-3.
    use_grad_products: input products of gradients at adjacent scales.
    use_multiple_scale_decays: one decay of mean squares per scale.
    learnable_inp_decay: learn the decays of gradient scales.
    learnable_rnn_init: learn the initial RNN states, else draw them.
    biasgrucell_scale: scale of the initial GRU matrices.
    biasgrucell_gate_bias_init: initial bias of the GRU gates.
    hrnn_rnn_readout_scale: scale of the initial readout weights.
    hrnn_default_decay_var_init: initial bias of the input decay.
    scale_decay_bias_init: initial bias of the decay of mean squares.
    learning_rate_momentum_logit_init: initial logit of the memory of the
      learning rate.
    hrnn_affine_scale: scale of the initial matrices between levels.
    use_mean_layer_state: report the mean over tensors to level 2, as in the
      paper, instead of the last tensor's state, as in the original code.

  Raises:
    ValueError: if a setting is out of range or two do not fit together.
  """

  name = "hRNN"
  num_instances = 1

  level_sizes: Sequence[int]
  init_lr_range: tuple[float, float] = (1e-6, 1e-2)
  learnable_decay: bool = True
  dynamic_output_scale: bool = True
  use_attention: bool = False
  num_gradient_scales: int = 4
  zero_init_lr_weights: bool = True
  use_log_means_squared: bool = True
  use_relative_lr: bool = True
  use_extreme_indicator: bool = False
  max_log_lr: float = 33.0
  use_problem_lr_mean: bool = False
  use_gradient_shortcut: bool = False
  use_lr_shortcut: bool = False
  use_grad_products: bool = False
  use_multiple_scale_decays: bool = False
  learnable_inp_decay: bool = True
  learnable_rnn_init: bool = True
  biasgrucell_scale: float = 0.5
  biasgrucell_gate_bias_init: float = 2.2
  hrnn_rnn_readout_scale: float = 0.5
  hrnn_default_decay_var_init: float = 2.2
  scale_decay_bias_init: float = 3.2
  learning_rate_momentum_logit_init: float = 3.2
  hrnn_affine_scale: float = 0.5
  use_mean_layer_state: bool = False

  def __post_init__(self):
    sizes = list(self.level_sizes)
    # Rules are keys of what is compiled for them.
    object.__setattr__(self, "level_sizes", tuple(sizes))
    object.__setattr__(self, "init_lr_range", tuple(self.init_lr_range))
    if not 1 <= len(sizes) <= 3 or not all(
      isinstance(size, int) and size > 0 for size in sizes
    ):
      raise ValueError(
        f"level_sizes is {sizes}; one to three positive integers are accepted."
      )
    check_learning_rates(self.init_lr_range)
    if self.num_gradient_scales < 1:
      raise ValueError(
        f"num_gradient_scales is {self.num_gradient_scales}; a positive"
        " integer is accepted."
      )
    for setting in (
      "use_relative_lr",
      "use_extreme_indicator",
      "use_lr_shortcut",
    ):
      if getattr(self, setting) and not self.dynamic_output_scale:
        raise ValueError(
          f"{setting} is True, which needs dynamic_output_scale=True."
        )

  @property
  def num_levels(self) -> int:
    """Number of levels, 1 to 3."""
    return len(self.level_sizes)

  @property
  def num_features(self) -> int:
    """Number of input features per coordinate."""
    scales = self.num_gradient_scales
    return (
      scales
      + (scales - 1) * self.use_grad_products
      + scales * self.use_log_means_squared
      + self.use_relative_lr
      + self.use_extreme_indicator
      + self.use_lr_shortcut
    )

  @property
  def num_reported_features(self) -> int:
    """How many of them level 1 sees: none where all are scaled gradients."""
    plain = self.num_features == self.num_gradient_scales
    return 0 if plain else self.num_features

  @property
  def learns_input_decay(self) -> bool:
    """Whether the decays of gradient scales are learned."""
    return (
      self.learnable_decay
      and self.learnable_inp_decay
      and self.num_gradient_scales > 1
    )

  @property
  def directions(self) -> tuple[str, ...]:
    """What is read out to move: steps, and with attention looks."""
    return ("step", "look") if self.use_attention else ("step",)

  def weight_specs(self) -> Mapping[str, WeightSpec]:
    return hierarchical_rnn_weights.weight_specs(self)

  def draws(self, params: Sequence[Any], generator: Generator) -> Draws:
    draws = {}
    low, high = (0.5 * math.log(lr) for lr in self.init_lr_range)
    if self.dynamic_output_scale and low < high:
      # Each is half of the range on the log scale; their sum spans it.
      draws["coordinates"] = [
        generator.uniform(low, high, tuple(param.shape)) for param in params
      ]
      draws["tensors"] = [generator.uniform(low, high, ()) for _ in params]
    if not self.learnable_rnn_init:
      draws["init_vectors"] = [
        generator.uniform(-1.0, 1.0, (1, size)) for size in self.level_sizes
      ]
    return draws

  def init_state(
    self, weights: Weights, params: Sequence[tf.Tensor], draws: Draws
  ) -> State:
    layout = self._layout(params)
    dtype = params[0].dtype
    num_columns = layout.num_columns
    row = tf.zeros([1, num_columns], dtype)
    scales = tf.zeros([self.num_gradient_scales, num_columns], dtype)
    vectors = [
      self._init_vectors(weights, draws, level, dtype)
      for level in range(self.num_levels)
    ]
    hidden = vectors[0]
    if self.num_instances > 1:
      hidden = layout.spread(layout.repeat_over_tensors(hidden))
    state = {
      "hidden": hidden + row,
      "grad_accum": scales,
      "ms": scales,
      "scl_decay": row,
      "inp_decay": row,
    }
    if self.num_levels > 1:
      state["layer"] = layout.repeat_over_tensors(vectors[1])
    if self.num_levels > 2:
      state["global"] = vectors[2]
    if self.dynamic_output_scale:
      log_lr = row + math.log(self.init_lr_range[0])
      if "coordinates" in draws:
        log_lr = layout.flatten(
          [
            _add_to_first_axis(
              tf.cast(coordinates, dtype), tf.cast(tensor, dtype)
            )
            for coordinates, tensor in zip(
              draws["coordinates"], draws["tensors"], strict=True
            )
          ]
        )
      state["log_learning_rate"] = tf.clip_by_value(
        log_lr, MIN_LOG_LR, self.max_log_lr
      )
    if self.use_attention:
      state["true_param"] = layout.flatten(params)
    return state

  def _layout(self, params):
    return Layout.of(params, num_instances=self.num_instances)

  def _init_vectors(self, weights, draws, level, dtype):
    """The initial states of a level, [units, P]."""
    if self.learnable_rnn_init:
      vectors = weights[f"LOL/Level{level}_RNN/init_vector"]
      vectors = tf.repeat(vectors, self.num_instances, axis=0)
    else:
      vectors = tf.cast(draws["init_vectors"][level], dtype)
      # With an axis of 1 behind that of the instances, if any.
      vectors = tf.reshape(vectors, [self.num_instances, -1])
    return tf.transpose(vectors)

  def slot_keys(self) -> list[str]:
    scales = range(1, self.num_gradient_scales + 1)
    keys = ["inp_decay", "parameter", "scl_decay", "true_param"]
    keys += [f"grad_accum{i}" for i in scales] + [f"ms{i}" for i in scales]
    keys += ["layer"] * (self.num_levels > 1)
    keys += ["log_learning_rate"] * self.dynamic_output_scale
    return sorted(keys)

  def to_slots(self, state: State, params: Sequence[tf.Tensor]) -> Slots:
    layout = self._layout(params)
    rows = {"parameter": state["hidden"]}
    for i in range(self.num_gradient_scales):
      rows[f"grad_accum{i + 1}"] = state["grad_accum"][i : i + 1]
      rows[f"ms{i + 1}"] = state["ms"][i : i + 1]
    for key in ("scl_decay", "inp_decay", "log_learning_rate"):
      if key in state:
        rows[key] = state[key]
    per_tensor = layout.to_slots(rows)
    truths = params
    if self.use_attention:
      truths = layout.unflatten(state["true_param"])
    for i, (slots, truth) in enumerate(zip(per_tensor, truths, strict=True)):
      slots["true_param"] = tf.identity(truth)
      if self.num_levels > 1:
        first = i * self.num_instances
        layers = state["layer"][:, first : first + self.num_instances]
        slots["layer"] = tf.transpose(layers)
    global_state = []
    if self.num_levels > 2:
      global_state = [tf.transpose(state["global"])]
    return Slots(per_tensor, global_state)

  def from_slots(self, slots: Slots, params: Sequence[tf.Tensor]) -> State:
    layout = self._layout(params)
    apart = ("layer", "true_param")
    keys = [key for key in self.slot_keys() if key not in apart]
    state = layout.from_slots(slots.per_tensor, keys)
    state["hidden"] = state.pop("parameter")
    for name in ("grad_accum", "ms"):
      scales = [
        state.pop(f"{name}{i + 1}") for i in range(self.num_gradient_scales)
      ]
      state[name] = tf.concat(scales, axis=0)
    if self.num_levels > 1:
      layers = [tf.transpose(tensor["layer"]) for tensor in slots.per_tensor]
      state["layer"] = tf.concat(layers, axis=1)
    if self.num_levels > 2:
      state["global"] = tf.transpose(slots.global_state[0])
    if self.use_attention:
      state["true_param"] = layout.flatten(
        [tensor["true_param"] for tensor in slots.per_tensor]
      )
    return state

  def update(
    self,
    weights: Weights,
    params: Sequence[tf.Tensor],
    grads: Sequence[tf.Tensor],
    state: State,
    prescribed_steps: Sequence[tf.Tensor] | None = None,
  ) -> Update:
    layout = self._layout(params)
    new_state, sums = self._update_coordinates(
      weights, layout, layout.flatten(grads), state
    )
    rows = {kind: new_state.pop(kind) for kind in self.directions}
    means = layout.mean_of_sum(sums)
    num_reported = sums.shape[0]
    if self.dynamic_output_scale:
      num_reported -= len(self.directions)
    reports, squares = means[:num_reported], means[num_reported:]
    new_state |= self._update_upper_levels(weights, layout, reports, state)
    if self.dynamic_output_scale:
      norms = layout.spread(tf.sqrt(squares + 1e-16))
      for i, kind in enumerate(self.directions):
        rows[kind] /= norms[i : i + 1]

    steps = layout.unflatten(rows["step"])
    truths = params
    if self.use_attention:
      truths = layout.unflatten(state["true_param"])
    new_params = moved(truths, steps, prescribed_steps)
    attended = new_params
    if self.use_attention:
      new_state["true_param"] = layout.flatten(new_params)
      looks = layout.unflatten(rows["look"])
      attended = [t - look for t, look in zip(truths, looks, strict=True)]
    return Update(new_params, attended, steps, new_state)

  def _update_coordinates(self, weights, layout, grad, state):
    """Level 0: what `CoordinateCell` returns, and its sums over tensors."""
    apart = ("layer", "global", "true_param")
    of_coordinates = {key: state[key] for key in state if key not in apart}
    per_tensor = {"fresh": scaling.is_fresh(state["ms"], layout)}
    shared = dict(weights)
    if self.num_levels > 1:
      layer0 = "PerTensor/Layer0_RNN"
      bias = Affine.of(weights, f"{layer0}/Param")(state["layer"])
      if self.num_levels > 2:
        bias = layout.add_to_tensors(
          bias, Affine.of(weights, f"{layer0}/Global")(state["global"])
        )
      per_tensor["bias"] = bias
    if self.use_relative_lr:
      log_lr = state["log_learning_rate"]
      if not self.use_problem_lr_mean:
        per_tensor["mean_log_lr"] = layout.mean(log_lr)
      elif self.num_instances == 1:
        shared["mean_log_lr"] = layout.mean_of_all(log_lr)
      else:
        per_tensor["mean_log_lr"] = layout.repeat_over_tensors(
          layout.mean_of_all(log_lr)
        )
    return columns.apply(
      CoordinateCell(self),
      layout,
      shared,
      per_tensor,
      of_coordinates | {"grad": grad},
    )

  def _update_upper_levels(self, weights, layout, reports, state):
    """Levels 1 and 2; every level sees the old states above it."""
    new_state = {}
    if self.num_levels > 1:
      layer1 = "PerTensor/Layer1_RNN"
      bias = None
      if self.num_levels > 2:
        bias = layout.repeat_over_tensors(
          Affine.of(weights, layer1)(state["global"])
        )
      layer = BiasGRU.of(weights, layer1)(reports, state["layer"], bias)
      new_state["layer"] = layer
    if self.num_levels > 2:
      # The original reports the last tensor alone where the paper has the
      # mean over tensors; trained optimizers depend on it.
      report = layout.of_last_tensors(layer)
      if self.use_mean_layer_state:
        report = layout.mean_over_tensors(layer)
      new_state["global"] = BiasGRU.of(weights, "Layer2_RNN")(
        report, state["global"]
      )
    return new_state


def _add_to_first_axis(tensor, addend):
  """Adds a number for each instance along the first axis, or just one."""
  shape = addend.shape + [1] * (tensor.shape.rank - addend.shape.rank)
  return tensor + tf.reshape(addend, shape)


class HierarchicalRNN(RuleOptimizer):
  """The hierarchical RNN as a TF1 optimizer; slots are `hRNN_<key>`."""

  def __init__(
    self,
    level_sizes: Sequence[int],
    init_lr_range: tuple[float, float] = (1e-6, 1e-2),
    learnable_decay: bool = True,
    dynamic_output_scale: bool = True,
    use_attention: bool = False,
    use_log_objective: bool = True,
    num_gradient_scales: int = 4,
    zero_init_lr_weights: bool = True,
    use_log_means_squared: bool = True,
    use_relative_lr: bool = True,
    use_extreme_indicator: bool = False,
    max_log_lr: float = 33.0,
    obj_train_max_multiplier: float = -1,
    use_problem_lr_mean: bool = False,
    use_gradient_shortcut: bool = False,
    use_lr_shortcut: bool = False,
    use_grad_products: bool = False,
    use_multiple_scale_decays: bool = False,
    learnable_inp_decay: bool = True,
    learnable_rnn_init: bool = True,
    random_seed: int | None = None,
    **kwargs,
  ):
    """Builds the optimizer and its `LOL/` variables in the current graph.

    The arguments are those of the original, in its order. They are settings
    of `HierarchicalRNNRule` and of `TrainableOptimizer`; `random_seed` is the
    op seed of every initial value. `kwargs` are further settings of the rule
    and of `RuleOptimizer`; others are ignored, so that one set of settings
    fits every optimizer.
    """
    settings = dict(locals())
    for name in ("self", "kwargs", "__class__"):
      del settings[name]
    super().__init__(HierarchicalRNNRule, **settings, **kwargs)

"""What the hierarchical RNN does with each coordinate (level 0)."""

import dataclasses
import functools
import math
from typing import TYPE_CHECKING

import tensorflow as tf

from learned_optimizer.optimizer import scaling
from learned_optimizer.optimizer.rnn_cells import (
  Affine,
  BiasGRU,
  apply_together,
)

if TYPE_CHECKING:
  from learned_optimizer.optimizer.hierarchical_rnn import HierarchicalRNNRule

MIN_LOG_LR = -33.0
# Logits of the decays that hold where they are not learned.
_SCALE_DECAY_LOGIT = math.log(0.93 / 0.07)
_INPUT_DECAY_LOGIT = math.log(0.89 / 0.11)


@dataclasses.dataclass(frozen=True)
class CoordinateCell:
  """The cell of level 0, as `columns.apply` takes it.

  `shared` has the learned weights and, with `use_problem_lr_mean`,
  `mean_log_lr` [1, 1]. `per_tensor` has `fresh` [num_gradient_scales, T], with
  more than one level `bias` [3 * level_sizes[0], T], and with `use_relative_lr`
  otherwise `mean_log_lr` [1, T]. `columns` has the gradient, `grad` [1, N], and
  the parts of the rule's state that have one column per coordinate.

  It returns those parts, and `step` and, with attention, `look`: steps before
  they are divided by the root mean square of the directions of their tensor.
  What level 1 sees is to be summed, if there is one, and so are the squares of
  the directions, if their mean is wanted.
  """

  rule: "HierarchicalRNNRule"

  def __call__(self, shared, per_tensor, columns, spread):
    """See `columns.Cell`."""
    rule = self.rule
    fresh = spread(per_tensor["fresh"])
    grad_accum, ms = self._average_gradient(columns, fresh)
    scaled = scaling.rms_scale(grad_accum, ms)
    mean_log_lr = shared.get("mean_log_lr")
    if "mean_log_lr" in per_tensor:
      mean_log_lr = spread(per_tensor["mean_log_lr"])
    features = self._features(columns, scaled, ms, mean_log_lr)
    hidden = BiasGRU.of(shared, "PerTensor/Layer0_RNN")(
      features,
      columns["hidden"],
      spread(per_tensor["bias"]) if "bias" in per_tensor else None,
    )
    new = {"hidden": hidden, "grad_accum": grad_accum, "ms": ms}
    summands = []
    if rule.num_levels > 1:
      summands.append(hidden)
      if rule.num_reported_features:
        summands.append(features)
    outputs = self._read_out(shared, hidden)
    new |= {
      "scl_decay": tf.sigmoid(outputs["scl_decay"]),
      "inp_decay": tf.sigmoid(outputs["inp_decay"]),
    }
    rates = {"step": 1.0, "look": 1.0}
    if rule.dynamic_output_scale:
      log_lr, new["log_learning_rate"] = self._log_learning_rates(
        shared, columns["log_learning_rate"], outputs["learning_rate"]
      )
      offset = shared["LOL/PerTensor/param_stepsize_offset"]
      rates = {"step": tf.exp(log_lr + offset), "look": tf.exp(log_lr)}
    shortcuts = {"step": "GradsToDelta", "look": "GradsToAttnDelta"}
    for kind in rule.directions:
      direction = outputs[kind]
      if rule.use_gradient_shortcut:
        matrix = shared[f"LOL/PerTensor/{shortcuts[kind]}/Matrix"]
        direction += tf.matmul(matrix, scaled, transpose_a=True)
      if rule.dynamic_output_scale:
        summands.append(tf.square(direction))
      new[kind] = rates[kind] * direction
    return new, tf.concat(summands or [hidden[:0]], axis=0)

  def _average_gradient(self, columns, fresh):
    """Momentum and mean square at every time scale, both [scales, N]."""
    rule = self.rule
    grad_accum = columns["grad"]
    if rule.num_gradient_scales > 1:
      decays = self._decay_cascade(columns["inp_decay"])
      grad_accum = grad_accum * (1.0 - decays) + columns["grad_accum"] * decays
    scale_decays = columns["scl_decay"]
    if rule.use_multiple_scale_decays:
      scale_decays = self._decay_cascade(scale_decays)
    ms = scaling.mean_squared(grad_accum, scale_decays, columns["ms"], fresh)
    return grad_accum, ms

  def _decay_cascade(self, decay):
    """[1, N] to [scales, N]: each time scale decays at half the log rate."""
    decays = [decay]
    for _ in range(self.rule.num_gradient_scales - 1):
      decays.append(tf.sqrt(decays[-1]))
    return tf.concat(decays, axis=0)

  def _features(self, columns, scaled, ms, mean_log_lr):
    """The inputs of level 0, [num_features, N]."""
    rule = self.rule
    log_lr = columns.get("log_learning_rate")
    features = [scaled]
    if rule.use_grad_products and rule.num_gradient_scales > 1:
      features.append(scaled[:-1] * scaled[1:])
    if rule.use_log_means_squared:
      log_ms = tf.math.log(ms + 1e-16)
      features.append(log_ms - tf.reduce_mean(log_ms, axis=0, keepdims=True))
    if rule.use_relative_lr:
      features.append(log_lr - mean_log_lr)
    if rule.use_extreme_indicator:
      features.append(
        tf.nn.relu(log_lr - math.log(1.0)) - tf.nn.relu(math.log(1e-6) - log_lr)
      )
    if rule.use_lr_shortcut:
      features.append(log_lr - math.log(1e-3))
    return tf.concat(features, axis=0)

  def _read_out(self, weights, hidden):
    """All that is linear in the hidden states, one row [1, N] each."""
    rule = self.rule
    constant = functools.partial(Affine.constant, hidden)
    maps = {
      "scl_decay": constant(_SCALE_DECAY_LOGIT),
      "inp_decay": constant(_INPUT_DECAY_LOGIT),
    }
    learned = ["scl_decay"] * rule.learnable_decay
    learned += ["inp_decay"] * rule.learns_input_decay
    learned += ["learning_rate"] * rule.dynamic_output_scale
    maps |= {kind: Affine.read_out(weights, kind) for kind in learned}
    names = {"step": "update_weights", "look": "attention_weights"}
    for kind in rule.directions:
      matrix = weights[f"LOL/{names[kind]}"]
      maps[kind] = Affine(matrix, constant(0.0).bias)
    return apply_together(maps, hidden)

  def _log_learning_rates(self, weights, old, change):
    """The log learning rate of this step, and what the state keeps of it."""
    log_lr = old + change
    clipped = tf.clip_by_value(log_lr, MIN_LOG_LR, self.rule.max_log_lr)
    # Clipped straight-through.
    log_lr += tf.stop_gradient(clipped - log_lr)
    # A running mean is kept, although the step is undamped.
    memory = tf.sigmoid(weights["LOL/PerTensor/learning_rate_momentum_logit"])
    return log_lr, memory * old + (1.0 - memory) * log_lr

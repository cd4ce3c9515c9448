"""The learned weights of the hierarchical RNN, in their order of creation."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from learned_optimizer.optimizer.rule import WeightSpec

if TYPE_CHECKING:
  from learned_optimizer.optimizer.hierarchical_rnn import HierarchicalRNNRule


def weight_specs(rule: "HierarchicalRNNRule") -> Mapping[str, WeightSpec]:
  """The weights that a rule of these settings has."""
  specs = {}
  sizes = rule.level_sizes
  scales = rule.num_gradient_scales
  readout_std = rule.hrnn_rnn_readout_scale / math.sqrt(sizes[0])

  def constant(name, shape, value):
    specs[f"LOL/{name}"] = WeightSpec.constant(shape, value)

  def normal(name, shape, std, mean=0.0):
    specs[f"LOL/{name}"] = WeightSpec.normal(shape, std, mean)

  def affine(name, inputs, outputs, scale, bias=0.0):
    normal(f"{name}/Matrix", (inputs, outputs), scale / math.sqrt(inputs))
    constant(f"{name}/Bias", (outputs,), bias)

  def gru(name, inputs, units):
    scale = rule.biasgrucell_scale
    affine(
      f"{name}/BiasGRUCell/gates/Affine",
      inputs + units,
      2 * units,
      scale,
      rule.biasgrucell_gate_bias_init,
    )
    affine(f"{name}/BiasGRUCell/candidate/Affine", inputs + units, units, scale)

  if rule.learnable_rnn_init:
    for level, size in enumerate(sizes):
      vector = WeightSpec.uniform((1, size), 1.0)
      specs[f"LOL/Level{level}_RNN/init_vector"] = vector
  readout = (sizes[0], 1)
  normal("update_weights", readout, readout_std)
  if rule.use_attention:
    specs["LOL/attention_weights"] = WeightSpec(
      readout, None, copy_of="LOL/update_weights"
    )
  if rule.learnable_decay:
    normal("scl_decay_weights", readout, readout_std)
    constant("scl_decay_bias", (1,), rule.scale_decay_bias_init)
  if rule.learns_input_decay:
    normal("inp_decay_weights", readout, readout_std)
    constant("inp_decay_bias", (1,), rule.hrnn_default_decay_var_init)
  if rule.dynamic_output_scale:
    if rule.zero_init_lr_weights:
      constant("learning_rate_weights", readout, 0.0)
    else:
      normal("learning_rate_weights", readout, readout_std)
    constant("learning_rate_bias", (1,), 0.0)
  layer0, layer1 = "PerTensor/Layer0_RNN", "PerTensor/Layer1_RNN"
  between = rule.hrnn_affine_scale
  if rule.num_levels > 1:
    affine(f"{layer0}/Param/Affine", sizes[1], 3 * sizes[0], between)
  if rule.num_levels > 2:
    affine(f"{layer0}/Global/Affine", sizes[2], 3 * sizes[0], between)
  gru(layer0, rule.num_features, sizes[0])
  if rule.num_levels > 2:
    affine(f"{layer1}/Affine", sizes[2], 3 * sizes[1], between)
  if rule.num_levels > 1:
    gru(layer1, sizes[0] + rule.num_reported_features, sizes[1])
  if rule.use_gradient_shortcut:
    shortcuts = ["GradsToDelta"]
    shortcuts += ["GradsToAttnDelta"] * rule.use_attention
    for shortcut in shortcuts:
      std = 0.1 / math.sqrt(scales)
      normal(f"PerTensor/{shortcut}/Matrix", (scales, 1), std, 1.0 / scales)
  if rule.dynamic_output_scale:
    constant(
      "PerTensor/learning_rate_momentum_logit",
      (),
      rule.learning_rate_momentum_logit_init,
    )
    constant("PerTensor/param_stepsize_offset", (), -1.0)
  if rule.num_levels > 2:
    gru("Layer2_RNN", sizes[1], sizes[2])
  return specs

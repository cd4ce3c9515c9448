"""Every rule keeps the contract, in the settings that change its shapes."""

import math

from learned_optimizer.optimizer.hierarchical_rnn import (
  HierarchicalRNN,
  HierarchicalRNNRule,
)
from tests.optimizer.rule_contract import RuleContract

_METARUN = dict(
  level_sizes=[4, 5, 6],
  use_problem_lr_mean=True,
  use_gradient_shortcut=True,
  use_grad_products=True,
)


class HierarchicalRNNContract(RuleContract):
  """The contract of one set of settings."""

  settings = _METARUN
  # The tests of parity and of variants compile unrolls.
  compiles_unroll = False

  def make_rule(self):
    return HierarchicalRNNRule(**self.settings)

  def make_optimizer(self):
    return HierarchicalRNN(**self.settings)

  @property
  def attends(self):
    return self.settings.get("use_attention", False)

  def slot_shapes(self, shape):
    sizes = self.settings["level_sizes"]
    num_coordinates = math.prod(shape)
    column = (num_coordinates, 1)
    shapes = {
      "parameter": (num_coordinates, sizes[0]),
      "scl_decay": column,
      "inp_decay": column,
      "true_param": shape,
    }
    for i in range(self.settings.get("num_gradient_scales", 4)):
      shapes[f"grad_accum{i + 1}"] = shapes[f"ms{i + 1}"] = column
    if len(sizes) > 1:
      shapes["layer"] = (1, sizes[1])
    if self.settings.get("dynamic_output_scale", True):
      shapes["log_learning_rate"] = column
    return shapes

  def global_shapes(self):
    return [(1, size) for size in self.settings["level_sizes"][2:]]


class TestMetarunDefaults(HierarchicalRNNContract):
  pass


class TestOneLevel(HierarchicalRNNContract):
  settings = dict(_METARUN, level_sizes=[4])


class TestTwoLevels(HierarchicalRNNContract):
  settings = dict(_METARUN, level_sizes=[4, 5], use_problem_lr_mean=False)


class TestEverythingOn(HierarchicalRNNContract):
  settings = dict(
    _METARUN,
    use_attention=True,
    use_extreme_indicator=True,
    use_lr_shortcut=True,
    use_multiple_scale_decays=True,
    zero_init_lr_weights=False,
    learnable_rnn_init=False,
  )


class TestOneGradientScale(HierarchicalRNNContract):
  settings = dict(_METARUN, num_gradient_scales=1)


class TestFixedLearningRateAndDecays(HierarchicalRNNContract):
  settings = dict(
    _METARUN,
    dynamic_output_scale=False,
    use_relative_lr=False,
    learnable_decay=False,
  )

"""Every rule of the package, for tests that all of them have to pass."""

from learned_optimizer.optimizer.baselines import (
  AdagradRule,
  AdamRule,
  MomentumRule,
  NesterovRule,
  RMSPropRule,
  SGDRule,
)
from learned_optimizer.optimizer.coordinatewise_rnn import CoordinatewiseRNNRule
from learned_optimizer.optimizer.global_learning_rate import (
  GlobalLearningRateRule,
)
from learned_optimizer.optimizer.hierarchical_rnn import HierarchicalRNNRule
from learned_optimizer.optimizer.l2o_dm import L2ODMRule
from learned_optimizer.optimizer.learning_rate_schedule import (
  LearningRateScheduleRule,
)
from learned_optimizer.optimizer.rnnprop import RNNPropRule
from learned_optimizer.optimizer.teachers import RandomChoice
from learned_optimizer.optimizer.trainable_adam import TrainableAdamRule

_METARUN = dict(
  level_sizes=[4, 5, 6],
  init_lr_range=(1e-4, 1e-2),
  zero_init_lr_weights=False,
  use_problem_lr_mean=True,
  use_gradient_shortcut=True,
  use_grad_products=True,
)
_COORDINATEWISE = dict(cell_sizes=[4, 3], init_lr_range=(1e-4, 1e-2))

RULES = {
  "hierarchical": HierarchicalRNNRule(**_METARUN),
  "hierarchical-attention": HierarchicalRNNRule(**_METARUN, use_attention=True),
  "coordinatewise-lstm": CoordinatewiseRNNRule(**_COORDINATEWISE),
  "coordinatewise-gru": CoordinatewiseRNNRule(
    **_COORDINATEWISE, cell_cls="GRUCell"
  ),
  "trainable-adam": TrainableAdamRule(learning_rate=0.01),
  "trainable-adam-faithful": TrainableAdamRule(
    learning_rate=1e-9, faithful_second_moment=True
  ),
  "global-learning-rate": GlobalLearningRateRule(1e-3),
  "learning-rate-schedule": LearningRateScheduleRule([1e-3, 1e-4], 3),
  "l2o-dm": L2ODMRule([4, 3]),
  "rnnprop": RNNPropRule([4, 3]),
  "sgd": SGDRule(),
  "momentum": MomentumRule(),
  "nesterov": NesterovRule(),
  "rmsprop": RMSPropRule(),
  "adagrad": AdagradRule(),
  "adam": AdamRule(),
  "random-choice": RandomChoice([AdamRule(), NesterovRule()]),
}

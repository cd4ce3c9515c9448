"""The TF1 optimizers by name."""

from learned_optimizer.optimizer.coordinatewise_rnn import CoordinatewiseRNN
from learned_optimizer.optimizer.global_learning_rate import GlobalLearningRate
from learned_optimizer.optimizer.hierarchical_rnn import HierarchicalRNN
from learned_optimizer.optimizer.l2o_dm import L2ODM
from learned_optimizer.optimizer.learning_rate_schedule import (
  LearningRateSchedule,
)
from learned_optimizer.optimizer.rnnprop import RNNProp
from learned_optimizer.optimizer.rule_optimizer import RuleOptimizer
from learned_optimizer.optimizer.trainable_adam import TrainableAdam

_OPTIMIZERS: dict[str, type[RuleOptimizer]] = {
  optimizer.__name__: optimizer
  for optimizer in (
    HierarchicalRNN,
    CoordinatewiseRNN,
    GlobalLearningRate,
    LearningRateSchedule,
    TrainableAdam,
    L2ODM,
    RNNProp,
  )
}


def by_name(name: str) -> type[RuleOptimizer]:
  """The class of this name.

  Raises:
    ValueError: there is none.
  """
  if name not in _OPTIMIZERS:
    raise ValueError(
      f"optimizer is {name!r}; one of {', '.join(_OPTIMIZERS)} is accepted."
    )
  return _OPTIMIZERS[name]

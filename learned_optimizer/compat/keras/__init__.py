"""Learned optimizers for Keras 3, with the TensorFlow backend.

Each is a `keras.optimizers.Optimizer`: it goes into `model.compile`, and is
saved and loaded with the model.
"""

from learned_optimizer.compat.keras.optimizers import (
  L2ODM as L2ODM,
)
from learned_optimizer.compat.keras.optimizers import (
  CoordinatewiseRNN as CoordinatewiseRNN,
)
from learned_optimizer.compat.keras.optimizers import (
  GlobalLearningRate as GlobalLearningRate,
)
from learned_optimizer.compat.keras.optimizers import (
  HierarchicalRNN as HierarchicalRNN,
)
from learned_optimizer.compat.keras.optimizers import (
  LearnedOptimizer as LearnedOptimizer,
)
from learned_optimizer.compat.keras.optimizers import (
  LearningRateSchedule as LearningRateSchedule,
)
from learned_optimizer.compat.keras.optimizers import (
  RNNProp as RNNProp,
)
from learned_optimizer.compat.keras.optimizers import (
  TrainableAdam as TrainableAdam,
)
from learned_optimizer.compat.keras.optimizers import (
  from_learned as from_learned,
)

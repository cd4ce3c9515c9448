"""Learned optimizers for legacy Keras, the package tf_keras.

The twin of `learned_optimizer.compat.keras`: each is a
`tf_keras.optimizers.Optimizer`. Nothing else imports this package.
"""

try:
  import tf_keras as _tf_keras  # noqa: F401
except ModuleNotFoundError as error:
  raise ImportError(
    "learned_optimizer.compat.tf_keras needs legacy Keras, which"
    " `pip install tf_keras==2.21.*` installs."
  ) from error

from learned_optimizer.compat.tf_keras.optimizers import (
  L2ODM as L2ODM,
)
from learned_optimizer.compat.tf_keras.optimizers import (
  CoordinatewiseRNN as CoordinatewiseRNN,
)
from learned_optimizer.compat.tf_keras.optimizers import (
  GlobalLearningRate as GlobalLearningRate,
)
from learned_optimizer.compat.tf_keras.optimizers import (
  HierarchicalRNN as HierarchicalRNN,
)
from learned_optimizer.compat.tf_keras.optimizers import (
  LearnedOptimizer as LearnedOptimizer,
)
from learned_optimizer.compat.tf_keras.optimizers import (
  LearningRateSchedule as LearningRateSchedule,
)
from learned_optimizer.compat.tf_keras.optimizers import (
  RNNProp as RNNProp,
)
from learned_optimizer.compat.tf_keras.optimizers import (
  TrainableAdam as TrainableAdam,
)
from learned_optimizer.compat.tf_keras.optimizers import (
  from_learned as from_learned,
)
from learned_optimizer.compat.tf_keras.optimizers import (
  load as load,
)

"""Meta-training and evaluation of learned optimizers."""

from learned_optimizer.metaopt.errors import RunError as RunError
from learned_optimizer.metaopt.schedule import sample_numiter as sample_numiter
from learned_optimizer.metaopt.schedule import (
  sigmoid_weights as sigmoid_weights,
)
from learned_optimizer.metaopt.testing import (
  run_wall_clock_test as run_wall_clock_test,
)
from learned_optimizer.metaopt.testing import test_optimizer as test_optimizer
from learned_optimizer.metaopt.training import (
  train_optimizer as train_optimizer,
)

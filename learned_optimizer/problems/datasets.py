"""All data sets, under the module path of the original code."""

from learned_optimizer.problems.dataset import EMPTY_DATASET as EMPTY_DATASET
from learned_optimizer.problems.dataset import Dataset as Dataset
from learned_optimizer.problems.dataset import batch_indices as batch_indices
from learned_optimizer.problems.generated_datasets import (
  noisy_parity_class as noisy_parity_class,
)
from learned_optimizer.problems.generated_datasets import random as random
from learned_optimizer.problems.generated_datasets import (
  random_binary as random_binary,
)
from learned_optimizer.problems.generated_datasets import (
  random_mlp as random_mlp,
)
from learned_optimizer.problems.generated_datasets import (
  random_symmetric as random_symmetric,
)
from learned_optimizer.problems.image_datasets import (
  DataUnavailableError as DataUnavailableError,
)
from learned_optimizer.problems.image_datasets import (
  ImageSource as ImageSource,
)
from learned_optimizer.problems.image_datasets import cifar10 as cifar10
from learned_optimizer.problems.image_datasets import digits as digits
from learned_optimizer.problems.image_datasets import mnist as mnist

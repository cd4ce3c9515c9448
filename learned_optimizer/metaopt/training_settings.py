"""The settings of a meta-training run that its loops share."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from learned_optimizer.metaopt.schedule import LengthFunction
from learned_optimizer.metaopt.validation import Validation


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingSettings:
  """What `train_optimizer` was asked for; attributes are its arguments."""

  problems_and_data: Sequence[tuple[Any, Any, int | None]]
  num_problems: int
  num_meta_iterations: int
  num_unroll_func: LengthFunction
  num_partial_unroll_itrs_func: LengthFunction
  select_random_problems: bool
  callbacks: Sequence[Callable]
  obj_train_max_multiplier: float
  reset_rnn_params: bool
  carry_last_unroll: bool
  xla: str
  set_profiling: bool
  validation: Validation
  save_seconds: float

"""The settings of a meta-training run that its loops share."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from learned_optimizer.metaopt.curriculum import Curriculum
from learned_optimizer.metaopt.procedure import Procedure
from learned_optimizer.metaopt.schedule import LengthFunction
from learned_optimizer.metaopt.validation import Validation
from learned_optimizer.optimizer.imitation import Teacher


class Imitation(NamedTuple):
  """When to imitate whom.

  Attributes:
    teacher: whom.
    ratio: the probability that a meta-iteration trains on imitation instead of
      the meta-objective.
  """

  teacher: Teacher
  ratio: float = 0.1


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
  procedure: Procedure
  curriculum: Curriculum | None
  imitation: Imitation | None
  regularize_time: str
  reg_scale: float

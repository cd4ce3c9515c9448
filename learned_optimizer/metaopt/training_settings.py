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
    level_ratios: the same with a curriculum, for each of its levels; the last
      one is also for those beyond. Empty for `ratio` at all levels.
    num_turns: how many rules the teacher, one of `teachers.in_turn`, takes in
      turn, a meta-iteration of imitation each; 0 for a teacher without turns.
  """

  teacher: Teacher
  ratio: float = 0.1
  level_ratios: Sequence[float] = ()
  num_turns: int = 0

  def ratio_at(self, level: int | None) -> float:
    """The probability at a level of a curriculum; None without one."""
    if level is None or not self.level_ratios:
      return self.ratio
    return self.level_ratios[min(level, len(self.level_ratios) - 1)]


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
  num_parallel_problems: int
  validation: Validation
  save_seconds: float
  procedure: Procedure
  curriculum: Curriculum | None
  imitation: Imitation | None
  regularize_time: str
  reg_scale: float

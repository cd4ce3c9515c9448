"""The curriculum: longer and longer horizons, each as long as it helps.

"Training Stronger Baselines for Learning to Optimize" (arXiv 2010.09089),
section 3.1, with the rules of the code of L2O-Scale, L2O-DM and RNNProp:
weights are evaluated at the horizon of the next level; a level ends with the
first evaluation that is no improvement, but has at least three; the best
weights of a level go on to the next one.
"""

import dataclasses
import enum
import math
from collections.abc import Mapping, Sequence
from typing import Any

HORIZONS = (
  *(100, 200, 500, 1000, 1500, 2000, 2500, 3000, 3500, 4000, 4500, 5000),
)
# Those of L2O-DM and RNNProp end earlier.
L2O_DM_HORIZONS = HORIZONS[:8]
_STATE = ("level", "num_evaluations", "improved", "best_cost")


class Verdict(enum.Enum):
  """What follows from an evaluation."""

  BEST = "the best of the level so far: keep these weights"
  GO_ON = "no better, but too early to tell: train on"
  ADVANCE = "no better any more: take the level's best weights one level up"
  NO_IMPROVEMENT = "the level never improved: stop"
  COMPLETE = "the last level is over: stop"


@dataclasses.dataclass
class Curriculum:
  """Where a run stands in its curriculum. All but the settings is its state.

  Attributes:
    unroll_length: inner steps of every unroll.
    horizons: inner steps of a meta-iteration at each level; the last one is
      only evaluated at.
    min_evaluations: how many evaluations a level has at least.
    level: the current level, from 0.
    num_evaluations: evaluations at this level that count for its end.
    improved: whether one of them was an improvement.
    best_cost: the lowest cost at this level; None before the first.
  """

  unroll_length: int
  horizons: Sequence[int] = HORIZONS
  min_evaluations: int = 3
  level: int = 0
  num_evaluations: int = 0
  improved: bool = False
  best_cost: float | None = None

  def __post_init__(self):
    if self.unroll_length < 1:
      raise ValueError(
        f"unroll_length must be at least 1, got {self.unroll_length}"
      )
    if self.min_evaluations < 1:
      raise ValueError(
        f"min_evaluations must be at least 1, got {self.min_evaluations}"
      )
    if len(self.horizons) < 2 or min(self.horizons) < self.unroll_length:
      raise ValueError(
        "horizons must be at least two numbers not below the unroll length of"
        f" {self.unroll_length}, got {list(self.horizons)}"
      )

  @property
  def num_training_unrolls(self) -> int:
    """Unrolls of a meta-iteration at this level."""
    return self.horizons[self.level] // self.unroll_length

  @property
  def num_evaluation_unrolls(self) -> int:
    """Unrolls of an evaluation at this level: those of the next one."""
    return self.horizons[self.level + 1] // self.unroll_length

  def evaluated(self, cost: float) -> Verdict:
    """Takes note of an evaluation's cost and judges it.

    After `ADVANCE`, `advance` has to be called.
    """
    self.num_evaluations += 1
    best = math.inf if self.best_cost is None else self.best_cost
    if cost < best:
      self.best_cost, self.improved = cost, True
      return Verdict.BEST
    if self.num_evaluations < self.min_evaluations:
      return Verdict.GO_ON
    if not self.improved:
      return Verdict.NO_IMPROVEMENT
    if self.level + 2 >= len(self.horizons):
      return Verdict.COMPLETE
    return Verdict.ADVANCE

  def advance(self) -> None:
    """Enters the next level; the best weights are to be evaluated there."""
    self.level += 1
    self.num_evaluations, self.improved, self.best_cost = 0, False, None

  def entered(self, cost: float) -> None:
    """Sets what the weights that entered the level cost at its horizon."""
    # Where that is no number, any number is an improvement.
    self.best_cost = cost if math.isfinite(cost) else None

  def state(self) -> dict[str, Any]:
    """Where it stands, as JSON has it."""
    return {name: getattr(self, name) for name in _STATE}

  def restore(self, state: Mapping[str, Any]) -> None:
    """Puts it where `state` says."""
    for name in _STATE:
      setattr(self, name, state[name])

"""Where a meta-training run stands."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from learned_optimizer.metaopt.curriculum import Curriculum


@dataclasses.dataclass
class Position:
  """What a run must remember to go on, besides the values of variables.

  Attributes:
    seed: fixes weights, order of problems and random numbers.
    jit_compile: whether programs are compiled, decided when the run starts.
    problem_index: number of the current problem.
    meta_iteration: meta-iterations that are complete on it.
    entry_index: which of the problem specs it is built from.
    problem_seed: seed that it is built with.
    num_imitations: meta-iterations of imitation so far.
    best_cost: lowest validation cost so far without a curriculum, or None.
    curriculum: where the run stands in its curriculum, or None.
    generator: draws everything that is random.
  """

  seed: int
  jit_compile: bool
  problem_index: int = 0
  meta_iteration: int = 0
  entry_index: int = 0
  problem_seed: int = 0
  num_imitations: int = 0
  best_cost: float | None = None
  curriculum: Curriculum | None = None
  generator: np.random.Generator = dataclasses.field(init=False)

  def __post_init__(self):
    self.generator = np.random.default_rng(self.seed)

  @property
  def level(self) -> int | None:
    """The level of the curriculum, from 0; None without one."""
    return self.curriculum.level if self.curriculum else None

  def state(self) -> dict[str, Any]:
    """The attributes at this moment, as JSON has them."""
    return vars(self) | {
      "generator": self.generator.bit_generator.state,
      "curriculum": self.curriculum and self.curriculum.state(),
    }

  def restore(self, state: Mapping[str, Any]) -> None:
    """Sets the attributes that `state` returned."""
    attributes = dict(state)
    self.generator.bit_generator.state = attributes.pop("generator")
    curriculum = attributes.pop("curriculum", None)
    if curriculum and self.curriculum:
      self.curriculum.restore(curriculum)
    vars(self).update(attributes)

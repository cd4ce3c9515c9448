"""Validation of a run: on fresh instances, without effect on training."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from learned_optimizer.metaopt import evaluation
from learned_optimizer.metaopt.program import Programs
from learned_optimizer.metaopt.task import Task

# Validation draws the same numbers every time, so that costs can be compared.
_SEED = 1_000_003


class Validation(NamedTuple):
  """How a run validates.

  Attributes:
    period: after every this many meta-iterations; 0 for never.
    epochs: runs per problem, each from its own initial parameters.
    num_steps: inner steps of each run.
    unroll_length: where it validates in place, as in training: the steps of an
      unroll.
  """

  period: int = 0
  epochs: int = 20
  num_steps: int = 100
  unroll_length: int = 20

  def is_due(self, num_meta_iterations: int) -> bool:
    """Whether to validate after this many meta-iterations in all."""
    return bool(self.period) and num_meta_iterations % self.period == 0

  def cost(
    self,
    programs: Programs,
    problems_and_data: Sequence[tuple[Any, Any, int | None]],
    jit_compile: bool,
  ) -> float:
    """The mean log of the last objective over the first one.

    Args:
      programs: the optimizer's.
      problems_and_data: (problem spec, data set or None, batch size or None).
      jit_compile: whether to compile programs.

    Returns:
      The cost, lower for better weights; not finite after divergence.
    """
    seeds = [_SEED + epoch for epoch in range(self.epochs)]
    costs = []
    for i, (spec, dataset, batch_size) in enumerate(problems_and_data):
      problem = spec.build(random_seed=_SEED + i)
      task = Task.of(problem, dataset, batch_size)
      ends = (0, self.num_steps)
      losses = evaluation.run_all(
        programs, task, jit_compile, self.num_steps, seeds, ends
      )
      first, last = losses.on_data.T
      costs.append(np.log(last / (first + 1e-6) + 1e-6))
    return float(np.mean(costs))

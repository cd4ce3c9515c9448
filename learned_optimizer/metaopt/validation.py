"""Validation of a run: on fresh instances, without effect on training."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from learned_optimizer.metaopt import evaluation
from learned_optimizer.metaopt.program import Programs
from learned_optimizer.metaopt.task import Task

# `Validation.cost` draws the same numbers every time, so that costs can be
# compared. The original of `cost_on_batches` draws fresh ones.
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

  def cost_on_batches(
    self,
    programs: Programs,
    entry: tuple[Any, Any, int | None],
    jit_compile: bool,
    generator: np.random.Generator,
  ) -> float:
    """The mean objective after the last step, each run's on a batch.

    Args:
      programs: the optimizer's.
      entry: problem spec, data set or None, batch size or None. Every run has
        an instance of its own.
      jit_compile: whether to compile programs.
      generator: draws instances, starts and batches.

    Returns:
      The cost, lower for better weights; not finite after divergence.
    """
    spec, dataset, batch_size = entry
    drawn = generator.integers(2**32, size=[self.epochs, 2]).tolist()
    runs = [(problem_seed, [seed]) for problem_seed, seed in drawn]
    if not spec.build(random_seed=0).constants:
      # All instances are the same, and runs on one take place at once.
      runs = [(0, [seed for _, seed in drawn])]
    losses = []
    for problem_seed, seeds in runs:
      problem = spec.build(random_seed=problem_seed)
      task = Task.of(problem, dataset, batch_size)
      observed = evaluation.run_all(
        programs, task, jit_compile, self.num_steps, seeds, points=[]
      )
      losses += [*observed.on_batches[:, -1]]
    return float(np.mean(losses))

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

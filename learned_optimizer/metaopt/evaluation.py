"""Running optimizers on problems: losses over steps and seeds."""

import os
from collections.abc import Callable, Sequence
from concurrent import futures
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from learned_optimizer.metaopt.program import (
  CompilationError,
  Program,
  Programs,
  Purpose,
)
from learned_optimizer.metaopt.task import Task
from learned_optimizer.metaopt.trial import Trial
from learned_optimizer.problems.problem import Problem

_NUM_POINTS = 200


class Losses(NamedTuple):
  """What was observed of runs.

  Attributes:
    on_data: float32 [..., points], the objective on all data at the points; NaN
      after divergence.
    on_batches: float32 [..., steps], the objective on each step's batch before
      the step; NaN from divergence on.
  """

  on_data: np.ndarray
  on_batches: np.ndarray


def evenly_spaced(num_steps: int, also: Sequence[int] = ()) -> np.ndarray:
  """Where to observe a run: some 200 points, at most twice as many.

  Args:
    num_steps: the length of the run.
    also: further points.

  Returns:
    int [points], ascending; from 0, which is before the first step, to
    `num_steps`, which is after the last one.
  """
  period = max(1, num_steps // _NUM_POINTS)
  points = {*range(0, num_steps, period), num_steps, *also}
  return np.array(sorted(points))


def original_parameters(problem: Problem, seed: int) -> list[np.ndarray]:
  """What the original's evaluation starts from: see `TensorGenerator`."""
  with tf.Graph().as_default(), tf.compat.v1.Session() as session:
    return session.run(problem.init_tensors(seed))


def run(program: Program, trial: Trial, points: Sequence[int]) -> Losses:
  """The losses of one run from a fresh start.

  Nothing that training carries over is read or changed.

  Args:
    program: one that evaluates.
    trial: the random numbers of all steps; so it tells the length of the run.
    points: steps before which the loss on all data is taken, ascending.
  """
  points, num_steps = list(points), len(trial.batches)
  observed = np.zeros([num_steps], bool)
  observed[points] = True
  feed = program.feed(
    trial, 0, num_steps, first=True, reset=True, observed=observed
  )
  out = program.out
  # An unroll reports the objective at its start, then before each step.
  (_, *on_data), on_batches = program.run(
    (out.problem_objectives, out.batch_objectives), feed
  )
  # One that diverged ends early.
  losses = np.full([2, num_steps], np.nan, np.float32)
  losses[0, : len(on_data)] = on_data
  losses[1, : len(on_batches)] = on_batches
  losses[~np.isfinite(losses)] = np.nan
  return Losses(losses[0, points], losses[1])


def run_all(
  programs: Programs,
  task: Task,
  jit_compile: bool,
  num_steps: int,
  seeds: Sequence[int],
  points: Sequence[int],
  init_params: Sequence[list[np.ndarray]] | None = None,
  progress: Callable[[int], Any] = lambda number: None,
) -> Losses:
  """Runs one optimizer from fresh starts, at once.

  Args:
    programs: the optimizer's.
    task: what it runs on.
    jit_compile: whether XLA compiles the program, if it can.
    num_steps: number of steps.
    seeds: one run each, which fixes batches, the initial state of the optimizer
      and whatever is random; longer runs begin as shorter ones do.
    points: steps at which the loss on all data is taken, ascending; 0 is before
      the first one, `num_steps` after the last one.
    init_params: initial parameters for each seed; None lets the seed fix them.
    progress: called with 1 after each run.

  Returns:
    Losses [seeds, points] and [seeds, num_steps + 1]: the last one is after
    the last step.
  """

  def one(program, seed, params):
    def draw(length):
      return program.draw(length, np.random.default_rng(seed), params)

    # The loss after a step is that before another one.
    trial = draw(num_steps + 1)
    trial = trial._replace(state_draws=draw(1).state_draws)
    losses = run(program, trial, points)
    progress(1)
    return losses

  def at_once(program):
    params = init_params or [None] * len(seeds)
    with futures.ThreadPoolExecutor(os.cpu_count()) as pool:
      runs = pool.map(one, [program] * len(seeds), seeds, params)
      return Losses(*map(np.stack, zip(*runs, strict=True)))

  program = programs.get(task, jit_compile, Purpose.EVALUATE)
  try:
    return at_once(program)
  except CompilationError as error:
    return at_once(programs.fall_back(program, error))

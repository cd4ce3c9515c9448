"""Running optimizers on problems: loss curves over steps and seeds."""

import os
from collections.abc import Sequence
from concurrent import futures

import numpy as np

from learned_optimizer.metaopt.program import (
  CompilationError,
  Program,
  Programs,
)
from learned_optimizer.metaopt.task import Task


def loss_curve(
  program: Program, num_steps: int, generator: np.random.Generator
) -> np.ndarray:
  """The objective on all data before the first step and after each.

  Nothing that training carries over is read or changed.

  Args:
    program: the optimizer on the task.
    num_steps: number of steps.
    generator: draws initial parameters, batches and whatever is random.

  Returns:
    float32 [num_steps + 1]; NaN from where the optimizer diverged.
  """
  # An unroll reports the objective before each step, the first one twice.
  trial = program.draw(num_steps + 1, generator)
  feed = program.feed(trial, 0, num_steps + 1, first=True, reset=True)
  objectives = program.run(program.out.problem_objectives, feed)[1:]
  curve = np.full([num_steps + 1], np.nan, np.float32)
  curve[: len(objectives)] = objectives
  return curve


def loss_curves(
  programs: Programs,
  task: Task,
  jit_compile: bool,
  num_steps: int,
  seeds: Sequence[int],
) -> np.ndarray:
  """`loss_curve` for each seed, at once.

  Args:
    programs: the optimizer's.
    task: what it runs on.
    jit_compile: whether XLA compiles the program, if it can.
    num_steps: number of steps.
    seeds: one run each.

  Returns:
    float32 [len(seeds), num_steps + 1].
  """
  program = programs.get(task, jit_compile, meta_gradients=False)
  try:
    return _at_once(program, num_steps, seeds)
  except CompilationError as error:
    return _at_once(programs.fall_back(program, error), num_steps, seeds)


def _at_once(program, num_steps, seeds):
  def run(seed):
    return loss_curve(program, num_steps, np.random.default_rng(seed))

  with futures.ThreadPoolExecutor(os.cpu_count()) as pool:
    return np.stack(list(pool.map(run, seeds)))

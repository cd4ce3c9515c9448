"""Meta-iterations: fresh starts on a problem, trained on unroll by unroll."""

import time
from typing import Any

import numpy as np
import tensorflow as tf

from learned_optimizer.metaopt import schedule
from learned_optimizer.metaopt.errors import RunError
from learned_optimizer.metaopt.interruption import Interruption
from learned_optimizer.metaopt.meta_graph import MetaGraph
from learned_optimizer.metaopt.position import Position
from learned_optimizer.metaopt.program import (
  CompilationError,
  Program,
  Trial,
)
from learned_optimizer.metaopt.run_log import RunLog
from learned_optimizer.metaopt.task import Task
from learned_optimizer.metaopt.training_settings import TrainingSettings


class MetaIterations:
  """The meta-iterations on one problem.

  Attributes:
    metadata: what callbacks get: one entry per meta-iteration in each of the
      lists `global_step`, `runtimes`, `subproblem_objs`, `meta_objs` and
      `meta_grads_and_params`, the last three with one entry per unroll.
  """

  def __init__(
    self,
    settings: TrainingSettings,
    graph: MetaGraph,
    position: Position,
    log: RunLog,
    task: Task,
  ):
    """Builds the program for the task, or loads the task into it."""
    self._settings = settings
    self._graph = graph
    self._position = position
    self._log = log
    self._meta = graph.meta_program(task, position.jit_compile)
    self.metadata = {"global_step": [], "runtimes": [], "subproblem_objs": []}
    self.metadata |= {"meta_objs": [], "meta_grads_and_params": []}

  @property
  def program(self) -> Program:
    """The program that holds the problem and its carried state."""
    return self._meta.program

  def run(self, asked: Interruption) -> bool:
    """Runs the meta-iteration at the position, from new parameters.

    Returns:
      Whether it is complete; it is not where it was asked to stop.

    Raises:
      RunError: an objective is negative.
    """
    started = time.monotonic()
    self.program.task.problem.init_fn(self._graph.session)
    generator = self._position.generator
    num_unrolls = self._settings.num_unroll_func(generator)
    lengths = [
      self._settings.num_partial_unroll_itrs_func(generator)
      for _ in range(num_unrolls)
    ]
    trial = self.program.draw(sum(lengths), generator)
    note = ""
    objectives, meta_objectives, gradients = [], [], []
    for unroll, (start, length) in enumerate(schedule.spans(lengths)):
      last = unroll == num_unrolls - 1
      result = self._run_unroll(trial, start, length, unroll == 0, last)
      self._check(result["objectives"])
      meta_objective = float(result["meta_objective"])
      if self._exceeds(result["objectives"][-1], result["initial"]):
        note = f" Broke early at {unroll + 1} out of {num_unrolls} unrolls."
        break
      if "summaries" in result:
        self._log.summary(result["summaries"])
      objectives.append(result["objectives"])
      meta_objectives.append(meta_objective)
      gradients.append(result.get("gradients"))
      self._log.unroll(meta_objective)
      if asked.signal and not last:
        return False
    seconds = time.monotonic() - started
    self.metadata["global_step"].append(self._graph.global_step())
    self.metadata["runtimes"].append(seconds)
    self.metadata["subproblem_objs"].append(objectives)
    self.metadata["meta_objs"].append(meta_objectives)
    self.metadata["meta_grads_and_params"].append(gradients)
    self._log.meta_iteration(
      self._position.meta_iteration, meta_objective, seconds, lengths, note
    )
    return True

  def _run_unroll(
    self, trial: Trial, start: int, length: int, first: bool, last: bool
  ) -> dict[str, Any]:
    """Trains on one unroll; what it returns is named as in `_fetches`."""
    reset = first and (
      self._position.meta_iteration == 0 or not self._settings.reset_rnn_params
    )
    summarise = self._log.summary_is_due()

    def run():
      feed = self.program.feed(trial, start, length, first, reset)
      propagate = self._settings.carry_last_unroll or not last
      fetches = self._fetches(summarise, propagate)
      if self._settings.set_profiling and first:
        return self._run_traced(fetches, feed)
      return self.program.run(fetches, feed)

    try:
      return run()
    except CompilationError as error:
      self._meta = self._graph.fall_back(self._meta, error)
      return run()

  def _fetches(self, summarise, propagate):
    out = self.program.out
    fetches = {
      "train": self._meta.train_op,
      "meta_objective": out.metaobj,
      "objectives": out.problem_objectives,
      "initial": out.initial_obj,
    }
    if self._settings.callbacks:
      fetches["gradients"] = self._meta.gradients
    if summarise:
      fetches["summaries"] = self._meta.summaries
    if propagate:
      fetches["propagate"] = self.program.propagate
    return fetches

  def _run_traced(self, fetches, feed):
    v1 = tf.compat.v1
    metadata = v1.RunMetadata()
    options = v1.RunOptions(trace_level=v1.RunOptions.FULL_TRACE)
    result = self.program.run(fetches, feed, options, metadata)
    position = self._position
    tag = f"00_iter{position.problem_index:04}_{position.meta_iteration:02}"
    self._log.trace(metadata, tag)
    return result

  def _check(self, objectives):
    if np.any(objectives < 0):
      raise RunError(
        "Training problem objectives must be nonnegative, but"
        f" {type(self.program.task.problem).__name__} reached"
        f" {np.nanmin(objectives):g}; leave this problem out."
      )

  def _exceeds(self, objective, initial):
    multiplier = self._settings.obj_train_max_multiplier
    limit = initial + abs(initial) * (multiplier - 1)
    return multiplier > 0 and objective > limit

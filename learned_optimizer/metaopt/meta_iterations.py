"""Meta-iterations: fresh starts on a problem, trained on unroll by unroll."""

import time
from typing import Any

import numpy as np
import tensorflow as tf

from learned_optimizer.metaopt import schedule
from learned_optimizer.metaopt.errors import RunError
from learned_optimizer.metaopt.interruption import Interruption
from learned_optimizer.metaopt.meta_graph import MetaGraph, MetaProgram
from learned_optimizer.metaopt.position import Position
from learned_optimizer.metaopt.program import (
  CompilationError,
  Program,
  Purpose,
)
from learned_optimizer.metaopt.run_log import RunLog
from learned_optimizer.metaopt.task import Task
from learned_optimizer.metaopt.training_settings import TrainingSettings
from learned_optimizer.metaopt.trial import Trial
from learned_optimizer.metaopt.validation import Validation
from learned_optimizer.optimizer import teachers
from learned_optimizer.problems.problem_spec import Spec


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
    spec: Spec,
    task: Task,
  ):
    """Builds the program for the task, or loads the task into it.

    Args:
      settings: those of the run.
      graph: holds weights and programs.
      position: where the run stands.
      log: tells what happens.
      spec: makes further instances of the problem.
      task: what to train on.
    """
    self._settings = settings
    self._graph = graph
    self._position = position
    self._log = log
    self._spec = spec
    self._all_data = task.dataset
    mini_data = settings.procedure.mini_data
    if mini_data:
      task = task._replace(dataset=mini_data.first(task.dataset))
    self._training = graph.meta_program(task, position.jit_compile)
    self.metadata = {"global_step": [], "runtimes": [], "subproblem_objs": []}
    self.metadata |= {"meta_objs": [], "meta_grads_and_params": []}

  @property
  def program(self) -> Program:
    """The program that holds the problem and its carried state."""
    return self._training.program

  def run(self, asked: Interruption) -> bool:
    """Runs the meta-iteration at the position, from new parameters.

    Returns:
      Whether it is complete; it is not where it was asked to stop.

    Raises:
      RunError: an objective is negative.
    """
    started = time.monotonic()
    generator = self._position.generator
    self._draw_instance(generator)
    self.program.task.problem.init_fn(self._graph.session)
    self._draw_data(generator)
    lengths = self._draw_lengths(generator)
    meta = self._choose_program(generator)
    trial = self._draw_trial(meta.program, sum(lengths), generator)
    note = ""
    objectives, meta_objectives, gradients = [], [], []
    for unroll, (start, length) in enumerate(schedule.spans(lengths)):
      last = unroll == len(lengths) - 1
      feed_settings = {
        "first": unroll == 0,
        "reset": unroll == 0 and self._resets(self._position.meta_iteration),
        "regularize": schedule.regularizes(
          self._settings.regularize_time,
          self._settings.reg_scale,
          unroll,
          len(lengths),
        ),
      }
      meta, result = self._run_unroll(
        meta, trial, start, length, feed_settings, last
      )
      meta_objective = float(result["meta_objective"])
      # What becomes of a teacher's trajectory is not up to the weights.
      if meta.program.purpose is Purpose.TRAIN:
        self._check(result["objectives"])
        if self._exceeds(result["objectives"][-1], result["initial"]):
          note = f" Broke early at {unroll + 1} out of {len(lengths)} unrolls."
          break
      if "summaries" in result:
        self._log.summary(result["summaries"])
      objectives.append(result["objectives"])
      meta_objectives.append(meta_objective)
      gradients.append(result.get("gradients"))
      self._log.unroll(meta_objective)
      if asked.signal and not last:
        return False
    if meta.program.purpose is Purpose.IMITATE:
      self.program.continue_from(meta.program)
      self._position.num_imitations += 1
      note += " (imitation)"
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

  def validation_cost(self, num_unrolls: int, validation: Validation) -> float:
    """Validates on the present problem and data, without training.

    As in L2O-Scale: runs start from new parameters, but from the optimizer's
    present state, which they change. The state after the last but one unroll is
    what training goes on from. Several instances that are trained on at once
    have no such state in common; then runs start from a fresh one, without
    effect on training.

    Args:
      num_unrolls: unrolls of each run.
      validation: number of runs, and length of the unrolls.

    Returns:
      The mean of the objectives before the last step; NaN after divergence.
    """
    programs = self._graph.programs
    program = programs.get(
      self.program.task, self._position.jit_compile, Purpose.EVALUATE
    )
    shares_state = self.program.num_instances == 1
    resets = True
    if shares_state:
      program.continue_from(self.program)
      resets = self._resets(self._position.meta_iteration - 1)
    generator = self._position.generator
    length = validation.unroll_length

    def run(program, trial, unroll):
      """Objectives of an unroll; only the very last of a run is wanted."""
      first, last = unroll == 0, unroll == num_unrolls - 1
      fetches = [program.out.problem_objectives]
      if self._propagates(last):
        fetches += program.propagate
      feed = program.feed(
        trial,
        unroll * length,
        length,
        first=first,
        reset=first and resets,
        observed=np.arange(length) == (length - 1 if last else -1),
      )
      return program.run(fetches, feed)[0]

    costs = []
    for _ in range(validation.epochs):
      trial = self._draw_trial(program, num_unrolls * length, generator)
      for unroll in range(num_unrolls):
        try:
          objectives = run(program, trial, unroll)
        except CompilationError as error:
          program = programs.fall_back(program, error)
          objectives = run(program, trial, unroll)
      # An unroll that diverged ends early.
      whole = len(objectives) == length + 1
      costs.append(objectives[-1] if whole else np.nan)
    if shares_state:
      self.program.continue_from(program)
    return float(np.mean(costs))

  def _draw_instance(self, generator):
    """Trains on another instance from now on, if the procedure wants that."""
    if not self._settings.procedure.redraws_instances:
      return
    if self.program.task.problem.constants:
      seed = int(generator.integers(2**32))
      self.program.load_problem(self._spec.build(random_seed=seed))

  def _draw_data(self, generator):
    mini_data = self._settings.procedure.mini_data
    if mini_data:
      self.program.load_data(mini_data.draw(self._all_data, generator))

  def _draw_lengths(self, generator) -> list[int]:
    """The lengths of the unrolls of a meta-iteration."""
    curriculum = self._position.curriculum
    if curriculum:
      return [curriculum.unroll_length] * curriculum.num_training_unrolls
    num_unrolls = self._settings.num_unroll_func(generator)
    draw_length = self._settings.num_partial_unroll_itrs_func
    return [draw_length(generator) for _ in range(num_unrolls)]

  def _choose_program(self, generator) -> MetaProgram:
    """Trains on the meta-objective or, at random, on imitation."""
    imitation = self._settings.imitation
    if not imitation:
      return self._training
    if generator.random() >= imitation.ratio_at(self._position.level):
      return self._training
    program = self.program
    meta = self._graph.meta_program(
      program.task, program.jit_compile, Purpose.IMITATE
    )
    meta.program.continue_from(program)
    return meta

  def _draw_trial(self, program, num_steps, generator) -> Trial:
    trials = []
    for _ in range(program.num_instances):
      params = self._settings.procedure.initial_parameters(
        program.task.problem, generator
      )
      trials.append(program.draw(num_steps, generator, params))
    trial = Trial.side_by_side(trials)
    if program.purpose is Purpose.IMITATE and self._num_turns:
      number = self._position.num_imitations
      trial = trial._replace(
        teacher_draws=teachers.turn(number, self._num_turns)
      )
    return trial

  @property
  def _num_turns(self) -> int:
    """How many rules are imitated in turn; 0 without turns."""
    imitation = self._settings.imitation
    return imitation.num_turns if imitation else 0

  def _resets(self, meta_iteration):
    """Whether this meta-iteration starts from a fresh optimizer state."""
    return meta_iteration == 0 or not self._settings.reset_rnn_params

  def _propagates(self, last):
    return self._settings.carry_last_unroll or not last

  def _run_unroll(
    self,
    meta: MetaProgram,
    trial: Trial,
    start: int,
    length: int,
    feed_settings: dict[str, bool],
    last: bool,
  ) -> tuple[MetaProgram, dict[str, Any]]:
    """Trains on one unroll.

    Returns:
      The program that ran, which is another one if `meta` does not compile,
      and what it returned, named as in `_fetches`.
    """
    summarise = self._log.summary_is_due()

    def run(meta):
      feed = meta.program.feed(trial, start, length, **feed_settings)
      fetches = self._fetches(meta, summarise, self._propagates(last))
      if self._settings.set_profiling and feed_settings["first"]:
        return self._run_traced(meta.program, fetches, feed)
      return meta.program.run(fetches, feed)

    try:
      return meta, run(meta)
    except CompilationError as error:
      other = self._graph.fall_back(meta, error)
      if meta is self._training:
        self._training = other
      return other, run(other)

  def _fetches(self, meta, summarise, propagate):
    out = meta.program.out
    # Those in imitation count the turns like the teacher.
    number = self._position.num_imitations % len(meta.train_ops)
    fetches = {
      "train": meta.train_ops[number],
      "meta_objective": out.metaobj,
      "objectives": out.problem_objectives,
      "initial": out.initial_obj,
    }
    if self._settings.callbacks:
      fetches["gradients"] = meta.gradients
    if summarise:
      fetches["summaries"] = meta.summaries
    if propagate:
      fetches["propagate"] = meta.program.propagate
    return fetches

  def _run_traced(self, program, fetches, feed):
    v1 = tf.compat.v1
    metadata = v1.RunMetadata()
    options = v1.RunOptions(trace_level=v1.RunOptions.FULL_TRACE)
    result = program.run(fetches, feed, options, metadata)
    position = self._position
    tag = f"00_iter{position.problem_index:04}_{position.meta_iteration:02}"
    self._log.trace(metadata, tag)
    return result

  def _check(self, objectives):
    if self._settings.procedure.sums_batches:
      return  # They may have any sign.
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

"""Meta-training: descend on the weights of a learned optimizer.

The loops are those of arXiv 1703.04813: problems; meta-iterations, each a
fresh start on the problem; partial unrolls, each followed by one step of the
meta-optimizer, with parameters and optimizer state carried on.
"""

import dataclasses
import gc
import math
import pathlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TextIO

import tqdm

from learned_optimizer.metaopt import (
  interruption,
  publishing,
  run_lock,
  run_settings,
  schedule,
)
from learned_optimizer.metaopt.curriculum import Curriculum
from learned_optimizer.metaopt.meta_graph import MetaGraph, MetaOptimizer
from learned_optimizer.metaopt.position import Position
from learned_optimizer.metaopt.problem_loop import ProblemLoop
from learned_optimizer.metaopt.procedure import ORIGINAL, Procedure
from learned_optimizer.metaopt.program import Extras
from learned_optimizer.metaopt.run_log import RunLog
from learned_optimizer.metaopt.saved_points import SavedPoints
from learned_optimizer.metaopt.task import Task
from learned_optimizer.metaopt.training_settings import (
  Imitation,
  TrainingSettings,
)
from learned_optimizer.metaopt.validation import Validation
from learned_optimizer.optimizer.regularizers.regularization import (
  Regularization,
)

NO_VALIDATION = Validation()


class Result(NamedTuple):
  """How a run ended.

  Attributes:
    global_step: unrolls trained on so far.
    interrupted_by: number of the signal that stopped it, or None.
    best_cost: lowest validation cost, with a curriculum that of the last level;
      None without validation.
    already_finished: nothing was left to do.
  """

  global_step: int
  interrupted_by: int | None
  best_cost: float | None
  already_finished: bool


def train_optimizer(
  logdir: str,
  optimizer_spec: Any,
  problems_and_data: Sequence[tuple[Any, Any, int | None]],
  num_problems: int,
  num_meta_iterations: int,
  num_unroll_func: schedule.LengthFunction,
  num_partial_unroll_itrs_func: schedule.LengthFunction,
  learning_rate: float = 1e-4,
  gradient_clip: float = 5.0,
  select_random_problems: bool = True,
  callbacks: Sequence[Callable] | None = None,
  obj_train_max_multiplier: float = -1,
  out: TextIO = sys.stdout,
  *,
  seed: int | None = None,
  rms_decay: float = 0.9,
  rms_epsilon: float = 1e-20,
  l2_reg: float = 0.0,
  reset_rnn_params: bool = True,
  carry_last_unroll: bool = False,
  xla: str = "auto",
  set_profiling: bool = False,
  num_parallel_problems: int = 1,
  validation: Validation = NO_VALIDATION,
  save_seconds: float = 60.0,
  progress: bool = False,
  settings: Mapping[str, Any] | None = None,
  procedure: Procedure = ORIGINAL,
  curriculum: Curriculum | None = None,
  imitation: Imitation | None = None,
  regularization: Regularization | None = None,
  regularize_time: str = "posterior",
  reg_scale: float = 0.5,
) -> Result:
  """Meta-trains an optimizer, or continues a run that was stopped.

  Args:
    logdir: folder of checkpoints, saved points and TensorBoard events.
    optimizer_spec: `Spec` of the optimizer.
    problems_and_data: (problem spec, data set or None, batch size or None).
    num_problems: how many problems to draw in all.
    num_meta_iterations: fresh starts per problem.
    num_unroll_func: draws the number of unrolls of a meta-iteration from a
      NumPy generator.
    num_partial_unroll_itrs_func: draws the number of steps of an unroll.
    learning_rate: of the meta-optimizer.
    gradient_clip: limit of each element of a meta-gradient.
    select_random_problems: draw problems at random, with repetition; else go
      through them in one shuffled order.
    callbacks: called as callback(problem name, problem index, logdir,
      metadata) after each problem.
    obj_train_max_multiplier: where positive, end a meta-iteration once the
      objective exceeds this multiple of the initial one.
    out: receives a line per meta-iteration, unless a bar shows the progress.
    seed: fixes all random draws; None draws a seed. A run that is continued
      goes on with its random numbers whatever the seed.
    rms_decay: of the meta-optimizer, unless it is Adam.
    rms_epsilon: of the meta-optimizer, unless it is Adam.
    l2_reg: weight of the sum of squared weights in the loss.
    reset_rnn_params: True resets the optimizer's state only when a problem
      begins, as in the original; False in every meta-iteration.
    carry_last_unroll: True carries the state on from the last unroll of a
      meta-iteration; False, as in the original, from the one before it, and
      zeros from a first meta-iteration of a single unroll.
    xla: compile programs: "always", "never", or "auto" for where it pays,
      which is decided when a run starts and kept when it is continued.
    set_profiling: record a trace of each meta-iteration's first unroll.
    num_parallel_problems: instances of a problem, with the same constants and
      data, that are trained on at once, each from initial parameters of its
      own; the meta-gradient is the mean of theirs. Validation runs are single.
    validation: when and how to validate; the best weights are kept.
    save_seconds: save at the first end of a meta-iteration after this time,
      besides the end of every problem.
    progress: show a bar on standard error.
    settings: recorded in `logdir` as JSON once the run is sure to start.
    procedure: that of the original, of L2O-Scale, or of L2O-DM and RNNProp.
    curriculum: ever longer meta-iterations, in place of `num_unroll_func` and
      `num_partial_unroll_itrs_func`; needs validation.
    imitation: train some meta-iterations on imitating a teacher.
    regularization: a regulariser in meta-objective or inner objective.
    regularize_time: in which unrolls of a meta-iteration the meta-objective
      has it, see `schedule.regularizes`.
    reg_scale: where the unrolls switch, as a fraction of them.

  Raises:
    ValueError: an argument is out of range.
    RunError: another process trains in `logdir`, saved files cannot be read,
      or an objective is negative.
  """
  training = TrainingSettings(
    problems_and_data=problems_and_data,
    num_problems=num_problems,
    num_meta_iterations=num_meta_iterations,
    num_unroll_func=num_unroll_func,
    num_partial_unroll_itrs_func=num_partial_unroll_itrs_func,
    select_random_problems=select_random_problems,
    callbacks=callbacks or (),
    obj_train_max_multiplier=obj_train_max_multiplier,
    reset_rnn_params=reset_rnn_params,
    carry_last_unroll=carry_last_unroll,
    xla=xla,
    set_profiling=set_profiling,
    num_parallel_problems=num_parallel_problems,
    validation=validation,
    save_seconds=save_seconds,
    procedure=procedure,
    curriculum=curriculum,
    imitation=imitation,
    regularize_time=regularize_time,
    reg_scale=reg_scale,
  )
  meta_optimizer = MetaOptimizer(
    learning_rate,
    gradient_clip,
    rms_decay,
    rms_epsilon,
    l2_reg,
    uses_adam=procedure.uses_adam,
    num_imitated=imitation.num_turns if imitation else 0,
  )
  _check(training, meta_optimizer, regularization)
  if regularization and regularize_time == "none":
    regularization = dataclasses.replace(regularization, optimizer_weight=0.0)
  extras = Extras(
    regularization,
    imitation and imitation.teacher,
    num_parallel_problems,
    procedure.sums_batches,
  )
  if seed is None:
    seed = run_settings.fresh_seed()
  folder = pathlib.Path(logdir)
  folder.mkdir(parents=True, exist_ok=True)
  with run_lock.held(folder):
    milestones = procedure.save_period is not None
    graph = MetaGraph(
      optimizer_spec,
      meta_optimizer,
      extras,
      num_published=10_000 if milestones else 5,
      compiles_all=xla == "always",
      optimizes_graphs=not _compiles_all(training),
    )
    publisher = publishing.publisher(procedure, folder, graph)
    position = Position(
      seed,
      _compiles(training),
      # The run moves it on, and not what the caller has.
      curriculum=curriculum and dataclasses.replace(curriculum),
    )
    points = SavedPoints(folder, graph, position, publisher)
    with interruption.watch() as asked:
      inner = points.restore()
      if xla != "auto":
        position.jit_compile = xla == "always"
      if not position.jit_compile:
        # So it may have been decided when the run began.
        graph.optimize_graphs()
      already_finished = position.problem_index >= num_problems
      if settings is not None and not already_finished:
        run_settings.write(folder, settings)
      points.complete()
      bar = tqdm.tqdm(
        total=num_problems * num_meta_iterations,
        initial=position.problem_index * num_meta_iterations
        + position.meta_iteration,
        unit="meta-iteration",
        disable=not progress,
      )
      with RunLog(folder, graph, out, bar) as log:
        loop = ProblemLoop(
          folder, training, graph, position, points, publisher, log
        )
        try:
          loop.run(inner, asked)
        finally:
          # What was frozen when programs were built.
          gc.unfreeze()
    best_cost = position.best_cost
    if position.curriculum:
      best_cost = position.curriculum.best_cost
    return Result(
      graph.global_step(), asked.signal, best_cost, already_finished
    )


def _check(
  training: TrainingSettings,
  meta_optimizer: MetaOptimizer,
  regularization: Regularization | None,
) -> None:
  """Raises ValueError for arguments that are out of range."""
  if not training.problems_and_data:
    raise ValueError("problems_and_data is empty; one problem is needed.")
  if training.xla not in ("auto", "always", "never"):
    raise ValueError(
      f"xla is {training.xla!r}; 'auto', 'always' and 'never' are accepted."
    )
  if training.regularize_time not in schedule.REGULARIZE_TIMES:
    raise ValueError(
      f"regularize_time is {training.regularize_time!r}; one of"
      f" {', '.join(schedule.REGULARIZE_TIMES)} is accepted."
    )
  imitation = training.imitation
  if imitation:
    for ratio in (imitation.ratio, *imitation.level_ratios):
      if not 0 <= ratio <= 1:
        raise ValueError(f"imitation.ratio is {ratio}; 0 to 1 is accepted.")
  if not 0 <= training.reg_scale <= 1:
    raise ValueError(f"reg_scale is {training.reg_scale}; 0 to 1 is accepted.")
  _check_parallel(training, regularization)
  procedure, validation = training.procedure, training.validation
  if training.curriculum and not validation.period:
    raise ValueError("validation.period is 0; a curriculum needs validation.")
  in_place = procedure.validates_in_place and validation.period
  if in_place and not training.curriculum:
    length = validation.unroll_length
    if validation.num_steps < length:
      raise ValueError(
        f"validation.num_steps is {validation.num_steps}; at least"
        f" validation.unroll_length, {length}, is accepted."
      )
  mini_data, save_period = procedure.mini_data, procedure.save_period
  for name, value in (
    ("procedure.mini_data.size", mini_data.size if mini_data else 1),
    ("procedure.save_period", 1 if save_period is None else save_period),
    ("num_problems", training.num_problems),
    ("num_meta_iterations", training.num_meta_iterations),
    ("num_parallel_problems", training.num_parallel_problems),
    ("learning_rate", meta_optimizer.learning_rate),
    ("gradient_clip", meta_optimizer.gradient_clip),
    ("validation.epochs", validation.epochs),
    ("validation.num_steps", validation.num_steps),
    ("validation.unroll_length", validation.unroll_length),
  ):
    if not value > 0:
      raise ValueError(f"{name} is {value}; a positive number is accepted.")
  if meta_optimizer.learning_rate == math.inf:
    raise ValueError("learning_rate is inf; a finite number is accepted.")


def _check_parallel(
  training: TrainingSettings, regularization: Regularization | None
) -> None:
  """Raises ValueError for what does not go with several instances."""
  number = training.num_parallel_problems
  if number == 1:
    return
  for name, is_asked in (
    (
      "a positive obj_train_max_multiplier",
      training.obj_train_max_multiplier > 0,
    ),
    ("imitation", training.imitation),
    ("the procedure of L2O-DM", training.procedure.sums_batches),
    ("regularization", regularization),
  ):
    if is_asked:
      raise ValueError(
        f"num_parallel_problems is {number}; with {name} only 1 is accepted."
      )


def _compiles(training: TrainingSettings) -> bool:
  """Whether a run that starts with these settings compiles its programs."""
  if training.xla != "auto":
    return training.xla == "always"
  uses = training.num_problems / len(training.problems_and_data)
  curriculum, validation = training.curriculum, training.validation
  if curriculum:
    # At least: further levels are longer.
    training_steps, validation_steps = curriculum.horizons[:2]
  else:
    training_steps = schedule.mean_steps(
      training.num_unroll_func, training.num_partial_unroll_itrs_func
    )
    validation_steps = validation.num_steps
  steps = training_steps
  if validation.period:
    steps += validation_steps * validation.epochs / validation.period
  return schedule.pays_to_compile(steps * training.num_meta_iterations * uses)


def _compiles_all(training: TrainingSettings) -> bool:
  """Whether it compiles the programs of all problems."""
  if training.xla == "auto" and _compiles(training):
    return all(
      Task.of(spec.build(random_seed=0), *data).gains_from_compiling
      for spec, *data in training.problems_and_data
    )
  return training.xla == "always"

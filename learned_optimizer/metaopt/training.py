"""Meta-training: descend on the weights of a learned optimizer.

The loops are those of arXiv 1703.04813: problems; meta-iterations, each a
fresh start on the problem; partial unrolls, each followed by one step of the
meta-optimizer, with parameters and optimizer state carried on.
"""

import pathlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TextIO

import tqdm

from learned_optimizer.metaopt import (
  interruption,
  run_lock,
  run_settings,
  schedule,
)
from learned_optimizer.metaopt.meta_graph import MetaGraph, MetaOptimizer
from learned_optimizer.metaopt.position import Position
from learned_optimizer.metaopt.problem_loop import ProblemLoop
from learned_optimizer.metaopt.run_log import RunLog
from learned_optimizer.metaopt.saved_points import SavedPoints
from learned_optimizer.metaopt.training_settings import TrainingSettings
from learned_optimizer.metaopt.validation import Validation

NO_VALIDATION = Validation()


class Result(NamedTuple):
  """How a run ended.

  Attributes:
    global_step: unrolls trained on so far.
    interrupted_by: number of the signal that stopped it, or None.
    best_cost: lowest validation cost, or None without validation.
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
  validation: Validation = NO_VALIDATION,
  save_seconds: float = 60.0,
  progress: bool = False,
  settings: Mapping[str, Any] | None = None,
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
    rms_decay: of the meta-optimizer.
    rms_epsilon: of the meta-optimizer.
    l2_reg: weight of the sum of squared weights in the loss.
    reset_rnn_params: True resets the optimizer's state only when a problem
      begins, as in the original; False in every meta-iteration.
    carry_last_unroll: True carries the state on from the last unroll of a
      meta-iteration; False, as in the original, from the one before it, and
      zeros from a first meta-iteration of a single unroll.
    xla: compile programs: "always", "never", or "auto" for where it pays,
      which is decided when a run starts and kept when it is continued.
    set_profiling: record a trace of each meta-iteration's first unroll.
    validation: when and how to validate; the best weights are kept.
    save_seconds: save at the first end of a meta-iteration after this time,
      besides the end of every problem.
    progress: show a bar on standard error.
    settings: recorded in `logdir` as JSON once the run is sure to start.

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
    validation=validation,
    save_seconds=save_seconds,
  )
  meta_optimizer = MetaOptimizer(
    learning_rate, gradient_clip, rms_decay, rms_epsilon, l2_reg
  )
  _check(training, meta_optimizer)
  if seed is None:
    seed = run_settings.fresh_seed()
  folder = pathlib.Path(logdir)
  folder.mkdir(parents=True, exist_ok=True)
  with run_lock.held(folder):
    graph = MetaGraph(optimizer_spec, meta_optimizer)
    position = Position(seed, _compiles(training))
    points = SavedPoints(folder, graph, position)
    with interruption.watch() as asked:
      inner = points.restore()
      if xla != "auto":
        position.jit_compile = _compiles(training)
      if settings is not None:
        run_settings.write(folder, settings)
      points.complete()
      already_finished = position.problem_index >= num_problems
      bar = tqdm.tqdm(
        total=num_problems * num_meta_iterations,
        initial=position.problem_index * num_meta_iterations
        + position.meta_iteration,
        unit="meta-iteration",
        disable=not progress,
      )
      with RunLog(folder, graph, out, bar) as log:
        loop = ProblemLoop(folder, training, graph, position, points, log)
        loop.run(inner, asked)
    return Result(
      graph.global_step(), asked.signal, position.best_cost, already_finished
    )


def _check(training: TrainingSettings, meta_optimizer: MetaOptimizer) -> None:
  """Raises ValueError for arguments that are out of range."""
  if not training.problems_and_data:
    raise ValueError("problems_and_data is empty; one problem is needed.")
  if training.xla not in ("auto", "always", "never"):
    raise ValueError(
      f"xla is {training.xla!r}; 'auto', 'always' and 'never' are accepted."
    )
  for name, value in (
    ("num_problems", training.num_problems),
    ("num_meta_iterations", training.num_meta_iterations),
    ("learning_rate", meta_optimizer.learning_rate),
    ("gradient_clip", meta_optimizer.gradient_clip),
    ("validation.epochs", training.validation.epochs),
    ("validation.num_steps", training.validation.num_steps),
  ):
    if not value > 0:
      raise ValueError(f"{name} is {value}; a positive number is accepted.")


def _compiles(training: TrainingSettings) -> bool:
  """Whether a run that starts with these settings compiles its programs."""
  if training.xla != "auto":
    return training.xla == "always"
  steps = schedule.planned_steps(
    training.num_unroll_func,
    training.num_partial_unroll_itrs_func,
    training.num_meta_iterations,
    training.num_problems / len(training.problems_and_data),
  )
  return schedule.pays_to_compile(steps)

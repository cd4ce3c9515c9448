"""Meta-training: descend on the weights of a learned optimizer.

The loops are those of arXiv 1703.04813: problems; meta-iterations, each a
fresh start on the problem; partial unrolls, each followed by one step of the
meta-optimizer, with parameters and optimizer state carried on.
"""

import pathlib
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TextIO

import numpy as np
import tensorflow as tf
import tqdm

from learned_optimizer.metaopt import (
  evaluation,
  interruption,
  resume,
  run_settings,
  schedule,
)
from learned_optimizer.metaopt.errors import RunError
from learned_optimizer.metaopt.meta_graph import (
  MetaGraph,
  MetaOptimizer,
  MetaProgram,
)
from learned_optimizer.metaopt.program import Program, Task, describe
from learned_optimizer.optimizer import checkpoints

_SUMMARY_SECONDS = 30.0
# Validation draws the same numbers every time, so that costs can be compared.
_VALIDATION_SEED = 1_000_003


class Validation(NamedTuple):
  """How a run validates.

  Attributes:
    period: after every this many meta-iterations; 0 for never.
    epochs: runs per problem, each from its own initial parameters.
    num_steps: inner steps of each run.
  """

  period: int = 0
  epochs: int = 20
  num_steps: int = 100


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
    xla: compile programs: "always", "never", or "auto" for where it pays.
    set_profiling: record a trace of each meta-iteration's first unroll.
    validation: when and how to validate; the best weights are kept.
    save_seconds: save at the first end of a meta-iteration after this time,
      besides the end of every problem.
    progress: show a bar on standard error.
    settings: recorded in `logdir` as JSON once the run is sure to start.

  Raises:
    ValueError: an argument is out of range.
    RunError: saved files cannot be read, or an objective is negative.
  """
  if not problems_and_data:
    raise ValueError("problems_and_data is empty; one problem is needed.")
  if xla not in ("auto", "always", "never"):
    raise ValueError(
      f"xla is {xla!r}; 'auto', 'always' and 'never' are accepted."
    )
  for name, value in (
    ("num_problems", num_problems),
    ("num_meta_iterations", num_meta_iterations),
    ("learning_rate", learning_rate),
    ("gradient_clip", gradient_clip),
    ("validation.epochs", validation.epochs),
    ("validation.num_steps", validation.num_steps),
  ):
    if not value > 0:
      raise ValueError(f"{name} is {value}; a positive number is accepted.")
  folder = pathlib.Path(logdir)
  folder.mkdir(parents=True, exist_ok=True)
  graph = MetaGraph(
    optimizer_spec,
    MetaOptimizer(learning_rate, gradient_clip, rms_decay, rms_epsilon, l2_reg),
  )
  if seed is None:
    seed = run_settings.fresh_seed()
  trainer = _Trainer(
    folder=folder,
    graph=graph,
    entries=problems_and_data,
    num_problems=num_problems,
    num_meta_iterations=num_meta_iterations,
    num_unrolls=num_unroll_func,
    num_steps=num_partial_unroll_itrs_func,
    random_order=select_random_problems,
    seed=seed,
    reset_rnn_params=reset_rnn_params,
    max_multiplier=obj_train_max_multiplier,
    xla=xla,
    set_profiling=set_profiling,
    validation=validation,
    save_seconds=save_seconds,
    callbacks=callbacks or (),
    out=out,
    settings=settings,
  )
  with interruption.watch() as asked:
    return trainer.run(asked, progress)


class _Trainer:
  """The loops, and what they must remember to be continued."""

  def __init__(
    self,
    *,
    folder: pathlib.Path,
    graph: MetaGraph,
    entries: Sequence[tuple[Any, Any, int | None]],
    num_problems: int,
    num_meta_iterations: int,
    num_unrolls: schedule.LengthFunction,
    num_steps: schedule.LengthFunction,
    random_order: bool,
    seed: int,
    reset_rnn_params: bool,
    max_multiplier: float,
    xla: str,
    set_profiling: bool,
    validation: Validation,
    save_seconds: float,
    callbacks: Sequence[Callable],
    out: TextIO,
    settings: Mapping[str, Any] | None,
  ):
    self._folder = folder
    self._graph = graph
    self._entries = entries
    self._num_problems = num_problems
    self._num_meta_iterations = num_meta_iterations
    self._num_unrolls = num_unrolls
    self._num_steps = num_steps
    self._seed = seed
    self._reset_rnn_params = reset_rnn_params
    self._max_multiplier = max_multiplier
    self._set_profiling = set_profiling
    self._validation = validation
    self._save_seconds = save_seconds
    self._callbacks = callbacks
    self._out = out
    self._settings = settings
    self._random_order = random_order
    self._jit_compile = xla == "always" or (
      xla == "auto" and self._pays_to_compile()
    )
    self._writer = None
    self._last_summary = -np.inf
    self._last_save = time.monotonic()
    self._bar = tqdm.tqdm(disable=True)
    self._saved: resume.Point | None = None

    # What a saved point holds, besides the variables of the graph.
    self._generator = np.random.default_rng(seed)
    self._problem_index = 0
    self._meta_iteration = 0
    self._entry_index = 0
    self._problem_seed = 0
    self._best_cost: float | None = None

  def _pays_to_compile(self):
    steps = schedule.planned_steps(
      self._num_unrolls,
      self._num_steps,
      self._num_meta_iterations,
      self._num_problems / len(self._entries),
    )
    return schedule.pays_to_compile(steps)

  def run(self, asked: interruption.Interruption, progress: bool) -> Result:
    """Trains until the last problem, or until asked to stop."""
    inner = self._restore()
    with self._graph.session.graph.as_default():
      self._writer = tf.compat.v1.summary.FileWriter(
        str(self._folder), self._graph.session.graph
      )
    per_problem = self._num_meta_iterations
    self._bar = tqdm.tqdm(
      total=self._num_problems * per_problem,
      initial=self._problem_index * per_problem + self._meta_iteration,
      unit="meta-iteration",
      disable=not progress,
    )
    finished = self._problem_index >= self._num_problems
    with self._bar, self._writer:
      while self._problem_index < self._num_problems and not asked.signal:
        self._train_on_problem(inner, asked)
        inner = {}
    return Result(
      self._graph.global_step(), asked.signal, self._best_cost, finished
    )

  # One problem.

  def _train_on_problem(self, inner, asked):
    started = time.monotonic()
    task, meta = self._open_problem(inner)
    self._tell_problem(time.monotonic() - started)
    metadata = {"global_step": [], "runtimes": [], "subproblem_objs": []}
    metadata |= {"meta_objs": [], "meta_grads_and_params": []}
    point = self._saved
    while self._meta_iteration < self._num_meta_iterations:
      if self._train_from_fresh_start(meta, task, metadata, asked):
        self._meta_iteration += 1
        self._bar.update()
        self._validate_if_due()
        point = self._point(meta, task)
      else:
        # It is not complete: fall back to where it began.
        self._graph.load(point.variables)
      stop = asked.signal and self._meta_iteration < self._num_meta_iterations
      late = time.monotonic() - self._last_save > self._save_seconds
      if (stop or late) and point is not self._saved:
        self._save(point)
      if stop:
        return
    self._problem_index += 1
    self._meta_iteration = 0
    self._save(self._point())
    for callback in self._callbacks:
      callback(
        type(task.problem).__name__,
        self._problem_index - 1,
        str(self._folder),
        metadata,
      )

  def _open_problem(self, inner) -> tuple[Task, MetaProgram]:
    """Goes on with the problem of a saved point, if any, or with a new one."""
    if inner:
      task, meta = self._build_problem()
      own = _inner_arrays(task, meta.program)
      # They differ if the run is continued with other settings.
      if {k: v.shape for k, v in own.items()} == {
        k: v.shape for k, v in inner.items()
      }:
        constants = _named(inner, "constant_")
        problem = task.problem.with_constants(constants)
        task = task._replace(problem=problem)
        meta.program.load(task)
        meta.program.restore_carried([*_named(inner, "carried_").values()])
        return task, meta
    count = len(self._entries)
    if self._random_order:
      self._entry_index = int(self._generator.integers(count))
    else:
      order = np.random.default_rng([self._seed, 1]).permutation(count)
      self._entry_index = int(order[self._problem_index % count])
    self._problem_seed = int(self._generator.integers(2**32))
    self._meta_iteration = 0
    return self._build_problem()

  def _build_problem(self):
    spec, dataset, batch_size = self._entries[self._entry_index]
    problem = spec.build(random_seed=self._problem_seed)
    task = Task.of(problem, dataset, batch_size)
    return task, self._graph.meta_program(task, self._jit_compile)

  def _tell_problem(self, seconds):
    if not self._bar.disable:
      return
    print(
      f"--------- Problem #{self._problem_index} ---------",
      describe(self._entries[self._entry_index][0]),
      f"Took {seconds:.1f} seconds to initialize.",
      sep="\n",
      file=self._out,
      flush=True,
    )

  # One meta-iteration.

  def _train_from_fresh_start(
    self, meta: MetaProgram, task, metadata, asked
  ) -> bool:
    """Returns whether the meta-iteration is complete."""
    program = meta.program
    started = time.monotonic()
    task.problem.init_fn(self._graph.session)
    generator = self._generator
    num_unrolls = self._num_unrolls(generator)
    lengths = [self._num_steps(generator) for _ in range(num_unrolls)]
    trial = program.draw(sum(lengths), generator)
    message = ""
    objectives, meta_objectives, gradients = [], [], []
    for unroll, (start, length) in enumerate(schedule.spans(lengths)):
      first = unroll == 0
      reset = first and (
        self._meta_iteration == 0 or not self._reset_rnn_params
      )
      feed = program.feed(trial, start, length, first, reset)
      fetches = {
        "train": meta.train_op,
        "meta_objective": program.out.metaobj,
        "objectives": program.out.problem_objectives,
        "initial": program.out.initial_obj,
      }
      if self._callbacks:
        fetches["gradients"] = meta.gradients
      if self._summary_is_due():
        fetches["summaries"] = meta.summaries
      if unroll < num_unrolls - 1:
        fetches["propagate"] = program.propagate
      if self._set_profiling and first:
        result = self._run_traced(program, fetches, feed)
      else:
        result = program.run(fetches, feed)
      self._check(task, result["objectives"])
      last_meta_objective = float(result["meta_objective"])
      if self._exceeds(result["objectives"][-1], result["initial"]):
        message = f" Broke early at {unroll + 1} out of {num_unrolls} unrolls."
        break
      if "summaries" in result:
        self._writer.add_summary(result["summaries"], self._graph.global_step())
      objectives.append(result["objectives"])
      meta_objectives.append(last_meta_objective)
      gradients.append(result.get("gradients"))
      self._bar.set_postfix(
        meta_objective=f"{last_meta_objective:.4f}", refresh=False
      )
      if asked.signal and unroll < num_unrolls - 1:
        return False
    seconds = time.monotonic() - started
    metadata["global_step"].append(self._graph.global_step())
    metadata["runtimes"].append(seconds)
    metadata["subproblem_objs"].append(objectives)
    metadata["meta_objs"].append(meta_objectives)
    metadata["meta_grads_and_params"].append(gradients)
    if self._bar.disable:
      steps = ", ".join(map(str, lengths))
      print(
        f"  [{self._meta_iteration:02}] {last_meta_objective:.6f},"
        f" {seconds:.2f} seconds, {sum(lengths)} iters"
        f" (unrolled {steps} steps){message}",
        file=self._out,
        flush=True,
      )
    return True

  def _run_traced(self, program, fetches, feed):
    metadata = tf.compat.v1.RunMetadata()
    options = tf.compat.v1.RunOptions(
      trace_level=tf.compat.v1.RunOptions.FULL_TRACE
    )
    result = program.run(fetches, feed, options, metadata)
    tag = f"00_iter{self._problem_index:04}_{self._meta_iteration:02}"
    self._writer.add_run_metadata(metadata, tag, self._graph.global_step())
    return result

  def _check(self, task, objectives):
    if np.any(objectives < 0):
      raise RunError(
        "Training problem objectives must be nonnegative, but"
        f" {type(task.problem).__name__} reached {np.nanmin(objectives):g};"
        " leave this problem out."
      )

  def _exceeds(self, objective, initial):
    multiplier = self._max_multiplier
    limit = initial + abs(initial) * (multiplier - 1)
    return multiplier > 0 and objective > limit

  def _summary_is_due(self):
    now = time.monotonic()
    due = now - self._last_summary > _SUMMARY_SECONDS
    if due:
      self._last_summary = now
    return due

  # Validation.

  def _validate_if_due(self):
    period, epochs, num_steps = self._validation
    done = (
      self._problem_index * self._num_meta_iterations + self._meta_iteration
    )
    if not period or done % period:
      return
    costs = []
    for i, (spec, dataset, batch_size) in enumerate(self._entries):
      problem = spec.build(random_seed=_VALIDATION_SEED + i)
      program = self._graph.programs.get(
        Task.of(problem, dataset, batch_size),
        self._jit_compile,
        meta_gradients=False,
      )
      seeds = [_VALIDATION_SEED + epoch for epoch in range(epochs)]
      curves = evaluation.loss_curves(program, num_steps, seeds)
      costs.append(np.log(curves[:, -1] / (curves[:, 0] + 1e-6) + 1e-6))
    cost = float(np.mean(costs))
    self._writer.add_summary(
      tf.compat.v1.Summary(
        value=[
          tf.compat.v1.Summary.Value(tag="ValidationCost", simple_value=cost)
        ]
      ),
      self._graph.global_step(),
    )
    if np.isfinite(cost) and (
      self._best_cost is None or cost < self._best_cost
    ):
      self._best_cost = cost
      self._graph.keep_best(self._folder, cost)
    if self._bar.disable:
      print(f"  validation cost {cost:.6f}", file=self._out, flush=True)

  # Saved points.

  def _point(
    self, meta: MetaProgram | None = None, task: Task | None = None
  ) -> resume.Point:
    """The state of the run, with that of the current problem if any."""
    inner = {}
    if meta and task:
      inner = _inner_arrays(task, meta.program)
    state = {
      "seed": self._seed,
      "problem_index": self._problem_index,
      "meta_iteration": self._meta_iteration,
      "entry_index": self._entry_index,
      "problem_seed": self._problem_seed,
      "best_cost": self._best_cost,
      "generator": self._generator.bit_generator.state,
    }
    return resume.Point(self._graph.values(), inner, state)

  def _save(self, point: resume.Point):
    resume.save(self._folder, point)
    self._graph.publish(self._folder)
    self._saved = point
    self._last_save = time.monotonic()

  def _restore(self) -> Mapping[str, np.ndarray]:
    """Continues from files; returns the current problem's arrays, if any."""
    point = resume.load(self._folder)
    if point is None:
      self._start_from_checkpoint_or_seed()
      self._record_settings()
      self._save(self._point())
      return {}
    state = point.state
    self._graph.load(
      checkpoints.matching(
        point.variables, self._graph.shapes(), str(self._folder)
      )
    )
    self._record_settings()
    self._saved = point
    self._seed = state["seed"]
    self._problem_index = state["problem_index"]
    self._meta_iteration = state["meta_iteration"]
    self._entry_index = state["entry_index"]
    self._problem_seed = state["problem_seed"]
    self._best_cost = state["best_cost"]
    self._generator.bit_generator.state = state["generator"]
    self._graph.publish_unless_current(self._folder)
    if self._entry_index >= len(self._entries):
      return {}
    return point.inner

  def _record_settings(self):
    if self._settings is not None:
      run_settings.write(self._folder, self._settings)

  def _start_from_checkpoint_or_seed(self):
    path = checkpoints.latest(self._folder)
    if path:
      self._graph.load(
        checkpoints.matching(checkpoints.read(path), self._graph.shapes(), path)
      )
    else:
      weights = self._graph.optimizer.rule.init_weights(self._seed)
      self._graph.load_weights(weights)


def _inner_arrays(task: Task, program: Program) -> dict[str, np.ndarray]:
  """What a problem carries from one meta-iteration to the next."""
  arrays = {
    f"carried_{i:04}": value for i, value in enumerate(program.carried())
  }
  constants = task.problem.constants
  return arrays | {f"constant_{k}": np.asarray(constants[k]) for k in constants}


def _named(arrays, prefix):
  """The arrays whose names begin so, by the rest of their names, sorted."""
  return {
    name.removeprefix(prefix): arrays[name]
    for name in sorted(arrays)
    if name.startswith(prefix)
  }

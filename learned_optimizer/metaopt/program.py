"""One graph, one session, and one program for each structure of a problem.

Building and compiling an unroll takes seconds, running it milliseconds. So a
program is built once for all instances of a problem that differ only in their
numbers; those are loaded into variables.
"""

import dataclasses
import enum
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from absl import logging

from learned_optimizer.metaopt.task import Task
from learned_optimizer.metaopt.trial import Trial
from learned_optimizer.optimizer.imitation import Teacher
from learned_optimizer.optimizer.regularizers.regularization import (
  Regularization,
)
from learned_optimizer.optimizer.trainable_optimizer import TrainableOptimizer
from learned_optimizer.optimizer.training_graph import TrainOutput
from learned_optimizer.optimizer.variables import set_variables
from learned_optimizer.problems.dataset import Dataset
from learned_optimizer.problems.problem import Problem

# What a session raises where XLA cannot compile; run-time errors look alike.
_COMPILATION_ERRORS = (
  tf.errors.InternalError,
  tf.errors.InvalidArgumentError,
  # Of the folder in which XLA keeps programs.
  tf.errors.NotFoundError,
  tf.errors.OutOfRangeError,
  tf.errors.PermissionDeniedError,
  tf.errors.ResourceExhaustedError,
  tf.errors.UnimplementedError,
)


class CompilationError(Exception):
  """The first run of a compiled program failed, and changed nothing."""


class Purpose(enum.Enum):
  """What a program is for; each has programs of its own."""

  TRAIN = "meta-gradients of the meta-objective"
  IMITATE = "meta-gradients of the difference from a teacher"
  EVALUATE = "objectives alone"


class Extras(NamedTuple):
  """What unrolls have besides rule and problem.

  Attributes:
    regularization: added to objectives; the meta-objective has it in training
      alone.
    teacher: whom to imitate.
    num_instances: on how many instances of a problem to train at once.
    sums_batches: in training, the meta-objective is a sum of objectives on
      batches of rows drawn one by one, and the loss of imitation a sum.
  """

  regularization: Regularization | None = None
  teacher: Teacher | None = None
  num_instances: int = 1
  sums_batches: bool = False

  def serving(self, purpose: Purpose) -> "Extras":
    """What of this a program for this purpose needs."""
    regularization, teacher, num_instances, sums_batches = self
    if regularization and purpose is not Purpose.TRAIN:
      regularization = dataclasses.replace(regularization, optimizer_weight=0.0)
    if regularization and not (
      regularization.optimizer_weight or regularization.optimizee_weight
    ):
      regularization = None
    return Extras(
      regularization,
      teacher if purpose is Purpose.IMITATE else None,
      num_instances if purpose is Purpose.TRAIN else 1,
      sums_batches and purpose is not Purpose.EVALUATE,
    )


NO_EXTRAS = Extras()


class Program:
  """The unroll of one optimizer on all tasks of one structure.

  Attributes:
    out: what `TrainableOptimizer.train` returned.
    jit_compile: whether XLA compiles it.
    purpose: what it is for.
    task: the task that is loaded.
    gradients: of `out.metaobj`, one per weight; None where the program only
      evaluates.
    num_instances: on how many instances of the problem it runs at once.
  """

  def __init__(
    self,
    session: tf.compat.v1.Session,
    optimizer: TrainableOptimizer,
    task: Task,
    jit_compile: bool,
    purpose: Purpose,
    extras: Extras = NO_EXTRAS,
  ):
    """Builds the program in the session's graph and loads the task."""
    self.jit_compile = jit_compile
    self.purpose = purpose
    self._has_run = False
    self._session = session
    self._optimizer = optimizer
    (
      regularization,
      self._teacher,
      self.num_instances,
      self._sums_batches,
    ) = extras.serving(purpose)
    self._regularizer = regularization and regularization.regularizer
    meta_gradients = purpose is not Purpose.EVALUATE
    with session.graph.as_default():
      self.out: TrainOutput = optimizer.train(
        task.problem,
        task.dataset,
        jit_compile,
        meta_gradients,
        regularization,
        self._teacher,
        self.num_instances,
        self._sums_batches,
      )
      # A loop that a session has run cannot be differentiated any more.
      self.gradients: list[tf.Tensor] | None = None
      if meta_gradients:
        self.gradients = tf.gradients(
          self.out.metaobj,
          list(optimizer.weights.values()),
          unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )
      carried = self.out.init_loop_vars
      self._reset = tf.compat.v1.variables_initializer(carried)
      self.propagate = [
        variable.assign(value)
        for variable, value in zip(
          carried, self.out.output_loop_vars, strict=True
        )
      ]
    self.load(task)

  def load(self, task: Task) -> None:
    """Makes the program run on this instance, with nothing carried over."""
    self.task = task
    self.load_problem(task.problem)
    self.load_data(task.dataset)
    self._session.run(self._reset)
    # A regulariser that does not draw in each step keeps its numbers as long
    # as the problem lasts.
    self._lasting_draws = self._regularizer_draws(
      0, np.random.default_rng(task.problem.random_seed)
    )

  def load_problem(self, problem: Problem) -> None:
    """Replaces the problem by another instance of the same structure."""
    constants, *_ = self.out.instance_vars
    values = [problem.constants[name] for name in constants]
    set_variables(self._session, [*constants.values()], values)
    self.task = self.task._replace(problem=problem)

  def load_data(self, dataset: Dataset) -> None:
    """Replaces the data by others of the same shapes."""
    _, data, labels = self.out.instance_vars
    set_variables(self._session, [data, labels], dataset)
    self.task = self.task._replace(dataset=dataset)

  def draw(
    self,
    num_steps: int,
    generator: np.random.Generator,
    init_params: list[np.ndarray] | None = None,
  ) -> Trial:
    """Draws the random numbers of `num_steps` steps of one instance.

    Args:
      num_steps: number of steps.
      generator: draws.
      init_params: initial parameters; None for those of the problem.
    """
    problem = self.task.problem
    batches = self._draw_batches(num_steps * self._batches_per_step, generator)
    last_batches = None
    if self._sums_batches:
      last_batches = self._draw_batches(num_steps, generator)
    params = init_params or problem.initial_parameters(generator)
    rule = self._optimizer.unrolled_rule()
    return Trial(
      params,
      rule.draws(params, generator),
      batches,
      problem.draws(num_steps, generator),
      self._regularizer_draws(num_steps, generator) or self._lasting_draws,
      self._teacher.draws(params, generator) if self._teacher else (),
      last_batches,
    )

  def _draw_batches(self, number, generator):
    """Rows of some batches: int32 [number, batch size]."""
    _, dataset, batch_size = self.task
    if self._sums_batches:
      size = [number, batch_size]
      return generator.integers(max(dataset.size, 1), size=size, dtype=np.int32)
    batches = dataset.batch_indices(number, batch_size, generator)
    return np.asarray(batches, np.int32).reshape(number, -1)

  @property
  def _batches_per_step(self) -> int:
    return self._teacher.num_steps if self._teacher else 1

  def _regularizer_draws(self, num_steps, generator):
    """Those of some steps, or with 0 of them those that last."""
    regularizer = self._regularizer
    if not regularizer or regularizer.draws_each_step != bool(num_steps):
      return []
    shapes = self.task.problem.param_shapes
    return regularizer.draws(shapes, num_steps, generator)

  def feed(
    self,
    trial: Trial,
    start: int,
    num_steps: int,
    first: bool,
    reset: bool,
    regularize: bool = True,
    observed: np.ndarray | None = None,
  ) -> dict[tf.Tensor, Any]:
    """The feed for one unroll.

    A compiled program is static, so lengths are padded to powers of two.

    Args:
      trial: the random numbers of the whole run.
      start: the unroll's first step.
      num_steps: its length.
      first: start from new parameters.
      reset: start from a fresh optimizer state.
      regularize: whether a regulariser acts in the meta-objective.
      observed: boolean [num_steps], where a program that evaluates takes the
        objective on all data; None for before every step.
    """
    capacity = num_steps
    if self.jit_compile:
      capacity = 1 << (num_steps - 1).bit_length()

    def window(rows, per_step=1):
      padded = np.zeros([capacity * per_step, *rows.shape[1:]], rows.dtype)
      begin, length = start * per_step, num_steps * per_step
      padded[:length] = rows[begin : begin + length]
      return padded

    out = self.out
    weight = 1.0 if self._sums_batches else 1.0 / num_steps
    weights = np.full([num_steps], weight, np.float32)
    feed = {
      out.num_steps: num_steps,
      out.batches: window(trial.batches, self._batches_per_step),
      out.obj_weights: np.pad(weights, (0, capacity - num_steps)),
      out.first_unroll: first,
      out.reset_state: reset,
    }
    if out.jacob_switch is not None:
      feed[out.jacob_switch] = regularize
    if observed is not None:
      feed[out.observed] = np.pad(observed, (0, capacity - num_steps))
    if out.last_batch is not None:
      feed[out.last_batch] = trial.last_batches[start + num_steps - 1]
    regularizer_draws = trial.regularizer_draws
    if self._regularizer and self._regularizer.draws_each_step:
      regularizer_draws = map(window, regularizer_draws)
    for placeholders, values in (
      (out.init_params, trial.init_params),
      (out.state_draws, trial.state_draws),
      (out.step_draws, [*map(window, trial.step_draws)]),
      (out.regularizer_draws, [*regularizer_draws]),
      (out.teacher_draws, trial.teacher_draws),
    ):
      feed |= zip(
        tf.nest.flatten(placeholders), tf.nest.flatten(values), strict=True
      )
    return feed

  def run(
    self,
    fetches: Any,
    feed: Mapping[tf.Tensor, Any],
    options: Any = None,
    metadata: Any = None,
  ) -> Any:
    """Runs the program in its session, traced if options say so.

    Raises:
      CompilationError: it is the first run, and XLA may not be able to compile
        the program. `Programs.fall_back` has another one.
    """
    try:
      result = self._session.run(fetches, feed, options, metadata)
    except _COMPILATION_ERRORS as error:
      if self._has_run or not self.jit_compile:
        raise
      # All that a run assigns comes out of the compiled program.
      reason = error.message.removeprefix("Graph execution error:").strip()
      raise CompilationError(reason.partition("\n")[0]) from error
    self._has_run = True
    return result

  def continue_from(self, other: "Program") -> None:
    """Stands where another program on the same task stands.

    What only one of them carries, the state of a teacher, stays as it is.
    """
    mine, values = self.out.init_loop_vars, other.carried()
    shared = min(len(mine), len(values))
    set_variables(self._session, mine[:shared], values[:shared])

  def carried(self) -> list[np.ndarray]:
    """What is carried from unroll to unroll, for `restore_carried`."""
    return self._session.run(self.out.init_loop_vars)

  def restore_carried(self, values: Sequence[np.ndarray]) -> None:
    """Puts back what `carried` returned."""
    set_variables(self._session, self.out.init_loop_vars, values)


class Programs:
  """The programs of one optimizer, by the structure of their tasks."""

  def __init__(
    self,
    session: tf.compat.v1.Session,
    optimizer: TrainableOptimizer,
    not_compilable: set[Any] | None = None,
    extras: Extras = NO_EXTRAS,
    compiles_all: bool = False,
  ):
    """Starts without programs.

    Args:
      session: holds the weights of the optimizer.
      optimizer: the optimizer.
      not_compilable: structures that XLA cannot compile, as far as is known;
        shared with other programs, and added to.
      extras: what unrolls have besides rule and problem.
      compiles_all: compile also where that makes a program slower.
    """
    self._session = session
    self._optimizer = optimizer
    self._not_compilable = set() if not_compilable is None else not_compilable
    self._extras = extras
    self._compiles_all = compiles_all
    self._programs: dict[Any, Program] = {}

  def __len__(self) -> int:
    return len(self._programs)

  def get(self, task: Task, jit_compile: bool, purpose: Purpose) -> Program:
    """The program for a task, with the task loaded.

    Args:
      task: the task.
      jit_compile: whether XLA compiles the program, if it can and that helps.
      purpose: what it is for.
    """
    jit_compile = (
      jit_compile
      and (self._compiles_all or task.gains_from_compiling)
      and self._optimizer.can_compile
      and task.structure not in self._not_compilable
    )
    key = (task.structure, jit_compile, purpose)
    if key in self._programs:
      self._programs[key].load(task)
    else:
      self._programs[key] = Program(
        self._session,
        self._optimizer,
        task,
        jit_compile,
        purpose,
        self._extras,
      )
    return self._programs[key]

  def fall_back(self, failed: Program, error: CompilationError) -> Program:
    """The program that runs op by op in place of one that does not compile.

    It stands where the other one does. From now on `get` compiles nothing for
    tasks of this structure.
    """
    task = failed.task
    logging.warning(
      "XLA cannot compile %s, which runs op by op instead (%s).",
      type(task.problem).__name__,
      error,
    )
    self._not_compilable.add(task.structure)
    program = self.get(task, False, failed.purpose)
    program.continue_from(failed)
    return program

"""One graph, one session, and one program for each structure of a problem.

Building and compiling an unroll takes seconds, running it milliseconds. So a
program is built once for all instances of a problem that differ only in their
numbers; those are loaded into variables.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from absl import logging

from learned_optimizer.metaopt.task import Task
from learned_optimizer.optimizer.trainable_optimizer import TrainableOptimizer
from learned_optimizer.optimizer.training_graph import TrainOutput
from learned_optimizer.optimizer.variables import set_variables

# What a session raises where XLA cannot compile; run-time errors look alike.
_COMPILATION_ERRORS = (
  tf.errors.InternalError,
  tf.errors.InvalidArgumentError,
  tf.errors.UnimplementedError,
)


class CompilationError(Exception):
  """The first run of a compiled program failed, and changed nothing."""


class Trial(NamedTuple):
  """The random numbers of one run of an optimizer on a problem.

  Attributes:
    init_params: initial parameters.
    state_draws: what a fresh optimizer state needs.
    batches: int32 [steps, batch size], rows of the data set.
    step_draws: the problem's random numbers, each [steps, ...].
  """

  init_params: list[np.ndarray]
  state_draws: Any
  batches: np.ndarray
  step_draws: list[np.ndarray]


class Program:
  """The unroll of one optimizer on all tasks of one structure.

  Attributes:
    out: what `TrainableOptimizer.train` returned.
    jit_compile: whether XLA compiles it.
    task: the task that is loaded.
    gradients: of the meta-objective, one per weight; None where the program
      only evaluates.
  """

  def __init__(
    self,
    session: tf.compat.v1.Session,
    optimizer: TrainableOptimizer,
    task: Task,
    jit_compile: bool,
    meta_gradients: bool,
  ):
    """Builds the program in the session's graph and loads the task."""
    self.jit_compile = jit_compile
    self._has_run = False
    self._session = session
    self._optimizer = optimizer
    with session.graph.as_default():
      self.out: TrainOutput = optimizer.train(
        task.problem, task.dataset, jit_compile, meta_gradients
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
    constants, data, labels = self.out.instance_vars
    values = [task.problem.constants[name] for name in constants]
    set_variables(
      self._session,
      [*constants.values(), data, labels],
      [*values, *task.dataset],
    )
    self.task = task
    self._session.run(self._reset)

  def draw(self, num_steps: int, generator: np.random.Generator) -> Trial:
    """Draws the random numbers of `num_steps` steps on the loaded task."""
    problem, dataset, batch_size = self.task
    batches = dataset.batch_indices(num_steps, batch_size, generator)
    params = problem.initial_parameters(generator)
    rule = self._optimizer.unrolled_rule()
    return Trial(
      params,
      rule.draws(params, generator),
      np.asarray(batches, np.int32).reshape(num_steps, -1),
      problem.draws(num_steps, generator),
    )

  def feed(
    self, trial: Trial, start: int, num_steps: int, first: bool, reset: bool
  ) -> dict[tf.Tensor, Any]:
    """The feed for one unroll.

    A compiled program is static, so lengths are padded to powers of two.

    Args:
      trial: the random numbers of the whole run.
      start: the unroll's first step.
      num_steps: its length.
      first: start from new parameters.
      reset: start from a fresh optimizer state.
    """
    capacity = num_steps
    if self.jit_compile:
      capacity = 1 << (num_steps - 1).bit_length()

    def window(rows):
      padded = np.zeros([capacity, *rows.shape[1:]], rows.dtype)
      padded[:num_steps] = rows[start : start + num_steps]
      return padded

    out = self.out
    weights = np.full([num_steps], 1.0 / num_steps, np.float32)
    feed = {
      out.num_steps: num_steps,
      out.batches: window(trial.batches),
      out.obj_weights: np.pad(weights, (0, capacity - num_steps)),
      out.first_unroll: first,
      out.reset_state: reset,
    }
    feed |= zip(out.init_params, trial.init_params, strict=True)
    feed |= zip(
      tf.nest.flatten(out.state_draws),
      tf.nest.flatten(trial.state_draws),
      strict=True,
    )
    feed |= zip(out.step_draws, map(window, trial.step_draws), strict=True)
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
  ):
    """Starts without programs.

    Args:
      session: holds the weights of the optimizer.
      optimizer: the optimizer.
      not_compilable: structures that XLA cannot compile, as far as is known;
        shared with other programs, and added to.
    """
    self._session = session
    self._optimizer = optimizer
    self._not_compilable = set() if not_compilable is None else not_compilable
    self._programs: dict[Any, Program] = {}

  def get(self, task: Task, jit_compile: bool, meta_gradients: bool) -> Program:
    """The program for a task, with the task loaded.

    Args:
      task: the task.
      jit_compile: whether XLA compiles the program, if it can.
      meta_gradients: whether it is for training; those that evaluate are
        programs of their own, so that nothing of one disturbs the other.
    """
    jit_compile = (
      jit_compile
      and self._optimizer.can_compile
      and task.structure not in self._not_compilable
    )
    key = (task.structure, jit_compile, meta_gradients)
    if key in self._programs:
      self._programs[key].load(task)
    else:
      self._programs[key] = Program(
        self._session, self._optimizer, task, jit_compile, meta_gradients
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
    program = self.get(task, False, failed.gradients is not None)
    program.restore_carried(failed.carried())
    return program

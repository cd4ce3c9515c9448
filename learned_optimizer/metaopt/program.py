"""One graph, one session, and one program for each structure of a problem.

Building and compiling an unroll takes seconds, running it milliseconds. So a
program is built once for all instances of a problem that differ only in their
numbers; those are loaded into variables.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from learned_optimizer.optimizer.trainable_optimizer import TrainableOptimizer
from learned_optimizer.optimizer.training_graph import TrainOutput
from learned_optimizer.problems.datasets import EMPTY_DATASET, Dataset
from learned_optimizer.problems.problem import Problem


class Task(NamedTuple):
  """A problem with what it is trained on.

  Attributes:
    problem: the problem instance.
    dataset: its data.
    batch_size: rows per batch; 0 without data.
  """

  problem: Problem
  dataset: Dataset
  batch_size: int

  @classmethod
  def of(
    cls, problem: Problem, dataset: Dataset | None, batch_size: int | None
  ) -> "Task":
    """Replaces what a problem set leaves out by what stands for nothing."""
    if dataset is None:
      return cls(problem, EMPTY_DATASET, 0)
    return cls(problem, dataset, batch_size or dataset.size)

  @property
  def structure(self) -> Any:
    """What a program depends on; equal for instances that can share one."""
    data, labels = (np.asarray(part) for part in self.dataset)
    shapes = (data.shape, str(data.dtype), labels.shape, str(labels.dtype))
    return (self.problem.structure, shapes)


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
      constants, data, labels = self.out.instance_vars
      self._instance = [*constants.values(), data, labels]
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
    self._task = task
    self._session.run(self._reset)

  def draw(self, num_steps: int, generator: np.random.Generator) -> Trial:
    """Draws the random numbers of `num_steps` steps on the loaded task."""
    problem, dataset, batch_size = self._task
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
    """Runs the program in its session, traced if options say so."""
    return self._session.run(fetches, feed, options, metadata)

  def carried(self) -> list[np.ndarray]:
    """What is carried from unroll to unroll, for `restore_carried`."""
    return self._session.run(self.out.init_loop_vars)

  def restore_carried(self, values: Sequence[np.ndarray]) -> None:
    """Puts back what `carried` returned."""
    set_variables(self._session, self.out.init_loop_vars, values)


class Programs:
  """The programs of one optimizer, by the structure of their tasks."""

  def __init__(
    self, session: tf.compat.v1.Session, optimizer: TrainableOptimizer
  ):
    self._session = session
    self._optimizer = optimizer
    self._programs: dict[Any, Program] = {}

  def get(self, task: Task, jit_compile: bool, meta_gradients: bool) -> Program:
    """The program for a task, with the task loaded.

    Args:
      task: the task.
      jit_compile: whether XLA compiles the program.
      meta_gradients: whether it is for training; those that evaluate are
        programs of their own, so that nothing of one disturbs the other.
    """
    key = (task.structure, jit_compile, meta_gradients)
    if key in self._programs:
      self._programs[key].load(task)
    else:
      self._programs[key] = Program(
        self._session, self._optimizer, task, jit_compile, meta_gradients
      )
    return self._programs[key]


def describe(spec: Any) -> str:
  """A problem's `Spec` as one would write the call, for people to read."""

  def text(value):
    return getattr(value, "__name__", None) or repr(value)

  arguments = [text(value) for value in spec.args]
  arguments += [f"{key}={text(value)}" for key, value in spec.kwargs.items()]
  return f"{text(spec.callable)}({', '.join(arguments)})"


def load_variables(
  session: tf.compat.v1.Session,
  variables: Sequence[tf.Variable],
  values: Mapping[str, Any],
) -> None:
  """Sets variables from values by checkpoint name."""
  set_variables(session, variables, [values[v.op.name] for v in variables])


def set_variables(
  session: tf.compat.v1.Session,
  variables: Sequence[tf.Variable],
  values: Sequence[Any],
) -> None:
  """Sets variables, in one session run and without adding to the graph."""
  initializers = [variable.initializer for variable in variables]
  feed = {
    initializer.inputs[1]: np.asarray(value)
    for initializer, value in zip(initializers, values, strict=True)
  }
  session.run(initializers, feed)

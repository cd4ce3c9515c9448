"""The graph and session of a meta-training run.

It holds the learned optimizer's weights, slots of them, and the programs
that compute meta-gradients, under the variable names of the original
checkpoints.
"""

import gc
import json
import pathlib
import shutil
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from learned_optimizer import files
from learned_optimizer.metaopt.program import (
  NO_EXTRAS,
  CompilationError,
  Extras,
  Program,
  Programs,
  Purpose,
)
from learned_optimizer.metaopt.task import Task
from learned_optimizer.optimizer import checkpoints, instances
from learned_optimizer.optimizer.scaling import make_finite
from learned_optimizer.optimizer.trainable_optimizer import TrainableOptimizer
from learned_optimizer.optimizer.variables import load_variables

# Programs of the hierarchical RNN keep 100 to 200 MB each.
_MAX_PROGRAMS = 32


class MetaOptimizer(NamedTuple):
  """How the weights descend: by RMSProp or Adam as TF1 has them.

  Attributes:
    learning_rate: of either.
    gradient_clip: meta-gradients are clipped to plus or minus this, element
      by element, after non-finite elements are set to zero.
    rms_decay: decay of the mean of squares.
    rms_epsilon: added to it under the root.
    l2_reg: weight of the sum of squared weights in the loss.
    uses_adam: Adam, with its default settings, rather than RMSProp.
    num_imitated: how many rules are imitated in turn, each of which then has
      slots of its own; 0 for the slots of other training.
  """

  learning_rate: float = 1e-4
  gradient_clip: float = 5.0
  rms_decay: float = 0.9
  rms_epsilon: float = 1e-20
  l2_reg: float = 0.0
  uses_adam: bool = False
  num_imitated: int = 0

  def optimizers(self) -> dict[Purpose, list[tf.compat.v1.train.Optimizer]]:
    """Makes those that take turns in training, and those in imitation."""
    main = self._optimizer()
    imitation = [
      self._optimizer(f"Imitation{index}") for index in range(self.num_imitated)
    ]
    return {Purpose.TRAIN: [main], Purpose.IMITATE: imitation or [main]}

  def _optimizer(self, prefix=""):
    train = tf.compat.v1.train
    if self.uses_adam:
      return train.AdamOptimizer(
        self.learning_rate, use_locking=True, name=f"{prefix}Adam"
      )
    return train.RMSPropOptimizer(
      self.learning_rate,
      self.rms_decay,
      epsilon=self.rms_epsilon,
      use_locking=True,
      name=f"{prefix}RMSProp",
    )


class MetaProgram(NamedTuple):
  """A program with the update of the weights from its meta-gradients.

  Attributes:
    program: the unroll.
    train_ops: one step of the meta-optimizer; in imitation one for each rule
      that has slots of its own.
    gradients: the clipped meta-gradients, by weight.
    summaries: what TensorBoard shows, a serialised protocol buffer.
  """

  program: Program
  train_ops: list[tf.Operation]
  gradients: dict[str, tf.Tensor]
  summaries: tf.Tensor


class MetaGraph:
  """Graph, session, weights and meta-optimizer of one run.

  Attributes:
    optimizer: the learned optimizer.
    session: the session.
    variables: everything a checkpoint holds: weights, slots of the
      meta-optimizer, global_step.
    best: values of variables to go back to, by checkpoint name; empty without
      a curriculum.
  """

  def __init__(
    self,
    optimizer_spec: Any,
    meta_optimizer: MetaOptimizer,
    extras: Extras = NO_EXTRAS,
    num_published: int = 5,
    compiles_all: bool = False,
    optimizes_graphs: bool = True,
  ):
    """Builds the optimizer and initialises all variables.

    Args:
      optimizer_spec: `Spec` of the optimizer.
      meta_optimizer: how the weights descend.
      extras: what unrolls have besides rule and problem.
      num_published: how many published checkpoints remain.
      compiles_all: see `Programs`.
      optimizes_graphs: whether TensorFlow optimises what it runs, which takes
        time and is of no use to what XLA compiles.
    """
    self._optimizer_spec = optimizer_spec
    self._settings = meta_optimizer
    self._extras = extras
    self._num_published = num_published
    self._compiles_all = compiles_all
    self._optimizes_graphs = optimizes_graphs
    self._not_compilable: set[Any] = set()
    self.best: dict[str, np.ndarray] = {}
    self._build()

  def _build(self):
    v1 = tf.compat.v1
    graph = tf.Graph()
    with graph.as_default():
      self.optimizer: TrainableOptimizer = self._optimizer_spec.build()
      if not self.optimizer.weights:
        raise ValueError(
          f"{type(self.optimizer).__name__} made no trainable variable in the"
          " scope LOL; at least one is needed."
        )
      # Raises an error if there cannot be so many.
      instances.rule_for(
        self.optimizer.unrolled_rule(), self._extras.num_instances
      )
      self._global_step = v1.get_variable(
        "global_step",
        initializer=np.int32(0),
        trainable=False,
        use_resource=True,
      )
      self._optimizers = self._settings.optimizers()
      # Makes the slots, so that checkpoints are complete before any program
      # is built.
      for meta_optimizer in dict.fromkeys(sum(self._optimizers.values(), [])):
        meta_optimizer.apply_gradients(
          [(tf.zeros_like(v), v) for v in self.optimizer.weights.values()]
        )
      self.variables = v1.global_variables()
      self._saver = v1.train.Saver(
        self.variables,
        max_to_keep=self._num_published,
        save_relative_paths=True,
      )
      self._best_saver = v1.train.Saver(
        self.variables, max_to_keep=1, save_relative_paths=True
      )
      initialize = v1.global_variables_initializer()
    config = v1.ConfigProto()
    rewrites = config.graph_options.rewrite_options
    rewrites.disable_meta_optimizer = not self._optimizes_graphs
    self.session = v1.Session(graph=graph, config=config)
    self.session.run(initialize)
    self.programs = Programs(
      self.session,
      self.optimizer,
      self._not_compilable,
      self._extras,
      self._compiles_all,
    )
    self._meta_programs: dict[Program, MetaProgram] = {}

  def renew_if_crowded(self) -> None:
    """Starts a new graph with the same values if there are many programs.

    A graph only grows: every program keeps its memory, and makes building the
    next one slower. No program may be in use.
    """
    if len(self.programs) >= _MAX_PROGRAMS:
      self._renew()

  def optimize_graphs(self) -> None:
    """Has TensorFlow optimise what it runs; no program may be in use."""
    if not self._optimizes_graphs:
      self._optimizes_graphs = True
      self._renew()

  def _renew(self):
    values = self.values()
    self.session.close()
    gc.unfreeze()
    self._build()
    self.load(values)

  def meta_program(
    self, task: Task, jit_compile: bool, purpose: Purpose = Purpose.TRAIN
  ) -> MetaProgram:
    """The program for a task and a purpose, with the task loaded."""
    return self._with_update(self.programs.get(task, jit_compile, purpose))

  def fall_back(
    self, failed: MetaProgram, error: CompilationError
  ) -> MetaProgram:
    """What runs op by op in place of a program that does not compile."""
    return self._with_update(self.programs.fall_back(failed.program, error))

  def _with_update(self, program: Program) -> MetaProgram:
    if program not in self._meta_programs:
      with self.session.graph.as_default():
        self._meta_programs[program] = self._add_update(program)
      # A graph is many objects. Python's collector of garbage is to leave them
      # alone until the run ends, since it takes longer than a short unroll.
      gc.freeze()
    return self._meta_programs[program]

  def _add_update(self, program: Program) -> MetaProgram:
    weights = self.optimizer.weights
    values = [variable.read_value() for variable in weights.values()]
    # The loss is the meta-objective + l2_reg * sum of squared weights.
    raw = [
      gradient + 2 * self._settings.l2_reg * value
      for gradient, value in zip(program.gradients, values, strict=True)
    ]
    limit = self._settings.gradient_clip
    raw = [_finite(gradient) for gradient in raw]
    clipped = [tf.clip_by_value(grad, -limit, limit) for grad in raw]
    train_ops = [
      meta_optimizer.apply_gradients(
        zip(clipped, weights.values(), strict=True),
        global_step=self._global_step,
      )
      for meta_optimizer in self._optimizers[program.purpose]
    ]
    summaries = self._summaries(program, raw, clipped, values)
    gradients = dict(zip(weights, clipped, strict=True))
    return MetaProgram(program, train_ops, gradients, summaries)

  def _summaries(self, program, raw, clipped, values):
    # Summaries of `tf.summary` take their tags from names, which are unique in
    # a graph; those of all programs should show as one.
    def histogram(tag, finite):
      return tf.raw_ops.HistogramSummary(tag=tag, values=finite)

    def scalar(tag, tensor):
      return tf.raw_ops.ScalarSummary(tags=tag, values=tensor)

    out = program.out
    problem_name = type(program.task.problem).__name__
    summaries = [
      histogram(f"State/{key}", _finite(tf.cast(slot, tf.float32)))
      for key, slot in zip(
        self.optimizer.state_keys, out.output_state[0], strict=True
      )
    ]
    loss = "MetaObjective"
    if program.purpose is Purpose.IMITATE:
      loss = "ImitationLoss"
    summaries.append(scalar(loss, out.metaobj))
    summaries.append(scalar(f"{problem_name}_{loss}", out.metaobj))
    for i, name in enumerate(self.optimizer.weights):
      summaries.append(histogram(f"{name}_rawgrad", raw[i]))
      summaries.append(histogram(f"{name}_var", _finite(values[i])))
      summaries.append(histogram(f"{name}_grad", clipped[i]))
    return tf.raw_ops.MergeSummary(inputs=summaries)

  # Values of the variables.

  def values(self) -> dict[str, np.ndarray]:
    """All variables by checkpoint name."""
    values = self.session.run(self.variables)
    names = [variable.op.name for variable in self.variables]
    return dict(zip(names, values, strict=True))

  def load(self, values: Mapping[str, np.ndarray]) -> None:
    """Sets all variables from values by checkpoint name."""
    load_variables(self.session, self.variables, values)

  def load_weights(self, values: Mapping[str, Any]) -> None:
    """Sets these weights."""
    variables = [self.optimizer.weights[name] for name in values]
    load_variables(self.session, variables, values)

  def shapes(self) -> dict[str, tuple[int, ...]]:
    """Shapes of all variables by checkpoint name."""
    return {v.op.name: tuple(v.shape) for v in self.variables}

  def global_step(self) -> int:
    """How many unrolls the weights were trained on."""
    return int(self.session.run(self._global_step))

  # Checkpoints.

  def publish(self, folder: pathlib.Path, number: int) -> None:
    """Writes `model.ckpt-<number>`, which from now on is the last one."""
    if not self._saver.last_checkpoints:
      self._saver.recover_last_checkpoints(checkpoints.kept(folder))
    self._write(self._saver, folder, number)

  def keep_best(self, folder: pathlib.Path, cost: float) -> None:
    """Keeps these weights in a folder `best-<global_step>`, instead of others.

    Args:
      folder: where to make that folder.
      cost: the validation cost, kept with them.
    """
    best = folder / f"best-{self.global_step()}"
    if best.exists():
      # Left from before the run went back to a saved point.
      shutil.rmtree(best)
    with files.whole_folder(best) as partial:
      self._write(self._best_saver, partial, self.global_step())
      (partial / "validation.json").write_text(json.dumps({"cost": cost}))
    for other in files.numbered(folder, "best"):
      if other != best:
        shutil.rmtree(other)

  # What a curriculum goes back to.

  def mark_best(self, keeps_slots: bool = False) -> None:
    """Makes weights, as they are, those to go back to.

    Args:
      keeps_slots: not to go back to the present slots as well.
    """
    self.best = self.values()
    del self.best["global_step"]
    if keeps_slots:
      self.best = {name: self.best[name] for name in self.optimizer.weights}

  def go_back_to_best(self) -> None:
    """Goes back to what was marked, if anything was."""
    self.load(self.values() | self.best)

  def _write(self, saver, folder, number):
    with self.session.graph.as_default():
      saver.save(
        self.session,
        str(folder / "model.ckpt"),
        number,
        write_meta_graph=False,
      )


def _finite(tensor):
  return make_finite(tensor, tf.zeros_like(tensor))

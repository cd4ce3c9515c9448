"""What follows from validations: the best weights are kept, levels end."""

import pathlib

import numpy as np

from learned_optimizer.metaopt.curriculum import Verdict
from learned_optimizer.metaopt.meta_graph import MetaGraph
from learned_optimizer.metaopt.meta_iterations import MetaIterations
from learned_optimizer.metaopt.position import Position
from learned_optimizer.metaopt.publishing import Publisher
from learned_optimizer.metaopt.run_log import RunLog
from learned_optimizer.metaopt.training_settings import TrainingSettings


class Selection:
  """Validates a run, and acts on the outcome."""

  def __init__(
    self,
    folder: pathlib.Path,
    settings: TrainingSettings,
    graph: MetaGraph,
    position: Position,
    publisher: Publisher,
    log: RunLog,
  ):
    self._folder = folder
    self._settings = settings
    self._graph = graph
    self._position = position
    self._publisher = publisher
    self._log = log

  def go_on(self, iterations: MetaIterations) -> bool:
    """Validates after a meta-iteration, if it is time.

    Returns:
      Whether the problem is worth more meta-iterations.
    """
    position = self._position
    done = position.meta_iteration
    if not self._settings.procedure.validates_in_place:
      done += position.problem_index * self._settings.num_meta_iterations
    if not self._settings.validation.is_due(done):
      return True
    cost = self._cost(iterations)
    self._log.validation(cost, position.level)
    if position.curriculum:
      return self._judge(iterations, cost)
    best = np.inf if position.best_cost is None else position.best_cost
    if np.isfinite(cost) and cost < best:
      position.best_cost = cost
      self._keep(cost)
    return True

  def _cost(self, iterations):
    settings, curriculum = self._settings, self._position.curriculum
    validation = settings.validation
    if curriculum:
      length = curriculum.unroll_length
      validation = validation._replace(
        num_steps=curriculum.num_evaluation_unrolls * length,
        unroll_length=length,
      )
    if settings.procedure.validates_in_place:
      return iterations.validation_cost(
        validation.num_steps // validation.unroll_length, validation
      )
    if settings.procedure.validates_on_batches:
      return validation.cost_on_batches(
        self._graph.programs,
        settings.problems_and_data[self._position.entry_index],
        self._position.jit_compile,
        self._position.generator,
      )
    return validation.cost(
      self._graph.programs,
      settings.problems_and_data,
      self._position.jit_compile,
    )

  def _judge(self, iterations, cost):
    """What the curriculum says to a cost."""
    position, curriculum = self._position, self._position.curriculum
    verdict = curriculum.evaluated(cost)
    if verdict is Verdict.BEST:
      self._keep(cost)
      self._graph.mark_best(self._settings.procedure.keeps_slots)
    elif verdict is Verdict.ADVANCE:
      self._graph.go_back_to_best()
      curriculum.advance()
      cost = self._cost(iterations)
      curriculum.entered(cost)
      self._log.validation(cost, position.level)
    elif verdict in (Verdict.NO_IMPROVEMENT, Verdict.COMPLETE):
      self._log.curriculum_ends(position.level, verdict)
      return False
    return True

  def _keep(self, cost):
    self._graph.keep_best(self._folder, cost)
    self._publisher.improved(self._position.level or 0)

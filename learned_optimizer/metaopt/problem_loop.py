"""The outer loop of meta-training: problem after problem."""

import pathlib
import time
from collections.abc import Mapping

import numpy as np

from learned_optimizer.metaopt.interruption import Interruption
from learned_optimizer.metaopt.meta_graph import MetaGraph
from learned_optimizer.metaopt.meta_iterations import MetaIterations
from learned_optimizer.metaopt.position import Position
from learned_optimizer.metaopt.publishing import Publisher
from learned_optimizer.metaopt.run_log import RunLog
from learned_optimizer.metaopt.saved_points import SavedPoints, restore_problem
from learned_optimizer.metaopt.selection import Selection
from learned_optimizer.metaopt.task import Task
from learned_optimizer.metaopt.training_settings import TrainingSettings


class ProblemLoop:
  """Draws problems, trains on each, validates and saves on the way."""

  def __init__(
    self,
    folder: pathlib.Path,
    settings: TrainingSettings,
    graph: MetaGraph,
    position: Position,
    points: SavedPoints,
    publisher: Publisher,
    log: RunLog,
  ):
    self._folder = folder
    self._settings = settings
    self._graph = graph
    self._position = position
    self._points = points
    self._publisher = publisher
    self._log = log
    self._selection = Selection(
      folder, settings, graph, position, publisher, log
    )

  def run(self, inner: Mapping[str, np.ndarray], asked: Interruption) -> None:
    """Trains until the last problem, or until asked to stop.

    Args:
      inner: arrays of the problem to go on with; empty for a new one.
      asked: tells when to stop.
    """
    while not (self._finished() or asked.signal):
      self._train_on_problem(inner, asked)
      inner = {}

  def _finished(self):
    return self._position.problem_index >= self._settings.num_problems

  def _train_on_problem(self, inner, asked):
    position, points = self._position, self._points
    num_meta_iterations = self._settings.num_meta_iterations
    iterations = self._open_problem(inner)
    point = points.newest
    worthwhile = True
    while worthwhile and position.meta_iteration < num_meta_iterations:
      if iterations.run(asked):
        position.meta_iteration += 1
        stood = self._curriculum_state()
        worthwhile = self._selection.go_on(iterations)
        moved = self._curriculum_state() != stood
        last = position.meta_iteration == num_meta_iterations
        if not position.curriculum:
          self._publisher.iteration_ended(position.meta_iteration, last)
        point = points.take(iterations.program)
      else:
        # It is not complete: fall back to where it began.
        self._graph.load(point.variables)
        moved = False
      unfinished = position.meta_iteration < num_meta_iterations
      stop = asked.signal and worthwhile and unfinished
      late = points.seconds_since_save() > self._settings.save_seconds
      # Where the problem is over, the point below is what to go on from.
      wanted = stop or late or moved
      if worthwhile and wanted and point is not points.newest:
        points.save(point)
      if stop:
        return
    name = type(iterations.program.task.problem).__name__
    index = position.problem_index
    position.problem_index += 1
    position.meta_iteration = 0
    if position.curriculum:
      # So does the original, whose next problem starts from `model.ckpt-0`.
      self._graph.go_back_to_best()
    points.save(points.take())
    for callback in self._settings.callbacks:
      callback(name, index, str(self._folder), iterations.metadata)

  def _curriculum_state(self):
    """The level and its best cost, with which files are published."""
    curriculum = self._position.curriculum
    return curriculum and (curriculum.level, curriculum.best_cost)

  def _open_problem(self, inner) -> MetaIterations:
    """Goes on with the problem of a saved point, if any, or with a new one."""
    started = time.monotonic()
    self._graph.renew_if_crowded()
    iterations = None
    if inner and self._position.entry_index < self._num_entries():
      iterations = self._build_problem()
      if not restore_problem(iterations.program, inner):
        iterations = None
    if iterations is None:
      self._draw_problem()
      iterations = self._build_problem()
    spec, *_ = self._entry()
    seconds = time.monotonic() - started
    self._log.problem(self._position.problem_index, spec, seconds)
    return iterations

  def _draw_problem(self):
    position, count = self._position, self._num_entries()
    if self._settings.select_random_problems:
      position.entry_index = int(position.generator.integers(count))
    else:
      order = np.random.default_rng([position.seed, 1]).permutation(count)
      position.entry_index = int(order[position.problem_index % count])
    position.problem_seed = int(position.generator.integers(2**32))
    position.meta_iteration = 0

  def _build_problem(self):
    spec, dataset, batch_size = self._entry()
    spec = self._settings.procedure.training_spec(spec)
    problem = spec.build(random_seed=self._position.problem_seed)
    return MetaIterations(
      self._settings,
      self._graph,
      self._position,
      self._log,
      spec,
      Task.of(problem, dataset, batch_size),
    )

  def _entry(self):
    return self._settings.problems_and_data[self._position.entry_index]

  def _num_entries(self):
    return len(self._settings.problems_and_data)

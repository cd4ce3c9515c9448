"""Saving a meta-training run and going on from where it was saved."""

import pathlib
import time
from collections.abc import Mapping

import numpy as np

from learned_optimizer.metaopt import resume
from learned_optimizer.metaopt.meta_graph import MetaGraph
from learned_optimizer.metaopt.position import Position
from learned_optimizer.metaopt.program import Program
from learned_optimizer.metaopt.publishing import Publisher
from learned_optimizer.optimizer import checkpoints

_BEST = "best/"


class SavedPoints:
  """The saved points of one run.

  Attributes:
    newest: the point saved last, or None.
  """

  def __init__(
    self,
    folder: pathlib.Path,
    graph: MetaGraph,
    position: Position,
    publisher: Publisher,
  ):
    self._folder = folder
    self._graph = graph
    self._position = position
    self._publisher = publisher
    self._saved_at = time.monotonic()
    self.newest: resume.Point | None = None

  def restore(self) -> Mapping[str, np.ndarray]:
    """Loads graph and position from files, or starts anew; writes nothing.

    Without a saved point weights come from a checkpoint, where there is one.

    Returns:
      The arrays of the problem that the run is in, for `restore_problem`;
      empty between problems.

    Raises:
      RunError: no saved point can be read.
      CheckpointError: what was saved is damaged or of another optimizer.
    """
    self.newest = point = resume.load(self._folder)
    if point is None:
      self._start()
      return {}
    self._load(point.variables, str(self._folder))
    self._graph.best = _named(point.variables, _BEST)
    self._position.restore(point.state)
    return point.inner

  def _start(self):
    path = checkpoints.latest(self._folder)
    if path:
      self._load(checkpoints.read(path), path)
    else:
      optimizer = self._graph.optimizer
      self._graph.load_weights(optimizer.initial_weights(self._position.seed))

  def _load(self, variables, source):
    shapes = self._graph.shapes()
    self._graph.load(checkpoints.matching(variables, shapes, source))

  def complete(self) -> None:
    """After `restore`, writes the files that should be there and are not."""
    if self.newest is None:
      self.save(self.take())
    else:
      self._publisher.repair()

  def take(self, program: Program | None = None) -> resume.Point:
    """The run as it stands; `program` is that of the current problem."""
    inner = _problem_arrays(program) if program else {}
    variables = self._graph.values()
    if self._position.curriculum:
      # What it goes back to; files of it may be those of a later time.
      best = self._graph.best
      variables |= {f"{_BEST}{name}": best[name] for name in best}
    return resume.Point(variables, inner, self._position.state())

  def save(self, point: resume.Point) -> None:
    """Saves a point, for continuing and where it is the custom for others."""
    resume.save(self._folder, point)
    self._publisher.point_saved()
    self.newest = point
    self._saved_at = time.monotonic()

  def seconds_since_save(self) -> float:
    """The age of the point saved last."""
    return time.monotonic() - self._saved_at


def restore_problem(program: Program, arrays: Mapping[str, np.ndarray]) -> bool:
  """Puts a problem's part of a saved point back into its program.

  Returns:
    Whether it fits; it may not if the run is continued with other settings.
  """
  own = _problem_arrays(program)
  if {k: v.shape for k, v in own.items()} != {
    k: v.shape for k, v in arrays.items()
  }:
    return False
  problem = program.task.problem.with_constants(_named(arrays, "constant_"))
  program.load(program.task._replace(problem=problem))
  program.restore_carried([*_named(arrays, "carried_").values()])
  return True


def _problem_arrays(program):
  """What a problem carries from one meta-iteration to the next."""
  carried = {f"carried_{i:04}": v for i, v in enumerate(program.carried())}
  constants = program.task.problem.constants
  return carried | {
    f"constant_{k}": np.asarray(constants[k]) for k in constants
  }


def _named(arrays, prefix):
  """The arrays whose names begin so, by the rest of their names, sorted."""
  return {
    name.removeprefix(prefix): arrays[name]
    for name in sorted(arrays)
    if name.startswith(prefix)
  }

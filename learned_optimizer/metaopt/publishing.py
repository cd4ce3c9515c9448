"""When a run publishes checkpoints, and under which names."""

import abc
import pathlib

from learned_optimizer import files
from learned_optimizer.metaopt.meta_graph import MetaGraph
from learned_optimizer.metaopt.procedure import Procedure
from learned_optimizer.optimizer import checkpoints


class Publisher(abc.ABC):
  """Publishes the checkpoints of one run."""

  def __init__(self, folder: pathlib.Path, graph: MetaGraph):
    self._folder = folder
    self._graph = graph

  @abc.abstractmethod
  def point_saved(self) -> None:
    """A point to continue from was saved."""

  @abc.abstractmethod
  def improved(self, level: int) -> None:
    """The present weights are the best of a level of the curriculum."""

  @abc.abstractmethod
  def iteration_ended(self, number: int, is_last: bool) -> None:
    """So many meta-iterations on a problem are over, without a curriculum."""

  @abc.abstractmethod
  def repair(self) -> None:
    """Publishes again what a crash damaged or kept from being published."""


class EveryPoint(Publisher):
  """Every saved point, as `model.ckpt-<global_step>`; the last five remain."""

  def point_saved(self) -> None:
    self._graph.publish(self._folder, self._graph.global_step())

  def improved(self, level: int) -> None:
    """Nothing to publish besides saved points."""

  def iteration_ended(self, number: int, is_last: bool) -> None:
    """Nothing to publish besides saved points."""

  def repair(self) -> None:
    paths = checkpoints.listed(self._folder)
    try:
      current = paths and checkpoints.read(paths[-1]).get("global_step")
    except checkpoints.CheckpointError:
      current = None
    if current != self._graph.global_step():
      self.point_saved()


class Milestones(Publisher):
  """The best weights as `model.ckpt-0`, and others by number, as L2O-Scale.

  The number is that of the level that weights are the best of, or without a
  curriculum that of the meta-iteration after which they are kept.
  """

  def __init__(self, folder: pathlib.Path, graph: MetaGraph, period: int):
    super().__init__(folder, graph)
    self._period = period

  def point_saved(self) -> None:
    """Saved points are not published."""

  def improved(self, level: int) -> None:
    if level:
      self._graph.publish(self._folder, level)
    self._graph.publish(self._folder, 0)

  def iteration_ended(self, number: int, is_last: bool) -> None:
    if is_last or number % self._period == 0:
      self._graph.publish(self._folder, number)

  def repair(self) -> None:
    # Checkpoints that replace others of the same name can be cut short; the
    # best weights are there a second time.
    best = checkpoints.best(self._folder)
    if not best:
      return
    try:
      checkpoints.read(str(self._folder / "model.ckpt-0"))
    except checkpoints.CheckpointError:
      for suffix in (".data-00000-of-00001", ".index"):
        with files.whole_file(self._folder / f"model.ckpt-0{suffix}") as copy:
          copy.write_bytes(pathlib.Path(best + suffix).read_bytes())


def publisher(
  procedure: Procedure, folder: pathlib.Path, graph: MetaGraph
) -> Publisher:
  """The publisher that a procedure asks for."""
  if procedure.save_period is None:
    return EveryPoint(folder, graph)
  return Milestones(folder, graph, procedure.save_period)

"""In what the training programs of 2017 and of 2020 differ.

That is, apart from the problems and from what each can be asked to do in
addition: "original" is that of arXiv 1703.04813, "l2o_scale" that of arXiv
2010.09089.
"""

from typing import NamedTuple

import numpy as np

from learned_optimizer.problems.dataset import Dataset
from learned_optimizer.problems.problem import Problem


class MiniData(NamedTuple):
  """The part of the data that a meta-iteration sees.

  Attributes:
    size: its number of rows, if there are so many.
    freeze: always the first rows, rather than a random choice of them.
  """

  size: int = 10_000
  freeze: bool = False

  def first(self, dataset: Dataset) -> Dataset:
    """The first rows."""
    return Dataset(dataset.data[: self.size], dataset.labels[: self.size])

  def draw(self, dataset: Dataset, generator: np.random.Generator) -> Dataset:
    """The rows that a meta-iteration sees."""
    if self.freeze or dataset.size <= self.size:
      return self.first(dataset)
    rows = generator.permutation(dataset.size)[: self.size]
    return Dataset(dataset.data[rows], dataset.labels[rows])


class Procedure(NamedTuple):
  """How meta-iterations start, and how a run validates and publishes.

  Attributes:
    normal_start: parameters start at N(0, 1), whatever the problem says.
    mini_data: the part of the data that a meta-iteration sees; None for all.
    validates_in_place: validate on the problem that is trained on, from the
      optimizer's present state, and let training go on from where that leads;
      else on fresh instances of all problems, without effect on training.
    save_period: publish after every this many meta-iterations on a problem, as
      `model.ckpt-<meta-iteration>`, and the best weights as `model.ckpt-0`;
      None publishes every saved point as `model.ckpt-<global_step>`.
  """

  normal_start: bool = False
  mini_data: MiniData | None = None
  validates_in_place: bool = False
  save_period: int | None = None

  def initial_parameters(
    self, problem: Problem, generator: np.random.Generator
  ) -> list[np.ndarray]:
    """Draws what a run of training or validation starts from, float32."""
    if not self.normal_start:
      return problem.initial_parameters(generator)
    return [
      generator.standard_normal(shape, np.float32)
      for shape in problem.param_shapes
    ]


ORIGINAL = Procedure()
L2O_SCALE = Procedure(True, MiniData(), True, 1)

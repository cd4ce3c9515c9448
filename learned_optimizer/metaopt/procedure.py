"""In what the training programs of 2017 and of 2020 differ.

That is, apart from the problems and from what each can be asked to do in
addition: "original" is that of arXiv 1703.04813; arXiv 2010.09089 has two,
"l2o_scale" for L2O-Scale and "l2o_dm" for L2O-DM and RNNProp.
"""

from typing import NamedTuple

import numpy as np

from learned_optimizer.problems.dataset import Dataset
from learned_optimizer.problems.problem import Problem
from learned_optimizer.problems.problem_spec import Spec
from learned_optimizer.problems.random_scaling import RandomScaling


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
    validates_on_batches: where it validates on fresh instances, take the
      objective after the last step, on a batch, rather than the logarithm of a
      quotient on all data.
    sums_batches: the meta-objective of an unroll is the plain sum of the
      objectives before each step and after the last one, each on a batch of its
      own, and the loss of imitation that over steps; else see `UnrollSettings`.
    uses_adam: the meta-optimizer is Adam rather than RMSProp, and each rule to
      imitate has slots of its own.
    keeps_slots: what goes from one level of a curriculum to the next are the
      best weights, but not the slots of the meta-optimizer, which stay as they
      are.
    redraws_instances: every meta-iteration has an instance of the problem of
      its own, and with it new constants.
    scale_bound: in training, coordinates have units of their own, see
      `RandomScaling`; None for those of the problem.
    save_period: publish after every this many meta-iterations on a problem, as
      `model.ckpt-<meta-iteration>`, and the best weights as `model.ckpt-0`;
      None publishes every saved point as `model.ckpt-<global_step>`.
  """

  normal_start: bool = False
  mini_data: MiniData | None = None
  validates_in_place: bool = False
  validates_on_batches: bool = False
  sums_batches: bool = False
  uses_adam: bool = False
  keeps_slots: bool = False
  redraws_instances: bool = False
  scale_bound: float | None = None
  save_period: int | None = None

  def training_spec(self, spec: Spec) -> Spec:
    """What a problem is trained on as."""
    if self.scale_bound is None:
      return spec
    return Spec(RandomScaling, (spec, self.scale_bound), {})

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
L2O_SCALE = Procedure(
  normal_start=True,
  mini_data=MiniData(),
  validates_in_place=True,
  save_period=1,
)
L2O_DM = Procedure(
  validates_on_batches=True,
  sums_batches=True,
  uses_adam=True,
  keeps_slots=True,
  redraws_instances=True,
  save_period=100,
)

"""What a problem set consists of."""

from typing import NamedTuple

from learned_optimizer.problems.dataset import Dataset
from learned_optimizer.problems.problem_spec import Spec


class Entry(NamedTuple):
  """A problem and what it is trained on.

  Attributes:
    spec: builds the problem.
    dataset: its data; None where it needs none.
    batch_size: rows per batch; None without data.
  """

  spec: Spec
  dataset: Dataset | None
  batch_size: int | None

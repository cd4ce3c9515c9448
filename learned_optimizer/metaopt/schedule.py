"""How long to unroll, and when it pays to compile."""

from collections.abc import Callable, Sequence

import numpy as np

REGULARIZE_TIMES = ("posterior", "prior", "none", "all")

LengthFunction = Callable[[np.random.Generator], int]

# Compiling takes some seconds and saves about a millisecond per inner step.
_STEPS_THAT_PAY_FOR_COMPILING = 20_000


def sample_numiter(
  scale: float,
  min_steps: int,
  generator: np.random.Generator,
  max_steps: int | None = None,
) -> int:
  """A heavy-tailed number: an exponential draw of mean `scale`, plus a minimum.

  Args:
    scale: mean of the exponential part; 0 makes the number constant.
    min_steps: added to it.
    generator: draws.
    max_steps: an upper limit, or None.
  """
  number = int(np.round(generator.exponential(scale)) + min_steps)
  return number if max_steps is None else min(number, max_steps)


def regularizes(time: str, scale: float, unroll: int, num_unrolls: int) -> bool:
  """Whether a regulariser acts in an unroll of a meta-iteration.

  Args:
    time: one of `REGULARIZE_TIMES`: "posterior" acts after the switching point
      c = int(num_unrolls * scale + 1), "prior" before it, neither of them in
      unroll c itself.
    scale: where that point lies, as a fraction of the unrolls.
    unroll: the unroll, from 0.
    num_unrolls: unrolls of the meta-iteration.
  """
  point = int(num_unrolls * scale + 1)
  return {
    "posterior": unroll > point,
    "prior": unroll < point,
    "none": False,
    "all": True,
  }[time]


def sigmoid_weights(
  n: int, slope: float = 0.1, offset: float = 5.0
) -> np.ndarray:
  """Objective weights that rise along an unroll and add up to 1.

  Proportional to 1 / (1 + exp(-slope * (i - offset))) for i = 0 ... n - 1.
  Meta-training weights objectives equally; these are for unrolls of one's own.

  Args:
    n: the number of weights.
    slope: how fast they rise.
    offset: the step at which they have half of their final height.

  Returns:
    A float64 array [n].
  """
  weights = 1.0 / (1.0 + np.exp(-slope * (np.arange(n) - offset)))
  return weights / weights.sum()


def mean_steps(num_unrolls: LengthFunction, num_steps: LengthFunction) -> float:
  """The inner steps of a meta-iteration, as the mean of some draws.

  Args:
    num_unrolls: draws the number of unrolls of a meta-iteration.
    num_steps: draws the number of steps of an unroll.
  """
  generator = np.random.default_rng(0)
  unrolls = np.mean([num_unrolls(generator) for _ in range(100)])
  steps = np.mean([num_steps(generator) for _ in range(100)])
  return float(unrolls * steps)


def pays_to_compile(steps: float) -> bool:
  """Whether a program that runs this many steps is worth compiling."""
  return steps >= _STEPS_THAT_PAY_FOR_COMPILING


def spans(lengths: Sequence[int]) -> list[tuple[int, int]]:
  """Start and length of consecutive unrolls of these lengths."""
  starts = np.cumsum([0, *lengths[:-1]])
  return [(int(s), n) for s, n in zip(starts, lengths, strict=True)]

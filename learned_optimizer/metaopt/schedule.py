"""How long to unroll, and when it pays to compile."""

from collections.abc import Callable, Sequence

import numpy as np

LengthFunction = Callable[[np.random.Generator], int]

# Compiling takes some seconds and saves about a millisecond per inner step.
_STEPS_THAT_PAY_FOR_COMPILING = 20_000


def sample_numiter(
  scale: float, min_steps: int, generator: np.random.Generator
) -> int:
  """A heavy-tailed number: an exponential draw of mean `scale`, plus a minimum.

  Args:
    scale: mean of the exponential part; 0 makes the number constant.
    min_steps: added to it.
    generator: draws.
  """
  return int(np.round(generator.exponential(scale)) + min_steps)


def planned_steps(
  num_unrolls: LengthFunction,
  num_steps: LengthFunction,
  num_meta_iterations: int,
  uses: float,
) -> float:
  """The inner steps that one program may expect to run in total.

  Args:
    num_unrolls: draws the number of unrolls of a meta-iteration.
    num_steps: draws the number of steps of an unroll.
    num_meta_iterations: meta-iterations per use of the program.
    uses: how often it will be used.
  """
  generator = np.random.default_rng(0)
  unrolls = np.mean([num_unrolls(generator) for _ in range(100)])
  steps = np.mean([num_steps(generator) for _ in range(100)])
  return float(unrolls * steps * num_meta_iterations * uses)


def pays_to_compile(steps: float) -> bool:
  """Whether a program that runs this many steps is worth compiling."""
  return steps >= _STEPS_THAT_PAY_FOR_COMPILING


def spans(lengths: Sequence[int]) -> list[tuple[int, int]]:
  """Start and length of consecutive unrolls of these lengths."""
  starts = np.cumsum([0, *lengths[:-1]])
  return [(int(s), n) for s, n in zip(starts, lengths, strict=True)]

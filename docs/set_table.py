"""The table of all problem sets."""

import collections
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from learned_optimizer.problems import problem_sets
from learned_optimizer.problems.datasets import ImageSource
from learned_optimizer.problems.entry import Entry

_HEADER = ("set", "program", "problems", "parameters of each", "data")
_IMAGES = {"mnist": "MNIST", "cifar10": "CIFAR-10", "digits": "digits"}


def markdown() -> str:
  """All sets of both programs, in their order, as a table in Markdown.

  Data are generated, and images are the embedded digits, which change neither
  the number of problems nor that of their parameters.
  """
  rows = [_HEADER, ("---",) * len(_HEADER), *_rows()]
  return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _rows() -> Iterator[Sequence[str]]:
  training, evaluation = (
    problem_sets.TRAINING_SETS,
    problem_sets.EVALUATION_SETS,
  )
  for name, function in training.items():
    program = "metarun"
    if name in problem_sets.DEFAULT_SETS:
      program += " (default)"
    if evaluation.get(name) is function:
      program += ", metatest"
    yield _row(name, program, training)
  for name, function in evaluation.items():
    if training.get(name) is not function:
      yield _row(name, "metatest", evaluation)


def _row(name: str, program: str, sets: Mapping[str, Any]) -> Sequence[str]:
  entries = problem_sets.select(
    sets, [name], random_seed=0, images=ImageSource(embedded_digits=True)
  )
  sizes = [entry.spec.build(random_seed=0).num_params for entry in entries]
  return (
    name,
    program,
    str(len(entries)),
    _compressed(sizes),
    _data(name, entries),
  )


def _compressed(numbers: Iterable[int]) -> str:
  """Numbers in order of appearance, with how often each occurs: 2 (×9), 5."""
  counts = collections.Counter(numbers)
  return ", ".join(
    f"{number} (×{count})" if count > 1 else f"{number}"
    for number, count in counts.items()
  )


def _data(name: str, entries: Sequence[Entry]) -> str:
  for prefix, data in _IMAGES.items():
    if name.startswith(prefix):
      return data
  return "generated" if any(entry.dataset for entry in entries) else "none"

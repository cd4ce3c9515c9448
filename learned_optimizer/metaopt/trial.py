"""The random numbers of a run of an optimizer on a problem."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf


class Trial(NamedTuple):
  """The random numbers of one run of an optimizer on a problem.

  Attributes:
    init_params: initial parameters.
    state_draws: what a fresh optimizer state needs.
    batches: int32 [steps, batch size], rows of the data set; with a teacher of
      k steps for one, [steps * k, batch size].
    step_draws: the problem's random numbers, each [steps, ...].
    regularizer_draws: the regulariser's, each [steps, ...] if it draws in each
      step.
    teacher_draws: what a fresh teacher needs.
    last_batches: int32 [steps, batch size]: the rows for the objective after
      each step that is an unroll's last, where batches are summed; else None.
  """

  init_params: list[np.ndarray]
  state_draws: Any
  batches: np.ndarray
  step_draws: list[np.ndarray]
  regularizer_draws: list[np.ndarray] = []
  teacher_draws: Any = ()
  last_batches: np.ndarray | None = None

  @classmethod
  def side_by_side(cls, trials: Sequence["Trial"]) -> "Trial":
    """The random numbers of one run of several instances of a problem."""
    if len(trials) == 1:
      return trials[0]

    def stack(field, axis=0):
      return tf.nest.map_structure(
        lambda *values: np.stack(values, axis),
        *[getattr(trial, field) for trial in trials],
      )

    return cls(
      stack("init_params"),
      stack("state_draws"),
      stack("batches", 1),
      stack("step_draws", 1),
    )

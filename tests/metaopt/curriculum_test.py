"""When a curriculum goes on, advances and stops."""

import math

import numpy as np
import pytest

from learned_optimizer import packaged_data
from learned_optimizer.metaopt.curriculum import (
  HORIZONS,
  L2O_DM_HORIZONS,
  Curriculum,
  Verdict,
)

BEST, GO_ON, ADVANCE = Verdict.BEST, Verdict.GO_ON, Verdict.ADVANCE


def verdicts(curriculum, costs):
  return [curriculum.evaluated(cost) for cost in costs]


def test_numbers_of_unrolls():
  """Those of the original program at its unroll length of 20."""
  path = packaged_data.path("tests/golden/scale_regularisers.npz")
  with np.load(path) as arrays:
    horizons, recorded_training, recorded_evaluation = (
      arrays[f"curriculum/{name}"].tolist()
      for name in (
        "num_steps",
        "num_unrolls_train_len20",
        "num_unrolls_eval_len20",
      )
    )
  assert horizons == [*HORIZONS]
  curriculum = Curriculum(20)
  training, evaluation = [], []
  for _ in range(11):
    training.append(curriculum.num_training_unrolls)
    evaluation.append(curriculum.num_evaluation_unrolls)
    curriculum.advance()
  assert training == recorded_training[:-1]
  assert evaluation == recorded_evaluation


def test_a_level_ends_with_the_first_failure_after_three_evaluations():
  curriculum = Curriculum(20)
  assert verdicts(curriculum, [3.0, 4.0]) == [BEST, GO_ON]
  assert verdicts(curriculum, [2.0, 1.0, 1.5]) == [BEST, BEST, ADVANCE]


def test_numbers_of_unrolls_of_l2o_dm():
  curriculum = Curriculum(20, L2O_DM_HORIZONS)
  training, evaluation, last = [], [], []
  for _ in range(7):
    training.append(curriculum.num_training_unrolls)
    evaluation.append(curriculum.num_evaluation_unrolls)
    *_, verdict = verdicts(curriculum, [3.0, 4.0, 4.0])
    last.append(verdict)
    if verdict is ADVANCE:
      curriculum.advance()
  assert training == [5, 10, 25, 50, 75, 100, 125]
  assert evaluation == [10, 25, 50, 75, 100, 125, 150]
  # The original failed where the curriculum is complete.
  assert last == 6 * [ADVANCE] + [Verdict.COMPLETE]


def test_another_number_of_evaluations():
  curriculum = Curriculum(20, min_evaluations=2)
  assert verdicts(curriculum, [3.0, 4.0]) == [BEST, ADVANCE]
  curriculum.advance()
  assert verdicts(curriculum, [math.nan, 4.0, 5.0]) == [GO_ON, BEST, ADVANCE]


def test_a_tie_is_no_improvement():
  curriculum = Curriculum(20)
  assert verdicts(curriculum, [3.0, 3.0, 3.0]) == [BEST, GO_ON, ADVANCE]


def test_a_level_starts_from_the_cost_of_what_entered_it():
  curriculum = Curriculum(20)
  verdicts(curriculum, [3.0, 4.0, 4.0])
  curriculum.advance()
  curriculum.entered(5.0)
  assert curriculum.level == 1
  # That evaluation does not count.
  assert verdicts(curriculum, [6.0, 6.0]) == [GO_ON, GO_ON]
  assert verdicts(curriculum, [6.0]) == [Verdict.NO_IMPROVEMENT]


def test_costs_that_are_not_finite_never_improve():
  curriculum = Curriculum(20)
  costs = [math.nan, math.inf, math.nan]
  assert verdicts(curriculum, costs) == [GO_ON, GO_ON, Verdict.NO_IMPROVEMENT]


def test_the_last_level_completes_the_curriculum():
  curriculum = Curriculum(10, horizons=(10, 20, 40))
  verdicts(curriculum, [3.0, 4.0, 4.0])
  curriculum.advance()
  curriculum.entered(5.0)
  assert curriculum.num_evaluation_unrolls == 4
  expected = [BEST, GO_ON, Verdict.COMPLETE]
  assert verdicts(curriculum, [3.0, 4.0, 4.0]) == expected


@pytest.mark.parametrize(
  ("arguments", "message"),
  [
    ((0,), "unroll_length must be at least 1, got 0"),
    ((200,), "unroll length of 200, got "),
    ((20, HORIZONS, 0), "min_evaluations must be at least 1, got 0"),
    ((20, (100,)), r"at least two numbers .* got \[100\]"),
  ],
)
def test_bad_arguments(arguments, message):
  with pytest.raises(ValueError, match=message):
    Curriculum(*arguments)

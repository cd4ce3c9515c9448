"""On how many threads the programs run."""

import os

import pytest

from learned_optimizer import threads
from learned_optimizer.problems.problem_generator import Quadratic
from learned_optimizer.problems.problem_spec import Spec

_NAMES = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")


@pytest.fixture(autouse=True)
def environment(monkeypatch):
  for name in _NAMES:
    # Set first, so that what the tests set is taken back.
    monkeypatch.setenv(name, "")
    monkeypatch.delenv(name)


def _chosen():
  return [os.environ.get(name) for name in _NAMES]


def test_one_is_enough_for_small_problems():
  threads.fit([Spec(Quadratic, (3,), {}), Spec(Quadratic, (5000,), {})])
  assert _chosen() == ["1", "1"]


def test_a_large_problem_has_all():
  threads.fit([Spec(Quadratic, (3,), {}), Spec(Quadratic, (5001,), {})])
  assert _chosen() == [None, None]


def test_what_the_user_set_stands(monkeypatch):
  monkeypatch.setenv(_NAMES[0], "2")
  threads.fit([Spec(Quadratic, (3,), {})])
  assert _chosen() == ["2", None]


def test_nonsense_is_refused(monkeypatch):
  monkeypatch.setenv(_NAMES[1], "-5")
  with pytest.raises(ValueError, match=f"{_NAMES[1]} is '-5'; the number of"):
    threads.fit([Spec(Quadratic, (3,), {})])

"""The problems that contract tests run on, and what the tests share."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf

from learned_optimizer.problems import problem_generator as pg

# The first values of the N(0, 1) stream of an op seed, drawn by the original.
STREAMS = {
  6: (0.65751404, 0.67078364, 0.36795083, 0.2955586, -0.667974, -2.2784853),
  12: (-0.43663138, 0.8449775, -0.01180986, -0.8844008),
  18: (-0.29095292, 0.335445, -0.4498436, -0.11069998),
  24: (-1.1442853, -0.63032407, 0.26572636, -0.598623),
  30: (-0.38616714, 0.08485429, -2.7621093, -0.141348),
  5678: (0.06985295, -0.7493666, -0.17464796, -0.038110107),
}


@dataclasses.dataclass(frozen=True)
class Case:
  """A kind of problem: how to build it, and the data it is given."""

  name: str
  build: Callable[..., pg.Problem]
  features: int = 0
  classes: int = 0

  def batch(self, size=6):
    """Data and labels, or Nones."""
    if not self.features:
      return None, None
    random_state = np.random.RandomState(5)
    data = random_state.randn(size, self.features).astype(np.float32)
    labels = random_state.randint(self.classes, size=size).astype(np.int32)
    return data, labels


CASES = [
  Case("quadratic", lambda **k: pg.Quadratic(5, **k)),
  Case("softmax", lambda **k: pg.SoftmaxRegression(4, 2, **k), 4, 2),
  Case("softmax_3", lambda **k: pg.SoftmaxRegression(4, 3, **k), 4, 3),
  Case(
    "fully_connected", lambda **k: pg.FullyConnected(4, 2, (3, 2), **k), 4, 2
  ),
  Case(
    "fully_connected_10",
    lambda **k: pg.FullyConnected(4, 10, (3,), l2_reg_scale=0.0, **k),
    4,
    10,
  ),
]

each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def evaluate(build):
  """Returns the values of what build() makes in a graph of its own."""
  with tf.Graph().as_default(), tf.compat.v1.Session() as session:
    made = build()
    session.run(tf.compat.v1.global_variables_initializer())
    return session.run(made)


def objective_and_gradients(problem, parameters, data=None, labels=None):
  """Returns the objective and its gradients as numpy values."""

  def build():
    tensors = [tf.constant(p) for p in parameters]
    objective = problem.objective(tensors, data, labels)
    return objective, problem.gradients(objective, tensors)

  return evaluate(build)


def parameters_of(problem, seed=3):
  return problem.initial_parameters(np.random.default_rng(seed))


def norms(arrays):
  return [np.linalg.norm(a) for a in arrays]

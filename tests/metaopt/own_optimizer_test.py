"""Meta-training of optimizers that users write."""

import numpy as np
import pytest
import tensorflow as tf

from learned_optimizer.optimizer.hierarchical_rnn import HierarchicalRNN
from learned_optimizer.optimizer.trainable_optimizer import TrainableOptimizer
from learned_optimizer.problems.problem_spec import Spec
from tests.metaopt import runs


class Descent(TrainableOptimizer):
  """Gradient descent, by methods of its own instead of a rule."""

  def __init__(self):
    super().__init__("Descent", ["velocity"], use_log_objective=True)
    self._rate = tf.compat.v1.get_variable("LOL/rate", initializer=0.01)

  def _initialize_state(self, var):
    return {"velocity": tf.zeros_like(var)}

  def _compute_update(self, param, grad, state):
    velocity = 0.5 * state["velocity"] + grad
    return param - self._rate * velocity, {"velocity": velocity}


class Halved(HierarchicalRNN):
  """Takes half of every step."""

  def __init__(self):
    super().__init__([4, 5, 6])

  def _compute_update(self, param, grad, state):
    new_param, new_state = super()._compute_update(param, grad, state)
    return 0.5 * (param + new_param), new_state


class Weightless(TrainableOptimizer):
  """Made its variable in another scope."""

  def __init__(self):
    super().__init__("Weightless", [])
    tf.compat.v1.get_variable("rate", initializer=0.01)

  def _initialize_state(self, var):
    return {}

  def _compute_update(self, param, grad, state):
    return param - 0.01 * grad, state


@pytest.mark.parametrize(
  ("optimizer", "weight", "xla"),
  [
    (Descent, "LOL/rate", "never"),
    (Descent, "LOL/rate", "always"),
    (Halved, "LOL/update_weights", "always"),
  ],
)
def test_optimizer_of_a_user(optimizer, weight, xla, tmp_path):
  runs.train(tmp_path, optimizer=Spec(optimizer, (), {}), xla=xla)
  first = runs.read(tmp_path / "model.ckpt-0")
  last = runs.published(tmp_path)
  assert np.all(np.isfinite(last[weight]))
  assert np.any(first[weight] != last[weight])
  if optimizer is Descent:
    np.testing.assert_allclose(first[weight], 0.01, rtol=1e-6)


def test_optimizer_without_weights(tmp_path):
  with pytest.raises(ValueError, match="Weightless made no trainable variable"):
    runs.train(tmp_path, optimizer=Spec(Weightless, (), {}))


def test_weights_are_those_of_its_graph():
  """Whatever graph is the default one; they are shared within a graph."""
  with tf.Graph().as_default():
    optimizer = Descent()
    with tf.compat.v1.variable_scope("", reuse=True):
      other = Descent()
  assert [*optimizer.weights] == [*other.weights] == ["LOL/rate"]

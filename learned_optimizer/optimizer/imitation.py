"""Imitation learning: a learned rule is taught a hand-designed one's steps.

Section 3.2 of arXiv 2010.09089. A teacher runs beside the learner and leads
the way: the parameters follow its steps u*, the learner sees the gradients of
its trajectory, and is scored by how far its own steps u are from u*.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf

from learned_optimizer.generators import Generator
from learned_optimizer.optimizer import sparse
from learned_optimizer.optimizer.rule import Draws, Rule, State

# The inner objective at some parameters, on the batch of this index.
Objective = Callable[[list[tf.Tensor], int], tf.Tensor]


@dataclasses.dataclass(frozen=True)
class Teacher:
  """A rule that leads the way, with fixed weights.

  Attributes:
    rule: the rule.
    weights: its weights by name, such as learning rates.
    num_steps: how many of its steps make up one step of the learner, each on a
      batch of its own.

  Raises:
    ValueError: if `num_steps` is not a positive integer, or `weights` are not
      those of the rule.
  """

  rule: Rule
  weights: Mapping[str, float]
  num_steps: int = 1

  def __post_init__(self):
    number = self.num_steps
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
      raise ValueError(f"num_steps must be a positive integer, got {number!r}")
    names = [*self.rule.weight_specs()]
    if set(self.weights) != set(names):
      raise ValueError(
        f"weights has the names {sorted(self.weights)}; those of the rule,"
        f" {sorted(names)}, are accepted."
      )

  def draws(self, params: Sequence[Any], generator: Generator) -> Draws:
    """The random numbers of one fresh state, see `Rule.draws`."""
    return self.rule.draws(params, generator)

  def init_state(self, params: Sequence[tf.Tensor], draws: Draws) -> State:
    """A fresh state: a nest of tensors of static shapes."""
    return self.rule.init_state(self._weights(params), params, draws)

  def lead(
    self, objective: Objective, params: Sequence[tf.Tensor], state: State
  ) -> tuple[list[tf.Tensor], State]:
    """Takes the steps that the learner has to imitate; graph code only.

    From x_0 = params, with x_{i+1} = rule(x_i, gradient of objective(x_i, i)),
    for k = `num_steps`:

      u* = x_0 - x_k

    The gradients have no noise. Steps and state are constants of further
    differentiation: no weight of a learner has an influence on them.

    Args:
      objective: the inner objective, on the batch of index 0, ..., k - 1.
      params: where to start.
      state: the teacher's state.

    Returns:
      u*, one tensor per parameter, and the new state.
    """
    weights, start = self._weights(params), list(params)
    params = start
    for index in range(self.num_steps):
      grads = tf.gradients(
        objective(params, index), params, unconnected_gradients="zero"
      )
      grads = [sparse.densify(g, p) for g, p in zip(grads, params, strict=True)]
      update = self.rule.update(weights, params, grads, state)
      params, state = update.params, update.state
    steps = [old - new for old, new in zip(start, params, strict=True)]
    return (
      [tf.stop_gradient(step) for step in steps],
      tf.nest.map_structure(tf.stop_gradient, state),
    )

  def loss(
    self, steps: Sequence[tf.Tensor], prescribed: Sequence[tf.Tensor]
  ) -> tf.Tensor:
    """How far steps u are from the teacher's steps u*, a scalar.

      1 / P sum_i 1/2 (u_i - u*_i)^2

    over all P coordinates of all tensors.

    Args:
      steps: the learner's steps, one tensor per parameter.
      prescribed: those of the teacher, of the same shapes.
    """
    num_coordinates = sum(step.shape.num_elements() for step in steps)
    return (
      tf.add_n(
        [
          tf.nn.l2_loss(step - target)
          for step, target in zip(steps, prescribed, strict=True)
        ]
      )
      / num_coordinates
    )

  def _weights(self, params):
    return {
      name: tf.constant(value, params[0].dtype)
      for name, value in self.weights.items()
    }

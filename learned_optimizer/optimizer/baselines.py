"""Hand-designed update rules to compare learned ones with.

Each has one weight, its learning rate, so that a grid of learning rates runs
in one compiled program.
"""

import abc
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from learned_optimizer.generators import Generator
from learned_optimizer.optimizer.layout import Layout
from learned_optimizer.optimizer.rule import (
  Draws,
  Rule,
  Slots,
  State,
  Update,
  Weights,
  WeightSpec,
  moved,
)


class _Baseline(Rule):
  """A rule over flat rows [1, N] with a learning rate for its only weight."""

  # Default learning rate, and the state's keys; each is a row, zero at first.
  learning_rate: float
  keys: tuple[str, ...] = ()

  @abc.abstractmethod
  def _step(self, grad: tf.Tensor, state: State) -> tuple[tf.Tensor, State]:
    """The step at learning rate 1, [1, N], and the new state."""

  def weight_specs(self) -> Mapping[str, WeightSpec]:
    spec = WeightSpec.constant((), self.learning_rate)
    return {f"{self.name}/learning_rate": spec}

  def draws(self, params: Sequence[Any], generator: Generator) -> Draws:
    return []

  def init_state(
    self, weights: Weights, params: Sequence[tf.Tensor], draws: Draws
  ) -> State:
    row = tf.zeros([1, Layout.of(params).num_coordinates], params[0].dtype)
    return dict.fromkeys(self.keys, row)

  def slot_keys(self) -> list[str]:
    return sorted(self.keys)

  def to_slots(self, state: State, params: Sequence[tf.Tensor]) -> Slots:
    return Slots(Layout.of(params).to_slots(state), [])

  def from_slots(self, slots: Slots, params: Sequence[tf.Tensor]) -> State:
    layout = Layout.of(params)
    return layout.from_slots(slots.per_tensor, self.keys)

  def update(
    self,
    weights: Weights,
    params: Sequence[tf.Tensor],
    grads: Sequence[tf.Tensor],
    state: State,
    prescribed_steps: Sequence[tf.Tensor] | None = None,
  ) -> Update:
    layout = Layout.of(params)
    step, state = self._step(layout.flatten(grads), state)
    steps = layout.unflatten(weights[f"{self.name}/learning_rate"] * step)
    new_params = moved(params, steps, prescribed_steps)
    return Update(new_params, new_params, steps, state)


class SGDRule(_Baseline):
  """Gradient descent."""

  name = "SGD"
  learning_rate = 0.01

  def _step(self, grad, state):
    return grad, state


class MomentumRule(_Baseline):
  """Gradient descent with heavy-ball momentum 0.9."""

  name = "Momentum"
  learning_rate = 0.01
  keys = ("momentum",)

  def _step(self, grad, state):
    momentum = 0.9 * state["momentum"] + grad
    return momentum, {"momentum": momentum}


class RMSPropRule(_Baseline):
  """RMSProp with decay 0.9 and epsilon 1e-7."""

  name = "RMSProp"
  learning_rate = 0.001
  keys = ("rms",)

  def _step(self, grad, state):
    rms = 0.9 * state["rms"] + 0.1 * tf.square(grad)
    return grad / tf.sqrt(rms + 1e-7), {"rms": rms}


class AdamRule(_Baseline):
  """Adam (arXiv 1412.6980, algorithm 1) with its default decays.

  The slots `m_debias` and `v_debias` hold 1 - beta^t per coordinate.
  """

  name = "Adam"
  learning_rate = 0.001
  keys = ("m", "v", "m_debias", "v_debias")

  def _step(self, grad, state):
    m = 0.9 * state["m"] + 0.1 * grad
    v = 0.999 * state["v"] + 0.001 * tf.square(grad)
    # Averages of 1 under the same decays, which start from 0 as m and v do.
    m_debias = 0.9 * state["m_debias"] + 0.1
    v_debias = 0.999 * state["v_debias"] + 0.001
    step = m / m_debias / (tf.sqrt(v / v_debias) + 1e-8)
    return step, {"m": m, "v": v, "m_debias": m_debias, "v_debias": v_debias}


BASELINES = {
  rule.name: rule for rule in (SGDRule, MomentumRule, RMSPropRule, AdamRule)
}

"""Hand-designed update rules, to compare learned ones with and to imitate.

They are the optimizers of `tf.compat.v1.train` with the defaults those have,
step for step: gradients g, state and parameters follow the equations of its
kernels, also where other definitions of the same name differ, as in where mean
squares start and where an epsilon is added.

Each has one weight, its learning rate, so that a grid of learning rates runs
in one compiled program.
"""

import abc
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from learned_optimizer.generators import Generator
from learned_optimizer.optimizer.columns_rule import ColumnsRule
from learned_optimizer.optimizer.layout import Layout
from learned_optimizer.optimizer.rule import (
  Draws,
  State,
  Update,
  Weights,
  WeightSpec,
  moved,
)


class _Baseline(ColumnsRule):
  """A rule over flat rows [1, N] with a learning rate for its only weight."""

  # Default learning rate, and for each row of the state where it starts.
  learning_rate: float
  initial_state: Mapping[str, float] = {}

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
    shape = [1, Layout.of(params).num_columns]
    return {
      key: tf.fill(shape, tf.constant(value, params[0].dtype))
      for key, value in self.initial_state.items()
    }

  def slot_keys(self) -> list[str]:
    return sorted(self.initial_state)

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
  """Gradient descent: param' = param - learning_rate g."""

  name = "SGD"
  learning_rate = 0.01

  def _step(self, grad, state):
    return grad, state


class MomentumRule(_Baseline):
  """Gradient descent with heavy-ball momentum.

  momentum' = 0.9 momentum + g
  param' = param - learning_rate momentum'
  """

  name = "Momentum"
  learning_rate = 0.01
  initial_state = {"momentum": 0.0}

  def _step(self, grad, state):
    momentum = 0.9 * state["momentum"] + grad
    return momentum, {"momentum": momentum}


class NesterovRule(_Baseline):
  """Gradient descent with Nesterov's momentum (`use_nesterov=True`).

  momentum' = 0.9 momentum + g
  param' = param - learning_rate (g + 0.9 momentum')
  """

  name = "Nesterov"
  learning_rate = 0.01
  initial_state = {"momentum": 0.0}

  def _step(self, grad, state):
    momentum = 0.9 * state["momentum"] + grad
    return grad + 0.9 * momentum, {"momentum": momentum}


class RMSPropRule(_Baseline):
  """RMSProp, whose mean squares start at 1.

  rms' = 0.9 rms + 0.1 g^2
  param' = param - learning_rate g / sqrt(rms' + 1e-10)
  """

  name = "RMSProp"
  learning_rate = 0.001
  initial_state = {"rms": 1.0}

  def _step(self, grad, state):
    rms = _moving_average(state["rms"], tf.square(grad), 0.9)
    return grad / tf.sqrt(rms + 1e-10), {"rms": rms}


class AdagradRule(_Baseline):
  """Adagrad (https://jmlr.org/papers/v12/duchi11a.html).

  accumulator' = accumulator + g^2, which starts at 0.1
  param' = param - learning_rate g / sqrt(accumulator')
  """

  name = "Adagrad"
  learning_rate = 0.001
  initial_state = {"accumulator": 0.1}

  def _step(self, grad, state):
    accumulator = state["accumulator"] + tf.square(grad)
    return grad / tf.sqrt(accumulator), {"accumulator": accumulator}


class AdamRule(_Baseline):
  """Adam (arXiv 1412.6980) in the form with "epsilon hat" of its section 2.

    m' = 0.9 m + 0.1 g
    v' = 0.999 v + 0.001 g^2
    param' = param - learning_rate sqrt(1 - 0.999^t) / (1 - 0.9^t)
             m' / (sqrt(v') + 1e-8)

  The slots `m_debias` and `v_debias` hold 1 - 0.9^t and 1 - 0.999^t per
  coordinate.
  """

  name = "Adam"
  learning_rate = 0.001
  initial_state = {"m": 0.0, "v": 0.0, "m_debias": 0.0, "v_debias": 0.0}

  def _step(self, grad, state):
    m = _moving_average(state["m"], grad, 0.9)
    v = _moving_average(state["v"], tf.square(grad), 0.999)
    # Not averages of 1: those differ from these in the sixth digit, as powers
    # of the decay have been rounded near 1, here as in TensorFlow.
    m_debias = 1.0 - 0.9 * (1.0 - state["m_debias"])
    v_debias = 1.0 - 0.999 * (1.0 - state["v_debias"])
    step = tf.sqrt(v_debias) / m_debias * m / (tf.sqrt(v) + 1e-8)
    return step, {"m": m, "v": v, "m_debias": m_debias, "v_debias": v_debias}


def _moving_average(average, value, decay):
  # The decay is rounded before it is subtracted from 1, as kernels do it.
  decay = tf.constant(decay, value.dtype)
  return decay * average + (1.0 - decay) * value


BASELINES = {
  rule.name: rule
  for rule in (
    SGDRule,
    MomentumRule,
    NesterovRule,
    RMSPropRule,
    AdagradRule,
    AdamRule,
  )
}

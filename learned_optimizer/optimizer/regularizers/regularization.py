"""Where a regulariser acts in meta-training, and how strongly."""

import dataclasses
import math
from collections.abc import Callable, Sequence

import tensorflow as tf

from learned_optimizer.optimizer import sparse
from learned_optimizer.optimizer.regularizers.regularizer import Regularizer

Objective = Callable[[list[tf.Tensor]], tf.Tensor]


@dataclasses.dataclass(frozen=True)
class Regularization:
  """A regulariser with its weights in the two objectives.

  Attributes:
    regularizer: the regulariser.
    optimizer_weight: alpha; the meta-objective gains alpha times the sum of the
      regulariser over the inner steps.
    optimizee_weight: beta; the inner objective gains beta times the
      regulariser before it is differentiated.
  """

  regularizer: Regularizer
  optimizer_weight: float = 0.0
  optimizee_weight: float = 0.0

  def __post_init__(self):
    for name in ("optimizer_weight", "optimizee_weight"):
      weight = getattr(self, name)
      if not math.isfinite(weight):
        raise ValueError(f"{name} must be a finite number, got {weight!r}")

  def penalty(
    self,
    objective: Objective,
    params: Sequence[tf.Tensor],
    draws: Sequence[tf.Tensor],
    switch: tf.Tensor,
  ) -> tf.Tensor:
    """Alpha times the regulariser at these parameters, a scalar.

    Where it is switched off, value and gradient are zero and nothing of it is
    computed. To this end all of it lies in one branch, also the gradients of
    the objective, which may be computed outside a second time. The branch
    computes the slope together with the value: so no loop has to keep the
    vectors of the iteration for its gradient, and no conditional has to be
    differentiated.

    Args:
      objective: the inner objective as a function of the parameters.
      params: where to take the regulariser.
      draws: its random numbers for this step.
      switch: boolean scalar, whether it acts.
    """

    def compute(params):
      # Of their own in the graph of this branch, to differentiate by them.
      params = [tf.identity(param) for param in params]
      value = self._value(objective(params), params, draws)
      value = self.optimizer_weight * value
      return value, _gradients(value, params)

    @tf.custom_gradient
    def penalize(*params):
      value, slopes = tf.cond(
        switch,
        lambda: compute(params),
        lambda: (
          tf.zeros([], params[0].dtype),
          [tf.zeros(p.shape, p.dtype) for p in params],
        ),
      )
      return value, lambda upstream: [upstream * slope for slope in slopes]

    return penalize(*params)

  def gradients(
    self,
    objective: Objective,
    params: Sequence[tf.Tensor],
    draws: Sequence[tf.Tensor],
  ) -> list[tf.Tensor]:
    """Exact, dense gradients of the objective plus beta times the regulariser.

    They can be differentiated once more. For that they are computed again from
    the parameters: what a loop keeps for its gradient has no static shape, and
    derivatives of this order need the shapes of all that lies between.

    Args:
      objective: the inner objective as a function of the parameters.
      params: where to take the gradients.
      draws: random numbers of the regulariser for this step.
    """

    def compute(params):
      value = objective(params)
      value += self.optimizee_weight * self._value(value, params, draws)
      return _gradients(value, params)

    @tf.custom_gradient
    def differentiate(*params):
      def differentiate_again(*upstream):
        again = [tf.identity(param) for param in params]
        return _gradients(compute(again), again, upstream)

      return compute(list(params)), differentiate_again

    return differentiate(*params)

  def _value(self, objective, params, draws):
    return self.regularizer.value(_gradients(objective, params), params, draws)


def _gradients(value, params, upstream=None):
  """Dense gradients, zero where there is no influence."""
  gradients = tf.gradients(
    value,
    params,
    grad_ys=upstream,
    unconnected_gradients=tf.UnconnectedGradients.ZERO,
  )
  return [sparse.densify(g, p) for g, p in zip(gradients, params, strict=True)]

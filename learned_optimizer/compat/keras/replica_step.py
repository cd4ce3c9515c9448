"""What one replica does in one step of a Keras 3 optimizer."""

import dataclasses
from collections.abc import Callable, Sequence

import tensorflow as tf

from learned_optimizer.compat.joint_update import Held, JointUpdate, Target
from learned_optimizer.optimizer import sparse


@dataclasses.dataclass(frozen=True)
class ReplicaStep:
  """Accumulates, clips, decays weights, applies the rule and averages.

  The order is that of Keras, but for gradients that are summed over replicas
  before all of this.

  Attributes:
    joint: the step of the rule.
    targets: the variables that have gradients.
    clip: clips a list of gradients.
    num_batches: the rule is applied to the mean of so many gradients; None for
      each at once.
    ema_momentum: of moving averages; None without them.
    ema_overwrite_frequency: after so many steps of the rule parameters become
      their averages; None for never.
  """

  joint: JointUpdate
  targets: Sequence[Target]
  clip: Callable[[list[tf.Tensor]], list[tf.Tensor]]
  num_batches: int | None
  ema_momentum: float | None
  ema_overwrite_frequency: int | None

  def __call__(
    self,
    held: Held,
    grads: Sequence[sparse.Gradient],
    learning_rate: tf.Tensor,
    iterations: tf.Tensor,
  ) -> None:
    """Takes the step.

    Args:
      held: the replica's copies of all variables.
      grads: the gradients, summed over replicas, in the order of `targets`.
      learning_rate: a scalar; the rule's steps are multiplied by it.
      iterations: how many gradients there were before, an integer scalar.
    """
    self.joint.start(held, tf.equal(iterations, 0))
    params = [held.params[target.index] for target in self.targets]
    grads, seen = self.joint.dense_gradients(grads, params)
    if self.num_batches:
      self._accumulate(held, grads, seen, learning_rate, iterations)
      iterations //= self.num_batches
    else:
      self._apply(held, grads, seen, learning_rate)
    if self.ema_momentum is not None:
      self._average(held, iterations)

  def _accumulate(self, held, grads, seen, learning_rate, iterations):
    sums = [held.accumulators[target.index] for target in self.targets]
    grads = [g + tf.cast(s, g.dtype) for g, s in zip(grads, sums, strict=True)]
    seen = self.joint.seen_in_sums(seen, grads)

    def apply():
      means = [grad / self.num_batches for grad in grads]
      self._apply(held, means, seen, learning_rate)
      for accumulator in held.accumulators:
        if accumulator is not None:
          accumulator.assign(tf.zeros_like(accumulator))

    def wait():
      for accumulator, grad in zip(sums, grads, strict=True):
        accumulator.assign(tf.cast(grad, accumulator.dtype))

    tf.cond((iterations + 1) % self.num_batches == 0, apply, wait)

  def _apply(self, held, grads, seen, learning_rate):
    self.joint.step(held, self.targets, self.clip(grads), seen, learning_rate)

  def _average(self, held, iterations):
    # Averages start with the parameters after the first step.
    momentum = tf.where(iterations == 0, 0.0, self.ema_momentum)
    self.joint.update_averages(
      held,
      range(len(held.params)),
      momentum,
      iterations,
      self.ema_overwrite_frequency,
    )

"""The mean squared gradient entry."""

import dataclasses

import tensorflow as tf

from learned_optimizer.optimizer.regularizers.curvature import Hessian
from learned_optimizer.optimizer.regularizers.regularizer import Regularizer


@dataclasses.dataclass(frozen=True)
class Jacob(Regularizer):
  """||g||^2 / N, the mean of the squared entries of the gradient."""

  name = "jacob"

  def value(self, gradients, params, draws):
    """See base class."""
    del draws
    return tf.reduce_mean(tf.square(Hessian(gradients, params).gradient))

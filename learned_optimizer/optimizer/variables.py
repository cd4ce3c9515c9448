"""Setting variables of a TF1 session."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf


def load_variables(
  session: tf.compat.v1.Session,
  variables: Sequence[tf.Variable],
  values: Mapping[str, Any],
) -> None:
  """Sets variables from values by checkpoint name."""
  set_variables(session, variables, [values[v.op.name] for v in variables])


def set_variables(
  session: tf.compat.v1.Session,
  variables: Sequence[tf.Variable],
  values: Sequence[Any],
) -> None:
  """Sets variables, in one session run and without adding to the graph."""
  initializers = [variable.initializer for variable in variables]
  feed = {
    initializer.inputs[1]: np.asarray(value)
    for initializer, value in zip(initializers, values, strict=True)
  }
  session.run(initializers, feed)

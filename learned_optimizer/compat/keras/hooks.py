"""What is used of Keras beyond its public interface."""

import keras

_METHODS = (
  "_all_reduce_sum_gradients",
  "_backend_apply_gradients",
  "_clip_gradients",
  "_get_variable_index",
  "_use_weight_decay",
)


def check() -> None:
  """Checks that this Keras has it.

  Raises:
    ImportError: Keras runs on another backend, or its version is another one.
  """
  backend = keras.backend.backend()
  if backend != "tensorflow":
    raise ImportError(
      f"Keras runs on {backend}; learned_optimizer needs its TensorFlow backend"
      " (environment variable KERAS_BACKEND=tensorflow)."
    )
  optimizer = keras.optimizers.Optimizer
  missing = [name for name in _METHODS if not hasattr(optimizer, name)]
  if missing:
    raise ImportError(
      f"Keras {keras.__version__} lacks {', '.join(missing)} of its optimizers;"
      " learned_optimizer supports Keras 3.15."
    )

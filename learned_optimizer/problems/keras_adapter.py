"""Problems made of Keras models."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from learned_optimizer import generators
from learned_optimizer.problems import problem

MakeModel = Callable[[], keras.Model]
Loss = str | keras.Loss | Callable[[Any, Any], Any]


class KerasProblem(problem.Problem):
  """The loss of a Keras 3 model as a problem.

  f(p) = mean of the loss over the batch + regularisation losses of the model,
  for the trainable weights p of the model. All other weights, for example the
  statistics of batch normalisation, are constants, and what the model would
  assign to them is dropped. They keep the values that the model was made with;
  but those that a function makes at random are drawn from `random_seed`.

  Initial parameters, and such constants, are drawn by the initialisers of the
  layers. Each layer with weights is copied by its config, where every seed,
  given or not, is replaced by a new one, so that all draws differ and are fixed
  by the generator. The trainable weights that the model holds are not used.

  Problems share compiled programs if they have the same loss and their models
  come from the same function, or are one model.

  >>> def make_model():
  ...   return keras.Sequential([keras.Input([4]), keras.layers.Dense(3)])
  >>> p = KerasProblem(make_model, keras.losses.MeanSquaredError())
  >>> p.param_shapes
  [(4, 3), (3,)]
  """

  def __init__(
    self,
    model: keras.Model | MakeModel,
    loss: Loss,
    random_seed: generators.Seed = None,
    noise_stdev: float = 0.0,
    *,
    training: bool = False,
  ) -> None:
    """Initialises the problem.

    Args:
      model: a built model, or a function that makes one.
      loss: a Keras loss, its name, or a function of labels and outputs.
      random_seed: seed of the values of weights that are not trainable, where
        they are random and model is a function; see base class.
      noise_stdev: see base class.
      training: whether the model runs as in training. Then batch normalisation
        takes the statistics of the batch; layers that draw random numbers, as
        dropout does, are refused, because compiled programs have none.

    Raises:
      ValueError: an argument that cannot be used, or initial values that
        cannot be drawn by a seed.
    """
    if keras.backend.backend() != "tensorflow":
      raise ValueError(
        "the backend of Keras must be tensorflow, got "
        f"{keras.backend.backend()!r}"
      )
    try:
      keras.losses.get(loss)
    except ValueError as error:
      raise ValueError(
        f"loss must be a loss of Keras or a function, got {loss!r}"
      ) from error
    if loss is None:
      raise ValueError("loss must be a loss of Keras or a function, got None")
    self._made = _Made(model, _eagerly(lambda: _model(model)))
    self._loss = loss
    self._training = training
    variables = self._made.model.trainable_variables
    shapes = [tuple(v.shape) for v in variables]
    super().__init__(shapes, random_seed, noise_stdev)
    _check_redrawn(self._made.model, variables)

  def _draw_constants(
    self, random_state: np.random.RandomState
  ) -> dict[str, np.ndarray]:
    variables = self._made.model.non_trainable_variables
    values = _eagerly(lambda: [variable.numpy() for variable in variables])
    drawn = _eagerly(lambda: self._random_constants(values))
    if drawn:
      chosen = [variables[i] for i in drawn]
      _check_redrawn(self._made.model, chosen)
      generator = np.random.default_rng(random_state.randint(2**31))
      redrawn = _eagerly(lambda: _redrawn(self._made.model, chosen, generator))
      for index, value in zip(drawn, redrawn, strict=True):
        values[index] = value
    return {f"constant_{i}": value for i, value in enumerate(values)}

  def _random_constants(self, values: Sequence[np.ndarray]) -> list[int]:
    """Finds the constants that the function makes otherwise in another call.

    Values loaded from a file, for example, are the same in every call. Integers
    are the states of generators, which objectives do not use.
    """
    if self._made.source is self._made.model or not values:
      return []
    others = _model(self._made.source).non_trainable_variables
    return [
      index
      for index, (value, other) in enumerate(zip(values, others, strict=True))
      if np.issubdtype(value.dtype, np.floating)
      and not np.array_equal(value, other.numpy())
    ]

  def _draw_parameters(self, generator: generators.Generator) -> list[Any]:
    def draw(host_generator):
      model = self._made.model
      return _eagerly(
        lambda: _redrawn(model, model.trainable_variables, host_generator)
      )

    return generators.draw_on_host(generator, draw)

  def objective(
    self,
    parameters: Sequence[tf.Tensor],
    data: problem.Array | None = None,
    labels: problem.Array | None = None,
  ) -> tf.Tensor:
    """See base class.

    Args:
      parameters: see base class; other types than float32 only for Sequential
        and Functional models.
      data: what the model takes. Examples that are flat in the data set get the
        shape of the model's input, where it has one.
      labels: what the loss takes.

    Returns:
      A scalar of the dtype of the parameters.

    Raises:
      ValueError: data or labels are missing, or a layer draws random numbers.
    """
    self._check_given(data=data, labels=labels)
    parameters = [tf.convert_to_tensor(p) for p in parameters]
    dtype = parameters[0].dtype
    model = self._made.model
    if dtype != tf.float32:
      model = _eagerly(lambda: _copy_of_type(model, dtype.name))
    constants = [tf.convert_to_tensor(c) for c in self.constants.values()]
    constants = [
      tf.cast(c, dtype) if c.dtype.is_floating else c for c in constants
    ]
    outputs, assigned, losses = model.stateless_call(
      parameters,
      constants,
      _shaped(model, data),
      training=self._training,
      return_losses=True,
    )
    for variable, old, new in zip(
      model.non_trainable_variables, constants, assigned, strict=True
    ):
      if new is not old and not old.dtype.is_floating:
        raise ValueError(
          "the model must not draw random numbers, since compiled programs have"
          f" none, but it advances {variable.path}; leave such layers out or "
          "set training to False"
        )
    values = [keras.losses.get(self._loss)(labels, outputs), *losses]
    return tf.add_n([tf.cast(tf.reduce_mean(v), dtype) for v in values])


@dataclasses.dataclass(frozen=True)
class _Made:
  """A model; equal to others that come from the same source."""

  source: keras.Model | MakeModel
  model: keras.Model = dataclasses.field(compare=False)


def _eagerly(function: Callable[[], Any]) -> Any:
  """Calls a function with eager execution, also while a graph is built.

  Weights that Keras makes in a graph have no values. A new thread has no graph.
  """
  if tf.executing_eagerly():
    return function()
  with futures.ThreadPoolExecutor(1) as thread:
    return thread.submit(function).result()


def _model(source: keras.Model | MakeModel) -> keras.Model:
  """The model that is given, or made by the function that is given."""
  model = source
  if not isinstance(source, keras.Model) and callable(source):
    model = source()
  if not isinstance(model, keras.Model):
    raise ValueError(
      f"model must be a Keras model or a function that makes one, got {model!r}"
    )
  if not model.built:
    raise ValueError(
      f"model must have its weights, got {model.name!r} without; add an Input, "
      "build it, or call it on data"
    )
  if not model.trainable_variables:
    raise ValueError(f"model must have trainable weights, got {model.name!r}")
  for variable in model.trainable_variables:
    if variable.dtype != "float32":
      raise ValueError(
        f"weights must be float32, got {variable.path} of {variable.dtype}"
      )
  return model


def _check_redrawn(
  model: keras.Model, variables: Sequence[keras.Variable]
) -> None:
  """Raises ValueError if initial values are no function of the generator."""
  first, second = (
    _eagerly(lambda: _redrawn(model, variables, np.random.default_rng(0)))
    for _ in range(2)
  )
  for variable, a, b in zip(variables, first, second, strict=True):
    if not np.array_equal(a, b):
      raise ValueError(
        f"the initial value of {variable.path} must be fixed by the seeds in "
        "the config of its layer, got two values for the same seeds; let the "
        "layer take its initialisers as arguments and return them from "
        "get_config"
      )


def _redrawn(
  model: keras.Model,
  variables: Sequence[keras.Variable],
  generator: np.random.Generator,
) -> list[np.ndarray]:
  """New initial values of some weights of a model."""
  values = {}
  for layer in _layers_with(model, {id(variable) for variable in variables}):
    copy = _copied(layer, "seed", lambda: int(generator.integers(2**31)))
    for old, new in zip(layer.variables, copy.variables, strict=True):
      values[id(old)] = new.numpy()
  return [values[id(variable)] for variable in variables]


def _layers_with(layer: keras.Layer, wanted: set[int]) -> Iterator[keras.Layer]:
  """The smallest layers that together have all weights with the wanted ids."""
  # Keras has no public way to get at the layers in a layer that is no model.
  parts = list(layer._flatten_layers(include_self=False, recursive=False))
  held = {id(v) for part in parts for v in part.variables}
  if any(id(v) in wanted - held for v in layer.variables):
    yield layer
  else:
    for part in parts:
      yield from _layers_with(part, wanted)


def _copied(
  layer: keras.Layer, key: str, make_value: Callable[[], Any]
) -> keras.Layer:
  """A built copy of a layer, with new values of one key of its config."""
  try:
    config = _replaced(layer.get_config(), key, make_value)
    copy = type(layer).from_config(config)
    copy.build_from_config(layer.get_build_config())
  except (NotImplementedError, TypeError) as error:
    raise ValueError(
      f"{layer.name} of class {type(layer).__name__} cannot be copied by its "
      "config; define get_config and build"
    ) from error
  return copy


def _replaced(config: Any, key: str, make_value: Callable[[], Any]) -> Any:
  """A config with new values of one key, wherever it occurs."""
  if isinstance(config, list | tuple):
    return type(config)(_replaced(c, key, make_value) for c in config)
  if not isinstance(config, dict):
    return config
  return {
    k: make_value() if k == key else _replaced(v, key, make_value)
    for k, v in config.items()
  }


def _copy_of_type(model: keras.Model, dtype: str) -> keras.Model:
  """A copy of a Sequential or Functional model of another dtype."""

  def copy(layer):
    config = _replaced(layer.get_config(), "dtype", lambda: dtype)
    return type(layer).from_config(config)

  return keras.models.clone_model(model, clone_function=copy, recursive=True)


def _shaped(model: keras.Model, data: problem.Array) -> tf.Tensor:
  """Data in the shape of the model's input, if it has one known input."""
  inputs = getattr(model, "inputs", None) or []
  shapes = [tuple(tensor.shape[1:]) for tensor in inputs]
  if len(shapes) != 1 or None in shapes[0]:
    return tf.convert_to_tensor(data)
  return tf.reshape(data, [-1, *shapes[0]])

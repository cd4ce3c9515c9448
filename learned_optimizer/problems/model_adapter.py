"""Problems made of TF1 model functions."""

import contextlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from absl import logging

from learned_optimizer import generators
from learned_optimizer.problems import problem


class ModelAdapter(problem.Problem):
  """The loss of a TF1 model as a problem.

  The model is a function that builds its loss from variables, which it makes
  with `tf.compat.v1.get_variable`, `tf.compat.v1.Variable` or `tf.Variable`.
  The trainable ones are the parameters, the others constants.

  The function is called in a graph of its own to find the variables and to draw
  their values: by the function that initialises them or, without one, by their
  initialisers, whose ops take their seeds from a graph-level seed. For the
  objective it is called again in the current graph, where it gets tensors in
  the place of variables, in the order of their creation. So it must make the
  same variables in every call. It may read them with operators, `value` and
  `read_value`; it may neither assign to them nor look for them in collections.
  The sessions of others hold nothing of the model, so `init_fn` does nothing.

  Problems share compiled programs if they are made of the same function.

  Attributes:
    parameter_names: names of the trainable variables.
  """

  def __init__(
    self,
    make_loss_and_init_fn: Callable[..., Any],
    device: str | None = None,
    random_seed: generators.Seed = None,
    noise_stdev: float = 0.0,
  ) -> None:
    """Initialises the problem.

    Args:
      make_loss_and_init_fn: a function that returns two functions: one that
        builds the model and returns the loss, a scalar; and one that takes the
        list of variables, first the trainable ones, and returns a function of a
        session that initialises them, or None.
      device: given to `make_loss_and_init_fn` as the argument of that name, but
        for job, replica and task, since a run is one process; None gives it no
        argument.
      random_seed: seed of the values of variables that are not trainable; see
        base class.
      noise_stdev: see base class.

    Raises:
      ValueError: an argument that cannot be used, no variable is trainable, or
        the loss is no scalar.
    """
    if not callable(make_loss_and_init_fn):
      raise ValueError(
        "make_loss_and_init_fn must be a function, got "
        f"{make_loss_and_init_fn!r}"
      )
    self._make_loss_and_init_fn = make_loss_and_init_fn
    self._device = device if device is None else _local_device(device)
    with tf.Graph().as_default():
      model = self._build()
    parameters, constants = model.parameters, model.constants
    if not parameters:
      raise ValueError(
        f"{make_loss_and_init_fn!r} makes no trainable variable; at least one "
        "is needed"
      )
    for variable in parameters + constants:
      if not variable.shape.is_fully_defined():
        raise ValueError(
          f"the shape of the variable {variable.op.name} must be fully defined,"
          f" got {variable.shape}"
        )
    if model.loss.shape.rank != 0:
      raise ValueError(f"the loss must be a scalar, got {model.loss}")
    self.parameter_names = tuple(v.op.name for v in parameters)
    self._constant_names = tuple(v.op.name for v in constants)
    self._trainable = tuple(model.trainable)
    logging.info(
      "%s: parameters %s, constants %s",
      getattr(make_loss_and_init_fn, "__name__", make_loss_and_init_fn),
      self.parameter_names,
      self._constant_names,
    )
    shapes = [tuple(v.shape) for v in parameters]
    super().__init__(shapes, random_seed, noise_stdev)

  def _draw_constants(
    self, random_state: np.random.RandomState
  ) -> dict[str, np.ndarray]:
    if not self._constant_names:
      return {}
    _, values = self._draw(int(random_state.randint(2**31)))
    return dict(zip(self._constant_names, values, strict=True))

  def _draw_parameters(self, generator: generators.Generator) -> list[Any]:
    def draw(host_generator):
      values, _ = self._draw(int(host_generator.integers(2**31)))
      return values

    return generators.draw_on_host(generator, draw)

  def objective(
    self,
    parameters: Sequence[tf.Tensor],
    data: problem.Array | None = None,
    labels: problem.Array | None = None,
  ) -> tf.Tensor:
    """See base class; data and labels are ignored."""
    if len(parameters) != len(self.param_shapes):
      raise ValueError(
        f"parameters must be {len(self.param_shapes)} tensors, "
        f"got {len(parameters)}"
      )
    dtype = tf.convert_to_tensor(parameters[0]).dtype
    trainable = iter(parameters)
    others = iter([self.constants[name] for name in self._constant_names])
    values = [next(trainable if t else others) for t in self._trainable]
    with _substituted([_readable(value, dtype) for value in values]):
      make_loss, _ = self._call()
      return tf.cast(make_loss(), dtype)

  def _draw(self, seed: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The values of parameters and constants after initialisation."""
    with tf.Graph().as_default() as graph:
      graph.seed = seed
      model = self._build()
      variables = (model.parameters, model.constants)
      with tf.compat.v1.Session(graph=graph) as session:
        model.init_fn(session)
        return session.run(variables)

  def _build(self) -> "_Model":
    """Builds the model in the current graph."""
    variables, trainable = [], []

    def create(next_creator, **kwargs):
      trainable.append(kwargs.get("trainable") in (None, True))
      kwargs["trainable"] = False
      kwargs["collections"] = [tf.compat.v1.GraphKeys.LOCAL_VARIABLES]
      kwargs["use_resource"] = True
      variables.append(next_creator(**kwargs))
      return variables[-1]

    with tf.variable_creator_scope(create):
      make_loss, make_init_fn = self._call()
      loss = tf.convert_to_tensor(make_loss())
    parameters = list(itertools.compress(variables, trainable))
    constants = [v for v, t in zip(variables, trainable, strict=True) if not t]
    make_init_fn = make_init_fn or _initialize
    init_fn = make_init_fn(parameters + constants)
    return _Model(loss, parameters, constants, trainable, init_fn)

  def _call(self):
    if self._device is None:
      return self._make_loss_and_init_fn()
    return self._make_loss_and_init_fn(device=self._device)


class _Model(NamedTuple):
  """A model in a graph: its loss, its variables, how to initialise them."""

  loss: tf.Tensor
  parameters: list[tf.Variable]
  constants: list[tf.Variable]
  trainable: list[bool]  # Of all variables, in the order of their creation.
  init_fn: Callable[[tf.compat.v1.Session], Any]


def _initialize(variables):
  init_op = tf.compat.v1.variables_initializer(variables)
  return lambda session: session.run(init_op)


def _local_device(device: str) -> str:
  try:
    spec = tf.DeviceSpec.from_string(device)
  except (AttributeError, ValueError) as error:
    raise ValueError(
      f"device must be the name of a TensorFlow device, got {device!r}"
    ) from error
  return tf.DeviceSpec(
    device_type=spec.device_type, device_index=spec.device_index
  ).to_string()


def _readable(value: problem.Array, dtype: tf.DType) -> tf.Tensor:
  """A tensor that has the methods which read a variable.

  Args:
    value: the tensor.
    dtype: what to cast floating-point numbers to.
  """
  tensor = tf.identity(value)
  if tensor.dtype.is_floating:
    tensor = tf.cast(tensor, dtype)
  tensor.value = tensor.read_value = lambda: tensor
  return tensor


@contextlib.contextmanager
def _substituted(values: Sequence[tf.Tensor]) -> Iterator[None]:
  """Makes whoever creates variables get these tensors, in this order."""
  pending = list(reversed(values))
  by_name = {}

  def take():
    if not pending:
      raise ValueError(
        "make_loss_and_init_fn must make the same variables in every call, got"
        f" more than {len(values)}"
      )
    return pending.pop()

  def get(getter, name, **kwargs):
    del getter, kwargs
    # Variables may be shared: only the first occurrence creates one.
    if name not in by_name:
      by_name[name] = take()
    return by_name[name]

  v1 = tf.compat.v1
  with (
    tf.variable_creator_scope(lambda next_creator, **kwargs: take()),
    v1.variable_scope(
      v1.get_variable_scope(), custom_getter=get, auxiliary_name_scope=False
    ),
  ):
    yield
  if pending:
    raise ValueError(
      "make_loss_and_init_fn must make the same variables in every call, got "
      f"{len(values) - len(pending)} instead of {len(values)}"
    )

"""The base class of all optimization problems."""

import abc
import copy
import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, Self

import numpy as np
import tensorflow as tf

from learned_optimizer import generators

Array = np.ndarray | tf.Tensor | tf.Variable
Gradient = tf.Tensor | tf.IndexedSlices

# What problems add where they divide, take logarithms or roots.
EPSILON = 1e-6

_PARAMETER_SCOPE = "parameters"


class Problem(abc.ABC):
  """An objective, with the distribution its parameters start from.

  A subclass calls this constructor and defines `objective`; it overrides
  `_draw_constants` if it has instance data, and `_draw_parameters` unless its
  initial parameters are N(0, 1).

  An instance differs from others of its kind in its seed and in its
  `constants`, the arrays drawn from that seed. All other attributes that a
  subclass sets are its settings and tell compiled programs apart: what depends
  on the seed belongs into `constants`.

  Objectives are compiled by XLA and differentiated twice inside while loops.
  There they may use matrix products with transpose flags, elementwise ops,
  reductions and the losses of `tf.nn`, but no `tf.transpose` (see
  `perceptron.transpose`), no random ops and no shapes that depend on data.

  Attributes:
    param_shapes: shapes of the parameter tensors, a list of tuples.
    random_seed: the seed that the constants were drawn from.
    noise_stdev: standard deviation of the noise added to gradients.
    init_fn: a function of a session, run before each meta-iteration.
    constants: the instance data, a mapping of names to arrays: float32, or in
      adapted models of the types of their weights.
  """

  def __init__(
    self,
    param_shapes: Sequence[Sequence[int]],
    random_seed: generators.Seed,
    noise_stdev: float,
    init_fn: Callable[[tf.compat.v1.Session], Any] | None = None,
  ) -> None:
    """Initialises the problem and draws its constants.

    Args:
      param_shapes: shapes of the parameter tensors.
      random_seed: seed for the constants, from 0 to 2**32 - 1, or None for a
        fresh one, or a stream to draw it from. The global generator of NumPy is
        neither read nor seeded.
      noise_stdev: standard deviation of the noise added to gradients; the
        objective itself has no noise.
      init_fn: a function of a session that prepares the problem, or None.

    Raises:
      ValueError: a seed or a deviation that cannot be used.
    """
    if not noise_stdev >= 0:
      raise ValueError(f"noise_stdev must be at least 0, got {noise_stdev!r}")
    self.param_shapes = [tuple(shape) for shape in param_shapes]
    self.random_seed, random_state = generators.seeded(random_seed)
    self.noise_stdev = noise_stdev
    self.init_fn = init_fn or (lambda session: None)
    self.constants = self._draw_constants(random_state)

  def _draw_constants(
    self, random_state: np.random.RandomState
  ) -> Mapping[str, Array]:
    """Draws the instance data, named arrays."""
    del random_state
    return {}

  @property
  def num_params(self) -> int:
    """The number of parameters in all tensors."""
    return sum(math.prod(shape) for shape in self.param_shapes)

  def with_constants(self, constants: Mapping[str, Array]) -> Self:
    """Returns a copy of this problem with other instance data.

    With variables as constants, one compiled program serves every instance.

    Args:
      constants: arrays, tensors or variables with the names and the shapes of
        `self.constants`.

    Raises:
      ValueError: names or shapes differ.
    """
    if constants.keys() != self.constants.keys():
      raise ValueError(
        f"constants must be named {sorted(self.constants)}, "
        f"got {sorted(constants)}"
      )
    for name, own in self.constants.items():
      if tf.TensorShape(constants[name].shape) != tf.TensorShape(own.shape):
        raise ValueError(
          f"constants[{name!r}] must have shape {tuple(own.shape)}, "
          f"got {constants[name].shape}"
        )
    problem = copy.copy(self)
    problem.constants = dict(constants)
    return problem

  @property
  def structure(self) -> Hashable:
    """The key of programs compiled for this problem.

    Equal for instances of one class with the same settings and shapes, whatever
    their seeds and the values of their constants. A problem with a setting that
    cannot be hashed is a key of its own.
    """
    shapes = {name: tuple(c.shape) for name, c in self.constants.items()}
    key = (
      type(self),
      tuple(self.param_shapes),
      tuple(sorted(shapes.items())),
      tuple(sorted(self._settings().items())),
    )
    try:
      hash(key)
    except TypeError:
      return self
    return key

  def _settings(self) -> dict[str, Any]:
    """Returns what `structure` consists of besides class and shapes."""
    instance = ("param_shapes", "random_seed", "init_fn", "constants")
    return {k: v for k, v in vars(self).items() if k not in instance}

  def init_tensors(self, seed: int | None = None) -> list[tf.Tensor]:
    """Makes ops of the current TF1 graph that draw initial parameters.

    Args:
      seed: op-level seed of every op. All tensors then share one random stream,
        as in the original code: see `generators.TensorGenerator`.

    Returns:
      One float32 tensor for each of `param_shapes`.
    """
    return self._draw_parameters(generators.TensorGenerator(seed))

  def init_variables(self, seed: int | None = None) -> list[tf.Variable]:
    """Makes variables of the current TF1 graph with random initial values.

    Args:
      seed: op-level seed of the initial values, as in `init_tensors`.

    Returns:
      Trainable float32 resource variables in the global collection, named
      parameters/Variable:0, parameters/Variable_1:0 and so on; further calls in
      the same graph use parameters_1, ...
    """
    return _make_variables(self.init_tensors(seed))

  def init_fixed_variables(
    self, arrays: Sequence[np.ndarray]
  ) -> list[tf.Variable]:
    """Makes variables of the current TF1 graph with given initial values.

    Args:
      arrays: initial values, cast to float32, of shapes `param_shapes`.

    Returns:
      Variables as made by `init_variables`.

    Raises:
      ValueError: shapes differ from `param_shapes`.
    """
    arrays = [np.asarray(array, np.float32) for array in arrays]
    shapes = [array.shape for array in arrays]
    if shapes != self.param_shapes:
      raise ValueError(
        f"arrays must have the shapes {self.param_shapes}, got {shapes}"
      )
    return _make_variables(arrays)

  def initial_parameters(
    self, generator: np.random.Generator
  ) -> list[np.ndarray]:
    """Draws initial parameters on the host.

    Args:
      generator: the source of all random numbers, left advanced.

    Returns:
      One float32 array for each of `param_shapes`.
    """
    values = self._draw_parameters(generator)
    return [np.asarray(value, np.float32) for value in values]

  def _draw_parameters(self, generator: generators.Generator) -> list[Any]:
    """Draws one array or tensor for each of `param_shapes`."""
    return [generator.normal(size=shape) for shape in self.param_shapes]

  @abc.abstractmethod
  def objective(
    self,
    parameters: Sequence[tf.Tensor],
    data: Array | None = None,
    labels: Array | None = None,
  ) -> tf.Tensor:
    """Computes the objective.

    Args:
      parameters: tensors or variables of shapes `param_shapes`, all of one
        floating-point dtype.
      data: the examples of one batch, first axis the batch; ignored by problems
        without data.
      labels: the labels of the batch.

    Returns:
      A scalar of the dtype of the parameters.

    Raises:
      ValueError: the problem needs data or labels, and they are missing.
    """

  def arranged(self, data: Array) -> Any:
    """Examples in the order in which `objective` computes with them.

    It takes them as they are as well. An unroll takes the objective on all
    examples in every step, and arranges them but once.

    Args:
      data: examples, first axis the batch.
    """
    return data

  def _check_given(self, **inputs: Array | None) -> None:
    """Raises ValueError if data or labels that are needed are missing or empty.

    Args:
      **inputs: what is needed, by the names of the arguments of `objective`.
    """
    missing = [name for name, value in inputs.items() if _is_missing(value)]
    if missing:
      raise ValueError(
        f"{type(self).__name__} needs {' and '.join(inputs)}, got none as"
        f" {' and '.join(missing)}"
      )

  def draws(
    self, num_steps: int | tf.Tensor, generator: generators.Generator
  ) -> list[Array]:
    """Draws the random numbers that `gradients` needs for some steps.

    Args:
      num_steps: number of calls of `gradients` that the numbers are for.
      generator: the source of all random numbers, of NumPy or, in a graph, a
        `TensorGenerator`.

    Returns:
      N(0, 1) float32 arrays or tensors of shapes [num_steps, *shape], one for
      each of `param_shapes`; an empty list if there is no noise.
    """
    if not self.noise_stdev:
      return []
    return [
      to_float32(generator.normal(size=(num_steps, *shape)))
      for shape in self.param_shapes
    ]

  def gradients(
    self,
    objective: tf.Tensor,
    parameters: Sequence[tf.Tensor],
    draws: Sequence[Array] | None = None,
  ) -> list[Gradient]:
    """Computes noisy gradients.

    Each is the exact gradient plus `noise_stdev` times N(0, 1). The noise does
    not depend on the parameters: second derivatives are exact. Graph code: call
    it in a TF1 graph or in a `tf.function`.

    Args:
      objective: scalar computed from the parameters.
      parameters: tensors or variables of shapes `param_shapes`.
      draws: one step of `self.draws`, arrays of shapes `param_shapes`. None
        makes random ops for the noise, which compiled programs must not have.
        Without noise there are neither draws nor random ops.

    Returns:
      Gradients in the order of the parameters. A gradient with respect to rows
      of a table remains `tf.IndexedSlices`, with noise on its values only. A
      row that occurs n times gets sqrt(n) times the noise drawn for it, in n
      equal shares: its sum is distributed as with noise of its own for each
      value, which is what random ops make.

    Raises:
      ValueError: the objective does not depend on one of the parameters, or
        there are more or fewer draws than parameters.
    """
    gradients = tf.gradients(objective, list(parameters))
    for index, gradient in enumerate(gradients):
      if gradient is None:
        raise ValueError(
          f"parameters[{index}] has no influence on the objective; every "
          "parameter must have one"
        )
    if not self.noise_stdev:
      return gradients
    if draws is None:
      draws = [None] * len(gradients)
    if len(draws) != len(gradients):
      raise ValueError(
        f"draws must be one array for each of the {len(gradients)} parameters, "
        f"got {len(draws)}"
      )
    return [
      _add_noise(gradient, self.noise_stdev, draw)
      for gradient, draw in zip(gradients, draws, strict=True)
    ]


def _is_missing(value: Array | None) -> bool:
  """Whether it is None, or known to have no rows."""
  if value is None:
    return True
  shape = tf.TensorShape(getattr(value, "shape", None))
  return bool(shape.rank) and shape[0] == 0


def to_float32(draw: Array) -> Array:
  """Casts what a generator drew: arrays are float64, tensors float32."""
  return draw if isinstance(draw, tf.Tensor) else draw.astype(np.float32)


def _make_variables(values: Sequence[Array]) -> list[tf.Variable]:
  with tf.compat.v1.variable_scope(_PARAMETER_SCOPE):
    return [tf.compat.v1.Variable(value, use_resource=True) for value in values]


def _add_noise(
  gradient: Gradient, noise_stdev: float, draw: Array | None
) -> Gradient:
  """Adds noise_stdev times draw, or times a random op if draw is None."""
  if isinstance(gradient, tf.IndexedSlices):
    if draw is not None:
      # How often a row occurs may not be known before the program runs, so that
      # only one number for each element of the table can be drawn for it.
      count = tf.math.unsorted_segment_sum(
        tf.ones_like(gradient.indices, draw.dtype),
        gradient.indices,
        draw.shape[0],
      )
      shares = tf.math.rsqrt(tf.gather(count, gradient.indices))
      shares = tf.reshape(shares, [-1] + [1] * (len(draw.shape) - 1))
      draw = tf.gather(draw, gradient.indices) * shares
    values = _add_noise(gradient.values, noise_stdev, draw)
    return tf.IndexedSlices(values, gradient.indices, gradient.dense_shape)
  if draw is None:
    draw = tf.random.normal(tf.shape(gradient), dtype=gradient.dtype)
  return gradient + tf.cast(draw, gradient.dtype) * noise_stdev

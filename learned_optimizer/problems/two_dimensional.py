"""Test functions of two parameters."""

import abc
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from learned_optimizer import generators
from learned_optimizer.problems import arguments, problem

Surface = tuple[np.ndarray, np.ndarray, np.ndarray]


class Bowl(problem.Problem):
  """A quadratic bowl: f(p) = 1/2 |A p|^2 with p of shape [2, 1].

  A = sqrt(diag(condition_number, 1)) R, where R rotates by `angle`. p starts at
  N(0, 1). The minimum is 0 at the origin.
  """

  def __init__(
    self,
    condition_number: float,
    angle: float = 0,
    random_seed: generators.Seed = None,
    noise_stdev: float = 0,
  ) -> None:
    """Initialises the problem.

    Args:
      condition_number: ratio of the curvatures along the two axes, above 0.
      angle: angle of the rotation, in radians.
      random_seed: see base class; without effect.
      noise_stdev: standard deviation of the noise added to gradients.

    Raises:
      ValueError: an argument that cannot be used.
    """
    if not 0 < condition_number < math.inf:
      raise ValueError(
        "condition_number must be a finite number above 0, "
        f"got {condition_number!r}"
      )
    if not math.isfinite(angle):
      raise ValueError(f"angle must be a finite number, got {angle!r}")
    super().__init__([(2, 1)], random_seed, noise_stdev)
    curvatures = np.array([[condition_number, 0], [0, 1]], np.float32)
    cos, sin = np.cos(angle), np.sin(angle)
    matrix = np.sqrt(curvatures) @ np.array([[cos, -sin], [sin, cos]])
    # A constant rather than two settings: one program then serves all bowls.
    self.constants = {"matrix": matrix.astype(np.float32)}

  def objective(
    self,
    parameters: Sequence[tf.Tensor],
    data: problem.Array | None = None,
    labels: problem.Array | None = None,
  ) -> tf.Tensor:
    """See base class."""
    (p,) = parameters
    matrix = tf.cast(self.constants["matrix"], p.dtype)
    return 0.5 * tf.reduce_sum(tf.square(tf.matmul(matrix, p)))

  def surface(self, xlim: float = 5, ylim: float = 5, n: int = 50) -> Surface:
    """Evaluates the objective on a grid.

    Args:
      xlim: the grid reaches from -xlim to xlim.
      ylim: the same for the second parameter.
      n: number of points along each axis.

    Returns:
      The first parameter, the second one and the objective, arrays [n, n]; the
      first parameter varies along the columns.
    """
    xm, ym = _mesh(xlim, ylim, n)
    points = np.stack([xm.ravel(), ym.ravel()])
    zm = 0.5 * np.sum(np.square(self.constants["matrix"] @ points), axis=0)
    return xm, ym, zm.reshape(xm.shape)


class Problem2D(problem.Problem):
  """Base class of functions f(x, y) of the two entries of one tensor [2].

  The parameters start at N(0, 1), or, in subclasses that set `limits`,
  uniformly in the square between these limits.
  """

  limits: tuple[float, float] | None = None

  def __init__(
    self, random_seed: generators.Seed = None, noise_stdev: float = 0
  ) -> None:
    """Initialises the problem.

    Args:
      random_seed: see base class; without effect.
      noise_stdev: standard deviation of the noise added to gradients.

    Raises:
      ValueError: an argument that cannot be used.
    """
    super().__init__([(2,)], random_seed, noise_stdev)

  @abc.abstractmethod
  def function(self, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """Computes f(x, y), a scalar, from two scalars of one dtype."""

  def objective(
    self,
    parameters: Sequence[tf.Tensor],
    data: problem.Array | None = None,
    labels: problem.Array | None = None,
  ) -> tf.Tensor:
    """See base class."""
    (p,) = parameters
    return self.function(*tf.unstack(p))

  def _draw_parameters(self, generator: generators.Generator) -> list[Any]:
    if self.limits is None:
      return super()._draw_parameters(generator)
    return [generator.uniform(*self.limits, size=(2,))]

  def surface(self, n: int = 50, xlim: float = 5, ylim: float = 5) -> Surface:
    """Evaluates the objective on a grid, in a graph of its own.

    Args:
      n: number of points along each axis.
      xlim: the grid reaches from -xlim to xlim.
      ylim: the same for the second parameter.

    Returns:
      The first parameter, the second one and the objective, arrays [n, n]; the
      first parameter varies along the columns.
    """
    xm, ym = _mesh(xlim, ylim, n)
    points = np.stack([xm.ravel(), ym.ravel()], axis=1).astype(np.float32)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
      zm = session.run(tf.map_fn(lambda p: self.objective([p]), points))
    return xm, ym, zm.reshape(xm.shape)


class Rosenbrock(Problem2D):
  """A curved valley: (1 - x)^2 + 100 (y - x^2)^2; minimum 0 at (1, 1)."""

  limits = (-5, 10)

  def function(self, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """See base class."""
    return (1 - x) ** 2 + 100 * (y - x**2) ** 2


class Saddle(Problem2D):
  """A saddle at the origin: x^2 - y^2, without lower bound."""

  def function(self, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """See base class."""
    return x**2 - y**2


class LogSumExp(Problem2D):
  """The log of e^(x + 3y - 0.1) + e^(x - 3y - 0.1) + e^(-x - 0.1) + 1.

  The 1 keeps it positive. The minimum is log(1 + 2 sqrt(2) e^-0.1) at
  (-log(2) / 2, 0).
  """

  def function(self, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """See base class."""
    right = tf.exp(x + 3 * y - 0.1) + tf.exp(x - 3 * y - 0.1)
    return tf.math.log(right + tf.exp(-x - 0.1) + 1)


class Ackley(Problem2D):
  """Many ripples in one funnel; minimum 0 at the origin.

  -20 e^(-0.2 sqrt((x^2 + y^2) / 2)) - e^((cos 2 pi x + cos 2 pi y) / 2)
  + e + 20. The gradient at the origin is NaN, as in the original code.
  """

  limits = (-32.768, 32.768)

  def function(self, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """See base class."""
    funnel = tf.exp(-0.2 * tf.sqrt(0.5 * (x**2 + y**2)))
    waves = tf.cos(2 * math.pi * x) + tf.cos(2 * math.pi * y)
    return -20 * funnel - tf.exp(0.5 * waves) + math.e + 20


class Beale(Problem2D):
  """Sharp peaks in the corners; minimum 0 at (3, 0.5).

  (1.5 - x + x y)^2 + (2.25 - x + x y^2)^2 + (2.625 - x + x y^3)^2
  """

  limits = (-4.5, 4.5)

  def function(self, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """See base class."""
    return (
      (1.5 - x + x * y) ** 2
      + (2.25 - x + x * y**2) ** 2
      + (2.625 - x + x * y**3) ** 2
    )


class Booth(Problem2D):
  """(x + 2y - 7)^2 + (2x + y - 5)^2; minimum 0 at (1, 3)."""

  limits = (-10, 10)

  def function(self, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """See base class."""
    return (x + 2 * y - 7) ** 2 + (2 * x + y - 5) ** 2


class StyblinskiTang(Problem2D):
  """Four minima: sum over t in {x, y} of (t^4 - 16 t^2 + 5 t) / 2, plus 80.

  The 80 keeps it positive; the minimum is 1.66766859 at x = y = -2.90353403.
  """

  limits = (-5, 5)

  def function(self, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """See base class."""
    return 0.5 * sum(t**4 - 16 * t**2 + 5 * t for t in (x, y)) + 80


class Matyas(Problem2D):
  """A flat valley: 0.26 (x^2 + y^2) - 0.48 x y; minimum 0 at the origin."""

  limits = (-10, 10)

  def function(self, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """See base class."""
    return 0.26 * (x**2 + y**2) - 0.48 * x * y


class Branin(Problem2D):
  """Three equal minima of 0.39788736, one of them at (pi, 2.275).

  (y - 5.1 / (4 pi^2) x^2 + 5 / pi x - 6)^2 + 10 (1 - 1 / (8 pi)) cos x + 10.
  x starts uniformly between -5 and 10, y between 0 and 15.
  """

  def function(self, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """See base class."""
    valley = y - 5.1 / (4 * math.pi**2) * x**2 + 5 / math.pi * x - 6
    return valley**2 + 10 * (1 - 1 / (8 * math.pi)) * tf.cos(x) + 10

  def _draw_parameters(self, generator: generators.Generator) -> list[Any]:
    # Two draws: with an op seed, x and y come from the same random number.
    x = generator.uniform(-5, 10, size=(1,))
    y = generator.uniform(0, 15, size=(1,))
    return [x * np.float32([1, 0]) + y * np.float32([0, 1])]


class Michalewicz(Problem2D):
  """Narrow valleys: 2 - sin(x) sin(x^2 / pi)^10 - sin(y) sin(2 y^2 / pi)^10.

  The 2 keeps it positive; the exponent is 2m with m = 5, less steep than usual.
  The minimum is 0.19337711 at (2.18531188, pi / 2).
  """

  limits = (0, math.pi)

  def function(self, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """See base class."""
    along_x = tf.sin(x) * tf.sin(x**2 / math.pi) ** 10
    along_y = tf.sin(y) * tf.sin(2 * y**2 / math.pi) ** 10
    return 2 - (along_x + along_y)


def _mesh(xlim: float, ylim: float, n: int) -> tuple[np.ndarray, np.ndarray]:
  """The coordinates of an n times n grid around the origin."""
  arguments.check_positive(n=n)
  return tuple(
    np.meshgrid(np.linspace(-xlim, xlim, n), np.linspace(-ylim, ylim, n))
  )

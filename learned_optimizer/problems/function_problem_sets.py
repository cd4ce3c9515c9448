"""Problem sets without data: quadratics, test functions, and what adapts them.

Each set is a function that returns entries in the order of the original code;
its name there is its name here.
"""

import math
from collections.abc import Sequence

from learned_optimizer.problems import problem_generator as pg
from learned_optimizer.problems.entry import Entry
from learned_optimizer.problems.problem_spec import Spec

_TEST_FUNCTIONS = (
  pg.Ackley,
  pg.Beale,
  pg.Booth,
  pg.Branin,
  pg.LogSumExp,
  pg.Matyas,
  pg.Michalewicz,
  pg.Rosenbrock,
  pg.StyblinskiTang,
)
_SUMMED_FUNCTIONS = (
  pg.Rosenbrock,
  pg.LogSumExp,
  pg.Ackley,
  pg.Beale,
  pg.Booth,
  pg.StyblinskiTang,
  pg.Matyas,
  pg.Branin,
  pg.Michalewicz,
)


def quadratic_problems() -> list[Entry]:
  """Quadratic problems of 20 to 100 dimensions."""
  return _entries(_quadratics((20, 25, 50, 100)))


def quadratic_problems_noisy() -> list[Entry]:
  """Quadratic problems with noisy gradients; one has no noise."""
  return _entries(
    Spec(pg.Quadratic, (ndim,), {"noise_stdev": noise_stdev})
    for ndim, noise_stdev in ((20, 0.5), (25, 0.0), (50, 1.0), (100, 2.0))
  )


def quadratic_problems_large() -> list[Entry]:
  """Quadratic problems of 784 to 2048 dimensions."""
  return _entries(_quadratics((784, 1024, 2048)))


def bowl_problems() -> list[Entry]:
  """Quadratic bowls of different condition numbers, one of them turned."""
  return _entries(_bowls(0.0))


def bowl_problems_noisy() -> list[Entry]:
  """The same bowls with noisy gradients."""
  return _entries(_bowls(0.1))


def optimization_test_problems() -> list[Entry]:
  """Two-dimensional test functions of optimization."""
  return _entries(_functions(_TEST_FUNCTIONS))


def optimization_test_problems_noisy() -> list[Entry]:
  """The same functions with noisy gradients."""
  return _entries(
    Spec(function, (), {"noise_stdev": 1.0}) for function in _TEST_FUNCTIONS
  )


def matmul_problems() -> list[Entry]:
  """Searches for algorithms that multiply small matrices."""
  problems = pg.matmul_problem_sequence(2, 5, 8)
  problems += pg.matmul_problem_sequence(3, 19, 24)
  return [Entry(*problem) for problem in problems]


def log_objective_problems() -> list[Entry]:
  """Logarithms of quadratics and bowls."""
  return _entries(
    Spec(pg.LogObjective, [spec], {}) for spec in _quadratics_and_bowls()
  )


def sparse_gradient_problems() -> list[Entry]:
  """Quadratics and bowls most of whose gradients are set to zero."""
  return _entries(
    Spec(pg.SparseProblem, [spec], {}) for spec in _quadratics_and_bowls()
  )


def rescale_problems() -> list[Entry]:
  """Norms and quadratics in other units."""
  norms = ((2.5, 0.123), (1.5, 8), (2.0, 50), (3.0, 200), (1.0, 1000))
  quadratics = ((20, 0.1), (25, 10.0), (50, 350.0), (100, 132))
  specs = [(_norm(18, power), scale) for power, scale in norms]
  specs += [(Spec(pg.Quadratic, (n,), {}), scale) for n, scale in quadratics]
  return _entries(
    Spec(pg.Rescale, [spec], {"scale": scale}) for spec, scale in specs
  )


def norm_problems() -> list[Entry]:
  """Norms of linear residuals."""
  return _entries(_norm(n, q) for n, q in ((27, 1.0), (25, 2.0), (22, 3.0)))


def norm_problems_noisy() -> list[Entry]:
  """Norms of linear residuals with noisy gradients."""
  return _entries(
    _norm(ndim, power, noise_stdev=0.1)
    for ndim, power in ((19, 1.0), (26, 2.0), (23, 3.0))
  )


def sum_problems() -> list[Entry]:
  """Sums of several problems with parameters of their own."""
  functions = _functions(_SUMMED_FUNCTIONS)
  sums = (
    _quadratics((11, 3, 9, 7, 5, 13, 12)),
    [
      _norm(18, 3.0),
      Spec(pg.Quadratic, (25,), {}),
      Spec(pg.Rosenbrock, (), {}),
    ],
    functions,
    [*functions, *_quadratics((5, 13))],
    _quadratics((11, 3)),
    functions[:3],
  )
  return _entries(Spec(pg.SumTask, (specs,), {}) for specs in sums)


def sum_problems_noisy() -> list[Entry]:
  """Sums of noisy problems, whose noise a sum ignores, as in the original."""
  noisy = {"noise_stdev": 0.5}
  sums = (
    _quadratics((11, 3, 9, 7, 5, 13, 12), noise_stdev=0.1),
    [
      *(Spec(function, (), noisy) for function in _SUMMED_FUNCTIONS),
      *_quadratics((5, 13), noise_stdev=0.5),
    ],
  )
  return _entries(Spec(pg.SumTask, (specs,), {}) for specs in sums)


def min_max_well_problems() -> list[Entry]:
  """Wells around the largest and the smallest coordinate."""
  return _entries(
    Spec(pg.MinMaxWell, (ndim,), {}) for ndim in (20, 12, 56, 64, 13)
  )


def lasso_problems() -> list[Entry]:
  """Least squares with an L1 term; 20 dimensions."""
  return _entries([Spec(pg.Lasso, (20,), {})])


def rastrigin_problems() -> list[Entry]:
  """A Rastrigin function of two dimensions; it may become negative."""
  return _entries([Spec(pg.Rastrigin, (2,), {})])


def adapter_rosenbrock_local() -> list[Entry]:
  """The Rosenbrock function as a TF1 model."""
  return _entries([_rosenbrock_model({})])


def adapter_rosenbrock_worker() -> list[Entry]:
  """The same with its variables on the device of a worker."""
  return _entries([_rosenbrock_model({"device": "/job:worker"})])


def _entries(specs):
  return [Entry(spec, None, None) for spec in specs]


def _functions(classes):
  return [Spec(function, (), {}) for function in classes]


def _quadratics(sizes: Sequence[int], **kwargs) -> list[Spec]:
  return [Spec(pg.Quadratic, (ndim,), kwargs) for ndim in sizes]


def _bowls(noise_stdev):
  bowls = ((0.1, {}), (1.0, {}), (5.0, {}), (5.0, {"angle": math.pi / 4}))
  return [
    Spec(pg.Bowl, (number,), {"noise_stdev": noise_stdev, **turned})
    for number, turned in bowls
  ]


def _quadratics_and_bowls():
  bowls = [Spec(pg.Bowl, (number,), {}) for number in (0.1, 1.0, 5.0)]
  return [*_quadratics((20, 50, 100)), *bowls]


def _norm(ndim, power, **kwargs):
  return Spec(pg.Norm, (ndim,), {"norm_power": power, **kwargs})


def _rosenbrock_model(kwargs):
  return Spec(pg.ModelAdapter, (pg.make_rosenbrock_loss_and_init,), kwargs)

"""Sets of problems to train and to evaluate on, and how they are selected.

A set is a function that returns a list of `Entry`. It takes what it needs of
four arguments: `random_seed` for generated data, which do not depend on what
else is selected, `images` where these come from, and `l2_reg_scale` and
`variant` of classifiers. A seed does not fix the problems, which are built with
seeds of their own.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from learned_optimizer import generators
from learned_optimizer.problems.datasets import ImageSource
from learned_optimizer.problems.dm_problem_sets import (
  batched_lasso_problems,
  batched_quadratic_problems,
  batched_rastrigin_problems,
  cifar10_conv_bn_problems,
  cifar10_lenet_problems,
  cifar10_nas_problems,
  mnist_conv_bn_problems,
  simple_multi_problems,
  simple_problems,
  square_cos_problems,
  test_cifar10_conv_bn_problems,
  test_cifar10_lenet_problems,
  test_cifar10_nas_problems,
  test_mnist_conv_bn_problems,
)
from learned_optimizer.problems.entry import Entry
from learned_optimizer.problems.function_problem_sets import (
  adapter_rosenbrock_local,
  adapter_rosenbrock_worker,
  bowl_problems,
  bowl_problems_noisy,
  lasso_problems,
  log_objective_problems,
  matmul_problems,
  min_max_well_problems,
  norm_problems,
  norm_problems_noisy,
  optimization_test_problems,
  optimization_test_problems_noisy,
  quadratic_problems,
  quadratic_problems_large,
  quadratic_problems_noisy,
  rastrigin_problems,
  rescale_problems,
  sparse_gradient_problems,
  sum_problems,
  sum_problems_noisy,
)
from learned_optimizer.problems.generated_problem_sets import (
  dependency_chain_problems,
  fully_connected_random_2_class_problems,
  one_hot_sparse_softmax_2_class_sparse_problems,
  outward_snake_problems,
  projection_quadratic_problems,
  softmax_2_class_problems,
  softmax_2_class_problems_noisy,
  sparse_gradient_problems_mlp,
  sparse_softmax_2_class_sparse_problems,
  sum_of_quadratics_problems,
)
from learned_optimizer.problems.image_problem_sets import (
  cifar10_conv_problems,
  digits_mlp_problems,
  mnist_conv_problems,
  mnist_mlp_problems,
  test_cifar10_conv_problems,
  test_mnist_conv_orig_problems,
  test_mnist_conv_problems,
  test_mnist_mlp_deeper_problems,
  test_mnist_mlp_problems,
  test_mnist_mlp_relu_problems,
)
from learned_optimizer.problems.named_problems import test_problems

_Set = Callable[..., list[Entry]]

# In the order of the original programs, which is the order of selections.
TRAINING_SETS: Mapping[str, _Set] = {
  "sparse_softmax": sparse_softmax_2_class_sparse_problems,
  "mnist_conv": mnist_conv_problems,
  "cifar10_conv": cifar10_conv_problems,
  "mnist_mlp": mnist_mlp_problems,
  "one_hot_sparse_softmax": one_hot_sparse_softmax_2_class_sparse_problems,
  "quadratic": quadratic_problems,
  "noisy_quadratic": quadratic_problems_noisy,
  "large_quadratic": quadratic_problems_large,
  "bowl": bowl_problems,
  "noisy_bowl": bowl_problems_noisy,
  "softmax_2_class": softmax_2_class_problems,
  "noisy_softmax_2_class": softmax_2_class_problems_noisy,
  "optimization_test": optimization_test_problems,
  "noisy_optimization_test": optimization_test_problems_noisy,
  "fully_connected_random_2_class": fully_connected_random_2_class_problems,
  "matmul": matmul_problems,
  "log_objective": log_objective_problems,
  "rescale": rescale_problems,
  "norm": norm_problems,
  "noisy_norm": norm_problems_noisy,
  "sum": sum_problems,
  "noisy_sum": sum_problems_noisy,
  "sparse_gradient": sparse_gradient_problems,
  "min_max_well": min_max_well_problems,
  "sum_of_quadratics": sum_of_quadratics_problems,
  "projection_quadratic": projection_quadratic_problems,
  "outward_snake": outward_snake_problems,
  "dependency_chain": dependency_chain_problems,
  "lasso": lasso_problems,
  "rastrigin": rastrigin_problems,
  "digits_mlp": digits_mlp_problems,
  "simple": simple_problems,
  "simple_multi": simple_multi_problems,
  "batched_quadratic": batched_quadratic_problems,
  "batched_lasso": batched_lasso_problems,
  "square_cos": square_cos_problems,
  "batched_rastrigin": batched_rastrigin_problems,
  "mnist_conv_bn": mnist_conv_bn_problems,
  "cifar10_conv_bn": cifar10_conv_bn_problems,
  "cifar10_nas": cifar10_nas_problems,
  "cifar10_lenet": cifar10_lenet_problems,
}
# What metarun trains on unless it is told otherwise; 101 problems.
DEFAULT_SETS = (
  "noisy_quadratic",
  "large_quadratic",
  "bowl",
  "noisy_bowl",
  "softmax_2_class",
  "noisy_softmax_2_class",
  "optimization_test",
  "noisy_optimization_test",
  "fully_connected_random_2_class",
  "matmul",
  "log_objective",
  "rescale",
  "norm",
  "noisy_norm",
  "sum",
  "noisy_sum",
  "sparse_gradient",
)
_TEST_SETS: Mapping[str, _Set] = {
  "mnist_mlp": test_mnist_mlp_problems,
  "mnist_mlp_relu": test_mnist_mlp_relu_problems,
  "mnist_mlp_deeper": test_mnist_mlp_deeper_problems,
  "mnist_conv": test_mnist_conv_problems,
  "mnist_conv_orig": test_mnist_conv_orig_problems,
  "cifar10_conv": test_cifar10_conv_problems,
  "mnist_conv_bn": test_mnist_conv_bn_problems,
  "cifar10_conv_bn": test_cifar10_conv_bn_problems,
  "cifar10_nas": test_cifar10_nas_problems,
  "cifar10_lenet": test_cifar10_lenet_problems,
}
EVALUATION_SETS: Mapping[str, _Set] = _TEST_SETS | {
  name: function
  for name, function in TRAINING_SETS.items()
  if name not in _TEST_SETS
}


def select_by_name(
  sets: Mapping[str, _Set],
  names: Iterable[str],
  random_seed: generators.Seed = None,
  images: ImageSource = ImageSource(),
  l2_reg_scale: float | None = None,
  variant: str = "original",
) -> dict[str, Entry]:
  """Puts sets of given names together.

  As in the original, `sparse_gradient` contains perceptrons if
  `fully_connected_random_2_class` is selected as well.

  Args:
    sets: `TRAINING_SETS` or `EVALUATION_SETS`.
    names: keys of it, in the order wanted.
    random_seed: fixes generated data.
    images: where images come from.
    l2_reg_scale: weight of the L2 term of classifiers of generated data; None
      for that of the variant.
    variant: that of those classifiers, and of the perceptron on the digits; see
      `SoftmaxClassifier`.

  Returns:
    The entries of all sets. Where a set has one, that has the name of the set,
    else they are called `<set>-0`, `<set>-1` and so on.

  Raises:
    ValueError: there is no name, or no set of that name, or no data.
  """
  names = list(names)
  known = ", ".join(sets)
  if not names:
    raise ValueError(f"no problem set is selected; choose some of: {known}")
  arguments = {
    "random_seed": random_seed,
    "images": images,
    "l2_reg_scale": l2_reg_scale,
    "variant": variant,
  }
  for name in names:
    if name not in sets:
      raise ValueError(f"unknown problem set {name!r}; choose some of: {known}")
  selected = {}
  for name in names:
    functions = [sets[name]]
    if name == "sparse_gradient" and "fully_connected_random_2_class" in names:
      functions.append(sparse_gradient_problems_mlp)
    entries = []
    for function in functions:
      accepted = inspect.signature(function).parameters
      entries += function(
        **{k: v for k, v in arguments.items() if k in accepted}
      )
    if len(entries) == 1:
      selected[name] = entries[0]
    else:
      selected |= {f"{name}-{i}": entry for i, entry in enumerate(entries)}
  return selected


def select(
  sets: Mapping[str, _Set],
  names: Iterable[str],
  random_seed: generators.Seed = None,
  images: ImageSource = ImageSource(),
  **settings: Any,
) -> list[Entry]:
  """The entries of `select_by_name`, which explains the arguments."""
  selected = select_by_name(sets, names, random_seed, images, **settings)
  return [*selected.values()]

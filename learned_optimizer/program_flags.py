"""The flags that metarun and metatest share.

Nothing here imports TensorFlow, so that wrong flags are answered at once.
"""

from collections.abc import Sequence

from absl import flags

from learned_optimizer.optimizer import recorded_settings

# Every problem set that a flag can name; `problem_sets` says which program has
# it. The last line holds names that the originals declared without a problem.
PROBLEM_SET_NAMES = (
  "sparse_softmax",
  "mnist_conv",
  "cifar10_conv",
  "mnist_mlp",
  "mnist_mlp_relu",
  "mnist_mlp_deeper",
  "mnist_conv_orig",
  "one_hot_sparse_softmax",
  "quadratic",
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
  "min_max_well",
  "sum_of_quadratics",
  "projection_quadratic",
  "outward_snake",
  "dependency_chain",
  "lasso",
  "rastrigin",
  "digits_mlp",
  "simple",
  "simple_multi",
  "batched_quadratic",
  "batched_lasso",
  "square_cos",
  "batched_rastrigin",
  "mnist_conv_bn",
  "cifar10_conv_bn",
  "cifar10_nas",
  "cifar10_lenet",
  *("mnist_conv_wider", "mnist_conv_4layers", "cifar10_conv_4layers", "vgg16"),
)

_DEFAULTS = recorded_settings.OTHERS

flags.DEFINE_string("train_dir", "/tmp/lol/", "folder of runs")
flags.DEFINE_enum(
  "optimizer",
  _DEFAULTS["optimizer"],
  recorded_settings.OPTIMIZERS,
  "learned optimizer",
)
flags.DEFINE_enum(
  "cell_cls",
  _DEFAULTS["cell_cls"],
  ["GRUCell", "LSTMCell", "BasicLSTMCell", "BasicRNNCell"],
  "cells of CoordinatewiseRNN, and part of the run's folder name",
)
flags.DEFINE_list(
  "cell_sizes",
  [*_DEFAULTS["cell_sizes"]],
  "units of the levels of HierarchicalRNN or of the stacked cells of "
  "CoordinatewiseRNN",
)
flags.DEFINE_integer("cell_size", 20, "part of the run's folder name")
flags.DEFINE_integer("num_cells", 2, "part of the run's folder name")
flags.DEFINE_float(
  "initial_learning_rate",
  _DEFAULTS["initial_learning_rate"],
  "of TrainableAdam, GlobalLearningRate and LearningRateSchedule",
  lower_bound=1e-30,
)
flags.DEFINE_float(
  "min_lr",
  _DEFAULTS["min_lr"],
  "smallest initial learning rate",
  lower_bound=1e-30,
)
flags.DEFINE_float(
  "max_lr",
  _DEFAULTS["max_lr"],
  "largest initial learning rate",
  lower_bound=1e-30,
)
flags.DEFINE_integer(
  "num_gradient_scales",
  _DEFAULTS["num_gradient_scales"],
  "number of momentum time scales",
  lower_bound=1,
)
flags.DEFINE_float(
  "objective_training_max_multiplier",
  _DEFAULTS["objective_training_max_multiplier"],
  "stop unrolls at this multiple of the initial objective, where positive",
)
for _name, _default, _help in recorded_settings.SWITCHES:
  flags.DEFINE_boolean(_name, _default, _help)
for _name, _default, _help in recorded_settings.NUMBERS:
  flags.DEFINE_float(_name, _default, _help)
flags.DEFINE_enum(
  "preprocess",
  _DEFAULTS["preprocess"],
  ["log_and_sign", "identity"],
  "of L2ODM: features of gradients",
)
flags.DEFINE_float(
  "output_scale", _DEFAULTS["output_scale"], "of L2ODM: factor of its output"
)
for _name, _moment in (("beta1", "first"), ("beta2", "second")):
  flags.DEFINE_float(
    _name, _DEFAULTS[_name], f"of RNNProp: decay of the {_moment} moment"
  )
flags.DEFINE_float("nan_l2_reg", 1e-2, "accepted, but without effect")
for _name in PROBLEM_SET_NAMES:
  flags.DEFINE_boolean(
    f"include_{_name}_problems", None, f"include the problem set {_name}"
  )
# As the commands published with L2O-Scale have it.
flags.DEFINE_alias("include_mnist_conv_problem", "include_mnist_conv_problems")
flags.DEFINE_float(
  "l2_reg_scale",
  1e-3,
  "weight of the L2 term of classifiers of generated data",
  lower_bound=0,
)
flags.DEFINE_string(
  "data_dir",
  None,
  "folder of image data: prepared by tensorflow-datasets, or the original files"
  " of MNIST and CIFAR-10",
)
flags.DEFINE_boolean(
  "download", False, "download and prepare image data that are not there"
)
flags.DEFINE_boolean(
  "embedded_digits",
  False,
  "handwritten digits of scikit-learn, scaled up, in place of MNIST and"
  " CIFAR-10",
)
flags.DEFINE_boolean(
  "progress",
  True,
  "show a progress bar; --noprogress prints lines for a log instead",
)
flags.DEFINE_list(
  "seeds",
  ["6", "12", "18", "24", "30"],
  "seeds of evaluation runs; each fixes initial parameters and batches",
)
flags.register_multi_flags_validator(
  ["min_lr", "max_lr"],
  lambda values: not values["min_lr"] > values["max_lr"],
  message="--min_lr must not be greater than --max_lr.",
)


def _are_integers(values: Sequence[str], smallest: int = 0) -> bool:
  return bool(values) and all(
    v.strip().isdecimal() and int(v) >= smallest for v in values
  )


flags.register_validator(
  "cell_sizes",
  lambda sizes: _are_integers(sizes, smallest=1),
  "must be a list of positive integers.",
)
flags.register_validator(
  "seeds",
  lambda seeds: _are_integers(seeds) and len({*seeds}) == len(seeds),
  "must be a list of different non-negative integers.",
)


def define_testing_steps(default: Sequence[int] | None) -> None:
  """Defines --testing_steps, whose default differs between the programs."""
  flags.DEFINE_list(
    "testing_steps",
    [str(step) for step in default] if default else None,
    "inner steps after which the table shows the loss; the last one is the "
    "length of the runs",
  )
  flags.register_validator(
    "testing_steps",
    lambda steps: steps is None or _are_integers(steps, smallest=1),
    "must be a list of positive integers.",
  )

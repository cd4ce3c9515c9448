"""The flags that metarun and metatest share.

Nothing here imports TensorFlow, so that wrong flags are answered at once.
"""

from collections.abc import Sequence

from absl import flags

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
  *("mnist_conv_wider", "mnist_conv_4layers", "cifar10_conv_4layers", "vgg16"),
)

# Flags that are settings of the optimizer: name, default, help.
OPTIMIZER_SWITCHES = (
  ("zero_init_lr_weights", True, "start with zero learning-rate readout"),
  ("use_relative_lr", True, "input the learning rate relative to its mean"),
  ("use_extreme_indicator", False, "input how extreme the learning rate is"),
  ("use_log_means_squared", True, "input relative log mean squares"),
  ("use_problem_lr_mean", True, "that mean is over all tensors"),
  ("learnable_decay", True, "learn the decays"),
  ("dynamic_output_scale", True, "learn a learning rate per coordinate"),
  ("use_log_objective", True, "meta-objective is the mean log objective"),
  ("use_attention", False, "take gradients at a learned point"),
  ("use_second_derivatives", True, "differentiate inner gradients as well"),
  ("use_gradient_shortcut", True, "add a linear map of scaled gradients"),
  ("use_lr_shortcut", False, "input the learning rate relative to 1e-3"),
  ("use_grad_products", True, "input products of adjacent gradient scales"),
  ("use_multiple_scale_decays", False, "a decay of mean squares per scale"),
  ("use_numerator_epsilon", False, "epsilon in the numerator of the log"),
  ("learnable_inp_decay", True, "learn the decays of gradient scales"),
  ("learnable_rnn_init", True, "learn the initial RNN states"),
  ("use_mean_layer_state", False, "report the mean over tensors to level 2"),
  ("faithful_second_moment", False, "second moment of the original's Adam"),
)
OPTIMIZER_NUMBERS = (
  ("max_log_lr", 33.0, "upper limit of the log learning rate"),
  ("biasgrucell_scale", 0.5, "scale of initial GRU matrices"),
  ("biasgrucell_gate_bias_init", 2.2, "initial bias of GRU gates"),
  ("hrnn_rnn_readout_scale", 0.5, "scale of initial readout weights"),
  ("hrnn_default_decay_var_init", 2.2, "initial bias of the input decay"),
  ("scale_decay_bias_init", 3.2, "initial bias of the mean-square decay"),
  ("learning_rate_momentum_logit_init", 3.2, "initial logit of the memory"),
  ("hrnn_affine_scale", 0.5, "scale of initial matrices between levels"),
  ("crnn_rnn_readout_scale", 0.5, "scale of initial readout weights"),
  ("crnn_default_decay_var_init", 2.2, "initial bias of the decay"),
)
OTHER_OPTIMIZER_SETTINGS = (
  "optimizer",
  "cell_cls",
  "cell_sizes",
  "initial_learning_rate",
  "min_lr",
  "max_lr",
  "num_gradient_scales",
  "objective_training_max_multiplier",
)
OPTIMIZERS = (
  "HierarchicalRNN",
  "CoordinatewiseRNN",
  "GlobalLearningRate",
  "LearningRateSchedule",
  "TrainableAdam",
)

flags.DEFINE_string("train_dir", "/tmp/lol/", "folder of runs")
flags.DEFINE_enum(
  "optimizer", "HierarchicalRNN", OPTIMIZERS, "learned optimizer"
)
flags.DEFINE_enum(
  "cell_cls",
  "GRUCell",
  ["GRUCell", "LSTMCell", "BasicLSTMCell", "BasicRNNCell"],
  "cells of CoordinatewiseRNN, and part of the run's folder name",
)
flags.DEFINE_list(
  "cell_sizes",
  ["10", "20", "20"],
  "units of the levels of HierarchicalRNN or of the stacked cells of "
  "CoordinatewiseRNN",
)
flags.DEFINE_integer("cell_size", 20, "part of the run's folder name")
flags.DEFINE_integer("num_cells", 2, "part of the run's folder name")
flags.DEFINE_float(
  "initial_learning_rate",
  1e-3,
  "of TrainableAdam, GlobalLearningRate and LearningRateSchedule",
  lower_bound=1e-30,
)
flags.DEFINE_float(
  "min_lr", 1e-6, "smallest initial learning rate", lower_bound=1e-30
)
flags.DEFINE_float(
  "max_lr", 1e-2, "largest initial learning rate", lower_bound=1e-30
)
flags.DEFINE_integer(
  "num_gradient_scales", 4, "number of momentum time scales", lower_bound=1
)
flags.DEFINE_float(
  "objective_training_max_multiplier",
  -1.0,
  "stop unrolls at this multiple of the initial objective, where positive",
)
for _name, _default, _help in OPTIMIZER_SWITCHES:
  flags.DEFINE_boolean(_name, _default, _help)
for _name, _default, _help in OPTIMIZER_NUMBERS:
  flags.DEFINE_float(_name, _default, _help)
flags.DEFINE_float("nan_l2_reg", 1e-2, "accepted, but without effect")
for _name in PROBLEM_SET_NAMES:
  flags.DEFINE_boolean(
    f"include_{_name}_problems", None, f"include the problem set {_name}"
  )
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
  "seeds", _are_integers, "must be a list of non-negative integers."
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

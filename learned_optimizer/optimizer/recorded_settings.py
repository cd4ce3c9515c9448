"""The settings of optimizers as metarun's flags name and record them.

Nothing here imports TensorFlow, as the programs read flags before they do.
"""

from collections.abc import Mapping
from typing import Any

OPTIMIZERS = (
  "HierarchicalRNN",
  "CoordinatewiseRNN",
  "GlobalLearningRate",
  "LearningRateSchedule",
  "TrainableAdam",
  "L2ODM",
  "RNNProp",
)
# Settings that an optimizer has under the same name: name, default, help. The
# defaults are those of the original program, not those of the rules.
SWITCHES = (
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
  ("checkpoint_gradients", False, "save memory, recompute unrolls"),
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
NUMBERS = (
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
# Settings that are recorded under another name or in another form, and their
# defaults.
OTHERS = {
  "optimizer": "HierarchicalRNN",
  "cell_cls": "GRUCell",
  "cell_sizes": ("10", "20", "20"),
  "initial_learning_rate": 1e-3,
  "min_lr": 1e-6,
  "max_lr": 1e-2,
  "num_gradient_scales": 4,
  "objective_training_max_multiplier": -1.0,
  "preprocess": "log_and_sign",
  "output_scale": 0.01,
  "beta1": 0.95,
  "beta2": 0.95,
}
NAMES = (*(name for name, *_ in (*SWITCHES, *NUMBERS)), *OTHERS)
_DEFAULTS = OTHERS | {name: value for name, value, _ in (*SWITCHES, *NUMBERS)}


def arguments(recorded: Mapping[str, Any]) -> dict[str, Any]:
  """The arguments that the optimizer of these settings is made with.

  Args:
    recorded: settings by the name of metarun's flag; others are ignored, and
      those that are not there have the defaults of metarun.

  Returns:
    The arguments of the TF1 optimizer, many of which are for other optimizers
    or not for rules.
  """
  settings = {name: recorded.get(name, _DEFAULTS[name]) for name in NAMES}
  given = {name: settings[name] for name in NAMES if name not in OTHERS}
  given |= {
    "init_lr_range": (settings["min_lr"], settings["max_lr"]),
    "num_gradient_scales": settings["num_gradient_scales"],
    "obj_train_max_multiplier": settings["objective_training_max_multiplier"],
  }
  sizes = [int(size) for size in settings["cell_sizes"]]
  rate = settings["initial_learning_rate"]
  own = {
    "HierarchicalRNN": {"level_sizes": sizes},
    "CoordinatewiseRNN": {
      "cell_sizes": sizes,
      "cell_cls": settings["cell_cls"],
    },
    "TrainableAdam": {"learning_rate": rate},
    "L2ODM": {name: settings[name] for name in ("preprocess", "output_scale")},
    "RNNProp": {name: settings[name] for name in ("beta1", "beta2")},
  }
  return given | own.get(settings["optimizer"], {"initial_rate": rate})

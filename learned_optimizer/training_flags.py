"""The flags that metarun has besides those it shares with metatest.

Nothing here imports TensorFlow, so that wrong flags are answered at once.
"""

import math

from absl import flags

# Where L2O-Scale has other defaults than the program of 2017.
SCALE_DEFAULTS = {
  "train_dir": "opt/",
  "num_problems": 1,
  "min_num_unrolls": 10,
  "num_partial_unroll_itr_scale": 20,
  "min_num_itr_partial_unroll": 10,
  "evaluation_period": 1,
  "l2_reg_scale": 0.0,
}
# Where L2O-DM and RNNProp do; some are one's own.
L2O_DM_DEFAULTS = {
  "train_dir": "opt/",
  "num_problems": 1,
  "num_meta_iterations": 10_000,
  "fix_unroll": True,
  "meta_learning_rate": 1e-3,
  # That is, meta-gradients are not clipped.
  "gradient_clip_level": 1e30,
  "use_second_derivatives": False,
  "reset_rnn_params": False,
  "l2_reg_scale": 0.0,
  "mt_ratio": 0.3,
}
L2O_DM_OWN_DEFAULTS = {
  "L2ODM": {
    "evaluation_period": 100,
    "mt_ratios": ["0.0", "0.1", *6 * ["0.3"]],
  },
  "RNNProp": {"evaluation_period": 10, "mt_ratios": 3 * ["0.3"]},
}
# Flags that only these two have.
L2O_DM_FLAGS = (
  "min_num_eval",
  "optimizers",
  "num_mt",
  "mt_ratios",
  "if_scale",
  "rd_scale_bound",
)
# Their programs' names of flags that are there already.
L2O_DM_ALIASES = {
  "save_path": "train_dir",
  "num_epochs": "num_meta_iterations",
  "num_steps": "fix_num_steps",
  "unroll_length": "fix_unroll_length",
  "learning_rate": "meta_learning_rate",
  "second_derivatives": "use_second_derivatives",
  "k": "mt_k",
}
# Flags that only L2O-Scale has.
SCALE_FLAGS = (
  "if_cl",
  "fix_unroll",
  "fix_unroll_length",
  "fix_num_steps",
  "fix_num_steps_eval",
  "evaluation_period",
  "evaluation_epochs",
  "save_period",
  "mini_batch_size",
  "data_freeze",
  "if_mt",
  "mt_ratio",
  "mt_k",
  "mt_teacher",
  "reg_optimizer",
  "reg_optimizee",
  "reg_option",
  "alpha",
  "beta",
  "regularize_time",
  "reg_scale",
  "hessian_itrs",
)

flags.DEFINE_integer(
  "num_problems", 1000, "problems to train on in all", lower_bound=1
)
flags.DEFINE_integer(
  "num_meta_iterations", 5, "fresh starts per problem", lower_bound=1
)
flags.DEFINE_integer(
  "num_parallel_problems",
  1,
  "instances of a problem that are trained on at once, with the mean of their "
  "meta-gradients",
  lower_bound=1,
)
flags.DEFINE_integer(
  "num_unroll_scale",
  40,
  "mean of the exponential part of the number of unrolls",
  lower_bound=0,
)
flags.DEFINE_integer(
  "min_num_unrolls", 1, "added to that number", lower_bound=1
)
flags.DEFINE_integer(
  "num_partial_unroll_itr_scale",
  200,
  "mean of the exponential part of the steps per unroll",
  lower_bound=0,
)
flags.DEFINE_integer(
  "min_num_itr_partial_unroll", 50, "added to those steps", lower_bound=1
)
flags.DEFINE_float(
  "meta_learning_rate",
  1e-6,
  "learning rate of RMSProp, with l2o_dm of Adam",
  lower_bound=0,
)
flags.DEFINE_float(
  "gradient_clip_level",
  1e4,
  "limit of each element of a meta-gradient",
  lower_bound=0,
)
flags.DEFINE_float("rms_decay", 0.9, "decay of RMSProp", 0, 1)
flags.DEFINE_float("rms_epsilon", 1e-20, "epsilon of RMSProp", lower_bound=0)
flags.DEFINE_float(
  "l2_reg", 0.0, "weight of the squared weights in the loss", lower_bound=0
)
flags.DEFINE_boolean(
  "reset_rnn_params",
  True,
  "keep the optimizer's state "
  "between fresh starts on a problem, and reset it only "
  "with the problem (the name says the contrary, as it "
  "always did)",
)
flags.DEFINE_boolean(
  "carry_last_unroll",
  False,
  "carry the state on from a meta-iteration's last unroll as well",
)
flags.DEFINE_boolean("set_profiling", False, "record traces for TensorBoard")
flags.DEFINE_integer("task", 0, "replica; only 0 is supported", 0, 0)
flags.DEFINE_integer(
  "ps_tasks", 0, "parameter servers; only 0 is supported", 0, 0
)
flags.DEFINE_integer(
  "worker_tasks",
  1,
  "with more than 1, problems are gone through in shuffled order",
  lower_bound=1,
)
flags.DEFINE_integer(
  "seed", None, "fixes all random draws", lower_bound=0, upper_bound=2**32 - 1
)
flags.DEFINE_enum(
  "xla",
  "auto",
  ["auto", "always", "never"],
  "compile unrolls; auto compiles where it pays",
)
flags.DEFINE_integer(
  "evaluation_period",
  0,
  "validate after every this many meta-iterations and keep the best weights; "
  "0 for never",
  lower_bound=0,
)
flags.DEFINE_integer(
  "evaluation_epochs", 20, "validation runs per problem", lower_bound=1
)
flags.DEFINE_integer(
  "fix_num_steps_eval", 100, "inner steps of a validation run", lower_bound=1
)
flags.DEFINE_boolean(
  "evaluate",
  False,
  "compare the result with other optimizers when training is over",
)
flags.DEFINE_boolean(
  "allow_changed_settings",
  False,
  "continue a run with settings other than it was started with",
)
flags.DEFINE_enum(
  "procedure",
  "auto",
  ["auto", "original", "l2o_scale", "l2o_dm"],
  "how the program of 2017, that of L2O-Scale, or that of L2O-DM and RNNProp "
  "trains; auto takes l2o_dm with these two, and else l2o_scale with MNIST, "
  "CIFAR-10 or a flag that only it has",
)
flags.DEFINE_integer(
  "save_period",
  1,
  "l2o_scale, l2o_dm: keep a checkpoint after every this many meta-iterations",
  lower_bound=1,
)
flags.DEFINE_integer(
  "mini_batch_size",
  10_000,
  "l2o_scale: rows of the data that a meta-iteration sees",
  lower_bound=1,
)
flags.DEFINE_boolean(
  "data_freeze", False, "l2o_scale: always the first rows, not random ones"
)
flags.DEFINE_boolean(
  "if_cl", False, "curriculum: train on ever longer meta-iterations"
)
flags.DEFINE_boolean(
  "fix_unroll", False, "unrolls of fixed number and length; not with --if_cl"
)
flags.DEFINE_integer(
  "fix_unroll_length",
  20,
  "inner steps of an unroll with --fix_unroll or --if_cl and in validation",
  lower_bound=1,
)
flags.DEFINE_integer(
  "fix_num_steps",
  100,
  "inner steps of a meta-iteration with --fix_unroll",
  lower_bound=1,
)
flags.DEFINE_boolean(
  "if_mt", False, "train some meta-iterations on imitating another optimizer"
)
flags.DEFINE_float(
  "mt_ratio", 0.1, "probability of such a meta-iteration", 0, 1
)
flags.DEFINE_integer(
  "mt_k", 1, "steps of the teacher for one of the learner", lower_bound=1
)
flags.DEFINE_enum(
  "mt_teacher",
  "Adam",
  ["Adam", "RMSProp", "Nesterov", "random"],
  "whom to imitate; random draws one of them in each meta-iteration",
)
flags.DEFINE_list(
  "optimizers",
  ["adam"],
  "l2o_dm: whom to imitate, in turn: some of adam, rmsprop, nag",
)
flags.DEFINE_integer(
  "num_mt", 1, "l2o_dm: how many of --optimizers to imitate", lower_bound=1
)
flags.DEFINE_spaceseplist(
  "mt_ratios",
  ["0.3"],
  "l2o_dm: --mt_ratio for each level of a curriculum, the last one also for "
  "those beyond",
  comma_compat=True,
)
flags.DEFINE_integer(
  "min_num_eval", 3, "evaluations that a level has at least", lower_bound=1
)
flags.DEFINE_boolean(
  "if_scale", False, "l2o_dm: train with random units of coordinates"
)
flags.DEFINE_float(
  "rd_scale_bound",
  3.0,
  "the largest logarithm of such a unit",
  lower_bound=1e-30,
  upper_bound=80,
)
flags.DEFINE_boolean(
  "reg_optimizer", False, "add a regulariser to the meta-objective"
)
flags.DEFINE_boolean(
  "reg_optimizee", False, "add a regulariser to the inner objective"
)
flags.DEFINE_enum(
  "reg_option",
  "hessian",
  ["hessian", "hessian-ev", "hessian-esd", "spectral-norm", "jacob"],
  "the regulariser: trace of the Hessian, its top eigenvalue, its trace by "
  "Lanczos, its spectral norm, or the mean squared gradient",
)
flags.DEFINE_float("alpha", 5e-4, "weight in the meta-objective")
flags.DEFINE_float("beta", 1e-4, "weight in the inner objective")
flags.DEFINE_enum(
  "regularize_time",
  "posterior",
  ["posterior", "prior", "none", "all"],
  "unrolls whose meta-objective is regularised: those after or before "
  "--reg_scale, none, or all",
)
flags.DEFINE_float(
  "reg_scale", 0.5, "where unrolls switch, as a fraction of them", 0, 1
)
flags.DEFINE_integer(
  "hessian_itrs",
  10,
  "probes of hessian, iterations of hessian-ev, hessian-esd, spectral-norm",
  lower_bound=1,
)


def _are_ratios(values):
  try:
    return bool(values) and all(0 <= float(value) <= 1 for value in values)
  except ValueError:
    return False


flags.register_validator(
  "optimizers",
  lambda names: (
    bool(names)
    and {*names} <= {"adam", "rmsprop", "nag"}
    and len({*names}) == len(names)
  ),
  "must be a list of different ones of adam, rmsprop, nag.",
)
flags.register_validator(
  "mt_ratios", _are_ratios, "must be a list of numbers from 0 to 1."
)
for _name in ("alpha", "beta"):
  flags.register_validator(_name, math.isfinite, "must be a finite number.")
for _name in ("meta_learning_rate", "gradient_clip_level"):
  flags.register_validator(
    _name, lambda value: value > 0, "must be greater than 0."
  )

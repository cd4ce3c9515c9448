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
  "meta_learning_rate", 1e-6, "learning rate of RMSProp", lower_bound=0
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
  ["auto", "original", "l2o_scale"],
  "how the program of 2017 or that of L2O-Scale trains; auto takes the latter "
  "with MNIST, CIFAR-10 or a flag that only it has",
)
flags.DEFINE_integer(
  "save_period",
  1,
  "l2o_scale: keep a checkpoint after every this many meta-iterations",
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
for _name in ("alpha", "beta"):
  flags.register_validator(_name, math.isfinite, "must be a finite number.")
for _name in ("meta_learning_rate", "gradient_clip_level"):
  flags.register_validator(
    _name, lambda value: value > 0, "must be greater than 0."
  )

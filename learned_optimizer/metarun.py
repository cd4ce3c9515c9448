"""Meta-trains a learned optimizer."""

import functools
import pathlib
import sys

from absl import app, flags

from learned_optimizer import program_choices, program_flags, program_start

_EVALUATION_STEPS = (200, 1000)

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
  "validate after every this many "
  "meta-iterations and keep the best weights; 0 for never",
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
program_flags.define_testing_steps(_EVALUATION_STEPS)
for _name in ("meta_learning_rate", "gradient_clip_level"):
  flags.register_validator(
    _name, lambda value: value > 0, "must be greater than 0."
  )

FLAGS = flags.FLAGS

# Settings that stay the same when a run is continued, besides those of the
# optimizer.
_RUN_SETTINGS = (
  "num_meta_iterations",
  "num_unroll_scale",
  "min_num_unrolls",
  "num_partial_unroll_itr_scale",
  "min_num_itr_partial_unroll",
  "meta_learning_rate",
  "gradient_clip_level",
  "rms_decay",
  "rms_epsilon",
  "l2_reg",
  "l2_reg_scale",
  "embedded_digits",
  "reset_rnn_params",
  "carry_last_unroll",
  "worker_tasks",
  "xla",
  "evaluation_period",
  "evaluation_epochs",
  "fix_num_steps_eval",
)


def main(argv: list[str]) -> None:
  """Runs the program."""
  program_start.run(FLAGS, argv, _train)


def _train() -> None:
  from learned_optimizer.metaopt import run_settings, sample_numiter, training
  from learned_optimizer.problems import problem_sets

  folder = program_choices.run_folder(FLAGS)
  names = program_choices.selected_sets(
    FLAGS, problem_sets.TRAINING_SETS, problem_sets.DEFAULT_SETS
  )
  recorded = run_settings.read(folder) or {}
  seed = FLAGS.seed
  if seed is None:
    seed = recorded.get("seed", run_settings.fresh_seed())
  optimizer = program_choices.optimizer_settings(FLAGS)
  settings = {name: FLAGS[name].value for name in _RUN_SETTINGS}
  settings |= optimizer | {"problem_sets": names, "seed": seed}
  run_settings.check(folder, settings, FLAGS.allow_changed_settings)
  entries = problem_sets.select(
    problem_sets.TRAINING_SETS,
    names,
    seed,
    **program_choices.problem_set_arguments(FLAGS),
  )
  folder.mkdir(parents=True, exist_ok=True)
  num_meta_iterations = FLAGS.num_problems * FLAGS.num_meta_iterations
  if FLAGS.evaluation_period > num_meta_iterations:
    print(
      f"Warning: --evaluation_period={FLAGS.evaluation_period} is longer than"
      f" the run of {num_meta_iterations} meta-iterations, which never"
      " validates.",
      file=sys.stderr,
    )
  result = training.train_optimizer(
    str(folder),
    program_choices.optimizer_spec(optimizer),
    entries,
    FLAGS.num_problems,
    FLAGS.num_meta_iterations,
    functools.partial(
      sample_numiter, FLAGS.num_unroll_scale, FLAGS.min_num_unrolls
    ),
    functools.partial(
      sample_numiter,
      FLAGS.num_partial_unroll_itr_scale,
      FLAGS.min_num_itr_partial_unroll,
    ),
    learning_rate=FLAGS.meta_learning_rate,
    gradient_clip=FLAGS.gradient_clip_level,
    select_random_problems=FLAGS.worker_tasks == 1,
    obj_train_max_multiplier=FLAGS.objective_training_max_multiplier,
    seed=seed,
    rms_decay=FLAGS.rms_decay,
    rms_epsilon=FLAGS.rms_epsilon,
    l2_reg=FLAGS.l2_reg,
    reset_rnn_params=FLAGS.reset_rnn_params,
    carry_last_unroll=FLAGS.carry_last_unroll,
    set_profiling=FLAGS.set_profiling,
    xla=FLAGS.xla,
    validation=training.Validation(
      FLAGS.evaluation_period,
      FLAGS.evaluation_epochs,
      FLAGS.fix_num_steps_eval,
    ),
    progress=FLAGS.progress,
    settings=settings,
  )
  if result.interrupted_by:
    print(
      f"Interrupted after {result.global_step} unrolls, saved in {folder}. The"
      " same command continues.",
      file=sys.stderr,
    )
    sys.exit(128 + result.interrupted_by)
  if result.already_finished:
    print(
      f"The run in {folder} is finished: {FLAGS.num_problems} problems,"
      f" {result.global_step} unrolls. A greater --num_problems continues it;"
      " another --train_dir starts anew."
    )
  else:
    print(f"Trained on {result.global_step} unrolls, saved in {folder}.")
  if FLAGS.evaluate:
    _evaluate(folder, optimizer, entries)


def _evaluate(folder: pathlib.Path, optimizer, entries) -> None:
  from learned_optimizer.metaopt import report

  report.evaluate(
    folder,
    program_choices.optimizer_spec(optimizer),
    entries,
    program_choices.integers(FLAGS.testing_steps),
    program_choices.integers(FLAGS.seeds),
    output=folder,
    progress=FLAGS.progress,
  )


if __name__ == "__main__":
  app.run(main, flags_parser=functools.partial(program_start.parse, FLAGS))

"""metarun as L2O-Scale's users call it: published commands, flags, files."""

import copy
import json
import re

import numpy as np
import pytest
from absl import flags as absl_flags

from learned_optimizer import program_flags, training_choices, training_flags
from learned_optimizer.metaopt import schedule
from learned_optimizer.optimizer import teachers
from learned_optimizer.optimizer.regularizers import options
from tests import running_programs

# As published, but for the folder and, at the end, the number of iterations.
_PUBLISHED = (
  "--train_dir=hess_cl_mt",
  "--regularize_time=none",
  "--alpha=1e-4",
  "--reg_optimizer=True",
  "--reg_option=hessian-esd",
  "--include_mnist_mlp_problems",
  "--num_problems=1",
  "--num_meta_iterations=100",
  "--fix_unroll=True",
  "--fix_unroll_length=20",
  "--evaluation_period=1",
  "--evaluation_epochs=5",
  "--use_second_derivatives=False",
  "--if_cl=True",
  "--if_mt=True",
  "--mt_ratio=0.1",
  "--mt_k=1",
)
_SHORT = (
  "--num_meta_iterations=2",
  "--evaluation_epochs=1",
  "--noprogress",
  "--xla=never",
  "--seed=1",
)
_NAME = "HierarchicalRNN_GRUCell_20_2"


def _files(folder):
  """The files of a run; of its saved points and events only the folders."""
  names = {str(path) for path in running_programs.contents(folder)}
  return {re.sub(r"^(resume|events)\b.*", r"\1", name) for name in names}


def _checkpoint(name):
  return {f"{name}.index", f"{name}.data-00000-of-00001"}


def test_the_published_training_command(program, images, tmp_path):
  done = program(
    "metarun",
    *(
      *_PUBLISHED,
      *_SHORT,
      f"--data_dir={images}",
      "--mt_ratio=0.5",
      "--seed=3",
    ),
    cwd=tmp_path,
  )
  assert done.status == 0, done
  assert done.stderr == (
    "Warning: --reg_optimizer has no effect with --regularize_time=none.\n"
  )
  assert done.stdout.count("100 iters (unrolled 20, 20, 20, 20, 20 steps)") == 2
  assert done.stdout.count("(imitation)") == 1
  assert done.stdout.count("validation cost") == 2
  folder = tmp_path / "hess_cl_mt" / _NAME
  best = sorted(path.name for path in folder.glob("best-*"))
  assert len(best) == 1
  step = best[0].removeprefix("best-")
  inside = _checkpoint(f"model.ckpt-{step}")
  inside |= {"checkpoint", "validation.json"}
  assert _files(folder) == {
    *("checkpoint", "settings.json", "resume", "events"),
    *_checkpoint("model.ckpt-0"),
    *(f"{best[0]}/{name}" for name in inside),
  }
  text = (folder / "checkpoint").read_text()
  assert text.startswith('model_checkpoint_path: "model.ckpt-0"')
  settings = json.loads((folder / "settings.json").read_text())
  assert settings["procedure"] == "l2o_scale"
  assert settings["if_cl"] and settings["mt_k"] == 1
  # What was resolved is printed as well.
  assert "procedure=l2o_scale" in done.stdout
  assert "min_num_unrolls=10" in done.stdout


def test_the_command_with_a_regulariser_that_acts(program, tmp_path):
  done = program(
    "metarun",
    *(*_PUBLISHED, *_SHORT, "--embedded_digits", "--num_meta_iterations=1"),
    *("--regularize_time=posterior", "--hessian_itrs=2", "--mt_ratio=0"),
    "--alpha=1000",
    cwd=tmp_path,
  )
  assert done.status == 0, done
  assert not done.stderr
  # The last unroll is regularised: its meta-objective is far from a logarithm.
  (objective,) = re.findall(r"\[00\] ([-\d.]+),", done.stdout)
  assert abs(float(objective)) > 100


def test_fixed_unrolls_without_a_curriculum(program, tmp_path):
  done = program(
    "metarun",
    *("--train_dir=runs", "--include_digits_mlp_problems", "--fix_unroll"),
    *("--fix_unroll_length=5", "--fix_num_steps=11", "--fix_num_steps_eval=5"),
    *(*_SHORT, "--num_meta_iterations=3", "--save_period=2"),
    cwd=tmp_path,
  )
  assert done.status == 0, done
  assert done.stdout.count("10 iters (unrolled 5, 5 steps)") == 3
  published = {
    path.stem for path in (tmp_path / "runs" / _NAME).glob("model.ckpt-*.index")
  }
  assert published == {"model.ckpt-0", "model.ckpt-2", "model.ckpt-3"}


def test_one_problem_under_both_procedures(program, tmp_path):
  """What differs apart from numbers, which tests of metaopt compare."""
  flags = ("--include_digits_mlp_problems", *_SHORT, "--num_problems=1")
  flags += ("--num_meta_iterations=1", "--num_unroll_scale=0")
  flags += ("--num_partial_unroll_itr_scale=0", "--min_num_unrolls=1")
  flags += ("--min_num_itr_partial_unroll=2", "--fix_num_steps_eval=2")
  flags += ("--fix_unroll_length=2", "--evaluation_period=1")
  outputs = {}
  for procedure in ("original", "l2o_scale"):
    done = program(
      "metarun",
      *(*flags, f"--procedure={procedure}", f"--train_dir={procedure}"),
      cwd=tmp_path,
    )
    assert done.status == 0, done
    settings = tmp_path / procedure / _NAME / "settings.json"
    assert json.loads(settings.read_text())["procedure"] == procedure
    outputs[procedure] = done.stdout
  assert "variant='original'" in outputs["original"]
  assert "variant='training'" in outputs["l2o_scale"]
  # Fresh instances and a logarithm; the objective from where training stands.
  costs = {
    name: float(re.findall(r"validation cost ([-\d.]+)", output)[0])
    for name, output in outputs.items()
  }
  assert abs(costs["original"]) < 0.1 < 2 < costs["l2o_scale"]


# Flags.


def _parsed(*given):
  values = copy.deepcopy(absl_flags.FLAGS)
  values.unparse_flags()
  values(["metarun", *given])
  return values


@pytest.mark.parametrize(
  ("given", "expected"),
  [
    ([], "original"),
    (["--include_digits_mlp_problems"], "original"),
    (["--noinclude_mnist_mlp_problems"], "original"),
    (["--include_mnist_mlp_problems"], "l2o_scale"),
    (["--include_cifar10_conv_problems"], "l2o_scale"),
    (["--if_cl"], "l2o_scale"),
    (["--evaluation_period=2"], "l2o_scale"),
    (["--evaluation_period=2", "--procedure=original"], "original"),
    (["--procedure=l2o_scale"], "l2o_scale"),
    *(([f"--{name}=1"], "l2o_scale") for name in ("alpha", "mt_k")),
  ],
)
def test_procedure(given, expected):
  values = _parsed(*given)
  assert training_choices.resolve_procedure(values) == expected
  scale = expected == "l2o_scale"
  assert values.min_num_unrolls == (10 if scale else 1)
  assert values.num_problems == (1 if scale else 1000)
  assert values.train_dir == ("opt/" if scale else "/tmp/lol/")


def test_flags_that_are_given_are_kept():
  values = _parsed("--if_cl", "--num_problems=3")
  training_choices.resolve_procedure(values)
  assert values.num_problems == 3


def test_l2o_scale_limits_the_lengths_of_unrolls():
  values = _parsed("--min_num_unrolls=2", "--num_unroll_scale=1000")
  drawn = {}
  for name in ("original", "l2o_scale"):
    draw, _ = training_choices.lengths(values, name)
    generator = np.random.default_rng(1)
    drawn[name] = [draw(generator) for _ in range(20)]
  assert drawn["l2o_scale"] == [min(n, 6) for n in drawn["original"]]
  assert max(drawn["original"]) > 6


def test_options_of_flags_are_those_of_the_library():
  for flag, names in (
    ("reg_option", options.NAMES),
    ("mt_teacher", teachers.NAMES),
    ("regularize_time", schedule.REGULARIZE_TIMES),
  ):
    assert absl_flags.FLAGS[flag].parser.enum_values == [*names], flag


def test_every_flag_of_scale_exists():
  for name in (*training_flags.SCALE_FLAGS, *training_flags.SCALE_DEFAULTS):
    assert name in absl_flags.FLAGS
  assert not set(training_flags.SCALE_FLAGS) & set(
    program_flags.PROBLEM_SET_NAMES
  )


@pytest.mark.parametrize(
  ("flags", "words"),
  [
    (["--regularize_time=sometimes"], ["--regularize_time", "posterior"]),
    (["--reg_option=trace"], ["--reg_option", "hessian-esd"]),
    (["--mt_teacher=SGD"], ["--mt_teacher", "Adam"]),
    (["--mt_ratio=1.5"], ["--mt_ratio", "1.5"]),
    (["--mt_k=0"], ["--mt_k"]),
    (["--mini_batch_size=0"], ["--mini_batch_size"]),
    (["--reg_optimizer", "--alpha=inf"], ["--alpha", "finite"]),
    (["--if_cl", "--evaluation_period=0"], ["--if_cl", "--evaluation_period"]),
    (["--if_cl", "--fix_unroll_length=101"], ["--fix_unroll_length=101"]),
    (
      ["--fix_unroll", "--fix_num_steps=19"],
      ["--fix_unroll_length=20", "--fix_num_steps, 19"],
    ),
    (
      ["--fix_num_steps_eval=7", "--if_mt"],
      ["--fix_unroll_length=20", "--fix_num_steps_eval, 7"],
    ),
  ],
)
def test_a_wrong_flag_is_named(program, tmp_path, flags, words):
  done = program(
    "metarun",
    *(*flags, "--include_digits_mlp_problems", "--train_dir=runs"),
    cwd=tmp_path,
  )
  running_programs.assert_refused(done, "metarun: ", *words)
  assert not [*tmp_path.iterdir()]

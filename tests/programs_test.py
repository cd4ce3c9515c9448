"""The programs as their users run them: files, messages, exit statuses."""

import copy
import csv
import json
import shutil
import subprocess
import sys

import pytest
from absl import flags as absl_flags
from matplotlib import image

from learned_optimizer import program_choices, program_flags
from learned_optimizer.problems.problem_sets import (
  DEFAULT_SETS,
  EVALUATION_SETS,
  TRAINING_SETS,
)
from tests import running_programs

_TINY = (
  "--num_problems=1",
  "--num_meta_iterations=1",
  "--num_unroll_scale=0",
  "--min_num_unrolls=2",
  "--num_partial_unroll_itr_scale=0",
  "--min_num_itr_partial_unroll=2",
  "--noprogress",
)
_DIGITS = "--include_digits_mlp_problems"
_NAME = "HierarchicalRNN_GRUCell_20_2"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
  """The main job in small: (folder of the caller, how it ended)."""
  folder = tmp_path_factory.mktemp("caller")
  elsewhere = tmp_path_factory.mktemp("elsewhere")
  done = running_programs.command(
    "metarun",
    *_TINY,
    _DIGITS,
    "--train_dir=runs",
    "--seed=3",
    "--nan_l2_reg=0.5",
    "--evaluate",
    "--seeds=1,2",
    "--testing_steps=2,4",
    cwd=elsewhere,
    BUILD_WORKING_DIRECTORY=str(folder),
  )
  assert not [*elsewhere.iterdir()]
  return folder, done


_COMPARED = (
  *("HierarchicalRNN", "HierarchicalRNN untrained"),
  *("SGD", "Momentum", "Nesterov", "RMSProp", "Adagrad", "Adam"),
)


def _assert_evaluated(folder, stdout, expected=_COMPARED):
  """A table was printed; it, a CSV and a picture of 4 steps are there."""
  with (folder / "evaluation.csv").open() as file:
    rows = [*csv.DictReader(file)]
  names = {row["optimizer"] for row in rows}
  assert names == {*expected}
  assert {row["step"] for row in rows} == set("01234")
  for name in names:
    assert f"\n{name} " in stdout, stdout
  assert "loss after 2 steps" in stdout
  assert "loss after 4 steps" in stdout
  assert "over 2 seeds" in stdout
  picture = image.imread(folder / "evaluation.png")
  assert min(picture.shape[:2]) > 200
  assert picture.min() < 0.5 < picture.max()
  assert f"Picture: {folder / 'evaluation.png'}" in stdout


# The main job.


def test_metarun_trains_and_evaluates(trained):
  caller, done = trained
  assert done.status == 0, done
  folder = caller / "runs" / _NAME
  assert "--------- Problem #0 ---------" in done.stdout
  assert "(unrolled 2, 2 steps)" in done.stdout
  assert f"Trained on 2 unrolls, saved in {folder}." in done.stdout
  _assert_evaluated(folder, done.stdout)
  assert (folder / "model.ckpt-2.index").exists()
  settings = json.loads((folder / "settings.json").read_text())
  assert settings["problem_sets"] == ["digits_mlp"]
  assert settings["seed"] == 3
  assert settings["min_num_unrolls"] == 2


def test_a_flag_without_effect_is_answered_by_one_warning(trained):
  _, done = trained
  (line,) = done.stderr.splitlines()
  assert line.startswith("Warning: --nan_l2_reg had no effect")


def test_the_same_command_says_that_it_is_finished(program, trained):
  caller, _ = trained
  before = running_programs.contents(caller)
  done = program("metarun", *_TINY, _DIGITS, "--train_dir=runs", cwd=caller)
  assert done.status == 0, done
  assert not done.stderr
  (line,) = done.stdout.splitlines()
  assert "is finished: 1 problems, 2 unrolls" in line
  assert "--num_problems" in line
  after = running_programs.contents(caller)
  written = {path for path in after if before.get(path) != after[path]}
  assert all(path.name.startswith("events.") for path in written), written
  assert before.keys() <= after.keys()


def test_changed_settings_are_refused_unless_a_flag_allows_them(
  program, trained, tmp_path
):
  caller, _ = trained
  flags = [*_TINY, "--include_quadratic_problems", "--train_dir=runs"]
  flags += ["--meta_learning_rate=0.5", "--seed=4"]
  before = running_programs.contents(caller)
  done = program("metarun", *flags, cwd=caller)
  running_programs.assert_refused(
    done,
    "--meta_learning_rate: 1e-06 -> 0.5",
    "--seed: 3 -> 4",
    "--allow_changed_settings",
  )
  assert "num_problems" not in done.stderr
  assert running_programs.contents(caller) == before
  shutil.copytree(caller / "runs", tmp_path / "runs")
  recorded = tmp_path / "runs" / _NAME / "settings.json"
  # What a finished run was trained with stands, until it goes on.
  for num_problems, rate in ((1, 1e-6), (2, 0.5)):
    done = program(
      "metarun",
      *(*flags, "--allow_changed_settings"),
      f"--num_problems={num_problems}",
      cwd=tmp_path,
    )
    assert done.status == 0, done
    assert json.loads(recorded.read_text())["meta_learning_rate"] == rate


def test_changes_that_do_not_fit_change_nothing(program, trained):
  caller, _ = trained
  before = running_programs.contents(caller)
  done = program(
    "metarun",
    *(*_TINY, _DIGITS, "--train_dir=runs"),
    *("--num_gradient_scales=2", "--allow_changed_settings"),
    cwd=caller,
  )
  running_programs.assert_refused(done, "The variable LOL/", "has shape")
  assert running_programs.contents(caller) == before


def test_a_greater_number_of_problems_continues_under_a_bar(
  program, trained, tmp_path
):
  caller, _ = trained
  for path, content in running_programs.contents(caller / "runs").items():
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / path).write_bytes(content)
  done = program(
    "metarun",
    *(*_TINY, _DIGITS, "--num_problems=2", "--train_dir=.", "--progress"),
    cwd=tmp_path,
  )
  assert done.status == 0, done
  (line,) = done.stdout.splitlines()
  assert "Trained on 4 unrolls" in line
  # The bar begins where the first run ended.
  for part in ("1/2 [", "2/2 [", "meta_objective="):
    assert part in done.stderr
  assert "0/2" not in done.stderr


def test_trains_on_several_instances_at_once(program, tmp_path):
  flags = (
    *_TINY,
    _DIGITS,
    "--num_parallel_problems=2",
    "--train_dir=runs",
  )
  for number in (1, 2):
    flags += (f"--num_problems={number}",)
    done = program("metarun", *flags, cwd=tmp_path)
    assert done.status == 0, done
    assert f"Trained on {2 * number} unrolls" in done.stdout
  flag = "--objective_training_max_multiplier=2"
  folder = "--train_dir=others"
  done = program("metarun", *flags, flag, folder, cwd=tmp_path)
  running_programs.assert_refused(done, "num_parallel_problems is 2", "only 1")


def test_metatest_restores_and_evaluates(program, trained, tmp_path):
  caller, _ = trained
  before = running_programs.contents(caller)
  done = program(
    "metatest",
    *(_DIGITS, f"--train_dir={caller}/runs", "--save_dir=result"),
    *("--seeds=5,6", "--testing_steps=2,4", "--noprogress", "--baselines"),
    cwd=tmp_path,
  )
  assert done.status == 0, done
  assert not done.stderr
  assert f"Evaluating {caller}/runs/{_NAME}/model.ckpt-2" in done.stdout
  assert "on seeds 5, 6." in done.stdout
  _assert_evaluated(tmp_path / "result", done.stdout)
  assert running_programs.contents(caller) == before


# Data on disk.


def test_images_are_trained_and_evaluated_on(program, images, tmp_path):
  flags = (
    "--include_cifar10_conv_problems",
    f"--data_dir={images}",
    "--train_dir=runs",
  )
  done = program(
    "metarun",
    *(*_TINY, *flags, "--xla=never", "--evaluation_period=0"),
    cwd=tmp_path,
  )
  assert done.status == 0, done
  assert done.stdout.count("TrainingConvNet([3, 32, 32], 10") == 1
  done = program(
    "metatest",
    *flags,
    "--seeds=6,12",
    "--testing_steps=2,4",
    "--noprogress",
    "--save_dir=result",
    cwd=tmp_path,
  )
  assert done.status == 0, done
  _assert_evaluated(tmp_path / "result", done.stdout, ["HierarchicalRNN"])


@pytest.mark.parametrize(
  "command",
  [
    ("metarun", "--if_cl=True", "--if_mt=True", "--fix_unroll=True"),
    ("metatest", "--restore_model_name=model.ckpt-0"),
  ],
)
def test_missing_images_are_reported(program, tmp_path, command):
  done = program(
    *command,
    "--include_mnist_mlp_problems",
    f"--data_dir={tmp_path}",
    "--train_dir=runs",
    cwd=tmp_path,
  )
  running_programs.assert_refused(
    done, "mnist", str(tmp_path), "--download", "--embedded_digits"
  )
  assert not [*tmp_path.iterdir()]


def test_embedded_digits_stand_in_for_images(program, tmp_path):
  done = program(
    "metarun",
    *_TINY,
    "--include_mnist_mlp_problems",
    "--embedded_digits",
    "--train_dir=runs",
    "--xla=never",
    "--evaluation_period=0",
    cwd=tmp_path,
  )
  assert done.status == 0, done
  assert "FullyConnected(784, 10" in done.stdout


@pytest.mark.parametrize(
  ("given", "expected"),
  [
    ([], DEFAULT_SETS),
    (["--include_digits_mlp_problems"], ("digits_mlp",)),
    (
      ["--include_bowl_problems", "--include_mnist_mlp_problems"],
      ("mnist_mlp", "bowl"),
    ),
    (["--include_lasso_problems"], (*DEFAULT_SETS, "lasso")),
    (["--noinclude_bowl_problems"], set(DEFAULT_SETS) - {"bowl"}),
  ],
)
def test_selected_sets(given, expected):
  values = copy.deepcopy(absl_flags.FLAGS)
  values.unparse_flags()
  values(["metarun", *given])
  selected = program_choices.selected_sets(values, TRAINING_SETS, DEFAULT_SETS)
  assert selected == [name for name in TRAINING_SETS if name in expected]


def test_every_set_has_a_flag():
  """So have names that the originals declared without a problem."""
  sets = {*TRAINING_SETS, *EVALUATION_SETS}
  assert set(program_flags.PROBLEM_SET_NAMES) - sets == {
    *("mnist_conv_wider", "mnist_conv_4layers", "cifar10_conv_4layers"),
    "vgg16",
  }
  assert sets < set(program_flags.PROBLEM_SET_NAMES)


# Mistakes.


@pytest.mark.parametrize(
  ("module", "flag", "words"),
  [
    ("metarun", "--no_such_flag=1", ["no_such_flag"]),
    ("metarun", "--optimizer=Adam", ["--optimizer", "HierarchicalRNN"]),
    ("metarun", "--num_problems=many", ["--num_problems", "many"]),
    ("metarun", "--num_problems=0", ["--num_problems", "0"]),
    ("metarun", "--meta_learning_rate=0", ["--meta_learning_rate"]),
    ("metarun", "--max_lr=nan", ["--max_lr must be a number, got nan"]),
    ("metarun", "--cell_sizes=²", ["--cell_sizes"]),
    ("metarun", "--min_lr=1", ["--min_lr must not be greater than --max_lr"]),
    ("metarun", "--testing_steps=5,x", ["--testing_steps"]),
    ("metarun", "--testing_steps=0", ["--testing_steps"]),
    ("metarun", "--seeds=-1", ["--seeds"]),
    ("metarun", "--xla=maybe", ["--xla", "maybe"]),
    ("metarun", "argument", ["unknown arguments: argument"]),
    ("metatest", "--num_testing_itrs=0", ["--num_testing_itrs"]),
    ("metatest", "--test_optimizer=RMSProp", ["--test_optimizer", "Adagrad"]),
    ("metatest", "--model_name=a/b", ["--model_name", "a/b", "slash"]),
  ],
)
def test_a_wrong_flag_is_named(program, tmp_path, module, flag, words):
  train_dir = f"--train_dir={tmp_path}/runs"
  done = program(module, train_dir, _DIGITS, flag, cwd=tmp_path)
  running_programs.assert_refused(done, f"{module}: ", *words)
  assert not [*tmp_path.iterdir()]


def test_a_wrong_flag_is_answered_at_once(tmp_path):
  done = running_programs.command("metarun", "--no_such_flag", cwd=tmp_path)
  running_programs.assert_refused(done, "metarun: ", "no_such_flag")


def test_metatest_needs_a_checkpoint(tmp_path):
  done = running_programs.command(
    "metatest", _DIGITS, "--train_dir=runs", "--save_dir=out", cwd=tmp_path
  )
  running_programs.assert_refused(
    done, f"metatest: There is no checkpoint in {tmp_path}/runs/{_NAME}"
  )
  assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
  ("module", "name"),
  [("metarun", "vgg16"), ("metarun", "mnist_mlp_relu"), ("metatest", "vgg16")],
)
def test_problem_sets_must_exist(program, tmp_path, module, name):
  flag = f"--include_{name}_problems"
  done = program(module, flag, "--train_dir=runs", cwd=tmp_path)
  running_programs.assert_refused(
    done, f"{flag}: there is no problem set {name} here", "quadratic"
  )
  assert not [*tmp_path.iterdir()]


def test_some_problem_set_must_be_selected(program, tmp_path):
  none = [f"--noinclude_{name}_problems" for name in DEFAULT_SETS]
  for module, flags in (("metarun", none), ("metatest", [])):
    done = program(module, *flags, "--train_dir=runs", cwd=tmp_path)
    running_programs.assert_refused(
      done, "No problem set is selected", f"{_DIGITS}"
    )
  assert not [*tmp_path.iterdir()]


def test_the_folder_must_be_writable(program, tmp_path):
  file = tmp_path / "file"
  file.write_text("content")
  done = program(
    "metarun", *_TINY, _DIGITS, f"--train_dir={file}/runs", cwd=tmp_path
  )
  running_programs.assert_refused(done, f"{file}/runs")
  assert file.read_text() == "content"


@pytest.mark.parametrize("damage", ["data", "cut", "index"])
def test_a_corrupt_checkpoint_is_left_as_it_is(
  program, trained, tmp_path, damage
):
  caller, _ = trained
  source, folder = caller / "runs" / _NAME, tmp_path / "runs" / _NAME
  folder.mkdir(parents=True)
  for path in source.iterdir():
    if path.name.startswith(("model.ckpt-2", "checkpoint")):
      (folder / path.name).write_bytes(path.read_bytes())
  data = folder / "model.ckpt-2.data-00000-of-00001"
  if damage == "data":
    content = bytearray(data.read_bytes())
    content[len(content) // 2] ^= 1
    data.write_bytes(content)
  elif damage == "cut":
    data.write_bytes(data.read_bytes()[:100])
  else:
    (folder / "model.ckpt-2.index").write_bytes(b"nonsense")
  before = running_programs.contents(tmp_path)
  for module, flags in (("metarun", _TINY), ("metatest", [])):
    done = program(module, *flags, _DIGITS, "--train_dir=runs", cwd=tmp_path)
    running_programs.assert_refused(done, "model.ckpt-2 cannot be read")
    assert running_programs.contents(tmp_path) == before


def test_points_that_are_all_damaged_are_left_as_they_are(
  program, trained, tmp_path
):
  caller, _ = trained
  for path, content in running_programs.contents(caller / "runs").items():
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    if path.name == "variables.npz":
      content = content[:200]
    (tmp_path / path).write_bytes(content)
  before = running_programs.contents(tmp_path)
  done = program("metarun", *_TINY, _DIGITS, "--train_dir=.", cwd=tmp_path)
  running_programs.assert_refused(
    done, "No saved point", "resume-1", "resume-2"
  )
  assert running_programs.contents(tmp_path) == before


# Start-up.


@pytest.mark.parametrize("module", ["metarun", "metatest"])
def test_help_does_not_import_tensorflow(module, tmp_path):
  script = (
    "import runpy, sys\n"
    f"sys.argv = [{module!r}, '--helpfull']\n"
    "try:\n"
    f"  runpy.run_module('learned_optimizer.{module}', run_name='__main__')\n"
    "except SystemExit:\n"
    "  print('imported:', 'tensorflow' in sys.modules)\n"
  )
  done = subprocess.run(
    [sys.executable, "-c", script],
    cwd=tmp_path,
    env=running_programs.environment(),
    capture_output=True,
    text=True,
  )
  assert "--train_dir" in done.stdout
  assert "--include_digits_mlp_problems" in done.stdout.replace("[no]", "")
  assert done.stdout.splitlines()[-1] == "imported: False", done

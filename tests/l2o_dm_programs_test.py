"""metarun and metatest as users of L2O-DM and RNNProp call them."""

import copy
import json
import pickle
import shutil
import subprocess
import sys

import numpy as np
import pytest
from absl import flags as absl_flags
from matplotlib import image

import learned_optimizer
from docs import l2o_dm_results
from learned_optimizer import training_choices, training_flags
from learned_optimizer.metaopt.comparison import Contestant
from learned_optimizer.optimizer.baselines import BASELINES
from learned_optimizer.problems import problem_generator as pg
from learned_optimizer.problems.entry import Entry
from learned_optimizer.problems.problem_spec import Spec
from tests import running_programs
from tests.optimizer import reference

_NAME = "RNNProp_GRUCell_20_2"
_TRAINING = (
  *("--optimizer=RNNProp", "--include_digits_mlp_problems", "--seed=3"),
  *("--save_path=runs", "--num_epochs=3", "--num_steps=4", "--unroll_length=2"),
  *("--evaluation_period=1", "--evaluation_epochs=1", "--if_scale", "--if_mt"),
  *("--num_mt=2", "--optimizers=adam,nag", "--mt_ratio=0.5", "--k=2"),
  *("--noprogress", "--xla=never"),
)


@pytest.fixture(scope="module")
def trained(program, tmp_path_factory):
  """How metarun ended, and the folder that it was called in."""
  folder = tmp_path_factory.mktemp("trained")
  return program("metarun", *_TRAINING, cwd=folder), folder


def test_training(trained):
  done, folder = trained
  assert done.status == 0, done
  assert not done.stderr
  assert done.stdout.count("4 iters (unrolled 2, 2 steps)") == 3
  assert 1 <= done.stdout.count("(imitation)") <= 2
  assert done.stdout.count("validation cost 2.3") == 3
  assert "variant='training'" in done.stdout
  run = folder / "runs" / _NAME
  published = {path.stem for path in run.glob("model.ckpt-*.index")}
  assert published == {f"model.ckpt-{number}" for number in range(4)}
  settings = json.loads((run / "settings.json").read_text())
  expected = {
    "procedure": "l2o_dm",
    "num_meta_iterations": 3,
    "meta_learning_rate": 1e-3,
    "use_second_derivatives": False,
    "fix_num_steps": 4,
    "fix_num_steps_eval": 4,
    "mt_k": 2,
    "optimizers": ["adam", "nag"],
    "rd_scale_bound": 3.0,
    "beta2": 0.95,
  }
  assert {name: settings[name] for name in expected} == expected


def test_other_settings_are_refused_when_a_run_is_continued(program, trained):
  _, folder = trained
  done = program(
    *("metarun", *_TRAINING, "--num_mt=1", "--rd_scale_bound=2"), cwd=folder
  )
  running_programs.assert_refused(done, "--num_mt: 2 -> 1", "--rd_scale_bound")


_TEST = (
  *("--include_digits_mlp_problems", "--num_steps=3", "--noprogress"),
  *("--output_path=out/below", "--seeds=6", "--model_name=digits"),
)


def _tested(done, folder):
  """What metatest printed, and the record."""
  assert done.status == 0, done
  assert "variant='evaluation'" in done.stdout
  output = folder / "out" / "below"
  name = "L2L_eval_loss_record.pickle-digits"
  assert {path.name for path in output.iterdir()} == {
    *("evaluation.csv", "evaluation.png", name)
  }
  record = pickle.loads((output / name).read_bytes())
  assert [type(loss) for loss in record] == 3 * [float]
  return record


def test_evaluation(program, trained, tmp_path):
  """Of a run, and of the same weights wherever they are."""
  _, folder = trained
  run = folder / "runs" / _NAME
  done = program(
    "metatest",
    *(*_TEST, "--optimizer=RNNProp", f"--train_dir={run.parent}"),
    cwd=folder,
  )
  record = _tested(done, folder)
  assert record == sorted(record, reverse=True)
  done = program("metatest", *_TEST, f"--path={run}", cwd=tmp_path)
  assert f"Evaluating {run} on seeds 6." in done.stdout
  assert _tested(done, tmp_path) == record


@pytest.mark.parametrize("name", ["dm_cl_il/cw", "rnnprop_cl_il/rp"])
def test_released_models(program, tmp_path, name):
  """They train a perceptron that is smaller than that of their training."""
  path = reference.shared(f"checkpoints/dm_rnnprop/{name}.l2l-0")
  done = program(
    "metatest",
    *(f"--path={path}", "--include_digits_mlp_problems", "--noprogress"),
    *("--seeds=6", "--num_steps=200", "--model_name=200", "--output_path=."),
    cwd=tmp_path,
  )
  assert done.status == 0, done
  record_path = tmp_path / "L2L_eval_loss_record.pickle-200"
  losses = pickle.loads(record_path.read_bytes())
  assert len(losses) == 200
  assert losses[0] > 2.2
  assert np.mean(losses[-10:]) < 0.7


# The experiment of the docs.


def _experiment(cwd, *flags):
  return subprocess.run(
    [sys.executable, "-m", "docs.l2o_dm_experiment", *flags],
    cwd=cwd,
    env=running_programs.environment(BUILD_WORKING_DIRECTORY=str(cwd)),
    capture_output=True,
    text=True,
  )


def test_experiment(trained, tmp_path):
  """With a run that is finished, which also stands for the released models."""
  _, folder = trained
  run = tmp_path / "out" / "meta_trained" / "run-1"
  shutil.copytree(folder / "runs" / _NAME, run / _NAME)
  outcome = {"seconds": 3.0, "cpu_seconds": 4.0, "num_epochs": 100}
  (run / "outcome.json").write_text(json.dumps(outcome))
  for name in l2o_dm_results.PUBLISHED:
    learned_optimizer.export(run, tmp_path / "models" / name)
  done = _experiment(
    tmp_path,
    *("--folder=out", "--models=models", "--num_seeds=1", "--steps=2"),
    *("--released_steps=2", "--seeds=6"),
  )
  assert done.returncode == 0, done.stderr
  for part in ("released", "meta_trained"):
    results = tmp_path / "out" / part
    assert (results / "tables.md").read_text() in done.stdout
    assert (results / "losses.csv").exists()
    assert image.imread(results / "losses.png").shape[0] > 1000
  assert image.imread(run.parent / "training.png").shape[0] > 200
  assert "\n| 1 | 3 | 4 |\n" in done.stdout
  for problem in ("64-20-10", "784-20-10"):
    assert f"| {problem} | dm_cl_il | 2." in done.stdout
  for problem in l2o_dm_results.problems():
    assert f"| {problem} | RNNProp | " in done.stdout


def test_metarun_accepts_what_the_experiment_gives(tmp_path):
  done = _experiment(
    tmp_path, "--num_seeds=1", "--num_epochs=3", "--folder=out"
  )
  # What is wrong is that there are fewer epochs than one evaluation needs.
  assert done.returncode == 1
  assert "are skipped: --models" in done.stdout
  assert len(done.stderr.splitlines()) == 1
  assert "metarun ended with status 1" in done.stderr
  log = (tmp_path / "out" / "meta_trained" / "run-1" / "log.txt").read_text()
  assert "--evaluation_period=10" in log


def test_results_that_are_kept(tmp_path):
  bowl = {"bowl": Entry(Spec(pg.Bowl, (2,), {}), None, None)}
  sgd = Contestant.of_rule(BASELINES["SGD"], 1e30)
  sgd = sgd._replace(name="learned", learning_rate=None)
  first = l2o_dm_results.measure(tmp_path, bowl, [sgd], 4, [6, 12])
  content = (tmp_path / "bowl.json").read_bytes()
  again = l2o_dm_results.measure(tmp_path, bowl, [sgd], 4, [6, 12])
  assert (tmp_path / "bowl.json").read_bytes() == content
  assert [c.label for c in first] == [c.label for c in again]
  assert np.isnan(first[0].losses.on_data[:, -1]).all()
  for one, other in zip(first, again, strict=True):
    np.testing.assert_array_equal(one.losses.on_data, other.losses.on_data)
    np.testing.assert_array_equal(one.quartiles(), other.quartiles())
  with pytest.raises(ValueError, match="other settings than .* another --fold"):
    l2o_dm_results.measure(tmp_path, bowl, [sgd], 4, [6])


# Flags.


def _parsed(*given):
  values = copy.deepcopy(absl_flags.FLAGS)
  values.unparse_flags()
  values(["metarun", *given])
  return values


@pytest.mark.parametrize(
  ("optimizer", "period", "ratios"),
  [
    ("L2ODM", 100, [0.0, 0.1, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3]),
    ("RNNProp", 10, [0.3, 0.3, 0.3]),
  ],
)
def test_defaults(optimizer, period, ratios):
  """Those of the original programs."""
  values = _parsed(f"--optimizer={optimizer}", "--if_cl", "--if_mt")
  name = training_choices.resolve_procedure(values)
  assert name == "l2o_dm"
  assert values.evaluation_period == values.save_period == period
  assert values.num_meta_iterations == 10_000
  curriculum = training_choices.curriculum(values, name)
  assert curriculum.horizons[-1] == 3000
  assert curriculum.min_evaluations == 3
  assert curriculum.unroll_length == 20
  imitation = training_choices.imitation(values, name)
  assert imitation.level_ratios == ratios
  assert [rule.name for rule in imitation.teacher.rule.rules] == ["Adam"]
  procedure = training_choices.procedure(values, name)
  assert procedure.scale_bound is None
  assert training_choices.validation(values).epochs == 20


def test_values_that_are_given():
  values = _parsed(
    *("--optimizer=L2ODM", "--fix_num_steps=500", "--if_mt", "--if_cl"),
    *("--optimizers=adam,rmsprop,nag", "--num_mt=3", "--mt_ratios=0.2 0.4"),
    *("--min_num_eval=5", "--if_scale", "--rd_scale_bound=2"),
  )
  name = training_choices.resolve_procedure(values)
  unrolls, steps = training_choices.lengths(values, name)
  assert (unrolls(None), steps(None)) == (25, 20)
  assert values.fix_num_steps_eval == 500
  assert training_choices.curriculum(values, name).min_evaluations == 5
  imitation = training_choices.imitation(values, name)
  names = [rule.name for rule in imitation.teacher.rule.rules]
  assert names == ["Adam", "RMSProp", "Nesterov"]
  assert imitation.num_turns == 3
  assert imitation.level_ratios == [0.2, 0.4]
  assert training_choices.procedure(values, name).scale_bound == 2.0


def test_another_procedure_can_be_asked_for():
  values = _parsed("--optimizer=RNNProp", "--procedure=l2o_scale")
  assert training_choices.resolve_procedure(values) == "l2o_scale"
  values = _parsed("--procedure=l2o_dm")
  assert training_choices.resolve_procedure(values) == "l2o_dm"


def test_every_flag_exists():
  own = training_flags.L2O_DM_OWN_DEFAULTS.values()
  for names in (
    training_flags.L2O_DM_FLAGS,
    training_flags.L2O_DM_DEFAULTS,
    training_flags.L2O_DM_ALIASES.values(),
    *own,
  ):
    for name in names:
      assert name in absl_flags.FLAGS


def test_flags_without_effect_are_told(capsys):
  values = _parsed("--optimizer=RNNProp", "--mt_teacher=Adam", "--mt_ratios=1")
  name = training_choices.resolve_procedure(values)
  training_choices.check(values, name)
  lines = capsys.readouterr().err.splitlines()
  assert lines == [
    "Warning: --mt_ratios has no effect with --noif_mt.",
    "Warning: --mt_teacher has no effect with --procedure=l2o_dm.",
  ]


@pytest.mark.parametrize(
  ("program_name", "flags", "words"),
  [
    ("metarun", ["--optimizers=sgd"], ["--optimizers", "adam, rmsprop, nag"]),
    ("metarun", ["--mt_ratios=0.1 2"], ["--mt_ratios", "from 0 to 1"]),
    ("metarun", ["--num_mt=2"], ["--num_mt=2 is more than the 1"]),
    ("metarun", ["--if_cl", "--num_epochs=9"], ["--evaluation_period=10"]),
    ("metarun", ["--beta1=1.0"], ["beta1 is 1.0"]),
    (
      "metatest",
      ["--path=nowhere", "--restore_model_name=model.ckpt-1"],
      ["--path=nowhere and --restore_model_name=model.ckpt-1"],
    ),
    ("metatest", ["--path=nowhere"], ["no optimizer 'nowhere'"]),
  ],
)
def test_a_wrong_flag_is_named(program, tmp_path, program_name, flags, words):
  done = program(
    program_name,
    *("--optimizer=RNNProp", "--include_digits_mlp_problems", *flags),
    cwd=tmp_path,
  )
  running_programs.assert_refused(done, f"{program_name}: ", *words)

"""The runs of the L2O-Scale experiment: what is trained, and for how long."""

import json
import os
import pathlib
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent import futures
from typing import NamedTuple

from learned_optimizer import files
from learned_optimizer.metaopt import resume
from learned_optimizer.metaopt.errors import RunError

UNROLL_LENGTH = 20

_COMMON = (
  "--procedure=l2o_scale",
  "--include_digits_mlp_problems",
  "--num_problems=1",
  f"--fix_unroll_length={UNROLL_LENGTH}",
  "--meta_learning_rate=1e-3",
  "--nouse_second_derivatives",
  "--noreset_rnn_params",
  "--evaluation_period=3",
  "--evaluation_epochs=3",
  "--xla=always",
  "--noprogress",
  # More than any budget has: the budget ends the run.
  "--num_meta_iterations=10000",
  "--save_period=10000",
)
_PLAIN = ("--fix_unroll", "--fix_num_steps=100", "--fix_num_steps_eval=100")
_CURRICULUM = ("--if_cl",)
_IMITATION = (*_CURRICULUM, "--if_mt", "--mt_ratio=0.1")
_HESSIAN = (
  *_IMITATION,
  "--reg_optimizer",
  "--reg_option=hessian-esd",
  "--regularize_time=all",
)
# What metarun prints of a meta-iteration.
_STEPS = re.compile(r"  \[\d+\] .* (\d+) iters \(unrolled ")


class Configuration(NamedTuple):
  """One way to train.

  Attributes:
    name: of its folders.
    label: what tables and pictures call it.
    flags: of metarun, besides those that all have.
  """

  name: str
  label: str
  flags: Sequence[str]


CONFIGURATIONS = (
  Configuration("plain", "plain", _PLAIN),
  Configuration("cl", "curriculum", _CURRICULUM),
  Configuration("cl_il", "curriculum, imitation", _IMITATION),
  *(
    Configuration(
      f"cl_il_esd_{alpha}",
      f"curriculum, imitation, hessian-esd {alpha}",
      (*_HESSIAN, f"--alpha={alpha}"),
    )
    for alpha in ("1e-3", "1e-2")
  ),
)


class Run(NamedTuple):
  """One run of a configuration.

  Attributes:
    configuration: the configuration.
    seed: the meta-training seed.
    root: folder of all runs.
  """

  configuration: Configuration
  seed: int
  root: pathlib.Path

  @property
  def train_dir(self) -> pathlib.Path:
    """The folder that metarun is given."""
    return self.root / f"{self.configuration.name}-{self.seed}"

  @property
  def folder(self) -> pathlib.Path:
    """The folder that metarun makes there."""
    return self.train_dir / "HierarchicalRNN_GRUCell_20_2"

  @property
  def outcome_path(self) -> pathlib.Path:
    """A JSON file that exists once the run is finished."""
    return self.train_dir / "outcome.json"

  def outcome(self) -> dict[str, float] | None:
    """What a finished run took, else None.

    That is `unrolls`, and of the process that finished it `seconds` and
    `cpu_seconds`.
    """
    path = self.outcome_path
    return json.loads(path.read_text()) if path.exists() else None

  def arguments(self) -> list[str]:
    """Those of metarun."""
    return [
      f"--train_dir={self.train_dir}",
      f"--seed={self.seed}",
      *_COMMON,
      *self.configuration.flags,
    ]


def train_all(
  runs: Sequence[Run],
  num_unrolls: int,
  jobs: int,
  report: Callable[[Run], None] = lambda run: None,
) -> None:
  """Makes all runs that are not finished; those that were begun go on.

  Args:
    runs: in the order wanted.
    num_unrolls: the budget of each. A run ends with the meta-iteration that
      reaches it, or with its curriculum.
    jobs: how many processes at a time.
    report: called with each run when it is finished.

  Raises:
    RunError: metarun failed or was interrupted.
  """
  with futures.ThreadPoolExecutor(jobs) as pool:
    waiting = {pool.submit(_train, run, num_unrolls): run for run in runs}
    try:
      for done in futures.as_completed(waiting):
        done.result()
        report(waiting[done])
    except BaseException:
      pool.shutdown(cancel_futures=True)
      raise


def _train(run: Run, num_unrolls: int) -> None:
  if run.outcome():
    return
  run.train_dir.mkdir(parents=True, exist_ok=True)
  status, usage = 0, {}
  missing = num_unrolls - _unrolls(run)
  if missing > 0:
    status, usage = _metarun(run, missing)
  unrolls = _unrolls(run)
  if status and unrolls < num_unrolls:
    raise RunError(
      f"metarun ended with status {status} after {unrolls} unrolls; see"
      f" {_log_path(run)}."
    )
  files.write_json(run.outcome_path, {"unrolls": unrolls} | usage)


def _unrolls(run) -> int:
  """How many unrolls the last saved point was trained on."""
  point = resume.load(run.folder)
  return int(point.variables["global_step"]) if point else 0


def _log_path(run):
  return run.train_dir / "log.txt"


def _metarun(run, num_unrolls) -> tuple[int, dict[str, float]]:
  """Lets metarun train on so many more unrolls: its status, and the cost."""
  missing = num_unrolls * UNROLL_LENGTH
  started = time.monotonic()
  process = subprocess.Popen(
    [sys.executable, "-m", "learned_optimizer.metarun", *run.arguments()],
    env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
    text=True,
  )
  with process, open(_log_path(run), "a") as log:
    for line in process.stdout:
      log.write(line)
      log.flush()
      found = _STEPS.match(line)
      if found and missing > 0:
        missing -= int(found[1])
        if missing <= 0:
          # It saves the run as it is after this meta-iteration, and ends.
          process.terminate()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
  return process.returncode, {
    "seconds": time.monotonic() - started,
    "cpu_seconds": used.ru_utime + used.ru_stime,
  }

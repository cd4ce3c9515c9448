"""The loop of L2O-Scale: curriculum, imitation, validation in place."""

import json
import pathlib
import signal
import time

import numpy as np
import pytest
import tensorflow as tf

from learned_optimizer.metaopt import resume, run_log, schedule
from learned_optimizer.metaopt.curriculum import Curriculum
from learned_optimizer.metaopt.meta_iterations import MetaIterations
from learned_optimizer.metaopt.procedure import L2O_SCALE, MiniData
from learned_optimizer.metaopt.program import Extras, Program, Purpose
from learned_optimizer.metaopt.training_settings import Imitation
from learned_optimizer.metaopt.validation import Validation
from learned_optimizer.optimizer import checkpoints, teachers
from learned_optimizer.optimizer.regularizers import options
from learned_optimizer.optimizer.regularizers.regularization import (
  Regularization,
)
from learned_optimizer.problems.dataset import Dataset
from learned_optimizer.problems.problem import Problem
from learned_optimizer.problems.problem_spec import Spec
from tests.metaopt import runs

TRAIN, IMITATE, EVALUATE = Purpose.TRAIN, Purpose.IMITATE, Purpose.EVALUATE
_NAME = "Momentum/learning_rate"


class Centre(Problem):
  """Half the mean squared distance to points: gradient p - their mean."""

  def __init__(self, random_seed=None):
    super().__init__([(3,)], random_seed, 0.0)

  def objective(self, parameters, data=None, labels=None):
    squares = tf.square(parameters[0] - data)
    return 0.5 * tf.reduce_mean(tf.reduce_sum(squares, axis=1))


def centre(num_rows=20, batch_size=2):
  """The problem with points that differ all over."""
  data = np.random.default_rng(5).normal(size=[num_rows, 3])
  labels = np.arange(num_rows, dtype=np.int32)
  return (Spec(Centre, (), {}), Dataset(np.float32(data), labels), batch_size)


def train(folder, **settings):
  """A run as L2O-Scale has it, on one problem."""
  defaults = dict(
    entries=[centre()],
    num_problems=1,
    num_meta_iterations=3,
    unrolls=2,
    steps=3,
    procedure=L2O_SCALE,
  )
  return runs.train(folder, **{**defaults, **settings})


class Watch:
  """Records every unroll that is fed, in order.

  Attributes:
    unrolls: for each a dictionary: its program, purpose, trial, start, length
      and further arguments of `Program.feed`; `problem` and `data` that are
      loaded, what is `carried` into it, the `rate` that is the optimizer's
      first weight, and the `result` of the run.
  """

  def __init__(self, monkeypatch):
    self.unrolls = []
    feed, run = Program.feed, Program.run

    def watched_feed(program, trial, start, length, **others):
      weight, *_ = program._optimizer.weights.values()
      self.unrolls.append(
        dict(
          program=program,
          purpose=program.purpose,
          trial=trial,
          start=start,
          length=length,
          problem=program.task.problem,
          data=program.task.dataset.data,
          carried=program.carried(),
          rate=np.ravel(program._session.run(weight))[0],
          **others,
        )
      )
      return feed(program, trial, start, length, **others)

    def watched_run(program, *args):
      result = run(program, *args)
      self.unrolls[-1]["result"] = result
      return result

    monkeypatch.setattr(Program, "feed", watched_feed)
    monkeypatch.setattr(Program, "run", watched_run)

  def of(self, *purposes):
    """The unrolls for these purposes."""
    return [u for u in self.unrolls if u["purpose"] in purposes]

  def purposes(self):
    """Purpose of each start from new parameters."""
    return [u["purpose"] for u in self.unrolls if u["first"]]


def momentum_of(unroll):
  """The state of momentum that is carried into an unroll."""
  # The initial objective, parameters, attended parameters, then the state.
  return unroll["carried"][3][0]


def state_of(folder):
  """What the newest saved point tells."""
  return resume.load(folder).state


def numbers(folder):
  """The published checkpoints by number, and which the list has last."""
  found = sorted(
    int(path.stem.removeprefix("model.ckpt-"))
    for path in folder.glob("model.ckpt-*.index")
  )
  last = pathlib.Path(checkpoints.listed(folder)[-1]).name
  return found, int(last.removeprefix("model.ckpt-"))


def without_step(values):
  return {k: v for k, v in values.items() if k != "global_step"}


# Curriculum.

SHORT = Curriculum(2, horizons=(4, 6, 10, 12))
EVERY = Validation(period=1, epochs=1)


class Prescribed:
  """Validations that cost what a test says.

  Attributes:
    calls: for each the number of unrolls, and all variables at the time.
  """

  def __init__(self, monkeypatch, costs):
    self.calls = []
    pending = iter(costs)

    def cost(iterations, num_unrolls, validation):
      self.calls.append((num_unrolls, iterations._graph.values()))
      return next(pending)

    monkeypatch.setattr(MetaIterations, "validation_cost", cost)


def unroll_counts(watch):
  """The number of unrolls of each meta-iteration."""
  starts = [i for i, u in enumerate(watch.unrolls) if u["first"]]
  return np.diff([*starts, len(watch.unrolls)]).tolist()


def test_levels(tmp_path, monkeypatch):
  levels = [[3.0, 2.0, 2.5], [9.0, 8.0, 7.0, 7.5], [1.0, 0.5, 2.0, 0.5]]
  prescribed = Prescribed(monkeypatch, sum(levels, []))
  watch = Watch(monkeypatch)
  curriculum = Curriculum(2, SHORT.horizons)
  result, output = train(
    tmp_path,
    curriculum=curriculum,
    validation=EVERY,
    num_meta_iterations=20,
    save_seconds=0.0,
  )
  assert unroll_counts(watch) == 3 * [2] + 3 * [3] + 3 * [5]
  assert {u["length"] for u in watch.unrolls} == {2}
  unrolls, values = zip(*prescribed.calls, strict=True)
  assert unrolls == (3, 3, 3, 5, 5, 5, 5, 6, 6, 6, 6)
  # A level starts from the best of the one before, RMSProp slots included, and
  # is at once evaluated; the steps are counted on.
  for best, failed, entered in ((1, 2, 3), (5, 6, 7)):
    runs.assert_equal(without_step(values[entered]), without_step(values[best]))
    assert values[entered][_NAME] != values[failed][_NAME]
    assert values[entered]["global_step"] == values[failed]["global_step"]
  # So each level's first meta-iteration starts there, too.
  assert watch.unrolls[6]["rate"] == values[1][_NAME]
  # Files: the best of each level, and of the last one improved as number 0.
  assert numbers(tmp_path) == ([0, 1, 2], 0)
  runs.assert_equal(runs.read(tmp_path / "model.ckpt-1"), values[5])
  runs.assert_equal(runs.read(tmp_path / "model.ckpt-2"), values[8])
  runs.assert_equal(runs.published(tmp_path), values[8])
  runs.assert_equal(runs.read(checkpoints.best(tmp_path)), values[8])
  # The end.
  assert result.best_cost == 0.5
  assert "curriculum, level 2: the last level is over" in output
  told = [line for line in output.splitlines() if "validation" in line]
  assert told[2:4] == [
    "  validation cost 2.500000 (level 0)",
    "  validation cost 9.000000 (level 1)",
  ]
  assert curriculum.level == 0  # That of the caller stays where it is.


def test_the_next_problem_goes_on_in_the_curriculum(tmp_path, monkeypatch):
  # The second level never improves. The next problem is judged at once, and a
  # third one improves it.
  costs = [3.0, 4.0, 4.0, 1.0, 2.0, 2.0, 2.0, 2.0, 0.5, 0.6]
  prescribed = Prescribed(monkeypatch, [*costs, 5.0, 9.0])
  watch = Watch(monkeypatch)
  _, output = train(
    tmp_path,
    curriculum=SHORT,
    validation=EVERY,
    num_problems=2,
    num_meta_iterations=20,
  )
  values = [values for _, values in prescribed.calls]
  assert len(values) == 8
  assert unroll_counts(watch) == 3 * [2] + 4 * [3]
  assert output.count("the level never improved: stop") == 2
  # It started from what was published last.
  assert watch.unrolls[15]["rate"] == values[0][_NAME]
  assert watch.unrolls[14]["rate"] != values[0][_NAME]
  assert numbers(tmp_path) == ([0], 0)
  train(
    tmp_path,
    curriculum=SHORT,
    validation=EVERY,
    num_problems=3,
    num_meta_iterations=3,
  )
  state = state_of(tmp_path)["curriculum"]
  assert state == dict(
    level=2, num_evaluations=1, improved=False, best_cost=5.0
  )
  assert numbers(tmp_path) == ([0, 1], 0)


def test_costs_that_are_no_numbers_stop_the_curriculum(tmp_path, monkeypatch):
  Prescribed(monkeypatch, 3 * [np.nan])
  result, output = train(
    tmp_path, curriculum=SHORT, validation=EVERY, num_meta_iterations=20
  )
  assert result.best_cost is None
  assert result.global_step == 6
  assert "the level never improved: stop" in output
  assert not [*tmp_path.glob("model*"), *tmp_path.glob("best*")]


def test_without_a_curriculum_files_have_numbers_of_meta_iterations(
  tmp_path, monkeypatch
):
  prescribed = Prescribed(monkeypatch, [1.0, 2.0])
  train(
    tmp_path,
    num_meta_iterations=5,
    validation=Validation(period=2, num_steps=40),
    procedure=L2O_SCALE._replace(save_period=3),
  )
  assert [count for count, _ in prescribed.calls] == [2, 2]
  assert numbers(tmp_path) == ([0, 3, 5], 5)
  values = prescribed.calls[0][1]
  assert values["global_step"] == 4
  runs.assert_equal(runs.read(tmp_path / "model.ckpt-0"), values)
  assert runs.read(tmp_path / "model.ckpt-3")["global_step"] == 6
  assert runs.published(tmp_path)["global_step"] == 10


# Validation in place, and mini data.


def trajectory(unrolls, momentum):
  """Unrolls in a row, by hand, with gradients p - mean of the batch.

  Returns:
    The objective before each step; for each unroll, momentum after it, and the
    sum over steps of the mean squared gradient.
  """
  params = unrolls[0]["trial"].init_params[0]
  objectives, momenta, squares = [], [], []
  for unroll in unrolls:
    data, rate = unroll["data"], unroll["rate"]
    squares.append(0.0)
    for step in range(unroll["start"], unroll["start"] + unroll["length"]):
      objectives.append(0.5 * np.mean(np.sum((params - data) ** 2, axis=1)))
      batch = data[unroll["trial"].batches[step]]
      grad = params - batch.mean(axis=0)
      squares[-1] += np.mean(grad**2)
      momentum = 0.9 * momentum + grad
      params = params - rate * momentum
    momenta.append(momentum)
  return objectives, momenta, squares


@pytest.mark.parametrize(
  ("reset_rnn_params", "carry_last_unroll"), [(True, False), (False, True)]
)
def test_validation_in_place(
  tmp_path, monkeypatch, reset_rnn_params, carry_last_unroll
):
  watch = Watch(monkeypatch)
  costs = []
  monkeypatch.setattr(
    run_log.RunLog, "validation", lambda self, cost, level: costs.append(cost)
  )
  train(
    tmp_path,
    num_meta_iterations=2,
    learning_rate=0.01,
    validation=Validation(period=1, epochs=2, num_steps=7, unroll_length=2),
    procedure=L2O_SCALE._replace(mini_data=MiniData(8)),
    reset_rnn_params=reset_rnn_params,
    carry_last_unroll=carry_last_unroll,
  )
  # 2 unrolls of training, then two runs of 7 // 2 unrolls of 2 steps each.
  assert [u["length"] for u in watch.unrolls] == 2 * (2 * [3] + 6 * [2])
  kept = 0 if carry_last_unroll else 1
  for index, cost in enumerate(costs):
    part = watch.unrolls[8 * index : 8 * index + 8]
    validating = part[2:]
    assert {u["purpose"] for u in validating} == {EVALUATE}
    (rate,) = {u["rate"] for u in validating}
    assert rate != part[0]["rate"]
    ends = []
    for unrolls, following in (
      (validating[:3], validating[3:]),
      (validating[3:], watch.unrolls[8 * index + 8 :]),
    ):
      resets = index == 0 or not reset_rnn_params
      assert [u["reset"] for u in unrolls] == [resets, False, False]
      start = 0.0 if resets else momentum_of(unrolls[0])
      objectives, momenta, _ = trajectory(unrolls, start)
      ends.append(objectives[-1])
      # The next run starts there, also the first one of training.
      if following:
        np.testing.assert_allclose(
          momentum_of(following[0]), momenta[-1 - kept], rtol=1e-4, atol=1e-5
        )
    np.testing.assert_allclose(cost, np.mean(ends), rtol=1e-5)
    # Parameters are new in each run, and N(0, 1).
    starts = [u["trial"].init_params[0] for u in part if u["first"]]
    assert len({s.tobytes() for s in starts}) == 3
  # What training left behind is where the first run starts.
  if not carry_last_unroll:
    later = watch.unrolls[8:]
    _, momenta, _ = trajectory(later[:1], momentum_of(later[0]))
    np.testing.assert_allclose(momentum_of(later[2]), momenta[0], rtol=1e-4)


def test_validation_that_diverges_costs_no_number(tmp_path):
  result, output = train(
    tmp_path,
    entries=[runs.quadratic(150)],
    optimizer=runs.baseline("SGD"),
    num_meta_iterations=1,
    learning_rate=1e-30,
    validation=Validation(period=1, epochs=2, num_steps=100),
  )
  assert "validation cost nan" in output
  assert result.best_cost is None


def test_parameters_start_at_a_normal_distribution():
  class Elsewhere(Centre):
    def initial_parameters(self, generator):
      raise AssertionError

  problem = Elsewhere(0)
  problem.param_shapes = [(100, 50), ()]
  first, second = L2O_SCALE.initial_parameters(
    problem, np.random.default_rng(0)
  )
  assert first.shape == (100, 50)
  assert np.shape(second) == ()
  assert first.dtype == np.float32
  assert abs(first.mean()) < 0.05
  assert abs(first.std() - 1) < 0.05


@pytest.mark.parametrize(
  ("mini_data", "seed"), [(MiniData(8), 3), (MiniData(8, True), 7), (None, 7)]
)
def test_mini_data(tmp_path, monkeypatch, mini_data, seed):
  watch = Watch(monkeypatch)
  entry = centre(batch_size=3)
  train(
    tmp_path,
    entries=[entry],
    steps=5,
    validation=Validation(period=1, epochs=2, num_steps=6, unroll_length=3),
    procedure=L2O_SCALE._replace(mini_data=mini_data),
    imitation=Imitation(teachers.by_name("Adam"), 0.5),
    seed=seed,
  )
  assert {*watch.purposes()} == {TRAIN, IMITATE, EVALUATE}
  rows = entry[1].data
  seen = []
  for index in range(3):
    part = watch.unrolls[6 * index : 6 * index + 6]
    (data,) = {u["data"].tobytes(): u["data"] for u in part}.values()
    seen.append(data)
    for unroll in part:
      batches = unroll["trial"].batches
      assert batches.max() < len(data)
      assert batches.shape[1] == 3
      # What is loaded is what objectives are taken on.
      _, loaded, _ = unroll["program"].out.instance_vars
      assert loaded.shape == data.shape
      if unroll["purpose"] is TRAIN and unroll["first"]:
        start = unroll["trial"].init_params[0]
        expected = 0.5 * np.mean(np.sum((start - data) ** 2, axis=1))
        objectives = unroll["result"]["objectives"]
        np.testing.assert_allclose(objectives[0], expected, rtol=1e-5)
  if mini_data is None:
    np.testing.assert_array_equal(seen, 3 * [rows])
  elif mini_data.freeze:
    np.testing.assert_array_equal(seen, 3 * [rows[:8]])
  else:
    for data in seen:
      chosen = [int(np.flatnonzero((rows == row).all(1))[0]) for row in data]
      assert len(set(chosen)) == 8
    assert len({data.tobytes() for data in seen}) == 3


def test_mini_data_are_at_most_all_data():
  dataset = centre()[1]
  for freeze in (False, True):
    drawn = MiniData(100, freeze).draw(dataset, np.random.default_rng(0))
    np.testing.assert_array_equal(np.sort(drawn.labels), np.arange(20))
    np.testing.assert_array_equal(drawn.data, dataset.data[drawn.labels])
  drawn = MiniData(8).draw(dataset, np.random.default_rng(0))
  np.testing.assert_array_equal(drawn.data, dataset.data[drawn.labels])


# Imitation.


def imitated(unrolls, momentum):
  """Losses of unrolls in a row, their slopes, and momenta, by hand.

  The learner's steps are its rate times its momentum; the teacher is Nesterov
  at 0.01 and takes two steps for one.
  """
  params, of_teacher = unrolls[0]["trial"].init_params[0], 0.0
  losses, slopes, momenta = [], [], []
  for unroll in unrolls:
    data, rate, length = unroll["data"], unroll["rate"], unroll["length"]
    loss = slope = 0.0
    for step in range(unroll["start"], unroll["start"] + length):
      batches = unroll["trial"].batches[2 * step : 2 * step + 2]
      momentum = 0.9 * momentum + params - data[batches[0]].mean(axis=0)
      end = params
      for batch in batches:
        grad = end - data[batch].mean(axis=0)
        of_teacher = 0.9 * of_teacher + grad
        end = end - 0.01 * (grad + 0.9 * of_teacher)
      error = rate * momentum - (params - end)
      params = end
      loss += 0.5 * np.mean(error**2) / length
      slope += np.mean(error * momentum) / length
    losses.append(loss)
    slopes.append(slope)
    momenta.append(momentum)
  return losses, slopes, momenta


def test_imitation_by_hand(tmp_path, monkeypatch):
  watch = Watch(monkeypatch)
  _, output = train(
    tmp_path,
    num_meta_iterations=4,
    imitation=Imitation(teachers.by_name("Nesterov", 2), 0.5),
    unrolls=3,
    steps=4,
    rms_epsilon=1e-3,
    gradient_clip=1e9,
    callbacks=[lambda *_: None],
    seed=2,
  )
  purposes = watch.purposes()
  assert purposes == [IMITATE, TRAIN, IMITATE, IMITATE]
  momentum, square, rate = np.zeros(3), 1.0, watch.unrolls[0]["rate"]
  for index, purpose in enumerate(purposes):
    unrolls = watch.unrolls[3 * index : 3 * index + 3]
    assert [u["purpose"] for u in unrolls] == 3 * [purpose]
    assert [u["reset"] for u in unrolls] == [index == 0, False, False]
    # Whichever program ran before, the optimizer's state goes on.
    np.testing.assert_allclose(
      momentum_of(unrolls[0]), momentum, rtol=1e-4, atol=1e-5
    )
    slopes = [u["result"]["gradients"][_NAME] for u in unrolls]
    imitates = purpose is IMITATE
    assert unrolls[0]["trial"].batches.shape == (24 if imitates else 12, 2)
    if imitates:
      losses, expected, momenta = imitated(unrolls, momentum)
      np.testing.assert_allclose(slopes, expected, rtol=1e-4)
      np.testing.assert_allclose(
        [u["result"]["meta_objective"] for u in unrolls], losses, rtol=1e-4
      )
    else:
      _, momenta, _ = trajectory(unrolls, momentum)
    momentum = momenta[1]
    # One step of RMSProp for each, with the same slots.
    for unroll, slope in zip(unrolls, slopes, strict=True):
      np.testing.assert_allclose(unroll["rate"], rate, rtol=1e-5)
      square = 0.9 * square + 0.1 * slope**2
      rate -= 1e-3 * slope / np.sqrt(square + 1e-3)
  values = runs.read(tmp_path / "model.ckpt-4")
  np.testing.assert_allclose(values[_NAME], rate, rtol=1e-5)
  np.testing.assert_allclose(values[f"{_NAME}/RMSProp"], square, rtol=1e-4)
  assert values["global_step"] == 12
  lines = [line for line in output.splitlines() if line.startswith("  [")]
  told = [line.endswith("steps) (imitation)") for line in lines]
  assert told == [purpose is IMITATE for purpose in purposes]


@pytest.mark.parametrize("ratio", [0.0, 1.0])
def test_never_and_always(tmp_path, monkeypatch, ratio):
  watch = Watch(monkeypatch)
  train(tmp_path, imitation=Imitation(teachers.by_name("Adam"), ratio))
  assert watch.purposes() == 3 * [IMITATE if ratio else TRAIN]


def test_a_teacher_may_lead_anywhere(tmp_path, monkeypatch):
  """Below zero, and to where training would break off."""
  negative = (Spec(runs.Negative, (), {}), None, None)
  watch = Watch(monkeypatch)
  train(
    tmp_path,
    entries=[negative],
    num_meta_iterations=1,
    unrolls=3,
    imitation=Imitation(teachers.by_name("RMSProp"), 1.0),
    obj_train_max_multiplier=0.5,
  )
  assert [u["purpose"] for u in watch.unrolls] == 3 * [IMITATE]
  assert watch.unrolls[0]["result"]["objectives"][0] < 0


# Regularisers.


@pytest.mark.parametrize(
  ("time", "expected"),
  [
    ("posterior", [0, 0, 0, 0, 1]),
    ("prior", [1, 1, 1, 0, 0]),
    ("all", [1, 1, 1, 1, 1]),
    ("none", [0, 0, 0, 0, 0]),
  ],
)
def test_when_a_regulariser_acts(tmp_path, monkeypatch, time, expected):
  acts = [schedule.regularizes(time, 0.5, i, 5) for i in range(5)]
  assert acts == [bool(switch) for switch in expected]
  watch = Watch(monkeypatch)
  train(
    tmp_path,
    num_meta_iterations=1,
    unrolls=5,
    regularization=Regularization(options.by_name("jacob"), 0.5),
    regularize_time=time,
  )
  *_, squares = trajectory(watch.unrolls, 0.0)
  for unroll, switch, square in zip(
    watch.unrolls, expected, squares, strict=True
  ):
    result = unroll["result"]
    meta_objective = np.mean(result["objectives"][1:]) / result["initial"]
    np.testing.assert_allclose(
      result["meta_objective"], meta_objective + switch * 0.5 * square, 1e-4
    )
  # Where it never acts, nothing of it is built.
  switch = watch.unrolls[0]["program"].out.jacob_switch
  assert (switch is None) == (time == "none")


def test_where_the_switch_lies():
  assert [schedule.regularizes("prior", 0.0, i, 3) for i in range(3)] == [
    True,
    False,
    False,
  ]
  assert [schedule.regularizes("posterior", 0.25, i, 4) for i in range(4)] == [
    False,
    False,
    False,
    True,
  ]


def test_what_programs_need():
  regularizer, teacher = options.by_name("jacob"), teachers.by_name("Adam")
  extras = Extras(Regularization(regularizer, 0.5), teacher)
  assert extras.serving(TRAIN) == Extras(extras.regularization)
  assert extras.serving(EVALUATE) == Extras()
  assert extras.serving(IMITATE) == Extras(None, teacher)
  extras = Extras(Regularization(regularizer, 0.5, 0.1), teacher)
  inner = Regularization(regularizer, 0.0, 0.1)
  assert extras.serving(TRAIN) == Extras(extras.regularization)
  assert extras.serving(EVALUATE) == Extras(inner)
  assert extras.serving(IMITATE) == Extras(inner, teacher)
  assert Extras(Regularization(regularizer)).serving(TRAIN) == Extras()
  extras = Extras(num_instances=3, sums_batches=True)
  assert extras.serving(TRAIN) == extras
  assert extras.serving(EVALUATE) == Extras()
  assert extras.serving(IMITATE) == Extras(sums_batches=True)


def test_probes_last_as_long_as_the_problem(tmp_path, monkeypatch):
  watch = Watch(monkeypatch)
  train(
    tmp_path,
    num_problems=2,
    num_meta_iterations=2,
    unrolls=1,
    regularization=Regularization(options.by_name("hessian", 1), 0.0, 0.1),
    validation=Validation(period=1, epochs=1),
  )
  # Training and validation have 1 and 5 unrolls.
  assert [u["purpose"] for u in watch.unrolls] == 4 * ([TRAIN] + 5 * [EVALUATE])
  probes = [
    np.concatenate(u["trial"].regularizer_draws).tobytes()
    for u in watch.unrolls
  ]
  first, second = set(probes[:12]), set(probes[12:])
  assert len(first) == len(second) == 1
  assert first != second


# Going on where a run was stopped.


class Crash(Exception):
  """The process dies; nothing is cleaned up."""


def crash_at(monkeypatch, number):
  """Lets the run die when the given meta-iteration, from 0, would start."""
  run = MetaIterations.run
  numbers = iter(range(number))

  def counted(self, *args):
    if next(numbers, None) is None:
      raise Crash
    return run(self, *args)

  monkeypatch.setattr(MetaIterations, "run", counted)


# By problem, meta-iteration and level; where a level begins there are two.
COSTS = {
  (0, 1, 0): 3.0,
  (0, 2, 0): 2.0,
  (0, 3, 0): 2.5,
  (0, 3, 1): 9.0,
  (0, 4, 1): 8.0,
  (0, 5, 1): 8.5,
  (0, 6, 1): 8.5,
  (0, 6, 2): 7.0,
  (1, 1, 2): 6.0,
  (1, 2, 2): 6.5,
  (1, 3, 2): 5.0,
  (1, 4, 2): 5.5,
}
CURRICULUM = dict(
  curriculum=Curriculum(2, horizons=(4, 6, 8, 10)),
  validation=EVERY,
  num_meta_iterations=6,
  save_seconds=0.0,
  imitation=Imitation(teachers.by_name("random"), 0.5),
  procedure=L2O_SCALE._replace(mini_data=MiniData(8)),
  learning_rate=0.01,
)


@pytest.fixture
def told_costs(monkeypatch):
  """Validations that run, but cost what is written above."""
  real = MetaIterations.validation_cost

  def cost(iterations, *args):
    assert np.isfinite(real(iterations, *args))
    position = iterations._position
    key = (position.problem_index, position.meta_iteration, position.level)
    return COSTS[key]

  monkeypatch.setattr(MetaIterations, "validation_cost", cost)


def ended(folder):
  """How a run ended: what is saved to go on from, and what is published."""
  point = resume.load(folder)
  number, last = numbers(folder)
  published = {n: runs.read(folder / f"model.ckpt-{n}") for n in number}
  return point.variables, point.state, last, published


def assert_same_end(folder, other):
  variables, state, last, published = ended(folder)
  expected, *others, checkpoints = ended(other)
  runs.assert_equal(variables, expected)
  assert [state, last] == others
  assert published.keys() == checkpoints.keys()
  for number, values in published.items():
    runs.assert_equal(values, checkpoints[number])


@pytest.mark.parametrize(
  ("name", "asked", "seed"),
  [("hessian-ev", False, 7), ("hessian-esd", True, 1)],
)
def test_resumes_in_its_level(
  tmp_path, monkeypatch, told_costs, name, asked, seed
):
  settings = CURRICULUM | dict(
    regularization=Regularization(options.by_name(name, 2), 0.1),
    regularize_time="all",
    seed=seed,
  )
  with monkeypatch.context() as patch:
    watch = Watch(patch)
    train(tmp_path / "whole", **settings)
  purposes = [p for p in watch.purposes() if p is not EVALUATE]
  assert {*purposes[:5]} == {*purposes[4:]} == {TRAIN, IMITATE}
  draws = [
    np.concatenate(u["trial"].regularizer_draws).tobytes()
    for u in watch.of(TRAIN)
    if u["first"]
  ]
  assert len(set(draws)) == (1 if name == "hessian-esd" else len(draws))
  folder = tmp_path / "parts"
  with monkeypatch.context() as patch:
    if asked:
      # Within the fifth meta-iteration, the second one of three unrolls.
      unroll = run_log.RunLog.unroll
      counts = iter(range(1, 100))

      def counted(self, meta_objective):
        unroll(self, meta_objective)
        if next(counts) == 3 * 2 + 3 + 1:
          signal.raise_signal(signal.SIGTERM)
          time.sleep(0.3)

      patch.setattr(run_log.RunLog, "unroll", counted)
      result, _ = train(folder, **settings)
      assert result.interrupted_by == signal.SIGTERM
    else:
      crash_at(patch, 5)
      with pytest.raises(Crash):
        train(folder, **settings)
  state = state_of(folder)
  assert state["meta_iteration"] == (4 if asked else 5)
  assert state["curriculum"]["level"] == 1
  train(folder, **settings)
  assert_same_end(folder, tmp_path / "whole")


@pytest.fixture
def two_problems(tmp_path, told_costs):
  """Settings of a run, and its folder."""
  settings = CURRICULUM | dict(num_problems=2, imitation=None)
  train(tmp_path / "whole", **settings)
  assert numbers(tmp_path / "whole") == ([0, 1, 2], 0)
  return settings, tmp_path / "whole"


def test_resumes_whatever_was_written_after_the_last_point(
  tmp_path, monkeypatch, two_problems
):
  settings, whole = two_problems
  # The number of meta-iterations, and where the last whole point lies: those
  # after it may have left files of better weights.
  for number, seconds, damaged, position in (
    (5, 1e9, False, (0, 4)),
    (3, 0.0, True, (0, 2)),
    (8, 1e9, False, (1, 1)),
  ):
    folder = tmp_path / f"{number}_{damaged}"
    with monkeypatch.context() as patch:
      crash_at(patch, number)
      with pytest.raises(Crash):
        train(folder, **settings | dict(save_seconds=seconds))
    if damaged:
      (runs.points(folder)[-1] / "state.json").write_text("{")
    state = state_of(folder)
    assert (state["problem_index"], state["meta_iteration"]) == position
    train(folder, **settings)
    assert_same_end(folder, whole)


def test_points_of_older_versions_load(tmp_path, monkeypatch):
  runs.train(tmp_path / "whole", save_seconds=0.0)
  with monkeypatch.context() as patch:
    crash_at(patch, 3)
    with pytest.raises(Crash):
      runs.train(tmp_path / "parts", save_seconds=0.0)
  path = runs.points(tmp_path / "parts")[-1] / "state.json"
  state = json.loads(path.read_text())
  del state["curriculum"]
  path.write_text(json.dumps(state))
  runs.train(tmp_path / "parts", save_seconds=0.0)
  runs.assert_equal(
    runs.published(tmp_path / "parts"), runs.published(tmp_path / "whole")
  )


@pytest.mark.parametrize("damage", ["cut", "flipped", "gone"])
def test_a_damaged_best_checkpoint_is_repaired(tmp_path, damage):
  settings = dict(num_meta_iterations=1, validation=EVERY)
  train(tmp_path, **settings)
  best = runs.read(tmp_path / "model.ckpt-0")
  if damage == "gone":
    (tmp_path / "model.ckpt-0.index").unlink()
  else:
    path = tmp_path / "model.ckpt-0.data-00000-of-00001"
    content = path.read_bytes()
    flipped = bytes(b ^ 255 for b in content)
    path.write_bytes(flipped if damage == "flipped" else content[:3])
  with pytest.raises(checkpoints.CheckpointError):
    checkpoints.read(str(tmp_path / "model.ckpt-0"))
  result, _ = train(tmp_path, **settings)
  assert result.already_finished
  runs.assert_equal(runs.read(tmp_path / "model.ckpt-0"), best)


# The rest.


def test_lengths_have_a_limit():
  def lengths(limit):
    generator = np.random.default_rng(1)
    return [
      schedule.sample_numiter(20, 10, generator, limit) for _ in range(200)
    ]

  free, limited = lengths(None), lengths(30)
  assert max(free) > 30
  assert limited == [min(length, 30) for length in free]


@pytest.mark.parametrize(
  ("settings", "message"),
  [
    ({"reg_scale": 1.5}, "reg_scale is 1.5; 0 to 1"),
    ({"reg_scale": float("nan")}, "reg_scale is nan"),
    ({"regularize_time": "later"}, "regularize_time is 'later'; one of post"),
    (
      {"imitation": Imitation(teachers.by_name("Adam"), 1.1)},
      "imitation.ratio is 1.1",
    ),
    ({"curriculum": SHORT}, "validation.period is 0; a curriculum needs"),
    (
      {"validation": Validation(period=1, num_steps=19)},
      "validation.num_steps is 19; at least validation.unroll_length, 20",
    ),
    ({"procedure": L2O_SCALE._replace(save_period=0)}, "save_period is 0"),
    (
      {"procedure": L2O_SCALE._replace(mini_data=MiniData(0))},
      "mini_data.size is 0",
    ),
  ],
)
def test_wrong_arguments_are_named(tmp_path, settings, message):
  with pytest.raises(ValueError, match=message):
    train(tmp_path / "run", **settings)
  assert not (tmp_path / "run").exists()


def test_everything_at_once_compiles(tmp_path, monkeypatch):
  watch = Watch(monkeypatch)
  _, output = train(
    tmp_path,
    optimizer=runs.hierarchical_rnn((2, 2, 2), use_second_derivatives=False),
    num_meta_iterations=2,
    curriculum=SHORT,
    validation=EVERY,
    imitation=Imitation(teachers.by_name("random"), 0.5),
    regularization=Regularization(options.by_name("hessian-esd", 2), 0.1),
    regularize_time="all",
    xla="always",
    seed=3,
  )
  assert {*watch.purposes()} == {TRAIN, IMITATE, EVALUATE}
  assert all(u["program"].jit_compile for u in watch.unrolls)
  for unroll in watch.of(TRAIN, IMITATE):
    assert np.isfinite(unroll["result"]["meta_objective"])
  assert numbers(tmp_path) == ([0], 0)
  assert "nan" not in output

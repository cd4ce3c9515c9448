"""The loops of meta-training: what they compute, carry, tell and write."""

import numpy as np
import pytest
import tensorflow as tf

from learned_optimizer import metaopt
from learned_optimizer.metaopt import meta_graph, run_log
from learned_optimizer.metaopt.meta_graph import MetaGraph, MetaOptimizer
from learned_optimizer.metaopt.program import Program
from learned_optimizer.metaopt.task import Task
from learned_optimizer.metaopt.validation import Validation
from learned_optimizer.problems.problem_generator import Quadratic
from tests.metaopt import runs

_LEARNING_RATE = "SGD/learning_rate"


class Recorder:
  """A callback that keeps what it gets."""

  def __init__(self):
    self.calls = []

  def __call__(self, problem_name, problem_index, logdir, metadata):
    self.calls.append((problem_name, problem_index, logdir, metadata))

  def metadata(self, name):
    """One list over all problems."""
    return [item for *_, m in self.calls for item in m[name]]


def _trial_steps(monkeypatch):
  """Records the feed of every unroll."""
  feeds = []
  feed = Program.feed

  def recorded(self, trial, start, num_steps, first, reset, **others):
    feeds.append((trial, start, num_steps, first, reset))
    return feed(self, trial, start, num_steps, first, reset, **others)

  monkeypatch.setattr(Program, "feed", recorded)
  return feeds


# One step of the meta-optimizer.


def _sgd_unroll(w, y, p, lr, num_steps):
  """Objectives, their mean over the initial one, and its gradient.

  Differentiates p - lr * w' (w p - y) with respect to lr by hand.
  """
  objectives, slopes = [], []
  slope = np.zeros_like(p)
  for _ in range(num_steps):
    residual = w @ p - y
    objectives.append(0.5 * np.sum(residual**2))
    slopes.append(np.sum(residual * (w @ slope)))
    grad = w.T @ residual
    slope = slope - grad - lr * (w.T @ (w @ slope))
    p = p - lr * grad
  scale = 1 / (objectives[0] + 1e-6)
  return objectives, np.mean(objectives) * scale, np.mean(slopes) * scale


@pytest.mark.parametrize(
  ("clip", "l2_reg"), [(1e4, 0.0), (0.01, 0.0), (1e4, 0.5)]
)
def test_a_meta_step_is_rms_prop_on_the_clipped_gradient(
  tmp_path, monkeypatch, clip, l2_reg
):
  feeds = _trial_steps(monkeypatch)
  recorder = Recorder()
  seed = {"random_seed": 3}
  runs.train(
    tmp_path,
    entries=[runs.quadratic(3, **seed)],
    optimizer=runs.baseline("SGD"),
    num_problems=3,
    num_meta_iterations=1,
    unrolls=1,
    gradient_clip=clip,
    l2_reg=l2_reg,
    rms_decay=0.8,
    rms_epsilon=1e-3,
    callbacks=[recorder],
  )
  constants = Quadratic(3, 3).constants
  w, y = (constants[name].astype(np.float64) for name in ("w", "y"))
  lr, square = 0.01, 1.0
  for i, (trial, *_) in enumerate(feeds):
    objectives, meta_objective, gradient = _sgd_unroll(
      w, y, trial.init_params[0].astype(np.float64), lr, 4
    )
    (metadata,) = [m for _, index, _, m in recorder.calls if index == i]
    ((meta_objectives,), (objs,), (grads,)) = (
      metadata[name]
      for name in ("meta_objs", "subproblem_objs", "meta_grads_and_params")
    )
    np.testing.assert_allclose(meta_objectives, [meta_objective], rtol=1e-5)
    np.testing.assert_allclose(objs[0], [objectives[0], *objectives], rtol=1e-5)
    gradient = np.clip(gradient + 2 * l2_reg * lr, -clip, clip)
    np.testing.assert_allclose(grads[0][_LEARNING_RATE], gradient, rtol=1e-4)
    square = 0.8 * square + 0.2 * gradient**2
    step = 1e-3 * gradient / np.sqrt(square + 1e-3)
    lr -= step
    values = runs.read(tmp_path / f"model.ckpt-{i + 1}")
    np.testing.assert_allclose(values[_LEARNING_RATE], lr, rtol=1e-5)
    np.testing.assert_allclose(
      values[f"{_LEARNING_RATE}/RMSProp"], square, rtol=1e-4
    )
    np.testing.assert_allclose(
      values[f"{_LEARNING_RATE}/RMSProp_1"], step, rtol=1e-4
    )
    if clip == 0.01:
      assert abs(gradient) == 0.01


def test_gradients_that_are_not_finite_become_zero():
  # Objectives overflow within the unroll, and with them the meta-gradient.
  graph = MetaGraph(
    runs.baseline("SGD"), MetaOptimizer(0.1, 5.0, 0.9, 1e-20, 0.0)
  )
  graph.load_weights({_LEARNING_RATE: np.float32(1e15)})
  task = Task.of(Quadratic(2, 1), None, None)
  meta = graph.meta_program(task, jit_compile=False)
  trial = meta.program.draw(8, np.random.default_rng(0))
  before = graph.values()
  result = meta.program.run(
    {
      "train": meta.train_ops,
      "gradients": meta.gradients,
      "meta_objective": meta.program.out.metaobj,
      "raw": meta.program.gradients,
    },
    meta.program.feed(trial, 0, 8, first=True, reset=True),
  )
  after = graph.values()
  assert not np.isfinite(result["raw"][0])
  assert result["gradients"][_LEARNING_RATE] == 0
  assert after[_LEARNING_RATE] == before[_LEARNING_RATE]
  np.testing.assert_allclose(after[f"{_LEARNING_RATE}/RMSProp"], 0.9)
  assert after["global_step"] == before["global_step"] + 1


# What is carried from unroll to unroll.


class Unrolls:
  """The programs of a frozen optimizer, for looking at trajectories."""

  def __init__(self, entry, optimizer, jit_compile=False):
    self.graph = MetaGraph(optimizer, MetaOptimizer())
    spec, dataset, batch_size = entry
    self.task = Task.of(spec.build(random_seed=4), dataset, batch_size)
    self.program = self.graph.meta_program(self.task, jit_compile).program

  def run(self, trial, lengths, resets=(True, False, False)):
    """Objectives before each step, over successive unrolls."""
    out = self.program.out
    objectives, start = [], 0
    for i, length in enumerate(lengths):
      feed = self.program.feed(trial, start, length, i == 0, resets[i])
      values, _ = self.program.run(
        [out.problem_objectives, self.program.propagate], feed
      )
      objectives += list(values[1:])
      start += length
    return objectives


@pytest.mark.parametrize(
  ("entry", "xla"),
  [
    (runs.quadratic(), False),
    (runs.softmax(), False),
    (runs.softmax(noise_stdev=0.1), False),
    (runs.softmax(noise_stdev=0.1), True),
  ],
)
def test_carried_unrolls_are_one_long_unroll(entry, xla):
  unrolls = Unrolls(entry, runs.baseline("Adam"), xla)
  trial = unrolls.program.draw(11, np.random.default_rng(2))
  together = unrolls.run(trial, [11])
  assert len(together) == 11
  parts = unrolls.run(trial, [3, 1, 7])
  np.testing.assert_allclose(parts, together, rtol=1e-5)
  reset = unrolls.run(trial, [3, 1, 7], resets=(True, True, True))
  assert not np.allclose(reset[6:], together[6:], rtol=1e-5)


def test_carried_unrolls_of_the_hierarchical_rnn_are_one_long_unroll():
  unrolls = Unrolls(runs.softmax(), runs.hierarchical_rnn((4, 4, 4)))
  trial = unrolls.program.draw(7, np.random.default_rng(2))
  together = unrolls.run(trial, [7])
  parts = unrolls.run(trial, [2, 4, 1])
  np.testing.assert_allclose(parts, together, rtol=1e-5)
  assert abs(together[-1] - together[0]) > 1e-6


@pytest.mark.parametrize(
  ("reset_rnn_params", "expected"),
  [
    (True, [(0, True, True), (1, False, False)] + 2 * [(0, True, False)]),
    (False, [(0, True, True), (1, False, False)] + 2 * [(0, True, True)]),
  ],
)
def test_when_state_and_parameters_are_reset(
  tmp_path, monkeypatch, reset_rnn_params, expected
):
  feeds = _trial_steps(monkeypatch)
  runs.train(tmp_path, num_meta_iterations=3, reset_rnn_params=reset_rnn_params)
  flags = [
    (int(start > 0), first, reset) for _, start, _, first, reset in feeds
  ]
  first, second, *_ = expected
  one_problem = [first, second, expected[2], second, expected[3], second]
  assert flags == 2 * one_problem


def _momentum_objectives(w, y, p, momentum, num_steps, lr=0.01):
  objectives = []
  for _ in range(num_steps):
    residual = w @ p - y
    objectives.append(0.5 * np.sum(residual**2))
    momentum = 0.9 * momentum + w.T @ residual
    p = p - lr * momentum
  return objectives, momentum


@pytest.mark.parametrize("unrolls", [1, 2, 3])
@pytest.mark.parametrize(
  "reset_rnn_params, carry_last_unroll",
  [(True, False), (True, True), (False, False)],
)
def test_later_meta_iterations_start_from_the_last_propagated_state(
  tmp_path, monkeypatch, unrolls, reset_rnn_params, carry_last_unroll
):
  feeds = _trial_steps(monkeypatch)
  recorder = Recorder()
  runs.train(
    tmp_path,
    entries=[runs.quadratic(2, random_seed=3)],
    num_problems=1,
    num_meta_iterations=3,
    unrolls=unrolls,
    learning_rate=1e-30,
    reset_rnn_params=reset_rnn_params,
    carry_last_unroll=carry_last_unroll,
    callbacks=[recorder],
  )
  constants = Quadratic(2, 3).constants
  propagated = np.zeros([2, 1])
  trials = [trial for trial, start, *_ in feeds if start == 0]
  for trial, recorded in zip(
    trials, recorder.metadata("subproblem_objs"), strict=True
  ):
    assert len(recorded) == unrolls
    momentum = np.zeros([2, 1]) if reset_rnn_params is False else propagated
    params = trial.init_params[0]
    everything, at_the_end = _momentum_objectives(
      constants["w"], constants["y"], params, momentum, 4 * unrolls
    )
    _, last_propagated = _momentum_objectives(
      constants["w"], constants["y"], params, momentum, 4 * (unrolls - 1)
    )
    if carry_last_unroll:
      propagated = at_the_end
    elif unrolls > 1:
      propagated = last_propagated
    ours = np.concatenate([objectives[1:] for objectives in recorded])
    np.testing.assert_allclose(ours, everything, rtol=1e-4)
  if reset_rnn_params and unrolls > 1:
    assert np.any(propagated)


def test_state_is_zero_after_a_first_meta_iteration_of_one_unroll(
  tmp_path, monkeypatch
):
  feeds = _trial_steps(monkeypatch)
  seen = []
  run = Program.run

  def with_end(self, fetches, feed, *traced):
    end, result = run(self, [self.out.output_loop_vars, fetches], feed, *traced)
    seen.append(end)
    return result

  monkeypatch.setattr(Program, "run", with_end)
  runs.train(
    tmp_path,
    optimizer=runs.hierarchical_rnn(),
    entries=[runs.quadratic(4)],
    num_problems=1,
    unrolls=1,
    steps=1,
  )
  # Log learning rate 0 and a memory of the step size: exp(-1) per coordinate.
  first, second = (
    np.abs(end[1] - trial.init_params[0])
    for end, (trial, *_) in zip(seen, feeds, strict=True)
  )
  assert np.all(first < 0.1)
  np.testing.assert_allclose(second, np.exp(-1), rtol=1e-2)


# Ends.


@pytest.mark.parametrize(("steps", "at"), [(1, 2), (4, 1)])
def test_breaks_early_when_the_objective_explodes(tmp_path, steps, at):
  recorder = Recorder()
  # So steep that gradient descent multiplies the objective in every step.
  result, output = runs.train(
    tmp_path,
    entries=[runs.quadratic(150)],
    optimizer=runs.baseline("SGD"),
    steps=steps,
    num_problems=1,
    num_meta_iterations=2,
    unrolls=5,
    obj_train_max_multiplier=2.0,
    callbacks=[recorder],
    learning_rate=1e-12,
  )
  lines = [line for line in output.splitlines() if line.startswith("  [")]
  assert len(lines) == 2
  metadata = recorder.calls[0][-1]
  for line, objectives in zip(lines, metadata["subproblem_objs"], strict=True):
    assert line.endswith(f" Broke early at {at} out of 5 unrolls."), line
    # The unroll that broke has been trained on, but is not reported.
    assert len(objectives) == at - 1
  assert result.global_step == 2 * at


def test_a_negative_objective_ends_the_run_with_the_saved_weights(tmp_path):
  negative = (runs.Spec(runs.Negative, (), {}), None, None)
  runs.train(tmp_path, num_problems=1)
  saved = runs.published(tmp_path)
  with pytest.raises(metaopt.RunError, match="Negative reached -"):
    runs.train(tmp_path, entries=[negative], num_problems=2)
  runs.assert_equal(runs.published(tmp_path), saved)
  assert saved["global_step"] == 4


# What is told.


def test_callbacks_and_lines_tell_what_happened(tmp_path):
  recorder = Recorder()
  result, output = runs.train(
    tmp_path,
    entries=[runs.softmax(l2_reg_scale=0.5)],
    unrolls=runs.between(1, 3),
    steps=runs.between(2, 5),
    callbacks=[recorder, recorder],
  )
  assert [call[:3] for call in recorder.calls] == [
    ("SoftmaxRegression", index, str(tmp_path)) for index in (0, 0, 1, 1)
  ]
  lines = output.splitlines()
  headers = [line for line in lines if line.startswith("-")]
  assert headers == [f"--------- Problem #{i} ---------" for i in (0, 1)]
  assert lines[1] == "SoftmaxRegression(3, 2, l2_reg_scale=0.5)"
  assert lines[2].startswith("Took ")
  assert lines[2].endswith(" seconds to initialize.")
  told = [line for line in lines if line.startswith("  [")]
  position = 0
  for *_, metadata in recorder.calls[::2]:
    assert len(metadata["meta_objs"]) == len(metadata["runtimes"]) == 2
    for k in range(2):
      line = told[position]
      position += 1
      lengths = [len(o) - 1 for o in metadata["subproblem_objs"][k]]
      steps = ", ".join(map(str, lengths))
      last = metadata["meta_objs"][k][-1]
      assert line.startswith(f"  [{k:02}] {last:.6f}, "), line
      assert line.endswith(
        f" seconds, {sum(lengths)} iters (unrolled {steps} steps)"
      )
      assert metadata["runtimes"][k] > 0
      (grads, *_) = metadata["meta_grads_and_params"][k]
      assert grads.keys() == {"Momentum/learning_rate"}
  unrolls = [len(o) for *_, m in recorder.calls[::2] for o in m["meta_objs"]]
  counted = [s for *_, m in recorder.calls[::2] for s in m["global_step"]]
  assert counted == list(np.cumsum(unrolls))
  assert result.global_step == counted[-1]
  assert runs.published(tmp_path)["global_step"] == counted[-1]


def test_an_order_that_is_not_random_goes_through_all_problems(tmp_path):
  entries = [runs.quadratic(n) for n in (1, 2, 3, 4)]
  _, output = runs.train(
    tmp_path,
    entries=entries,
    num_problems=8,
    num_meta_iterations=1,
    unrolls=1,
    select_random_problems=False,
  )
  order = [line for line in output.splitlines() if line.startswith("Quad")]
  assert sorted(order[:4]) == [f"Quadratic({n})" for n in (1, 2, 3, 4)]
  assert order[4:] == order[:4]


def test_a_random_order_repeats_problems_with_new_numbers(
  tmp_path, monkeypatch
):
  seeds = []
  build = runs.Spec.build

  def recorded(self, random_seed=None):
    seeds.append(random_seed)
    return build(self, random_seed)

  monkeypatch.setattr(runs.Spec, "build", recorded)
  _, output = runs.train(
    tmp_path,
    entries=[runs.quadratic(1), runs.quadratic(2)],
    num_problems=8,
    num_meta_iterations=1,
    unrolls=1,
  )
  order = [line for line in output.splitlines() if line.startswith("Quad")]
  assert set(order) == {"Quadratic(1)", "Quadratic(2)"}
  assert order[4:] != order[:4]
  seeds = [seed for seed in seeds if seed is not None]
  assert len(set(seeds)) == 8


def test_events_show_objectives_weights_gradients_and_state(tmp_path):
  runs.train(tmp_path, entries=[runs.quadratic()], num_problems=1)
  histograms, scalars, graphs = {}, {}, 0
  for event in runs.events(tmp_path):
    graphs += bool(event.graph_def)
    for value in event.summary.value:
      kind = scalars if value.HasField("simple_value") else histograms
      kind[value.tag] = (event.step, value)
  assert graphs == 1
  assert scalars.keys() == {"MetaObjective", "Quadratic_MetaObjective"}
  step, value = scalars["MetaObjective"]
  assert step == 1
  assert 0 < value.simple_value < 10
  name = "Momentum/learning_rate"
  assert histograms.keys() == {
    "State/momentum",
    f"{name}_rawgrad",
    f"{name}_var",
    f"{name}_grad",
  }
  _, value = histograms["State/momentum"]
  assert value.histo.num == 3


def test_all_problems_show_under_the_same_tags(tmp_path, monkeypatch):
  monkeypatch.setattr(run_log, "_SUMMARY_SECONDS", -1.0)
  entries = [runs.quadratic(2), runs.quadratic(3)]
  runs.train(tmp_path, entries=entries, select_random_problems=False)
  tags = [v.tag for event in runs.events(tmp_path) for v in event.summary.value]
  assert tags.count("MetaObjective") == 8
  assert tags.count("Quadratic_MetaObjective") == 8
  assert not [tag for tag in tags if tag.endswith("_1")]


def test_profiling_records_a_trace_per_meta_iteration(tmp_path):
  runs.train(tmp_path, set_profiling=True)
  tags = [
    event.tagged_run_metadata.tag
    for event in runs.events(tmp_path)
    if event.HasField("tagged_run_metadata")
  ]
  assert tags == [f"00_iter{i:04}_{k:02}" for i in range(2) for k in range(2)]
  runs.train(tmp_path / "without")
  assert not any(
    event.HasField("tagged_run_metadata")
    for event in runs.events(tmp_path / "without")
  )


def test_the_init_function_runs_before_each_meta_iteration(
  tmp_path, monkeypatch
):
  sessions = []
  build = runs.Spec.build

  def with_init(self, random_seed=None):
    built = build(self, random_seed)
    if isinstance(built, Quadratic):
      built.init_fn = sessions.append
    return built

  monkeypatch.setattr(runs.Spec, "build", with_init)
  runs.train(tmp_path)
  assert len(sessions) == 4
  assert all(isinstance(s, tf.compat.v1.Session) for s in sessions)


def test_the_same_seed_repeats_and_another_does_not(tmp_path):
  weights = []
  for name, seed in (("a", 1), ("b", 1), ("c", 2), ("d", None), ("e", None)):
    # Runs whose gradients are all clipped could meet.
    runs.train(tmp_path / name, seed=seed, num_problems=1, gradient_clip=1e9)
    weights.append(runs.published(tmp_path / name))
  runs.assert_equal(weights[0], weights[1])
  rates = {float(w["Momentum/learning_rate"]) for w in weights}
  assert len(rates) == 4


# Arguments.


@pytest.mark.parametrize(
  ("settings", "message"),
  [
    ({"num_problems": 0}, "num_problems is 0"),
    ({"num_meta_iterations": -1}, "num_meta_iterations is -1"),
    ({"learning_rate": 0.0}, "learning_rate is 0.0"),
    ({"learning_rate": float("nan")}, "learning_rate is nan"),
    ({"gradient_clip": 0}, "gradient_clip is 0"),
    ({"xla": "maybe"}, "xla is 'maybe'"),
  ],
)
def test_wrong_arguments_are_named(tmp_path, settings, message):
  with pytest.raises(ValueError, match=message):
    runs.train(tmp_path / "run", **settings)
  assert not (tmp_path / "run").exists()


def test_an_empty_selection_is_refused(tmp_path):
  with pytest.raises(ValueError, match="problems_and_data is empty"):
    metaopt.train_optimizer(
      str(tmp_path), runs.baseline(), [], 1, 1, lambda g: 1, lambda g: 1
    )


def test_a_crowded_graph_is_renewed(tmp_path, monkeypatch):
  """It changes nothing but the number of programs in memory."""
  settings = dict(
    entries=[runs.quadratic(n) for n in (2, 3, 4)],
    num_problems=5,
    seed=3,
    validation=Validation(period=3, epochs=1, num_steps=4),
  )
  builds = []
  build = meta_graph.MetaGraph._build

  def counted(self):
    builds.append(self)
    build(self)

  monkeypatch.setattr(meta_graph.MetaGraph, "_build", counted)
  runs.train(tmp_path / "whole", **settings)
  assert len(builds) == 1
  monkeypatch.setattr(meta_graph, "_MAX_PROGRAMS", 1)
  runs.train(tmp_path / "renewed", **settings)
  assert len(builds) == 1 + 5
  whole, renewed = (
    runs.published(tmp_path / name) for name in ("whole", "renewed")
  )
  assert whole.keys() == renewed.keys()
  for name, value in whole.items():
    np.testing.assert_array_equal(renewed[name], value)
  assert len([*(tmp_path / "renewed").glob("model.ckpt-*.index")]) == 5

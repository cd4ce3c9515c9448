"""`test_optimizer` and `run_wall_clock_test`."""

import numpy as np
import pytest
import tensorflow as tf

from learned_optimizer import metaopt
from learned_optimizer.metaopt import testing
from learned_optimizer.metaopt.program import Program
from learned_optimizer.metaopt.task import Task
from learned_optimizer.problems.datasets import Dataset
from learned_optimizer.problems.problem_generator import (
  Quadratic,
  SoftmaxRegression,
)
from tests.metaopt import runs


def _data(num_rows=6):
  generator = np.random.default_rng(1)
  return Dataset(
    generator.normal(size=[num_rows, 3]).astype(np.float32),
    generator.integers(2, size=num_rows).astype(np.int32),
  )


def _start():
  generator = np.random.default_rng(2)
  return [
    generator.normal(size=shape).astype(np.float32) for shape in ([3, 2], [2])
  ]


def _loss_and_gradients(params, data, labels):
  """Sigmoid cross-entropy of the first logit, without L2 term."""
  matrix, bias = params
  logits = data @ matrix[:, 0] + bias[0]
  loss = np.mean(np.logaddexp(0, logits) - labels * logits)
  slope = (1 / (1 + np.exp(-logits)) - labels) / len(labels)
  grads = [np.zeros_like(matrix), np.zeros_like(bias)]
  grads[0][:, 0] = data.T @ slope
  grads[1][0] = np.sum(slope)
  return loss, grads


def _hrnn(**settings):
  return runs.hierarchical_rnn((4, 4, 4), random_seed=5, **settings).build()


def test_gradient_descent_on_batches_before_each_step():
  dataset = _data()
  batches = dataset.batch_indices(7, 2, np.random.default_rng(3))
  problem = SoftmaxRegression(3, 2, l2_reg_scale=0.0)
  with tf.Graph().as_default() as graph:
    optimizer = tf.compat.v1.train.GradientDescentOptimizer(0.5)
    objectives, parameters, records = metaopt.test_optimizer(
      optimizer, problem, 7, dataset, 2, seed=3, graph=graph, record_every=3
    )
  params = records["param"][0]
  for step, batch in enumerate(batches):
    data, labels = dataset.data[batch], dataset.labels[batch]
    loss, grads = _loss_and_gradients(params, data, labels)
    np.testing.assert_allclose(objectives[step], loss, rtol=1e-5)
    if step % 3 == 0:
      at = step // 3
      assert records["iter"][at] == step
      for mine, theirs in zip(params, records["param"][at], strict=True):
        np.testing.assert_allclose(theirs, mine, rtol=1e-5)
      for mine, theirs in zip(grads, records["grad"][at], strict=True):
        np.testing.assert_allclose(theirs, mine, rtol=1e-4, atol=1e-7)
      for name, values in (("grad_norm", grads), ("param_norm", params)):
        norm = np.sqrt(sum(np.sum(v**2) for v in values))
        np.testing.assert_allclose(records[name][at], norm, rtol=1e-5)
      everything, _ = _loss_and_gradients(params, *dataset)
      assert len(records["objective"][at]) == 1
      np.testing.assert_allclose(
        records["objective"][at][0], everything, rtol=1e-5
      )
    params = [p - 0.5 * g for p, g in zip(params, grads, strict=True)]
  for mine, theirs in zip(params, parameters, strict=True):
    np.testing.assert_allclose(theirs, mine, rtol=1e-4, atol=1e-6)
  assert records.keys() == {
    *("iter", "objective", "grad", "param", "grad_norm", "param_norm")
  }
  assert records["iter"] == [0, 3, 6]


def test_fixed_arrays_are_where_it_starts():
  dataset = _data()
  problem = SoftmaxRegression(3, 2, l2_reg_scale=0.0)
  start = _start()
  with tf.Graph().as_default() as graph:
    optimizer = tf.compat.v1.train.GradientDescentOptimizer(0.0)
    objectives, parameters, records = metaopt.test_optimizer(
      optimizer, problem, 2, dataset, seed=start, graph=graph
    )
    names = [v.name for v in tf.compat.v1.trainable_variables()]
  assert names == ["parameters/Variable:0", "parameters/Variable_1:0"]
  for value, expected in zip(parameters, start, strict=True):
    np.testing.assert_array_equal(value, expected)
  # Without a batch size every batch is all of the data.
  loss, _ = _loss_and_gradients(start, *dataset)
  np.testing.assert_allclose(objectives, [loss, loss], rtol=1e-5)
  assert not records


@pytest.mark.parametrize("use_attention", [False, True])
def test_the_hierarchical_rnn_tells_the_batch_loss_before_each_step(
  use_attention,
):
  dataset = _data()
  batches = dataset.batch_indices(4, 2, np.random.default_rng(3))
  problem = SoftmaxRegression(3, 2, l2_reg_scale=0.0)
  with tf.Graph().as_default() as graph:
    optimizer = _hrnn(use_attention=use_attention)
    objectives, parameters, records = metaopt.test_optimizer(
      optimizer, problem, 4, dataset, 2, 3, graph, record_every=1
    )
  # In attention mode the variables hold the attended location.
  truth = records["param"]
  if use_attention:
    names = ("parameters/Variable:0", "parameters/Variable_1:0")
    truth = [
      [
        flat.reshape(param.shape)
        for flat, param in zip(slots, params, strict=True)
      ]
      for *slots, params in zip(
        *(records[f"{name}_true_param"] for name in names),
        records["param"],
        strict=True,
      )
    ]
  for step, batch in enumerate(batches):
    data, labels = dataset.data[batch], dataset.labels[batch]
    loss, _ = _loss_and_gradients(truth[step], data, labels)
    np.testing.assert_allclose(objectives[step], loss, rtol=1e-5)
    _, grads = _loss_and_gradients(records["param"][step], data, labels)
    np.testing.assert_allclose(
      records["grad"][step][0], grads[0], rtol=1e-4, atol=1e-6
    )
  slots = {name for name in records if name.startswith("parameters/")}
  keys = {"grad_accum1", "layer", "ms1", "parameter", "log_learning_rate"}
  assert {f"parameters/Variable_1:0_{key}" for key in keys} <= slots
  assert len(slots) == 2 * len(optimizer.state_keys)
  assert parameters[0].shape == (3, 2)


def test_agrees_with_the_unroll():
  """The same start, weights and batches; no random learning rates."""
  settings = dict(init_lr_range=(1e-2, 1e-2))
  problem = Quadratic(3, random_seed=4)
  with tf.Graph().as_default(), tf.compat.v1.Session() as session:
    optimizer = _hrnn(**settings)
    session.run(tf.compat.v1.global_variables_initializer())
    task = Task.of(problem, None, None)
    program = Program(session, optimizer, task, False, False)
    trial = program.draw(5, np.random.default_rng(0))
    feed = program.feed(trial, 0, 5, first=True, reset=True)
    expected = program.run(program.out.problem_objectives, feed)[1:]
  with tf.Graph().as_default() as graph:
    objectives, *_ = metaopt.test_optimizer(
      _hrnn(**settings), problem, 5, None, None, trial.init_params, graph
    )
  np.testing.assert_allclose(objectives, expected, rtol=1e-5)
  assert objectives[-1] != objectives[0]


def test_restores_learned_weights_from_a_folder(tmp_path):
  spec = runs.hierarchical_rnn((3,), init_lr_range=(1e-2, 1e-2))
  runs.train(
    tmp_path / "run",
    optimizer=spec,
    num_problems=1,
    num_meta_iterations=1,
    learning_rate=0.3,
  )
  problem = Quadratic(3, random_seed=4)
  start = [np.ones([3, 1], np.float32)]

  def objectives(logdir):
    with tf.Graph().as_default() as graph:
      values, *_ = metaopt.test_optimizer(
        spec.build(), problem, 4, seed=start, graph=graph, logdir=logdir
      )
    return values

  restored = objectives(str(tmp_path / "run"))
  values = runs.published(tmp_path / "run")
  with tf.Graph().as_default(), tf.compat.v1.Session() as session:
    optimizer = spec.build()
    session.run(tf.compat.v1.global_variables_initializer())
    for name, variable in optimizer.weights.items():
      variable.load(values[name], session)
    program = Program(
      session, optimizer, Task.of(problem, None, None), False, False
    )
    trial = program.draw(4, np.random.default_rng(0))
    trial = trial._replace(init_params=start)
    feed = program.feed(trial, 0, 4, first=True, reset=True)
    expected = program.run(program.out.problem_objectives, feed)[1:]
  np.testing.assert_allclose(restored, expected, rtol=1e-5)
  # An empty folder leaves the initial weights.
  (tmp_path / "empty").mkdir()
  assert not np.allclose(
    objectives(str(tmp_path / "empty")), restored, rtol=1e-5
  )


def test_a_checkpoint_that_does_not_fit_is_refused(tmp_path):
  runs.train(tmp_path, num_problems=1)
  with (
    tf.Graph().as_default() as graph,
    pytest.raises(ValueError, match="has no variable LOL/"),
  ):
    metaopt.test_optimizer(
      _hrnn(), Quadratic(3), 1, graph=graph, logdir=str(tmp_path)
    )


@pytest.mark.parametrize("learned", [False, True])
def test_the_wall_clock_test_returns_the_median(monkeypatch, learned):
  times = iter([0, 7, 10, 11, 20, 23, 30, 32])
  monkeypatch.setattr(testing.time, "perf_counter", lambda: next(times))
  with tf.Graph().as_default():
    optimizer = (
      _hrnn() if learned else tf.compat.v1.train.GradientDescentOptimizer(0.1)
    )
    seconds = metaopt.run_wall_clock_test(
      optimizer, SoftmaxRegression(3, 2), 4, _data(), seed=1, batch_size=2
    )
  assert seconds == 2.5

"""Loss curves against loops written out by hand."""

import numpy as np
import pytest
import tensorflow as tf

from learned_optimizer.metaopt import evaluation
from learned_optimizer.metaopt.program import Programs
from learned_optimizer.metaopt.task import Task
from learned_optimizer.optimizer.variables import load_variables
from tests.metaopt import runs

_LEARNING_RATE = 0.05


def _sgd(grad, memory, step):
  del memory, step
  return grad


def _momentum(grad, memory, step):
  del step
  memory["m"] = 0.9 * memory.get("m", 0) + grad
  return memory["m"]


def _nesterov(grad, memory, step):
  return grad + 0.9 * _momentum(grad, memory, step)


def _rms_prop(grad, memory, step):
  del step
  memory["v"] = 0.9 * memory.get("v", 1) + 0.1 * grad**2
  return grad / np.sqrt(memory["v"] + 1e-10)


def _adagrad(grad, memory, step):
  del step
  memory["v"] = memory.get("v", 0.1) + grad**2
  return grad / np.sqrt(memory["v"])


def _adam(grad, memory, step):
  memory["m"] = 0.9 * memory.get("m", 0) + 0.1 * grad
  memory["v"] = 0.999 * memory.get("v", 0) + 0.001 * grad**2
  factor = np.sqrt(1 - 0.999 ** (step + 1)) / (1 - 0.9 ** (step + 1))
  return factor * memory["m"] / (np.sqrt(memory["v"]) + 1e-8)


_RULES = {
  "SGD": _sgd,
  "Momentum": _momentum,
  "Nesterov": _nesterov,
  "RMSProp": _rms_prop,
  "Adagrad": _adagrad,
  "Adam": _adam,
}


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


def _run(entry, name, num_steps, seeds, jit_compile=False, rate=None, **more):
  """Losses at every step unless told otherwise, and the task."""
  spec, dataset, batch_size = entry
  task = Task.of(spec.build(random_seed=1), dataset, batch_size)
  points = more.pop("points", range(num_steps + 1))
  with tf.Graph().as_default(), tf.compat.v1.Session() as session:
    optimizer = runs.baseline(name).build()
    programs = Programs(session, optimizer)
    weight = {f"{name}/learning_rate": np.float32(rate or _LEARNING_RATE)}
    load_variables(session, list(optimizer.weights.values()), weight)
    losses = evaluation.run_all(
      programs, task, jit_compile, num_steps, seeds, points, **more
    )
    return losses, task


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("name", _RULES)
def test_losses_are_those_of_a_loop_over_the_same_batches(name, jit_compile):
  seeds, num_steps = (3, 8, 11), 9
  entry = runs.softmax(l2_reg_scale=0.0)
  losses, task = _run(entry, name, num_steps, seeds, jit_compile)
  assert losses.on_data.shape == (3, num_steps + 1)
  assert losses.on_batches.shape == (3, num_steps + 1)
  problem, dataset, batch_size = task
  for i, seed in enumerate(seeds):
    generator = np.random.default_rng(seed)
    # The order in which a program draws: batches, then parameters.
    batches = dataset.batch_indices(num_steps + 1, batch_size, generator)
    params = problem.initial_parameters(generator)
    params = [param.astype(np.float64) for param in params]
    memories = [{}, {}]
    for step, batch in enumerate(batches):
      loss, _ = _loss_and_gradients(params, *dataset)
      np.testing.assert_allclose(losses.on_data[i, step], loss, rtol=1e-4)
      loss, grads = _loss_and_gradients(
        params, dataset.data[batch], dataset.labels[batch]
      )
      np.testing.assert_allclose(losses.on_batches[i, step], loss, rtol=1e-4)
      params = [
        param - _LEARNING_RATE * _RULES[name](grad, memory, step)
        for param, grad, memory in zip(params, grads, memories, strict=True)
      ]
  assert len({*losses.on_data[:, 0]}) == 3


def test_losses_do_not_depend_on_their_company():
  together, _ = _run(runs.softmax(), "Adam", 5, (1, 2, 3))
  alone, _ = _run(runs.softmax(), "Adam", 5, (2,))
  for several, one in zip(together, alone, strict=True):
    np.testing.assert_array_equal(several[1:2], one)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_observing_less_changes_nothing_else(jit_compile):
  everywhere, _ = _run(runs.softmax(), "Adam", 7, (1, 2), jit_compile)
  told = []
  few, _ = _run(
    *(runs.softmax(), "Adam", 7, (1, 2), jit_compile),
    points=(0, 4, 7),
    progress=told.append,
  )
  np.testing.assert_array_equal(few.on_data, everywhere.on_data[:, [0, 4, 7]])
  np.testing.assert_array_equal(few.on_batches, everywhere.on_batches)
  assert told == [1, 1]


def test_a_longer_run_begins_as_a_shorter_one():
  spec, dataset, batch_size = runs.softmax()
  task = Task.of(spec.build(random_seed=1), dataset, batch_size)
  with tf.Graph().as_default(), tf.compat.v1.Session() as session:
    # It draws initial learning rates.
    optimizer = runs.hierarchical_rnn((3, 3, 3)).build()
    session.run(tf.compat.v1.global_variables_initializer())
    programs = Programs(session, optimizer)
    params = [evaluation.original_parameters(task.problem, 5)]
    short, long = (
      evaluation.run_all(programs, task, False, n, (5,), range(n + 1), params)
      for n in (3, 11)
    )
  np.testing.assert_array_equal(short.on_data, long.on_data[:, :4])
  np.testing.assert_array_equal(short.on_batches, long.on_batches[:, :4])


def test_initial_parameters_of_the_original_are_those_of_its_ops():
  problem = runs.quadratic(3)[0].build(random_seed=1)
  (params,) = evaluation.original_parameters(problem, 6)
  with tf.Graph().as_default(), tf.compat.v1.Session() as session:
    expected = session.run(tf.compat.v1.random_normal([3, 1], seed=6))
  np.testing.assert_array_equal(params, expected)


def test_divergence_is_nan_to_the_end():
  (on_data, on_batches), _ = _run(
    runs.quadratic(20), "SGD", 30, (1, 2), rate=1e3
  )
  for losses in (on_data, on_batches):
    assert np.all(np.isfinite(losses[:, :3]))
    assert np.all(np.isnan(losses[:, -1]))
    finite = np.isfinite(losses)
    # No number follows what is none.
    assert np.all(finite[:, :-1] >= finite[:, 1:])


@pytest.mark.parametrize("num_steps", [1, 200, 399, 1000, 9973, 10_000])
def test_points_are_evenly_spaced(num_steps):
  points = evaluation.evenly_spaced(num_steps, (num_steps, 1))
  assert points[0] == 0
  assert points[-1] == num_steps
  assert 1 in points
  assert min(num_steps, 200) < len(points) <= 402
  gaps = np.diff(points)
  assert gaps.min() > 0
  assert len({*gaps[2:-1]}) <= 1

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


def _rms_prop(grad, memory, step):
  del step
  memory["v"] = 0.9 * memory.get("v", 0) + 0.1 * grad**2
  return grad / np.sqrt(memory["v"] + 1e-7)


def _adam(grad, memory, step):
  memory["m"] = 0.9 * memory.get("m", 0) + 0.1 * grad
  memory["v"] = 0.999 * memory.get("v", 0) + 0.001 * grad**2
  m = memory["m"] / (1 - 0.9 ** (step + 1))
  v = memory["v"] / (1 - 0.999 ** (step + 1))
  return m / (np.sqrt(v) + 1e-8)


_RULES = {
  "SGD": _sgd,
  "Momentum": _momentum,
  "RMSProp": _rms_prop,
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


def _curves(entry, name, num_steps, seeds, jit_compile=False, rate=None):
  spec, dataset, batch_size = entry
  task = Task.of(spec.build(random_seed=1), dataset, batch_size)
  with tf.Graph().as_default(), tf.compat.v1.Session() as session:
    optimizer = runs.baseline(name).build()
    programs = Programs(session, optimizer)
    weight = {f"{name}/learning_rate": np.float32(rate or _LEARNING_RATE)}
    load_variables(session, list(optimizer.weights.values()), weight)
    curves = evaluation.loss_curves(
      programs, task, jit_compile, num_steps, seeds
    )
    return curves, task


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("name", _RULES)
def test_curves_are_those_of_a_loop_over_the_same_batches(name, jit_compile):
  seeds, num_steps = (3, 8, 11), 9
  entry = runs.softmax(l2_reg_scale=0.0)
  curves, task = _curves(entry, name, num_steps, seeds, jit_compile)
  assert curves.shape == (3, num_steps + 1)
  problem, dataset, batch_size = task
  for seed, curve in zip(seeds, curves, strict=True):
    generator = np.random.default_rng(seed)
    # The order in which a program draws: batches, then parameters.
    batches = dataset.batch_indices(num_steps + 1, batch_size, generator)
    params = problem.initial_parameters(generator)
    params = [param.astype(np.float64) for param in params]
    memories = [{}, {}]
    for step, batch in enumerate(batches):
      loss, _ = _loss_and_gradients(params, *dataset)
      np.testing.assert_allclose(curve[step], loss, rtol=1e-4)
      _, grads = _loss_and_gradients(
        params, dataset.data[batch], dataset.labels[batch]
      )
      params = [
        param - _LEARNING_RATE * _RULES[name](grad, memory, step)
        for param, grad, memory in zip(params, grads, memories, strict=True)
      ]
  assert len({*curves[:, 0]}) == 3


def test_curves_do_not_depend_on_their_company():
  together, _ = _curves(runs.softmax(), "Adam", 5, (1, 2, 3))
  alone, _ = _curves(runs.softmax(), "Adam", 5, (2,))
  np.testing.assert_array_equal(together[1:2], alone)


def test_divergence_is_nan_to_the_end():
  curves, _ = _curves(runs.quadratic(20), "SGD", 30, (1, 2), rate=1e3)
  assert np.all(np.isfinite(curves[:, :3]))
  assert np.all(np.isnan(curves[:, -1]))
  finite = np.isfinite(curves)
  # No number follows what is none.
  assert np.all(finite[:, :-1] >= finite[:, 1:])

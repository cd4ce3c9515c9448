"""Problems, weights and tolerances that the optimizer tests share."""

import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pytest
import tensorflow as tf


class Data(NamedTuple):
  """A data set as the optimizers expect it."""

  data: np.ndarray
  labels: np.ndarray


NO_DATA = Data(np.zeros([0], np.float32), np.zeros([0], np.int32))


class ToyProblem:
  """A noiseless problem with fixed initial parameters."""

  def __init__(self, objective, initial_parameters, constants=None):
    self._objective = objective
    self._initial_parameters = initial_parameters
    self.constants = constants or {}

  def with_constants(self, constants):
    return ToyProblem(self._objective, self._initial_parameters, constants)

  def init_tensors(self):
    return [tf.constant(p) for p in self._initial_parameters]

  def arranged(self, data):
    return data

  def objective(self, params, data=None, labels=None):
    return self._objective(self.constants, params, data, labels)

  def draws(self, num_steps, generator):
    return []

  def gradients(self, objective, params, draws=None):
    return tf.gradients(objective, params)


def quadratic(w, y, start):
  """The objective 0.5 * ||w x - y||^2."""

  def objective(constants, params, data, labels):
    w = tf.cast(constants["w"], params[0].dtype)
    y = tf.cast(constants["y"], params[0].dtype)
    return 0.5 * tf.reduce_sum(tf.square(tf.matmul(w, params[0]) - y))

  return ToyProblem(objective, start, {"w": w, "y": y})


def softmax(start):
  """Two classes; sigmoid cross-entropy of the first logit, L2 term."""

  def objective(constants, params, data, labels):
    matrix, bias = params
    logits = tf.matmul(tf.cast(data, matrix.dtype), matrix) + bias
    loss = tf.nn.sigmoid_cross_entropy_with_logits(
      labels=tf.cast(labels, matrix.dtype), logits=logits[:, 0]
    )
    squares = [tf.reduce_sum(tf.square(param)) for param in params]
    return tf.reduce_mean(loss) + 1e-3 * tf.add_n(squares) / len(squares)

  return ToyProblem(objective, start)


def mlp(start):
  """One hidden layer of sigmoids; mean sparse softmax cross-entropy."""

  def objective(constants, params, data, labels):
    matrix0, bias0, matrix1, bias1 = params
    hidden = tf.sigmoid(tf.matmul(tf.cast(data, bias0.dtype), matrix0) + bias0)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
      labels=labels, logits=tf.matmul(hidden, matrix1) + bias1
    )
    return tf.reduce_mean(losses)

  return ToyProblem(objective, start)


def rosenbrock():
  """The objective (1 - x)^2 + 100 (y - x^2)^2 of one tensor [x, y]."""

  def objective(constants, params, data, labels):
    x, y = tf.unstack(params[0], 2)
    return (1.0 - x) ** 2 + 100.0 * (y - x**2) ** 2

  return ToyProblem(objective, [np.array([-1.2, 1.0], np.float32)])


def bowls(dtype=np.float32):
  """Two tensors [2, 3] and [4]; f = sum 0.5 * a * (p - c)^2."""
  a = [np.linspace(0.5, 3, 6).reshape(2, 3), np.array([1, 10, 0.1, 2])]
  c = [np.linspace(-1, 1, 6).reshape(2, 3), np.array([0.5, -0.5, 2, 0])]
  start = [np.linspace(1, 2, 6).reshape(2, 3), np.array([1, -1, 0.5, -2])]

  def objective(constants, params, data, labels):
    terms = [
      tf.reduce_sum(
        0.5 * tf.constant(a_i, p.dtype) * (p - tf.constant(c_i, p.dtype)) ** 2
      )
      for a_i, c_i, p in zip(a, c, params, strict=True)
    ]
    return tf.add_n(terms)

  return ToyProblem(objective, [s.astype(dtype) for s in start])


def filled_weights(specs: Mapping) -> dict[str, np.ndarray]:
  """Explicit weights: 0.3 sin(1 + k + 0.7 i) for the k-th name in order."""
  values = {}
  for k, name in enumerate(sorted(specs)):
    shape = specs[name].shape
    i = np.arange(int(np.prod(shape)))
    values[name] = (0.3 * np.sin(1 + k + 0.7 * i)).astype(np.float32)
    values[name] = values[name].reshape(shape)
  return values


def shared(name: str) -> pathlib.Path:
  """A file of the reference data kept beside the checkout; skips without it."""
  checkout = pathlib.Path(os.path.realpath(__file__)).parents[2]
  path = checkout.parent / "shared" / name
  if not path.exists():
    pytest.skip(f"reference data {name} is not beside the checkout")
  return path


def quick_session(graph: tf.Graph | None = None) -> tf.compat.v1.Session:
  """A session that runs a graph as it was built.

  To optimise a graph first takes longer than the few runs of most tests.
  """
  config = tf.compat.v1.ConfigProto()
  config.graph_options.rewrite_options.disable_meta_optimizer = True
  return tf.compat.v1.Session(graph=graph, config=config)


def load(path: str | os.PathLike) -> dict[str, np.ndarray]:
  """All arrays of a file."""
  with np.load(path) as file:
    return dict(file)


def under(arrays: Mapping, prefix: str) -> dict[str, np.ndarray]:
  """The arrays below a prefix, by the rest of their names."""
  return {
    key.removeprefix(prefix): arrays[key]
    for key in arrays
    if key.startswith(prefix)
  }


def tensors(arrays: Mapping, prefix: str) -> list[np.ndarray]:
  """The arrays `<prefix>/0`, `<prefix>/1`, ..."""
  found = under(arrays, f"{prefix}/")
  return [found[str(i)] for i in range(len(found))]


def problem_and_data(arrays: Mapping, name: str) -> tuple[ToyProblem, Data]:
  """The problem that arrays below `<name>/` belong to."""
  start = tensors(arrays, f"{name}/init_param")
  if f"{name}/w" in arrays:
    return quadratic(arrays[f"{name}/w"], arrays[f"{name}/y"], start), NO_DATA
  data = Data(arrays[f"{name}/data"], arrays[f"{name}/labels"])
  return softmax(start), data


def assert_tensor(actual, expected, relative=1e-5, absolute=1e-7):
  """||actual - expected|| <= relative ||expected|| + absolute sqrt(n)."""
  actual = np.asarray(actual, np.float64)
  expected = np.asarray(expected, np.float64)
  assert actual.shape == expected.shape
  error = np.linalg.norm(actual - expected)
  limit = relative * np.linalg.norm(expected) + absolute * np.sqrt(actual.size)
  assert error <= limit, f"error {error}, limit {limit}"


def assert_slots(
  actual: Sequence[Mapping], arrays: Mapping, prefix: str, **how
):
  """Every tensor's slots are those below `<prefix>/<i>/`."""
  for i, slots in enumerate(actual):
    expected = under(arrays, f"{prefix}/{i}/")
    assert slots.keys() == expected.keys()
    for key, slot in slots.items():
      assert_tensor(slot, expected[key], **how)


def assert_unroll(actual: Mapping, arrays: Mapping, prefix: str, **how):
  """An `Unroller.run` is the one recorded below `<prefix>/`.

  Args:
    actual: its result.
    arrays: the recorded numbers.
    prefix: of these ones.
    **how: tolerances of parameters and slots.
  """
  expected = under(arrays, f"{prefix}/")
  assert_scores(actual, expected)
  for group in ("param", "attend_param", "global"):
    recorded = tensors(expected, f"end/{group}")
    ours = {"param": "params", "attend_param": "attended"}.get(group, group)
    for tensor, reference in zip(actual[ours], recorded, strict=True):
      assert_tensor(tensor, reference, **how)
  assert_slots(actual["slots"], expected, "end/slot", **how)


def assert_scores(actual: Mapping, expected: Mapping):
  """An `Unroller.run` has these objectives and meta-gradients."""
  np.testing.assert_allclose(actual["objs"], expected["objs"], rtol=1e-6)
  np.testing.assert_allclose(
    actual["initial_obj"], expected["initial_obj"], rtol=1e-6
  )
  np.testing.assert_allclose(
    actual["metaobj"], expected["metaobj"], rtol=2e-5, atol=2e-7
  )
  assert_meta_gradients(actual["grads"], under(expected, "grad/"))


def assert_meta_gradients(actual: Mapping, expected: Mapping):
  """Norm-wise, with a floor relative to the largest gradient."""
  assert actual.keys() == expected.keys()
  largest = max(np.linalg.norm(g) for g in expected.values())
  for name, gradient in expected.items():
    error = np.linalg.norm(np.asarray(actual[name]) - gradient)
    limit = 1e-4 * np.linalg.norm(gradient) + 1e-6 * largest
    assert error <= limit, f"{name}: error {error}, limit {limit}"

"""Several instances of a problem at once: the mean of single runs."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from learned_optimizer.metaopt.program import Extras, Program, Purpose
from learned_optimizer.metaopt.task import Task
from learned_optimizer.metaopt.trial import Trial
from learned_optimizer.optimizer.coordinatewise_rnn import CoordinatewiseRNN
from learned_optimizer.optimizer.hierarchical_rnn import HierarchicalRNN
from learned_optimizer.problems.dataset import Dataset
from learned_optimizer.problems.dense_classifiers import SoftmaxRegression
from tests.optimizer import reference

_LENGTHS = (4, 3)


def _task():
  generator = np.random.default_rng(0)
  data = generator.normal(size=(9, 3)).astype(np.float32)
  dataset = Dataset(data, (data[:, 0] > 0).astype(np.int32))
  problem = SoftmaxRegression(3, 2, random_seed=1, noise_stdev=0.1)
  return Task.of(problem, dataset, 4)


class _Runner:
  """A program, and the seven steps in two unrolls that it runs."""

  def __init__(self, num_instances=1, jit_compile=False, **settings):
    with tf.Graph().as_default() as graph:
      session = reference.quick_session(graph=graph)
      optimizer = HierarchicalRNN(
        [3, 4, 5],
        (1e-2, 1e-1),
        learnable_rnn_init=False,
        random_seed=1,
        **settings,
      )
      session.run(tf.compat.v1.global_variables_initializer())
      extras = Extras(num_instances=num_instances)
      self._program = Program(
        session, optimizer, _task(), jit_compile, Purpose.TRAIN, extras
      )

  def draw(self, number):
    generator = np.random.default_rng(2)
    return [self._program.draw(sum(_LENGTHS), generator) for _ in range(number)]

  def run(self, *trials):
    """Meta-objective, meta-gradients and objectives of both unrolls."""
    trial = Trial.side_by_side(trials)
    out = self._program.out
    fetches = [out.metaobj, self._program.gradients, out.problem_objectives]
    start, results = 0, []
    for length in _LENGTHS:
      feed = self._program.feed(trial, start, length, start == 0, start == 0)
      *here, _ = self._program.run([*fetches, self._program.propagate], feed)
      results.append(here)
      start += length
    return results


# What is built and compiled serves several tests.
_runner = functools.cache(_Runner)


def _assert_mean(together, alone):
  for unroll, (meta_objective, gradients, _) in enumerate(together):
    single = [results[unroll] for results in alone]
    expected = np.mean([result[0] for result in single])
    np.testing.assert_allclose(meta_objective, expected, 1e-5, 1e-7)
    for i, gradient in enumerate(gradients):
      expected = np.mean([result[1][i] for result in single], axis=0)
      reference.assert_tensor(gradient, expected, 1e-4, 1e-7)


_MEAN_OF_TENSOR = dict(use_problem_lr_mean=False, use_log_objective=False)
_MEAN_OF_PROBLEM = dict(
  use_problem_lr_mean=True, use_gradient_shortcut=True, use_attention=True
)


@pytest.mark.parametrize(
  ("jit_compile", "settings"),
  [
    (False, _MEAN_OF_TENSOR),
    (False, _MEAN_OF_PROBLEM),
    (True, _MEAN_OF_PROBLEM),
  ],
)
def test_is_the_mean_of_single_runs(jit_compile, settings):
  single = _runner(**settings)
  trials = single.draw(3)
  alone = [single.run(trial) for trial in trials]
  together = _runner(3, jit_compile, **settings).run(*trials)
  _assert_mean(together, alone)
  for unroll, (_, gradients, objectives) in enumerate(together):
    assert objectives.shape == (_LENGTHS[unroll] + 1, 3)
    for i, results in enumerate(alone):
      np.testing.assert_allclose(
        objectives[:, i], results[unroll][2], rtol=1e-5
      )
    assert any(np.any(gradient) for gradient in gradients)


@pytest.mark.parametrize("step", [1, 5])
def test_leaves_out_an_instance_from_where_it_diverges(step):
  single = _runner(**_MEAN_OF_TENSOR)
  first, second, third = single.draw(3)
  noise = [draw.copy() for draw in second.step_draws]
  noise[0][step] = np.nan
  second = second._replace(step_draws=noise)
  trials = (first, second, third)
  alone = [single.run(trial) for trial in trials]
  whole = [bool(np.isfinite(result[0])) for result in alone[1]]
  assert whole == [step > _LENGTHS[0], False]
  together = _runner(3, False, **_MEAN_OF_TENSOR).run(*trials)
  others = [alone[0], alone[2]]
  for unroll, is_whole in enumerate(whole):
    expected = alone if is_whole else others
    _assert_mean(
      together[unroll : unroll + 1],
      [results[unroll : unroll + 1] for results in expected],
    )


def test_refuses_a_rule_that_cannot():
  with tf.Graph().as_default():
    optimizer = CoordinatewiseRNN([3])
    problem, dataset, _ = _task()
    with pytest.raises(ValueError, match="num_instances is 2, but Coord"):
      optimizer.train(problem, dataset, num_instances=2)

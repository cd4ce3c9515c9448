"""Trains a problem with an update rule, to look at where it ends."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from learned_optimizer.metaopt.comparison import Contestant
from learned_optimizer.metaopt.task import Task
from learned_optimizer.optimizer import sparse
from learned_optimizer.optimizer.rule import Rule

Params = Sequence[np.ndarray]


def rule_of(contestant: Contestant) -> Rule:
  """The update rule of an optimizer."""
  with tf.Graph().as_default():
    return contestant.optimizer.build().unrolled_rule()


def objective(task: Task) -> Callable[[Sequence[tf.Tensor]], tf.Tensor]:
  """The task's objective on all of its data, as a function of parameters."""
  arguments = [*map(tf.constant, task.dataset)] if task.dataset.size else []
  return lambda params: task.problem.objective(params, *arguments)


def trainer(
  task: Task, rule: Rule
) -> Callable[[Mapping[str, Any], Params, int, int], Params]:
  """Makes a function that trains with the rule and is compiled once.

  Args:
    task: what to train.
    rule: the update rule.

  Returns:
    A function of weights, initial parameters, number of steps, and a seed that
    fixes all else that is random, as in `evaluation.run_all`. It returns the
    final parameters, which are not finite after divergence.
  """
  problem, dataset, batch_size = task
  data, labels = map(tf.constant, dataset)

  @tf.function(autograph=False, jit_compile=True)
  def run(weights, params, state_draws, batches, problem_draws):
    def step(carried, inputs):
      params, attended, state = carried
      rows, draws = inputs
      arguments = []
      if dataset.size:
        arguments = [tf.gather(data, rows), tf.gather(labels, rows)]
      value = problem.objective(attended, *arguments)
      grads = [
        sparse.densify(gradient, param)
        for gradient, param in zip(
          problem.gradients(value, attended, draws or None), params, strict=True
        )
      ]
      update = rule.update(weights, params, grads, state)
      return [*update.params], [*update.attended_params], update.state

    state = rule.init_state(weights, params, state_draws)
    final, _, _ = tf.foldl(
      step, (batches, problem_draws), (params, params, state)
    )
    return final

  def train(weights, params, num_steps, seed):
    # Drawn as by `evaluation.run_all`.
    generator = np.random.default_rng(seed)
    dataset.batch_indices(1, batch_size, generator)
    state_draws = rule.draws(params, generator)
    generator = np.random.default_rng(seed)
    batches = dataset.batch_indices(num_steps + 1, batch_size, generator)
    rule.draws(params, generator)
    problem_draws = problem.draws(num_steps + 1, generator)
    arrays = (
      weights,
      [*params],
      state_draws,
      np.asarray(batches, np.int32)[:-1],
      [draw[:-1] for draw in problem_draws],
    )
    arrays = tf.nest.map_structure(_constant, arrays)
    return [param.numpy() for param in run(*arrays)]

  return train


def _constant(array):
  """As a tensor; numbers without a width of their own become float32."""
  array = np.asarray(array)
  return tf.constant(array, None if array.dtype == np.int32 else tf.float32)

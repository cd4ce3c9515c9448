"""A second reading of the regularisers, and of an unroll that has them.

Everything is written for the eye: the Hessian is a matrix, and the unroll a
Python loop without conditionals. Graph code.
"""

import tensorflow as tf


def flatten(tensors):
  """One vector [N] of all entries in order."""
  return tf.concat([tf.reshape(t, [-1]) for t in tensors], axis=0)


def regularizer(name, objective, params, draws, num_iterations):
  """The value of the regulariser of this name."""
  gradient = flatten(tf.gradients(objective, params))
  if name == "jacob":
    return tf.reduce_mean(gradient**2)
  hessian = tf.stack(
    [flatten(tf.gradients(entry, params)) for entry in tf.unstack(gradient)]
  )
  if name == "hessian":
    probes = draws[0]
    return tf.reduce_mean(tf.einsum("ki,ij,kj->k", probes, hessian, probes))
  vector = tf.reshape(draws[0], [-1])
  powers = [vector]
  for _ in range(num_iterations):
    powers.append(tf.linalg.matvec(hessian, powers[-1]))
  before, last = powers[-2:]
  if name == "hessian-ev":
    return tf.reduce_sum(before * last) / tf.reduce_sum(before**2)
  if name == "spectral-norm":
    return tf.norm(last) / tf.norm(before)
  assert name == "hessian-esd"
  # The trace on the space of these vectors, which any basis of it gives.
  basis, _ = tf.linalg.qr(tf.stack([v / tf.norm(v) for v in powers[:-1]], 1))
  return tf.linalg.trace(
    tf.matmul(basis, tf.matmul(hessian, basis), transpose_a=True)
  )


def unroll(rule, weights, problem, dataset, state_draws, batches, settings):
  """An unroll of the rule from the problem's initial parameters.

  Args:
    rule: the rule.
    weights: tensors by name.
    problem: without noise.
    dataset: its data set.
    state_draws: of the rule.
    batches: rows of the data set for each step.
    settings: (name, num_iterations, alpha, beta, draws of each step,
      use_attention, use_second_derivatives).

  Returns:
    The meta-objective with log objectives, its gradients, final parameters.
  """
  name, num_iterations, alpha, beta, draws, attention, second = settings
  params = attended = problem.init_tensors()
  state = rule.init_state(weights, params, state_draws)
  initial = problem.objective(params, dataset.data, dataset.labels)
  logs = [tf.math.log(initial / (initial + 1e-6) + 1e-6)]
  penalty = 0.0
  for step, rows in enumerate(batches):
    objective = problem.objective(params, dataset.data, dataset.labels)
    logs.append(tf.math.log(objective / (initial + 1e-6) + 1e-6))
    location = list(attended if attention else params)
    batch_objective = problem.objective(
      location, dataset.data[rows], dataset.labels[rows]
    )
    value = regularizer(
      name, batch_objective, location, draws[step], num_iterations
    )
    penalty += alpha * value
    grads = tf.gradients(batch_objective + beta * value, location)
    if not second:
      grads = [tf.stop_gradient(grad) for grad in grads]
    update = rule.update(weights, params, grads, state)
    params, attended, state = (
      update.params,
      update.attended_params,
      update.state,
    )
  meta_objective = tf.add_n(logs) / len(logs) + penalty
  gradients = tf.gradients(
    meta_objective,
    list(weights.values()),
    unconnected_gradients=tf.UnconnectedGradients.ZERO,
  )
  return meta_objective, dict(zip(weights, gradients, strict=True)), params

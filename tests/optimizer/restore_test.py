"""Black-box use: a trained optimizer in a foreign TF1 program."""

import numpy as np
import pytest
import tensorflow as tf

from learned_optimizer.optimizer.coordinatewise_rnn import CoordinatewiseRNN
from learned_optimizer.optimizer.hierarchical_rnn import HierarchicalRNN
from tests.optimizer import reference


def optimizer_and_step(**settings):
  x = tf.compat.v1.get_variable("x", initializer=[3.0, -4.0], use_resource=True)
  optimizer = HierarchicalRNN([4, 5, 6], random_seed=1, **settings)
  return optimizer, optimizer.minimize(tf.reduce_sum(x * x), var_list=[x]), x


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
  """A checkpoint of explicit weights, and the weights."""
  prefix = str(tmp_path_factory.mktemp("run") / "model.ckpt")
  with tf.Graph().as_default(), tf.compat.v1.Session() as session:
    optimizer = HierarchicalRNN([4, 5, 6])
    weights = reference.filled_weights(optimizer.rule.weight_specs())
    session.run(tf.compat.v1.global_variables_initializer())
    for name, variable in optimizer.weights.items():
      variable.load(weights[name], session)
    saver = tf.compat.v1.train.Saver(list(optimizer.weights.values()))
    path = saver.save(session, prefix, global_step=7)
  return path, weights


def slot_values(session, optimizer, x):
  return session.run(
    {k: optimizer.get_slot(x, k) for k in optimizer.get_slot_names()}
  )


@pytest.mark.parametrize("as_folder", [False, True])
def test_restore_renews_slots(trained, as_folder):
  path, weights = trained
  given = path.rsplit("/", 1)[0] if as_folder else path
  with tf.Graph().as_default(), tf.compat.v1.Session() as session:
    optimizer, step, x = optimizer_and_step()
    session.run(tf.compat.v1.global_variables_initializer())
    session.run(step)
    optimizer.restore(session, given)
    for name, variable in optimizer.weights.items():
      np.testing.assert_array_equal(session.run(variable), weights[name])
    slots = slot_values(session, optimizer, x)
    (state,) = [
      v for v in tf.compat.v1.global_variables() if "global_state" in v.name
    ]
    np.testing.assert_array_equal(
      session.run(state), weights["LOL/Level2_RNN/init_vector"]
    )
    np.testing.assert_array_equal(
      slots["parameter"],
      np.tile(weights["LOL/Level0_RNN/init_vector"], [2, 1]),
    )
    np.testing.assert_array_equal(slots["ms1"], np.zeros([2, 1]))
    np.testing.assert_array_equal(slots["true_param"], session.run(x))


@pytest.mark.parametrize("use_resource", [False, True])
def test_restore_keeps_the_attended_parameters(trained, use_resource, tmp_path):
  """The slot of the true parameters starts at the variable's value."""
  with tf.Graph().as_default():
    session = tf.compat.v1.Session()
    x = tf.compat.v1.get_variable(
      "x",
      initializer=tf.compat.v1.random_normal([3]),
      use_resource=use_resource,
    )
    optimizer = HierarchicalRNN([4, 5, 6], use_attention=True)
    optimizer.minimize(tf.reduce_sum(x * x), var_list=[x])
    session.run(tf.compat.v1.global_variables_initializer())
    saver = tf.compat.v1.train.Saver(list(optimizer.weights.values()))
    path = saver.save(session, str(tmp_path / "model.ckpt"))
    slot = optimizer.get_slot(x, "true_param")
  # Not in the default graph.
  optimizer.restore(session, path)
  np.testing.assert_array_equal(*session.run((x, slot)))
  session.close()


def test_restore_needs_no_default_graph(trained):
  path, weights = trained
  with tf.Graph().as_default() as graph:
    optimizer, _, _ = optimizer_and_step()
    initialize = tf.compat.v1.global_variables_initializer()
  with tf.compat.v1.Session(graph=graph) as session:
    session.run(initialize)
  session = tf.compat.v1.Session(graph=graph)
  session.run(initialize)
  optimizer.restore(session, path)
  value = session.run(optimizer.weights["LOL/update_weights"])
  np.testing.assert_array_equal(value, weights["LOL/update_weights"])


def test_checkpoint_is_the_initial_value(trained):
  path, weights = trained
  with tf.Graph().as_default():
    optimizer, step, _ = optimizer_and_step(checkpoint=path)
    tf.compat.v1.train.get_or_create_global_step()
    with tf.compat.v1.Session() as session:
      session.run(tf.compat.v1.global_variables_initializer())
      session.run(tf.compat.v1.global_variables_initializer())
      values = session.run(optimizer.weights)
    with tf.compat.v1.train.MonitoredTrainingSession() as session:
      session.run(step)
      monitored = session.run(optimizer.weights)
  for name, expected in weights.items():
    np.testing.assert_array_equal(values[name], expected)
    np.testing.assert_array_equal(monitored[name], expected)


def test_checkpoint_of_another_optimizer(trained):
  path, _ = trained
  with (
    tf.Graph().as_default(),
    pytest.raises(ValueError, match="has no variable LOL/decay_weights"),
  ):
    CoordinatewiseRNN([4], checkpoint=path)


def test_checkpoint_of_other_sizes(trained):
  path, _ = trained
  with (
    tf.Graph().as_default(),
    pytest.raises(ValueError, match=r"init_vector has shape \(1, 4\)"),
  ):
    HierarchicalRNN([3, 5, 6], checkpoint=path)


def test_folder_without_checkpoint(tmp_path):
  with (
    tf.Graph().as_default(),
    pytest.raises(ValueError, match="no checkpoint in"),
  ):
    HierarchicalRNN([4, 5, 6], checkpoint=str(tmp_path))

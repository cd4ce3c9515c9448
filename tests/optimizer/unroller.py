"""Runs the TF1 shell's unrolls from recorded starts."""

import numpy as np
import tensorflow as tf

from learned_optimizer.optimizer.hierarchical_rnn import HierarchicalRNN
from tests.optimizer import reference

METARUN_SETTINGS = dict(
  level_sizes=[10, 20, 20],
  use_problem_lr_mean=True,
  use_gradient_shortcut=True,
  use_grad_products=True,
)


def hierarchical_draws(log_learning_rates, init_vectors=()):
  """What a hierarchical RNN would draw to start like this.

  Args:
    log_learning_rates: one array per parameter tensor; empty for an RNN whose
      learning rate is fixed.
    init_vectors: initial states of its levels; empty where they are learned.
  """
  draws = {}
  if log_learning_rates:
    draws["coordinates"] = log_learning_rates
    draws["tensors"] = [0.0] * len(log_learning_rates)
  if init_vectors:
    draws["init_vectors"] = init_vectors
  return draws


class Unroller:
  """One `train` graph with its meta-gradients, in a session of its own.

  Building and compiling it is what takes time, so tests share it: `load` puts
  other weights in, and a padded capacity lets lengths share one program.
  """

  def __init__(
    self,
    problem,
    dataset,
    jit_compile=False,
    meta_gradients=True,
    make_optimizer=HierarchicalRNN,
    make_session=reference.quick_session,
    regularization=None,
    teacher=None,
    **settings,
  ):
    tf1 = tf.compat.v1
    self.graph = tf.Graph()
    with self.graph.as_default():
      self.optimizer = make_optimizer(**settings)
      self.out = self.optimizer.train(
        problem, dataset, jit_compile, meta_gradients, regularization, teacher
      )
      variables = self.optimizer.weights
      self._grads = {}
      if meta_gradients:
        grads = tf.gradients(self.out.metaobj, list(variables.values()))
        self._grads = dict(zip(variables, grads, strict=True))
      self._propagate = [
        variable.assign(value)
        for variable, value in zip(
          self.out.init_loop_vars, self.out.output_loop_vars, strict=True
        )
      ]
      self._global_state = self._end_slots().global_state
      self._loads = [
        variable.assign(
          tf1.placeholder(tf.float32, variable.shape, f"load/{name}")
        )
        for name, variable in variables.items()
      ]
      self._saver = tf1.train.Saver(var_list=list(variables.values()))
      initialize = [
        tf1.global_variables_initializer(),
        tf1.local_variables_initializer(),
      ]
    self.session = make_session(graph=self.graph)
    self.session.run(initialize)

  def _end_slots(self):
    rule, out = self.optimizer.rule, self.out
    state = rule.init_state(
      self.optimizer.weights, out.init_params, out.state_draws
    )
    # A teacher's state, if any, follows.
    before = 1 + 2 * len(out.init_params)
    flat = out.output_loop_vars[before : before + len(tf.nest.flatten(state))]
    return rule.to_slots(tf.nest.pack_sequence_as(state, flat), out.init_params)

  def load(self, weights):
    """Sets all weights in one run; one run each would take seconds."""
    self.session.run(
      self._loads,
      {f"load/{name}:0": value for name, value in weights.items()},
    )

  def restore(self, checkpoint):
    """Reads all weights from a checkpoint."""
    with self.graph.as_default():
      self._saver.restore(self.session, checkpoint)

  def run(
    self,
    num_steps,
    batches=None,
    first=True,
    reset=None,
    state_draws=None,
    capacity=None,
    regularizer_draws=None,
    regularize=True,
  ):
    """Runs one unroll, and keeps its end for the next one.

    Args:
      num_steps: its length.
      batches: [num_steps, batch size] rows; None without data.
      first: start from new parameters.
      reset: start from a new state; None for where `first` is.
      state_draws: the random numbers of a new state, a nest like the rule's
        whose arrays may have another shape; drawn where None.
      capacity: length of what is fed; None for `num_steps`.
      regularizer_draws: the regulariser's random numbers; drawn where None.
      regularize: whether the regulariser, if any, is switched on.
    """
    capacity = capacity or num_steps
    if batches is None:
      batches = np.zeros([num_steps, 0], np.int32)
    padded = np.zeros([capacity, batches.shape[1]], np.int32)
    padded[:num_steps] = batches
    out = self.out
    feed = {
      out.num_steps: num_steps,
      out.obj_weights: np.full([capacity], 1 / num_steps, np.float32),
      out.batches: padded,
      out.first_unroll: first,
      out.reset_state: first if reset is None else reset,
    }
    if state_draws is not None:
      tf.nest.assert_same_structure(state_draws, out.state_draws)
      for placeholder, value in zip(
        tf.nest.flatten(out.state_draws),
        tf.nest.flatten(state_draws),
        strict=True,
      ):
        feed[placeholder] = np.reshape(value, placeholder.shape)
    if out.jacob_switch is not None:
      feed[out.jacob_switch] = regularize
    if regularizer_draws is not None:
      feed |= zip(out.regularizer_draws, regularizer_draws, strict=True)
    num_params = len(out.init_params)
    fetches = {
      "metaobj": out.metaobj,
      "objs": out.problem_objectives,
      "initial_obj": out.initial_obj,
      "slots": out.output_state,
      "params": out.output_loop_vars[1 : 1 + num_params],
      "attended": out.output_loop_vars[1 + num_params : 1 + 2 * num_params],
      "global": self._global_state,
      "grads": self._grads,
      "end": out.output_loop_vars,
    }
    result = self.session.run(fetches, feed)
    keys = self.optimizer.state_keys
    result["slots"] = [
      dict(zip(keys, slots, strict=True)) for slots in result["slots"]
    ]
    # The end is fed back rather than computed a second time.
    self.session.run(
      self._propagate,
      feed | dict(zip(out.output_loop_vars, result.pop("end"), strict=True)),
    )
    return result

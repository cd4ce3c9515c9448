"""The TF1 shell: an optimizer with variables around a pure update rule.

`train` builds the differentiable unroll that meta-training descends on;
`apply_gradients` applies the rule to the variables of an ordinary model.
"""

import abc
import functools
import weakref
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from learned_optimizer.optimizer import checkpoints, sparse, training_graph
from learned_optimizer.optimizer.imitation import Teacher
from learned_optimizer.optimizer.regularizers.regularization import (
  Regularization,
)
from learned_optimizer.optimizer.rule import Rule, Slots
from learned_optimizer.optimizer.slot_rule import SlotRule
from learned_optimizer.optimizer.training_graph import TrainOutput
from learned_optimizer.optimizer.unroll import UnrollSettings
from learned_optimizer.optimizer.variables import set_variables

OPTIMIZER_SCOPE = "LOL"


class TrainableOptimizer(tf.compat.v1.train.Optimizer, abc.ABC):
  """A TF1 optimizer whose update is learned.

  Subclasses either wrap a `Rule` (see `RuleOptimizer`) or override
  `_initialize_state` and `_compute_update`, or for an update across tensors
  `_initialize_global_state` and `_compute_updates`. `train` and
  `apply_gradients` honour the overrides alike.
  """

  def __init__(
    self,
    name: str,
    state_keys: Sequence[str],
    use_attention: bool = False,
    use_log_objective: bool = False,
    obj_train_max_multiplier: float = -1,
    use_second_derivatives: bool = True,
    use_numerator_epsilon: bool = False,
    checkpoint_gradients: bool = False,
    **unused_settings,
  ):
    """Sets the optimizer up.

    Args:
      name: slot variables are called `<name>_<key>`.
      state_keys: keys of the slots of each variable.
      use_attention: take gradients at the attended parameters.
      use_log_objective: score unrolls by the mean log objective.
      obj_train_max_multiplier: stop unrolls at this multiple of the initial
        objective, where positive.
      use_second_derivatives: let meta-gradients flow through gradients.
      use_numerator_epsilon: where the log objective has its epsilon.
      checkpoint_gradients: keep less of an unroll for its meta-gradients, and
        recompute it; takes a third more time, and memory grows with the square
        root of the number of steps.
      **unused_settings: ignored, so that one set of settings fits every
        optimizer.
    """
    super().__init__(use_locking=False, name=name)
    self.state_keys = sorted(state_keys)
    self.use_attention = use_attention
    self.unroll_settings = UnrollSettings(
      use_log_objective,
      use_numerator_epsilon,
      obj_train_max_multiplier,
      use_second_derivatives,
      use_attention,
      checkpoint_gradients,
    )
    self._graph = tf.compat.v1.get_default_graph()
    self._global_state_variables = weakref.WeakKeyDictionary()
    self._variables_with_slots = weakref.WeakKeyDictionary()

  # What a subclass defines.

  @abc.abstractmethod
  def _initialize_state(self, var: tf.Tensor) -> dict[str, tf.Tensor]:
    """The initial slots {key: tensor} of one parameter tensor."""

  def _initialize_global_state(self) -> list[tf.Tensor]:
    """The initial state that belongs to no single parameter tensor."""
    return []

  @abc.abstractmethod
  def _compute_update(
    self, param: tf.Tensor, grad: tf.Tensor, state: dict[str, tf.Tensor]
  ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
    """The new value and the new slots of one parameter tensor."""

  def _compute_updates(
    self,
    params: list[tf.Tensor],
    grads: list[tf.Tensor],
    states: list[dict[str, tf.Tensor]],
    global_state: list[tf.Tensor],
  ) -> tuple[
    list[tf.Tensor],
    list[dict[str, tf.Tensor]],
    list[tf.Tensor],
    list[tf.Tensor],
  ]:
    """New parameters, slots, global state and attended parameters."""
    new_params, new_states = [], []
    for param, grad, state in zip(params, grads, states, strict=True):
      new_param, new_state = self._compute_update(param, grad, state)
      new_params.append(new_param)
      new_states.append(new_state)
    return new_params, new_states, global_state, new_params

  def unrolled_rule(self) -> Rule:
    """The rule that `train` unrolls."""
    return SlotRule(self)

  @functools.cached_property
  def weights(self) -> Mapping[str, tf.Variable]:
    """The variables that meta-training changes, by checkpoint name.

    The trainable ones of the graph in the scope LOL; a subclass makes them in
    its constructor.
    """
    variables = self._graph.get_collection(
      tf.compat.v1.GraphKeys.TRAINABLE_VARIABLES, f"{OPTIMIZER_SCOPE}/"
    )
    return {variable.op.name: variable for variable in variables}

  def read_weights(self, path: str) -> Mapping[str, Any]:
    """The weights in a checkpoint, by checkpoint name.

    Args:
      path: a checkpoint's prefix, or a folder of checkpoints such as that of a
        run of metarun, whose best or last one it then is.

    Raises:
      CheckpointError: there is none, it is damaged, or it does not fit.
    """
    path = checkpoints.find(path)
    values = checkpoints.read(path)
    return checkpoints.matching(values, self._weight_shapes(), path)

  def _weight_shapes(self) -> dict[str, tuple[int, ...]]:
    return {name: tuple(v.shape) for name, v in self.weights.items()}

  @property
  def can_compile(self) -> bool:
    """Whether `train` accepts jit_compile."""
    return not isinstance(self.unrolled_rule(), SlotRule)

  def initial_weights(self, seed: int) -> Mapping[str, Any]:
    """Initial values that a seed fixes, by checkpoint name.

    Weights that are absent keep the initial values of their variables.
    """
    del seed
    return {}

  # Meta-training.

  def train(
    self,
    problem: Any,
    dataset: Any,
    jit_compile: bool = False,
    meta_gradients: bool = True,
    regularization: Regularization | None = None,
    teacher: Teacher | None = None,
    num_instances: int = 1,
    sums_batches: bool = False,
  ) -> TrainOutput:
    """Builds the differentiable unroll on a problem in the current graph.

    Args:
      problem: a `Problem`.
      dataset: its `Dataset`; `EMPTY_DATASET` where it needs none.
      jit_compile: compile the unroll and its meta-gradients to one XLA
        program per length of what is fed. Then only `metaobj` is
        differentiable, once and with respect to the optimizer's weights.
      meta_gradients: whether the unroll is for meta-gradients. One that only
        evaluates costs less, tells more of the objective, and is not stopped by
        `obj_train_max_multiplier`.
      regularization: what to add to inner objective and meta-objective.
      teacher: whom to imitate: parameters take its steps, and `metaobj` is how
        far the optimizer's own steps are from them.
      num_instances: how many instances of the problem run side by side; then
        `metaobj` is the mean of theirs. More than 1 needs an optimizer and a
        problem that can, and comes without the two above, without
        `obj_train_max_multiplier` and with `meta_gradients`.
      sums_batches: make `metaobj` the sum of objectives on batches, of which
        `TrainOutput.last_batch` has one more; only with one instance and with
        `meta_gradients`.

    Raises:
      ValueError: if a parameter's shape is not fully defined, or compiling is
        asked of a subclass that overrides the update of a rule, or more
        instances than are possible.
    """
    rule = self.unrolled_rule()
    if jit_compile and not self.can_compile:
      raise ValueError(
        f"jit_compile is True, but {type(self).__name__} overrides the update"
        " in terms of its variables; only False is accepted."
      )
    settings = self.unroll_settings._replace(
      regularization=regularization,
      teacher=teacher,
      sums_batches=sums_batches,
    )
    if not meta_gradients:
      settings = settings._replace(
        obj_train_max_multiplier=-1.0, checkpoint_gradients=False
      )
    return training_graph.build(
      rule,
      self.weights,
      problem,
      dataset,
      settings,
      self._draw_seed(),
      jit_compile,
      meta_gradients,
      num_instances,
    )

  def _draw_seed(self) -> int | None:
    """The op seed of draws that are not fed."""
    return None

  # Application to the variables of a model.

  def apply_gradients(
    self,
    grads_and_vars: Sequence[tuple[Any, tf.Variable]],
    global_step: tf.Variable | None = None,
    name: str | None = None,
    return_true_params: bool = False,
  ) -> Any:
    """Adds one joint update of all variables to the current graph.

    Everything is computed from values before the step.

    Args:
      grads_and_vars: pairs; those whose gradient is None are left alone.
      global_step: incremented by one after the update, where given.
      name: name of the returned operation.
      return_true_params: also return the tensors of the parameters proper
        before the step. In attention mode variables hold the attended point.

    Returns:
      The update operation, or with `return_true_params` a pair of it and the
      list of true parameters.

    Raises:
      TypeError: if something is neither a gradient nor a variable, or is not
        float32.
      ValueError: if there is no gradient or one of another shape, a variable is
        given twice, or a shape is not fully defined.
    """
    pairs = self._checked_pairs(grads_and_vars)
    variables = [var for _, var in pairs]
    slot_variables, global_variables = self._slot_variables(variables)
    params = [var.read_value() for var in variables]
    states = [
      {key: slot.read_value() for key, slot in slots.items()}
      for slots in slot_variables
    ]
    global_state = [variable.read_value() for variable in global_variables]
    rule = self.unrolled_rule()
    weights = {k: v.read_value() for k, v in self.weights.items()}
    update = sparse.update(
      rule,
      weights,
      params,
      [grad for grad, _ in pairs],
      rule.from_slots(Slots(states, global_state), params),
    )
    new_slots = rule.to_slots(update.state, update.params)
    new_values = update.attended_params if self.use_attention else update.params
    assignments = list(zip(variables, new_values, strict=True))
    assignments += zip(global_variables, new_slots.global_state, strict=True)
    for slots, new_state in zip(
      slot_variables, new_slots.per_tensor, strict=True
    ):
      assignments += [(slots[key], new_state[key]) for key in slots]
    # All reads come before the first write: every new value is computed, and
    # every old one that is returned is copied, before anything is assigned.
    # Without a copy, what is read from a reference variable changes with it.
    true_params = []
    if return_true_params:
      true_params = [
        tf.raw_ops.DeepCopy(x=state.get("true_param", param))
        for state, param in zip(states, params, strict=True)
      ]
    with tf.control_dependencies(
      [value for _, value in assignments] + true_params
    ):
      writes = [var.assign(value).op for var, value in assignments]
    with tf.control_dependencies(writes):
      if global_step is None:
        update = tf.no_op(name or self.get_name())
      else:
        update = global_step.assign_add(
          1, read_value=False, name=name or self.get_name()
        )
        update = getattr(update, "op", update)
    return (update, true_params) if return_true_params else update

  def _checked_pairs(self, grads_and_vars):
    pairs = list(grads_and_vars)
    for grad, var in pairs:
      if grad is not None and not isinstance(
        grad, tf.Tensor | tf.IndexedSlices
      ):
        raise TypeError(
          f"The gradient of {var} is {grad!r}; a Tensor, IndexedSlices or None"
          " is accepted."
        )
      if not hasattr(var, "read_value"):
        raise TypeError(f"{var!r} is not a tf.Variable.")
      if var.dtype.base_dtype != tf.float32:
        raise TypeError(
          f"The variable {var.name} is {var.dtype.base_dtype.name}; float32 is"
          " accepted."
        )
      if grad is not None and grad.dtype != tf.float32:
        raise TypeError(
          f"The gradient of {var.name} is {grad.dtype.name}; float32 is"
          " accepted."
        )
      if isinstance(grad, tf.Tensor) and not grad.shape.is_compatible_with(
        var.shape
      ):
        raise ValueError(
          f"The gradient of {var.name} has shape {grad.shape}; that of the"
          f" variable, {var.shape}, is accepted."
        )
    pairs = [(grad, var) for grad, var in pairs if grad is not None]
    names = [var.name for _, var in pairs]
    for name in names:
      if names.count(name) > 1:
        raise ValueError(
          f"The variable {name} is given {names.count(name)} times; once is"
          " accepted."
        )
    if not pairs:
      raise ValueError("No variable has a gradient; at least one is needed.")
    return pairs

  def _slot_variables(self, variables):
    """The slots of each variable, and the global state; made at first use."""
    params = [initial_value(var) for var in variables]
    initial = self._initial_slots(params)
    per_variable = [
      {
        key: self._get_or_make_slot(var, value, key, f"{self.get_name()}_{key}")
        for key, value in sorted(slots.items())
      }
      for var, slots in zip(variables, initial.per_tensor, strict=True)
    ]
    graph = tf.compat.v1.get_default_graph()
    known = self._variables_with_slots.setdefault(graph, [])
    known += [v for v in variables if not any(v is k for k in known)]
    if graph not in self._global_state_variables:
      # The scope of a second optimizer in the graph is called `<name>_1`.
      with tf.compat.v1.variable_scope(None, default_name=self.get_name()):
        self._global_state_variables[graph] = [
          tf.compat.v1.get_variable(
            "global_state" + (f"_{i}" if i else ""),
            initializer=value,
            trainable=False,
            use_resource=True,
          )
          for i, value in enumerate(initial.global_state)
        ]
    return per_variable, self._global_state_variables[graph]

  def renew_state(self, session: tf.compat.v1.Session) -> None:
    """Initialises slots and global state, which depend on weights and model.

    Args:
      session: the session, in which weights and model have their values.
    """
    graph = session.graph
    with graph.as_default():
      state = [*self.variables(), *self._global_state_variables.get(graph, [])]
    session.run([variable.initializer for variable in state])
    # The initial values of reference variables are drawn again, see
    # `initial_value`; where a slot copies the variable, that is another value.
    if "true_param" not in self.get_slot_names():
      return
    references = [
      variable
      for variable in self._variables_with_slots.get(graph, [])
      if not hasattr(variable, "handle")
    ]
    copies = [self.get_slot(variable, "true_param") for variable in references]
    set_variables(session, copies, session.run(references))

  def _initial_slots(self, params: list[tf.Tensor]) -> Slots:
    """Initial slots of new variables with these initial values."""
    return Slots(
      [self._initialize_state(param) for param in params],
      self._initialize_global_state(),
    )


def initial_value(variable):
  """The variable's value, or its initial value before it has one.

  Initial values of slots that are built from this work in whatever order
  variables are initialised. Of reference variables it is the initial value,
  because a graph reads those before it knows which branch of a cond it takes.
  """
  if not hasattr(variable, "handle"):
    return tf.identity(variable.initial_value)
  return tf.cond(
    tf.compat.v1.is_variable_initialized(variable),
    variable.read_value,
    lambda: tf.identity(variable.initial_value),
  )

"""TF1 optimizers whose mathematics is a rule."""

import inspect

import tensorflow as tf

from learned_optimizer.generators import TensorGenerator
from learned_optimizer.optimizer.rule import Rule, Slots, draw_weights
from learned_optimizer.optimizer.trainable_optimizer import (
  TrainableOptimizer,
  initial_value,
)
from learned_optimizer.optimizer.variables import load_variables


class RuleOptimizer(TrainableOptimizer):
  """A TF1 optimizer around a `Rule`; holds its weights as variables.

  Two of them with the same settings in one graph share their weights.
  """

  def __init__(
    self,
    rule_class: type[Rule],
    *,
    random_seed: int | None = None,
    checkpoint: str | None = None,
    **settings,
  ):
    """Builds the rule and its variables.

    Args:
      rule_class: the rule.
      random_seed: op seed of initial values; None leaves them unseeded.
      checkpoint: a path as `restore` takes it, whose values are the initial
        ones. No initialisation, explicit or automatic, can then overwrite
        them.
      **settings: settings of the rule, of `TrainableOptimizer` or of both;
        others are ignored.

    Raises:
      ValueError: a setting is out of range, or the checkpoint cannot be used.
    """
    accepted = inspect.signature(rule_class).parameters
    self.rule = rule_class(
      **{k: v for k, v in settings.items() if k in accepted}
    )
    super().__init__(self.rule.name, self.rule.slot_keys(), **settings)
    self._random_seed = random_seed
    self.weights = self._make_weights(checkpoint)

  def _make_weights(self, checkpoint) -> dict[str, tf.Variable]:
    v1 = tf.compat.v1
    if checkpoint is None:
      generator = TensorGenerator(self._random_seed)
      values = draw_weights(self.rule.weight_specs(), generator)
    else:
      values = self.read_weights(checkpoint)
    with v1.variable_scope(v1.get_variable_scope(), reuse=v1.AUTO_REUSE):
      return {
        name: v1.get_variable(
          name,
          # A tensor of its own, even where it is a copy of another's value.
          initializer=tf.identity(tf.cast(value, tf.float32)),
          use_resource=True,
        )
        for name, value in values.items()
      }

  def _weight_shapes(self):
    return {k: spec.shape for k, spec in self.rule.weight_specs().items()}

  def restore(self, session: tf.compat.v1.Session, path: str) -> None:
    """Restores the weights, then renews all slots, which depend on them.

    Args:
      session: the session, in which the model's variables have their values.
      path: a TF1 checkpoint's prefix, or a folder of checkpoints such as that
        of a run of metarun, whose best or last one it then is.

    Raises:
      ValueError: there is no checkpoint, or it is damaged or does not fit.
    """
    values = self.read_weights(path)
    load_variables(session, list(self.weights.values()), values)
    self.renew_state(session)

  def initial_weights(self, seed: int):
    return self.rule.init_weights(seed)

  def _weight_values(self):
    return {name: var.read_value() for name, var in self.weights.items()}

  def _draw_seed(self):
    return self._random_seed

  def unrolled_rule(self) -> Rule:
    overridden = self._overrides(
      "_initialize_state",
      "_initialize_global_state",
      "_compute_update",
      "_compute_updates",
    )
    return super().unrolled_rule() if overridden else self.rule

  def _overrides(self, *methods: str) -> bool:
    """Whether a subclass has any of these methods of its own."""
    return any(
      getattr(type(self), method) is not getattr(RuleOptimizer, method)
      for method in methods
    )

  def _initialize_state(self, var):
    return self._fresh_slots([var]).per_tensor[0]

  def _initialize_global_state(self):
    return self._fresh_slots([tf.zeros([1])]).global_state

  def _initial_slots(self, params):
    if self._overrides("_initialize_state", "_initialize_global_state"):
      return super()._initial_slots(params)
    return self._fresh_slots(params)

  def _compute_update(self, param, grad, state):
    global_state = self._initialize_global_state()
    params, states, _, _ = self._apply_rule(
      [param], [grad], [state], global_state
    )
    return params[0], states[0]

  def _compute_updates(self, params, grads, states, global_state):
    if self._overrides("_compute_update"):
      return super()._compute_updates(params, grads, states, global_state)
    return self._apply_rule(params, grads, states, global_state)

  def _apply_rule(self, params, grads, states, global_state):
    state = self.rule.from_slots(Slots(states, global_state), params)
    update = self.rule.update(self._weight_values(), params, grads, state)
    slots = self.rule.to_slots(update.state, update.params)
    return (
      update.params,
      slots.per_tensor,
      slots.global_state,
      update.attended_params,
    )

  def _fresh_slots(self, params) -> Slots:
    weights = {name: initial_value(v) for name, v in self.weights.items()}
    draws = self.rule.draws(params, TensorGenerator(self._random_seed))
    return self.rule.to_slots(
      self.rule.init_state(weights, params, draws), params
    )

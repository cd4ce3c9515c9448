"""A Keras 3 optimizer around an update rule."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from learned_optimizer.compat import arguments, rule_variables
from learned_optimizer.compat.joint_update import Held, JointUpdate, Target
from learned_optimizer.compat.keras import hooks
from learned_optimizer.compat.keras.replica_step import ReplicaStep
from learned_optimizer.optimizer.rule import Rule

hooks.check()


class LearnedOptimizer(keras.optimizers.Optimizer):
  """An optimizer whose update is a learned rule; one class for each rule.

  All tensors that have a gradient are updated jointly. Each step sums the
  gradients over replicas, accumulates them if asked to, clips, decays weights,
  applies the rule and updates moving averages. All this is within one update
  of the distribution strategy, so that accumulation and moving averages work
  under `MirroredStrategy`, and clipping is of the summed gradient.

  The state of the rule is a few flat variables over all tensors. It and the
  learned weights are variables of the optimizer, so that whatever saves the
  optimizer saves them, and training goes on exactly where it stopped.

  As for every optimizer of Keras, model and optimizer are made in the scope of
  the same strategy, or both outside of any.

  Tensors without a gradient stay as they are, state included, as if the model
  did not have them.

  A rule that attends (`use_attention=True`) takes gradients beside the
  parameters: while `fit` runs, the model's variables hold the attended point,
  which is also what validation and callbacks see. At its end they are set to
  the parameters proper; in a loop of one's own this is done by
  `finalize_variable_values(model.trainable_variables)`. The next `fit` goes on
  from the parameters that the optimizer keeps: its first gradient is taken at
  the parameters themselves, and values that were given to the model's
  variables meanwhile are overwritten by its first step.
  """

  # The name of the rule in `learned_optimizer.optimizer.settings`.
  _rule_name: str

  def __init__(
    self,
    *,
    learning_rate: Any = 1.0,
    weights: Mapping[str, Any] | str | None = None,
    seed: int | None = None,
    weight_decay: float | None = None,
    clipnorm: float | None = None,
    clipvalue: float | None = None,
    global_clipnorm: float | None = None,
    use_ema: bool = False,
    ema_momentum: float = 0.99,
    ema_overwrite_frequency: int | None = None,
    loss_scale_factor: float | None = None,
    gradient_accumulation_steps: int | None = None,
    name: str | None = None,
    **settings,
  ):
    """Builds the rule.

    Args:
      learning_rate: what the rule's steps are multiplied by: a number, a
        schedule of Keras, or a function without arguments. At 1 the steps are
        the rule's own, which decides on its learning rates itself.
      weights: the learned weights by checkpoint name, or the text that
        `get_config` has for them. None draws those of an optimizer that has
        learned nothing; `learned_optimizer.load` gives trained ones.
      seed: of initial state, and of weights that are drawn. None takes one
        from Python's generator, which `keras.utils.set_random_seed` seeds.
      weight_decay: as in Keras: before each step, each parameter is multiplied
        by 1 minus this times `learning_rate`.
      clipnorm: as in Keras.
      clipvalue: as in Keras.
      global_clipnorm: as in Keras.
      use_ema: as in Keras.
      ema_momentum: as in Keras.
      ema_overwrite_frequency: as in Keras.
      loss_scale_factor: as in Keras.
      gradient_accumulation_steps: as in Keras.
      name: as in Keras.
      **settings: settings of the rule.

    Raises:
      ValueError: an argument is not accepted.
    """
    of_keras = {
      "weight_decay": weight_decay,
      "clipnorm": clipnorm,
      "clipvalue": clipvalue,
      "global_clipnorm": global_clipnorm,
      "use_ema": use_ema,
      "ema_momentum": ema_momentum,
      "ema_overwrite_frequency": ema_overwrite_frequency,
      "loss_scale_factor": loss_scale_factor,
      "gradient_accumulation_steps": gradient_accumulation_steps,
      "name": name,
    }
    learning_rate = arguments.checked_learning_rate(
      learning_rate,
      "Keras 3",
      keras.optimizers.schedules.LearningRateSchedule,
      takes_functions=True,
    )
    learned, seed = arguments.learned_rule(
      self._rule_name, settings, of_keras, weights, seed
    )
    super().__init__(learning_rate=learning_rate, **of_keras)
    self._learned = learned
    self._rule_variables = rule_variables.RuleVariables(learned, seed)
    self._joint = None
    self._loaded = None

  @property
  def rule(self) -> Rule:
    """The update rule."""
    return self._learned.rule

  @property
  def learned_weights(self) -> dict[str, np.ndarray]:
    """The learned weights by checkpoint name, float32."""
    return self._rule_variables.weight_values()

  def build(self, variables: Sequence[Any]) -> None:
    """Makes the optimizer's variables.

    Args:
      variables: the model's trainable variables.

    Raises:
      ValueError: one of them is no variable, not floating point or of another
        distribution strategy than the optimizer, or state that was loaded
        before does not fit them.
    """
    if self.built:
      return
    variables = list(variables)
    for variable in variables:
      if not isinstance(variable, keras.Variable | tf.Variable):
        raise ValueError(
          f"variables has {variable!r}; variables of Keras 3 or TensorFlow are"
          " accepted. The optimizers for tf_keras are in"
          " learned_optimizer.compat.tf_keras."
        )
    plain = _plain(variables)
    rule_variables.check_strategy(plain, self._iterations.value, self.name)
    # Also where a compiled first step is traced, variables are made at once.
    with tf.init_scope():
      # A model without trainable variables needs no state.
      self._joint = JointUpdate(self.rule, variables) if variables else None
      super().build(variables)
      if self._joint is not None:
        # Those of a model that its first step builds get their values after it.
        params = [
          tf.convert_to_tensor(v) if v.is_initialized() else tf.zeros(v.shape)
          for v in plain
        ]
        self._rule_variables.make(self._joint, params, self._add)
      if self._loaded is not None:
        loaded, self._loaded = self._loaded, None
        self.load_own_variables(loaded)

  def _add(self, value, name):
    return self.add_variable(
      shape=tuple(value.shape),
      initializer=lambda shape, dtype: tf.cast(value, dtype),
      dtype=tf.as_dtype(value.dtype).name,
      name=name,
    )

  # Steps.

  def _backend_apply_gradients(self, grads, trainable_variables):
    variables = _plain(trainable_variables)
    pairs = self._all_reduce_sum_gradients(
      list(zip(grads, variables, strict=True))
    )
    # Both are read where each replica reads its own.
    learning_rate = tf.convert_to_tensor(self.learning_rate)
    iterations = tf.convert_to_tensor(self._iterations)
    step = self._replica_step(trainable_variables)

    def update(strategy, grads, learning_rate, iterations):
      held = self._held()
      strategy.extended.update(
        held.params[0],
        lambda _, *args: step(*args),
        args=(held, grads, learning_rate, iterations),
        group=False,
      )

    tf.__internal__.distribute.interim.maybe_merge_call(
      update,
      self._distribution_strategy,
      [grad for grad, _ in pairs],
      learning_rate,
      iterations,
    )

  def _replica_step(self, variables):
    return ReplicaStep(
      joint=self._joint,
      targets=[self._target(variable) for variable in variables],
      clip=self._clip_gradients,
      num_batches=self.gradient_accumulation_steps,
      ema_momentum=self.ema_momentum if self.use_ema else None,
      ema_overwrite_frequency=self.ema_overwrite_frequency,
    )

  def _target(self, variable):
    index = self._get_variable_index(variable)
    variable = self._trainable_variables[index]
    (plain,) = _plain([variable])
    decay = self.weight_decay if self._use_weight_decay(plain) else None
    return Target(index, decay, variable.constraint)

  def update_step(
    self, gradient: Any, variable: Any, learning_rate: Any
  ) -> None:
    """One step of one variable alone, for code that calls this itself.

    Clipping, weight decay, accumulation and moving averages are not part of
    it. State that belongs to no single tensor sees this tensor alone.

    Args:
      gradient: its gradient.
      variable: one of those of `build`.
      learning_rate: what the rule's step is multiplied by.
    """
    held = self._held()
    target = self._target(variable)._replace(decay=None)
    grads, seen = self._joint.dense_gradients(
      [gradient], [held.params[target.index]]
    )
    self._joint.step(held, [target], grads, seen, learning_rate)

  def finalize_variable_values(self, var_list: Sequence[Any]) -> None:
    """Gives the model's variables the values that training ends with.

    These are the moving averages with `use_ema`, else the parameters proper.

    Args:
      var_list: the model's trainable variables.
    """
    if self._joint is None:
      return
    indices = [self._get_variable_index(variable) for variable in var_list]

    def finalize(_, held, iterations):
      self._joint.start(held, tf.equal(iterations, 0))
      self._joint.finalize(held, indices)

    held = self._held()
    self._distribution_strategy.extended.update(
      held.params[0], finalize, args=(held, self._iterations.value), group=False
    )

  def _held(self):
    averages = self._model_variables_moving_average if self.use_ema else []
    accumulators = (
      self._accumulated_gradients if self.gradient_accumulation_steps else []
    )
    return Held(
      *(
        _plain(variables)
        for variables in (
          self._trainable_variables,
          self._rule_variables.weights,
          self._rule_variables.state,
          averages,
          accumulators,
        )
      )
    )

  # Saving and loading.

  def load_own_variables(self, store: Mapping[str, Any]) -> None:
    """Sets the optimizer's variables.

    Before `build` it keeps the values, and `build` sets them.

    Args:
      store: what `save_own_variables` filled.

    Raises:
      ValueError: the values are not those of such an optimizer of such a model.
    """
    keys = store.keys()
    if not self.built:
      self._loaded = {key: np.asarray(store[key]) for key in keys}
      return
    rule_variables.check_saved(
      {key: np.shape(store[key]) for key in keys},
      [variable.shape for variable in self.variables],
      self.name,
      "other settings of learning_rate, use_ema or gradient_accumulation_steps",
    )
    super().load_own_variables(store)

  def get_config(self) -> dict[str, Any]:
    """Everything that another optimizer like this is made from, as JSON.

    The learned weights are part of it, so that a clone is as well trained.
    """
    return {**super().get_config(), **self._rule_variables.config()}

  def __repr__(self):
    name = type(self).__name__
    return (
      f"<{name} {self.name!r}, an optimizer for Keras 3; that for tf_keras is"
      f" learned_optimizer.compat.tf_keras.{name}>"
    )


def _plain(variables):
  """TensorFlow's variables in the place of those of Keras."""
  return [v.value if isinstance(v, keras.Variable) else v for v in variables]

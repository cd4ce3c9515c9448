"""A tf_keras optimizer around an update rule."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from learned_optimizer.compat import arguments, rule_variables
from learned_optimizer.compat.joint_update import Held, JointUpdate, Target
from learned_optimizer.optimizer.rule import Rule

# What is used of tf_keras beyond its public interface.
_HOOKS = (
  "_apply_weight_decay",
  "_build_learning_rate",
  "_clip_gradients",
  "_deduplicate_sparse_grad",
  "_distributed_apply_gradients_fn",
  "_serialize_hyperparameter",
  "_use_weight_decay",
  "_var_key",
)
_MISSING = [h for h in _HOOKS if not hasattr(tf_keras.optimizers.Optimizer, h)]
if _MISSING:
  raise ImportError(
    f"tf_keras {tf_keras.__version__} lacks {', '.join(_MISSING)} of its"
    " optimizers; learned_optimizer supports tf_keras 2.21."
  )


class LearnedOptimizer(tf_keras.optimizers.Optimizer):
  """An optimizer whose update is a learned rule; one class for each rule.

  The twin of `learned_optimizer.compat.keras.LearnedOptimizer` for legacy
  Keras: all tensors that have a gradient are updated jointly, with gradients
  that are summed over replicas and then clipped; what is said there of tensors
  without a gradient, of state and weights, and of rules that attend holds here.

  An optimizer that is made in the scope of a distribution strategy is for a
  model of that scope; one that is made outside of any goes with every model.
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
    name: str | None = None,
    **settings,
  ):
    """Builds the rule.

    Args:
      learning_rate: what the rule's steps are multiplied by: a number or a
        schedule of tf_keras. At 1 the steps are the rule's own, which decides
        on its learning rates itself.
      weights: the learned weights by checkpoint name, or the text that
        `get_config` has for them. None draws those of an optimizer that has
        learned nothing; `load` gives trained ones.
      seed: of initial state, and of weights that are drawn. None takes one
        from Python's generator, which `tf_keras.utils.set_random_seed` seeds.
      weight_decay: as in tf_keras: before each step, each parameter is
        multiplied by 1 minus this times `learning_rate`.
      clipnorm: as in tf_keras.
      clipvalue: as in tf_keras.
      global_clipnorm: as in tf_keras.
      use_ema: as in tf_keras.
      ema_momentum: as in tf_keras.
      ema_overwrite_frequency: as in tf_keras.
      name: as in tf_keras; None takes the name of the class.
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
      "name": name or type(self).__name__,
    }
    learning_rate = arguments.checked_learning_rate(
      learning_rate,
      "tf_keras",
      tf_keras.optimizers.schedules.LearningRateSchedule,
      takes_functions=False,
    )
    learned, seed = arguments.learned_rule(
      self._rule_name, settings, of_keras, weights, seed
    )
    # The step is compiled with all else by `model.compile(jit_compile=True)`.
    super().__init__(jit_compile=False, **of_keras)
    self._learning_rate = self._build_learning_rate(learning_rate)
    self._learned = learned
    self._rule_variables = rule_variables.RuleVariables(learned, seed)
    self._joint = None
    # Not tracked: these variables are the model's.
    self._param_variables = self._no_dependency([])
    self._loaded = None

  @property
  def rule(self) -> Rule:
    """The update rule."""
    return self._learned.rule

  @property
  def learned_weights(self) -> dict[str, np.ndarray]:
    """The learned weights by checkpoint name, float32."""
    return self._rule_variables.weight_values()

  def build(self, var_list: Sequence[tf.Variable]) -> None:
    """Makes the optimizer's variables.

    Args:
      var_list: the model's trainable variables.

    Raises:
      ValueError: one of them is no variable, not floating point or of another
        distribution strategy than the optimizer, or state that was loaded
        before does not fit them.
    """
    if getattr(self, "_built", False):
      return
    variables = list(var_list)
    for variable in variables:
      if not isinstance(variable, tf.Variable):
        raise ValueError(
          f"var_list has {variable!r}; variables of tf_keras or TensorFlow are"
          " accepted. The optimizers for Keras 3 are in"
          " learned_optimizer.compat.keras."
        )
    # Variables that no strategy distributes go with every model.
    if hasattr(self.iterations, "distribute_strategy"):
      rule_variables.check_strategy(variables, self.iterations, self.name)
    # That of the model, if the optimizer was made before.
    self._distribution_strategy = tf.distribute.get_strategy()
    # Also where a step is being traced, variables are made at once.
    with tf.init_scope():
      # A model without trainable variables needs no state.
      self._joint = JointUpdate(self.rule, variables) if variables else None
      super().build(variables)
      if self._joint is not None:
        params = [tf.convert_to_tensor(variable) for variable in variables]
        self._rule_variables.make(self._joint, params, self._add)
      self._param_variables.extend(variables)
      self._built = True
      if self._loaded is not None:
        loaded, self._loaded = self._loaded, None
        self.load_own_variables(loaded)

  def _add(self, value, name):
    return self.add_variable(
      shape=value.shape,
      dtype=value.dtype,
      initializer=lambda shape, dtype: value,
      name=name,
    )

  # Steps.

  def _clip_gradients(self, grads):
    # The slices of one row are added up first: its gradient is their sum.
    return super()._clip_gradients(self._deduplicate_sparse_grad(grads))

  def _apply_weight_decay(self, variables):
    # Part of the joint step: variables may hold an attended point.
    pass

  def _distributed_apply_gradients_fn(
    self, distribution, grads_and_vars, **kwargs
  ):
    grads, variables = zip(*grads_and_vars, strict=True)
    targets = [self._target(variable) for variable in variables]
    indices = [target.index for target in targets]

    def update(_, grads, held, learning_rate, iterations):
      params = [held.params[i] for i in indices]
      grads, seen = self._joint.dense_gradients(grads, params)
      self._joint.step(held, targets, grads, seen, learning_rate)
      if self.use_ema:
        # Averages start with the initial parameters, as those of tf_keras do.
        self._joint.update_averages(
          held,
          indices,
          self.ema_momentum,
          iterations,
          self.ema_overwrite_frequency,
        )

    held = self._held()
    distribution.extended.update(
      held.params[0],
      update,
      args=(list(grads), held, self.learning_rate, self.iterations),
      group=False,
    )
    return self.iterations.assign_add(1)

  def update_step(self, gradient: Any, variable: tf.Variable) -> None:
    """One step of one variable alone, for code that calls this itself.

    Clipping, weight decay and moving averages are not part of it. State that
    belongs to no single tensor sees this tensor alone.

    Args:
      gradient: its gradient.
      variable: one of those of `build`.
    """
    held = self._held()
    target = self._target(variable)._replace(decay=None)
    grads, seen = self._joint.dense_gradients(
      [gradient], [held.params[target.index]]
    )
    self._joint.step(held, [target], grads, seen, self.learning_rate)

  def finalize_variable_values(self, var_list: Sequence[tf.Variable]) -> None:
    """Gives the model's variables the values that training ends with.

    These are the moving averages with `use_ema`, else the parameters proper.

    Args:
      var_list: the model's trainable variables.
    """
    if self._joint is None:
      return
    indices = [self._index(variable) for variable in var_list]
    held = self._held()
    self._distribution_strategy.extended.update(
      held.params[0],
      lambda _, held: self._joint.finalize(held, indices),
      args=(held,),
      group=False,
    )

  def _index(self, variable):
    key = self._var_key(variable)
    if key not in self._index_dict:
      raise ValueError(
        f"The variable {variable.name} is not one of those that the optimizer"
        " was built with; build it with all trainable variables, or make a new"
        " optimizer."
      )
    return self._index_dict[key]

  def _target(self, variable):
    index = self._index(variable)
    variable = self._param_variables[index]
    decay = self.weight_decay if self._use_weight_decay(variable) else None
    return Target(index, decay, variable.constraint)

  def _held(self):
    averages = self._model_variables_moving_average if self.use_ema else []
    return Held(
      list(self._param_variables),
      self._rule_variables.weights,
      self._rule_variables.state,
      list(averages),
    )

  # Saving and loading.

  def set_weights(self, weights: Sequence[Any]) -> None:
    """Sets the optimizer's variables.

    Args:
      weights: their values, in the order of `variables`.

    Raises:
      ValueError: the values are not those of such an optimizer of such a model,
        or it has not been built yet.
    """
    if getattr(self, "_built", False):
      self._check_saved({str(i): value for i, value in enumerate(weights)})
    super().set_weights(weights)

  def load_own_variables(self, store: Mapping[str, Any]) -> None:
    """Sets the optimizer's variables.

    Before `build` it keeps the values, and `build` sets them.

    Args:
      store: what `save_own_variables` filled.

    Raises:
      ValueError: the values are not those of such an optimizer of such a model.
    """
    values = {key: np.asarray(value) for key, value in store.items()}
    if not getattr(self, "_built", False):
      self._loaded = self._no_dependency(values)
      return
    self._check_saved(values)
    super().load_own_variables(values)

  def _check_saved(self, values):
    rule_variables.check_saved(
      {key: np.shape(value) for key, value in values.items()},
      [variable.shape for variable in self.variables],
      self.name,
      "another setting of use_ema",
    )

  def _trackable_children(self, save_type="checkpoint", **kwargs):
    if save_type == "savedmodel":
      raise ValueError(
        f"A SavedModel does not keep the state of {self.name}: save the model"
        " as a .keras or .h5 file, or without its optimizer, by"
        " model.save(..., include_optimizer=False) or model.export(...)."
      )
    return super()._trackable_children(save_type, **kwargs)

  def get_config(self) -> dict[str, Any]:
    """Everything that another optimizer like this is made from, as JSON.

    The learned weights are part of it, so that a clone is as well trained.
    """
    config = super().get_config()
    # The rule's step is not compiled on its own.
    del config["jit_compile"]
    learning_rate = self._serialize_hyperparameter(self._learning_rate)
    if isinstance(learning_rate, np.floating):
      learning_rate = float(learning_rate)
    return {
      **config,
      **self._rule_variables.config(),
      "learning_rate": learning_rate,
    }

  @classmethod
  def from_config(
    cls, config: dict[str, Any], custom_objects: Any = None
  ) -> "LearnedOptimizer":
    """The optimizer with this configuration.

    Args:
      config: what `get_config` returned.
      custom_objects: as in tf_keras.
    """
    # tf_keras writes it for itself.
    config = {k: v for k, v in config.items() if k != "is_legacy_optimizer"}
    return super().from_config(config, custom_objects)

  def __repr__(self):
    name = type(self).__name__
    return (
      f"<{name} {self.name!r}, an optimizer for tf_keras; that for Keras 3 is"
      f" learned_optimizer.compat.keras.{name}>"
    )

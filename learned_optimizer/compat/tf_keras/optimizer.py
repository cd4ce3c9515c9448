"""A tf_keras optimizer around an update rule."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from learned_optimizer.compat import arguments, weights_text
from learned_optimizer.compat.joint_update import Held, JointUpdate
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
    # The step is compiled with all else by `model.compile(jit_compile=True)`.
    super().__init__(
      name=name or type(self).__name__,
      weight_decay=weight_decay,
      clipnorm=clipnorm,
      clipvalue=clipvalue,
      global_clipnorm=global_clipnorm,
      use_ema=use_ema,
      ema_momentum=ema_momentum,
      ema_overwrite_frequency=ema_overwrite_frequency,
      jit_compile=False,
    )
    learning_rate = arguments.plain_number(learning_rate)
    schedule = tf_keras.optimizers.schedules.LearningRateSchedule
    if not isinstance(learning_rate, float | schedule):
      raise ValueError(
        f"learning_rate is {learning_rate!r}; a number or a schedule of"
        " tf_keras is accepted."
      )
    self._seed = arguments.seed_or_drawn(seed)
    self._learned = arguments.learned_rule(
      self._rule_name, settings, weights, self._seed
    )
    self._learning_rate = self._build_learning_rate(learning_rate)
    self._joint = None
    # Tracked as the optimizer's variables already.
    self._param_variables = self._no_dependency([])
    self._weight_variables = self._no_dependency([])
    self._state_variables = self._no_dependency([])
    self._loaded = None

  @property
  def rule(self) -> Rule:
    """The update rule."""
    return self._learned.rule

  @property
  def learned_weights(self) -> dict[str, np.ndarray]:
    """The learned weights by checkpoint name, float32."""
    if not self._weight_variables:
      return dict(self._learned.weights)
    return {
      name: variable.numpy()
      for name, variable in zip(
        self._learned.weights, self._weight_variables, strict=True
      )
    }

  def build(self, var_list: Sequence[tf.Variable]) -> None:
    """Makes the optimizer's variables.

    Args:
      var_list: the model's trainable variables.

    Raises:
      ValueError: one of them is no variable or not floating point, or state
        that was loaded before does not fit them.
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
    # That of the model, if the optimizer was made before.
    self._distribution_strategy = tf.distribute.get_strategy()
    # Also where a step is being traced, variables are made at once.
    with tf.init_scope():
      # A model without trainable variables needs no state.
      joint = JointUpdate(self.rule, variables) if variables else None
      super().build(variables)
      if joint is not None:
        self._make_variables(joint, variables)
      self._built = True
      if self._loaded is not None:
        loaded, self._loaded = self._loaded, None
        self.load_own_variables(loaded)

  def _make_variables(self, joint, variables):
    weights = self._learned.weights
    params = [tf.convert_to_tensor(variable) for variable in variables]
    state = joint.fresh_state(weights, params, self._seed)
    self._joint = joint
    self._param_variables.extend(variables)
    self._weight_variables.extend(
      self._add(value, name.replace("/", "_"))
      for name, value in weights.items()
    )
    self._state_variables.extend(
      self._add(value, name) for name, value in state.items()
    )

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
    indices = [self._index(variable) for variable in variables]
    decays = self._decays(indices)
    constraints = self._constraints(indices)

    def update(_, grads, held, learning_rate, iterations):
      params = [held.params[i] for i in indices]
      grads, seen = self._joint.dense_gradients(grads, params)
      self._joint.step(
        held, indices, grads, seen, learning_rate, decays, constraints
      )
      if self.use_ema:
        self._average(held, indices, iterations)

    held = self._held()
    distribution.extended.update(
      held.params[0],
      update,
      args=(list(grads), held, self.learning_rate, self.iterations),
      group=False,
    )
    return self.iterations.assign_add(1)

  def _average(self, held, indices, iterations):
    """Updates moving averages, which start with the first parameters."""
    params = self._joint.parameters(held)
    for i in indices:
      average = held.averages[i]
      momentum = tf.cast(self.ema_momentum, average.dtype)
      average.assign(momentum * average + (1 - momentum) * params[i])
    if self.ema_overwrite_frequency:
      tf.cond(
        (iterations + 1) % self.ema_overwrite_frequency == 0,
        lambda: self._overwrite(held, indices),
        lambda: None,
      )

  def _overwrite(self, held, indices):
    self._joint.set_parameters(held, {i: held.averages[i] for i in indices})

  def update_step(self, gradient: Any, variable: tf.Variable) -> None:
    """One step of one variable alone, for code that calls this itself.

    Clipping, weight decay and moving averages are not part of it. State that
    belongs to no single tensor sees this tensor alone.

    Args:
      gradient: its gradient.
      variable: one of those of `build`.
    """
    held = self._held()
    index = self._index(variable)
    grads, seen = self._joint.dense_gradients([gradient], [held.params[index]])
    self._joint.step(
      held,
      [index],
      grads,
      seen,
      self.learning_rate,
      [None],
      self._constraints([index]),
    )

  def finalize_variable_values(self, var_list: Sequence[tf.Variable]) -> None:
    """Gives the model's variables the values that training ends with.

    These are the moving averages with `use_ema`, else the parameters proper.

    Args:
      var_list: the model's trainable variables.
    """
    if self._joint is None:
      return
    indices = [self._index(variable) for variable in var_list]

    def finalize(_, held):
      if self.use_ema:
        self._overwrite(held, indices)
      else:
        params = self._joint.parameters(held)
        self._joint.set_parameters(held, {i: params[i] for i in indices})

    held = self._held()
    self._distribution_strategy.extended.update(
      held.params[0], finalize, args=(held,), group=False
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

  def _decays(self, indices):
    variables = [self._param_variables[i] for i in indices]
    return [
      self.weight_decay if self._use_weight_decay(variable) else None
      for variable in variables
    ]

  def _constraints(self, indices):
    return [self._param_variables[i].constraint for i in indices]

  def _held(self):
    averages = self._model_variables_moving_average if self.use_ema else []
    return Held(
      list(self._param_variables),
      list(self._weight_variables),
      list(self._state_variables),
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
    self._check_shapes([tuple(np.shape(weight)) for weight in weights])
    super().set_weights(weights)

  def load_own_variables(self, store: Mapping[str, Any]) -> None:
    """Sets the optimizer's variables.

    Before `build` it keeps the values, and `build` sets them.

    Args:
      store: what `save_own_variables` filled.

    Raises:
      ValueError: the values are not those of such an optimizer of such a model.
    """
    if not getattr(self, "_built", False):
      loaded = {key: np.asarray(value) for key, value in store.items()}
      self._loaded = self._no_dependency(loaded)
      return
    keys = sorted(store.keys(), key=int)
    self._check_shapes([tuple(np.shape(store[key])) for key in keys])
    super().load_own_variables(store)

  def _check_shapes(self, saved):
    shapes = [tuple(variable.shape) for variable in self.variables]
    if getattr(self, "_built", False) and saved != shapes:
      raise ValueError(
        f"The saved optimizer has {len(saved)} variables that are not those of"
        f" {self.name}, which has {len(shapes)}: it was another optimizer, or"
        " one of a model with other trainable variables, or with another"
        " setting of use_ema. To load a model's weights alone, load them before"
        " compile."
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
    return {
      **config,
      **arguments.settings_of(self._learned),
      "learning_rate": arguments.plain_number(learning_rate),
      "seed": self._seed,
      "weights": weights_text.encode(self.learned_weights, self.rule),
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

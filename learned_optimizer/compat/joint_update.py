"""One step of a rule on all variables of a Keras optimizer at once.

What does not depend on the version of Keras: the state of a rule in a few
variables, and the step that reads them, calls the rule and writes them.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from learned_optimizer.compat.partial_state import Part, leaf_kinds
from learned_optimizer.optimizer import sparse
from learned_optimizer.optimizer.layout import Layout
from learned_optimizer.optimizer.rule import Rule

# The row of a state that holds the parameters of a rule that attends elsewhere.
_TRUE_PARAM = "true_param"


class Held(NamedTuple):
  """The variables that a step reads and writes; one device's copies of them.

  Attributes:
    params: the model's variables, in the order of `build`.
    weights: the learned weights, in the order of `Rule.weight_specs`.
    state: the leaves of the rule's state, in the order of their names.
    averages: moving averages of the parameters, or None; empty without them.
    accumulators: sums of gradients, or None; empty without them.
  """

  params: Sequence[tf.Variable]
  weights: Sequence[tf.Variable]
  state: Sequence[tf.Variable]
  averages: Sequence[tf.Variable | None] = ()
  accumulators: Sequence[tf.Variable | None] = ()


class Target(NamedTuple):
  """A variable that a step moves.

  Attributes:
    index: which of `Held.params`.
    decay: its weight decay: the parameter is multiplied by 1 minus this times
      the learning rate before the step. None leaves it.
    constraint: a function of the parameter that is applied after the step, or
      None. Only used for a rule that attends elsewhere, since Keras applies it
      to the variable.
  """

  index: int
  decay: float | None
  constraint: Callable[[tf.Tensor], tf.Tensor] | None


class JointUpdate:
  """The steps of one rule on the variables of one model."""

  def __init__(self, rule: Rule, variables: Sequence[Any]):
    """Lays the variables out.

    Args:
      rule: the rule.
      variables: the model's variables, of which shape and dtype matter.

    Raises:
      ValueError: a variable is not floating point, or a dimension is unknown.
    """
    self._rule = rule
    dtypes = [tf.as_dtype(variable.dtype) for variable in variables]
    for variable, dtype in zip(variables, dtypes, strict=True):
      if not dtype.is_floating:
        raise ValueError(
          f"The variable {variable.name} is {dtype.name}; floating point is"
          " accepted."
        )
    # Half precision is too coarse for running means and learning rates.
    only_doubles = all(dtype == tf.float64 for dtype in dtypes)
    self._dtype = tf.float64 if only_doubles else tf.float32
    self._layout = Layout([tuple(variable.shape) for variable in variables])
    self._kinds = leaf_kinds(rule)
    self._attends = _TRUE_PARAM in self._kinds

  def fresh_state(
    self, weights: Mapping[str, Any], params: Sequence[Any], seed: int
  ) -> dict[str, tf.Tensor]:
    """A fresh state by name, in the order of `Held.state`.

    Args:
      weights: the learned weights.
      params: the model's parameters.
      seed: of the random numbers that the state needs.
    """
    params = [tf.cast(param, self._dtype) for param in params]
    weights = {k: tf.cast(value, self._dtype) for k, value in weights.items()}
    draws = self._rule.draws(params, np.random.default_rng(seed))
    state = self._rule.init_state(weights, params, draws)
    return {name: state[name] for name in self._kinds}

  def dense_gradients(
    self, grads: Sequence[sparse.Gradient], params: Sequence[tf.Variable]
  ) -> tuple[list[tf.Tensor], list[tf.Tensor | None]]:
    """Gradients as `step` takes them.

    Args:
      grads: gradients, slices among them.
      params: their variables.

    Returns:
      The dense gradients in the type of the computation, and for each which
      rows it has: None where the rule moves all rows.

    Raises:
      ValueError: a gradient has another shape than its variable.
    """
    dense, seen = [], []
    for grad, param in zip(grads, params, strict=True):
      if not grad.shape.is_compatible_with(param.shape):
        raise ValueError(
          f"The gradient of {param.name} has shape {grad.shape}; that of the"
          f" variable, {param.shape}, is accepted."
        )
      dense.append(tf.cast(sparse.densify(grad, param), self._dtype))
      rows = None
      if isinstance(grad, tf.IndexedSlices) and self._rule.keeps_unseen_rows:
        counts = tf.math.unsorted_segment_sum(
          tf.ones_like(grad.indices), grad.indices, param.shape[0]
        )
        rows = counts > 0
      seen.append(rows)
    return dense, seen

  def seen_in_sums(
    self, seen: Sequence[tf.Tensor | None], sums: Sequence[tf.Tensor]
  ) -> list[tf.Tensor | None]:
    """Which rows sums of gradients have, those of the last ones included.

    Args:
      seen: the rows of the last gradients, from `dense_gradients`.
      sums: the sums. What adds up to exactly zero counts as absent.
    """
    return [
      rows
      if rows is None
      else rows | tf.reduce_any(tf.not_equal(total, 0), range(1, total.ndim))
      for rows, total in zip(seen, sums, strict=True)
    ]

  def start(self, held: Held, is_first: tf.Tensor) -> None:
    """Keeps the parameters that variables hold before the first step.

    A rule that attends elsewhere keeps its parameters beside the variables,
    which may have had no values yet when the state was made.

    Args:
      held: all variables.
      is_first: whether there was no step yet, a boolean scalar.
    """
    if self._attends:
      params = [tf.cast(param, self._dtype) for param in held.params]
      kept = self._true_params(held)
      kept.assign(tf.where(is_first, self._layout.flatten(params), kept))

  def step(
    self,
    held: Held,
    targets: Sequence[Target],
    grads: Sequence[tf.Tensor],
    seen: Sequence[tf.Tensor | None],
    learning_rate: tf.Tensor | float,
  ) -> None:
    """One step of the variables that have gradients.

    The others and their state stay as they are, as if they did not exist: a
    mean over all tensors is one over those that have gradients.

    Args:
      held: all variables.
      targets: those that have gradients; each occurs once.
      grads: their gradients, dense.
      seen: which rows they have, as `dense_gradients` returns it.
      learning_rate: a scalar; the rule's steps are multiplied by it.
    """
    order = sorted(range(len(targets)), key=lambda i: targets[i].index)
    targets, grads, seen = (
      [values[i] for i in order] for values in (targets, grads, seen)
    )
    indices = [target.index for target in targets]
    part = Part(self._kinds, self._layout, indices)
    whole_state = self._named(held.state)
    state = part.select(whole_state)
    rate = tf.cast(learning_rate, self._dtype)

    params = self._decayed(held, targets, rate)
    if self._attends:
      state[_TRUE_PARAM] = part.layout.flatten(params)
    grads = [
      grad if rows is None else _slices(grad, rows)
      for grad, rows in zip(grads, seen, strict=True)
    ]
    update = sparse.update(
      self._rule, self._weights(held), params, grads, state
    )
    new_params, values = self._moved(params, update, targets, rate)
    new_state = dict(update.state)
    if self._attends:
      new_state[_TRUE_PARAM] = part.layout.flatten(new_params)
    new_state = part.merge(whole_state, new_state)
    for i, value in zip(indices, values, strict=True):
      held.params[i].assign(tf.cast(value, held.params[i].dtype))
    for variable, name in zip(held.state, self._kinds, strict=True):
      variable.assign(new_state[name])

  def update_averages(
    self,
    held: Held,
    indices: Sequence[int],
    momentum: tf.Tensor | float,
    iterations: tf.Tensor,
    overwrite_frequency: int | None,
  ) -> None:
    """Updates moving averages of the parameters.

    Args:
      held: all variables.
      indices: which parameters' averages.
      momentum: a scalar; the weight of the old averages.
      iterations: how many steps there were before this one, an integer scalar.
      overwrite_frequency: after so many steps the parameters become their
        averages; None for never.
    """
    params = self._parameters(held)
    for i in indices:
      average = held.averages[i]
      if average is not None:
        share = tf.cast(momentum, average.dtype)
        average.assign(share * average + (1 - share) * params[i])
    if overwrite_frequency:
      tf.cond(
        (iterations + 1) % overwrite_frequency == 0,
        lambda: self._set_to_averages(held, indices),
        lambda: None,
      )

  def finalize(self, held: Held, indices: Sequence[int]) -> None:
    """Gives variables the values that training ends with.

    These are the moving averages if there are some, else the parameters.

    Args:
      held: all variables.
      indices: which of `held.params`.
    """
    if held.averages:
      self._set_to_averages(held, indices)
    else:
      params = self._parameters(held)
      self._set_parameters(held, {i: params[i] for i in indices})

  def _parameters(self, held):
    """The parameters proper, in the types of their variables."""
    return [
      tf.cast(value, variable.dtype)
      for value, variable in zip(self._truths(held), held.params, strict=True)
    ]

  def _set_to_averages(self, held, indices):
    averages = {i: held.averages[i] for i in indices}
    self._set_parameters(
      held, {i: a for i, a in averages.items() if a is not None}
    )

  def _set_parameters(self, held, values):
    """Sets parameters by index, and what the rule keeps of them."""
    for i, value in values.items():
      held.params[i].assign(tf.cast(value, held.params[i].dtype))
    if self._attends:
      truths = self._truths(held)
      for i, value in values.items():
        truths[i] = tf.cast(value, self._dtype)
      self._true_params(held).assign(self._layout.flatten(truths))

  def _truths(self, held):
    """The parameters proper: variables, unless these are attended points."""
    if self._attends:
      return self._layout.unflatten(self._true_params(held))
    return list(held.params)

  def _true_params(self, held):
    """The variable with the parameters of a rule that attends elsewhere."""
    return held.state[list(self._kinds).index(_TRUE_PARAM)]

  def _decayed(self, held, targets, rate):
    """The parameters that a step starts from, after weight decay."""
    truths = self._truths(held)
    params = [tf.cast(truths[target.index], self._dtype) for target in targets]
    return [
      param if target.decay is None else param - param * (target.decay * rate)
      for param, target in zip(params, targets, strict=True)
    ]

  def _moved(self, params, update, targets, rate):
    """The parameters after a step, and what the variables become."""
    new_params = [
      param - rate * step
      for param, step in zip(params, update.steps, strict=True)
    ]
    if not self._attends:
      return new_params, new_params
    new_params = [
      param if target.constraint is None else target.constraint(param)
      for param, target in zip(new_params, targets, strict=True)
    ]
    attended = [
      param - rate * (param - attended)
      for param, attended in zip(params, update.attended_params, strict=True)
    ]
    return new_params, attended

  def _weights(self, held):
    names = self._rule.weight_specs()
    return {
      name: tf.cast(weight, self._dtype)
      for name, weight in zip(names, held.weights, strict=True)
    }

  def _named(self, leaves):
    return {
      name: tf.convert_to_tensor(leaf)
      for name, leaf in zip(self._kinds, leaves, strict=True)
    }


def _slices(grad, seen):
  """A dense gradient as slices; those of unseen rows stand for no row."""
  rows = tf.range(grad.shape[0])
  return tf.IndexedSlices(grad, tf.where(seen, rows, -1))

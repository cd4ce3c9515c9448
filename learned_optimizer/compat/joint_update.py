"""One step of a rule on all variables of a Keras optimizer at once.

What does not depend on the version of Keras: the state of a rule in a few
variables, and the step that reads them, calls the rule and writes them.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

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
    self.rule = rule
    dtypes = [tf.as_dtype(variable.dtype) for variable in variables]
    for variable, dtype in zip(variables, dtypes, strict=True):
      if not dtype.is_floating:
        raise ValueError(
          f"The variable {variable.name} is {dtype.name}; floating point is"
          " accepted."
        )
    # Half precision is too coarse for running means and learning rates.
    only_doubles = all(dtype == tf.float64 for dtype in dtypes)
    self.dtype = tf.float64 if only_doubles else tf.float32
    self.layout = Layout([tuple(variable.shape) for variable in variables])
    self._kinds = _leaf_kinds(rule)

  def fresh_state(
    self, weights: Mapping[str, Any], params: Sequence[Any], seed: int
  ) -> dict[str, tf.Tensor]:
    """A fresh state by name, in the order of `Held.state`.

    Args:
      weights: the learned weights.
      params: the model's parameters.
      seed: of the random numbers that the state needs.
    """
    params = [tf.cast(param, self.dtype) for param in params]
    weights = {k: tf.cast(value, self.dtype) for k, value in weights.items()}
    draws = self.rule.draws(params, np.random.default_rng(seed))
    state = self.rule.init_state(weights, params, draws)
    return {name: state[name] for name in sorted(state)}

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
      dense.append(tf.cast(sparse.densify(grad, param), self.dtype))
      rows = None
      if isinstance(grad, tf.IndexedSlices) and self.rule.keeps_unseen_rows:
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

  def step(
    self,
    held: Held,
    indices: Sequence[int],
    grads: Sequence[tf.Tensor],
    seen: Sequence[tf.Tensor | None],
    learning_rate: tf.Tensor | float,
    decays: Sequence[float | None],
    constraints: Sequence[Callable[[tf.Tensor], tf.Tensor] | None],
  ) -> None:
    """One step of the variables that have gradients.

    The others and their state stay as they are, as if they did not exist: a
    mean over all tensors is one over those that have gradients.

    Args:
      held: all variables.
      indices: which of `held.params` have gradients; each occurs once.
      grads: their gradients, dense.
      seen: which rows they have, as `dense_gradients` returns it.
      learning_rate: a scalar; the rule's steps are multiplied by it.
      decays: the weight decay of each. The parameter is multiplied by 1 minus
        this times `learning_rate` before the step; None leaves it.
      constraints: for each a function that is applied to the parameter after
        the step, or None. Only used for a rule that attends elsewhere, whose
        variables are not its parameters.
    """
    order = sorted(range(len(indices)), key=indices.__getitem__)
    indices, grads, seen, decays, constraints = (
      [values[i] for i in order]
      for values in (indices, grads, seen, decays, constraints)
    )
    layout = self.layout
    if len(indices) < len(layout.sizes):
      layout = Layout([layout.shapes[i] for i in indices])
    whole = self._named(held.state)
    state = self._select(whole, indices, layout)
    variables = [held.params[i] for i in indices]
    rate = tf.cast(learning_rate, self.dtype)

    truths = [tf.cast(variable, self.dtype) for variable in variables]
    attends = _TRUE_PARAM in state
    if attends:
      truths = layout.unflatten(state[_TRUE_PARAM])
    truths = [
      truth if decay is None else truth - truth * (decay * rate)
      for truth, decay in zip(truths, decays, strict=True)
    ]
    if attends:
      state[_TRUE_PARAM] = layout.flatten(truths)
    update = sparse.update(
      self.rule,
      {
        name: tf.cast(weight, self.dtype)
        for name, weight in zip(
          self.rule.weight_specs(), held.weights, strict=True
        )
      },
      truths,
      [
        grad if rows is None else _slices(grad, rows)
        for grad, rows in zip(grads, seen, strict=True)
      ],
      state,
    )
    values = [
      truth - rate * step
      for truth, step in zip(truths, update.steps, strict=True)
    ]
    new_state = dict(update.state)
    if attends:
      new_params = [
        value if constraint is None else constraint(value)
        for value, constraint in zip(values, constraints, strict=True)
      ]
      new_state[_TRUE_PARAM] = layout.flatten(new_params)
      values = [
        truth - rate * (truth - attended)
        for truth, attended in zip(truths, update.attended_params, strict=True)
      ]
    merged = self._merge(whole, new_state, indices, layout)
    for variable, value in zip(variables, values, strict=True):
      variable.assign(tf.cast(value, variable.dtype))
    for variable, name in zip(held.state, sorted(merged), strict=True):
      variable.assign(merged[name])

  def start(self, held: Held, is_first: tf.Tensor) -> None:
    """Keeps the parameters that variables hold before the first step.

    A rule that attends elsewhere keeps its parameters beside the variables,
    which may have had no values yet when the state was made.

    Args:
      held: all variables.
      is_first: whether there was no step yet, a boolean scalar.
    """
    state = self._named(held.state)
    if _TRUE_PARAM in state:
      params = [tf.cast(param, self.dtype) for param in held.params]
      held.state[sorted(state).index(_TRUE_PARAM)].assign(
        tf.where(is_first, self.layout.flatten(params), state[_TRUE_PARAM])
      )

  def parameters(self, held: Held) -> list[tf.Tensor]:
    """The parameters proper: variables, unless these are attended points."""
    return [
      tf.cast(value, variable.dtype)
      for value, variable in zip(self._truths(held), held.params, strict=True)
    ]

  def set_parameters(self, held: Held, values: Mapping[int, tf.Tensor]) -> None:
    """Sets parameters by index, and what the rule keeps of them."""
    for i, value in values.items():
      held.params[i].assign(tf.cast(value, held.params[i].dtype))
    state = self._named(held.state)
    if _TRUE_PARAM in state:
      truths = self._truths(held)
      for i, value in values.items():
        truths[i] = tf.cast(value, self.dtype)
      held.state[sorted(state).index(_TRUE_PARAM)].assign(
        self.layout.flatten(truths)
      )

  def _truths(self, held):
    state = self._named(held.state)
    if _TRUE_PARAM in state:
      return self.layout.unflatten(state[_TRUE_PARAM])
    return list(held.params)

  def _named(self, leaves):
    return {
      name: tf.convert_to_tensor(leaf)
      for name, leaf in zip(sorted(self._kinds), leaves, strict=True)
    }

  def _select(self, state, indices, layout):
    """The state of these tensors alone, whose layout is given."""
    if layout is self.layout:
      return dict(state)
    return {
      name: leaf
      if self._kinds[name] == "problem"
      else self._join(
        name, [self._cut(name, leaf, self.layout)[i] for i in indices], layout
      )
      for name, leaf in state.items()
    }

  def _merge(self, whole, part, indices, layout):
    """The whole state with that of these tensors replaced."""
    if layout is self.layout:
      return part
    merged = dict(part)
    for name, leaf in whole.items():
      if self._kinds[name] != "problem":
        blocks = self._cut(name, leaf, self.layout)
        new = self._cut(name, part[name], layout)
        for i, block in zip(indices, new, strict=True):
          blocks[i] = block
        merged[name] = self._join(name, blocks, self.layout)
    return merged

  def _cut(self, name, leaf, layout):
    """The columns of a leaf, one block per tensor."""
    if self._kinds[name] == "coordinates":
      return layout.split(leaf)
    return tf.split(leaf, len(layout.sizes), axis=-1)

  def _join(self, name, blocks, layout):
    """The inverse of `_cut`."""
    if self._kinds[name] == "coordinates":
      return layout.join(blocks)
    return tf.concat(blocks, axis=-1)


def _leaf_kinds(rule):
  """What the columns of each leaf of a state stand for, by name.

  Asks for the states of two models, whose numbers of coordinates, of tensors
  and of problems no leaf can have both at once by chance.
  """
  models = [[2, 3], [4, 6, 7]]
  counts = {
    tuple(sum(sizes) for sizes in models): "coordinates",
    tuple(len(sizes) for sizes in models): "tensors",
  }
  weights = rule.init_weights(0)
  states = []
  for sizes in models:
    params = [tf.zeros([size]) for size in sizes]
    draws = rule.draws(params, np.random.default_rng(0))
    states.append(rule.init_state(weights, params, draws))
  return {
    name: counts.get(
      tuple(state[name].shape.as_list()[-1] for state in states), "problem"
    )
    for name in states[0]
  }


def _slices(grad, seen):
  """A dense gradient as slices; those of unseen rows stand for no row."""
  rows = tf.range(grad.shape[0])
  return tf.IndexedSlices(grad, tf.where(seen, rows, -1))

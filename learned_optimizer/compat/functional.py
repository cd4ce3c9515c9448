"""Learned optimizers as pure functions, for training loops of one's own.

>>> import tensorflow as tf
>>> from learned_optimizer.compat import functional
>>> from learned_optimizer.compat.learned_rule import LearnedRule
>>> rate = {"LOL/global_learning_rate": 0.25}
>>> optimizer = functional.Functional(
...   LearnedRule("GlobalLearningRate", {}, rate)
... )
>>> params = {"x": tf.constant([4.0])}
>>> state = optimizer.init(params, seed=0)
>>> for _ in range(3):
...   grads = {"x": 2.0 * params["x"]}
...   params, state = optimizer.update(grads, state, params)
>>> float(params["x"][0])
0.5
"""

import dataclasses
import functools
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from learned_optimizer.compat import arguments, sources
from learned_optimizer.compat.learned_rule import LearnedRule, check_weights
from learned_optimizer.compat.partial_state import (
  Part,
  leaf_kinds,
  state_specs,
)
from learned_optimizer.optimizer import sparse
from learned_optimizer.optimizer.layout import Layout
from learned_optimizer.optimizer.rule import Rule, State, Weights

# Any nest (dicts, lists, tuples) of tensors, variables or arrays.
Nest = Any


@dataclasses.dataclass(frozen=True)
class Functional:
  """A learned optimizer that holds no variables.

  Its functions have no side effects. They work eagerly, in `tf.function`, also
  with `jit_compile=True`, in `tf.while_loop`, and in TF1 graphs, and gradients
  pass through them to weights, parameters, gradients and state.

  Attributes:
    learned: the update rule and its weights.
  """

  learned: LearnedRule

  def init(
    self, params: Nest, seed: int | None = None, weights: Weights | None = None
  ) -> State:
    """A fresh state.

    Args:
      params: the parameters, a nest of floating-point tensors of static shapes.
      seed: fixes the random numbers in the state, such as initial learning
        rates; None for other ones every time. They are drawn by NumPy, so that
        a `tf.function` draws them when it is traced.
      weights: the learned weights by checkpoint name, where they are not to be
        those of `learned`; for example to differentiate with respect to them.

    Returns:
      A nest of tensors, to be passed to `update`. Its layout is that of the
      rule and is no part of the interface. It is float32, or float64 if all
      parameters are.

    Raises:
      ValueError: a parameter, the seed or a weight is not accepted.
    """
    if seed is not None:
      arguments.check_seed(seed)
    tensors, dtype = _tensors(params)
    tensors = [tf.cast(tensor, dtype) for tensor in tensors]
    draws = self._rule.draws(tensors, np.random.default_rng(seed))
    return self._rule.init_state(self._weights(weights, dtype), tensors, draws)

  def update(
    self,
    grads: Nest,
    state: State,
    params: Nest,
    weights: Weights | None = None,
  ) -> tuple[Nest, State]:
    """One step.

    Args:
      grads: gradients of the objective at `params`, a nest of the same
        structure. Where there is None the parameter and its part of the state
        stay as they are, and the rule does not see them. `tf.IndexedSlices` are
        taken for the dense gradients that they stand for, except that some
        rules leave rows without a slice as they are.
      state: what `init` or the last `update` returned.
      params: the parameters that the last `update` returned.
      weights: as for `init`.

    Returns:
      The new parameters, in the structure and dtypes of `params`, and the new
      state. With `use_attention` these are the points at which to take the next
      gradient; `solution` has the parameters proper.

    Raises:
      ValueError: a parameter, a gradient or a weight is not accepted, all
        gradients are None, or the state is that of other parameters.
    """
    tensors, dtype = _tensors(params)
    gradients = _gradients(grads, params, tensors, dtype)
    self._check_state(state, tensors, dtype)
    there = [i for i, grad in enumerate(gradients) if grad is not None]
    part = Part(self._kinds, Layout.of(tensors), there)
    result = sparse.update(
      self._rule,
      self._weights(weights, dtype),
      [tf.cast(tensors[i], dtype) for i in there],
      [gradients[i] for i in there],
      part.select(state),
    )
    for i, moved in zip(there, result.attended_params, strict=True):
      tensors[i] = tf.cast(moved, tensors[i].dtype)
    state = part.merge(state, result.state)
    return tf.nest.pack_sequence_as(params, tensors), state

  def solution(self, state: State, params: Nest) -> Nest:
    """The parameters proper; those of `update` without `use_attention`.

    Args:
      state: what `init` or the last `update` returned.
      params: the parameters that belong to it.

    Raises:
      ValueError: a parameter is not accepted, or the state is that of others.
    """
    tensors, dtype = _tensors(params)
    self._check_state(state, tensors, dtype)
    whole = [tf.cast(tensor, dtype) for tensor in tensors]
    per_tensor = self._rule.to_slots(state, whole).per_tensor
    truths = [
      tf.cast(slots.get("true_param", tensor), tensor.dtype)
      for slots, tensor in zip(per_tensor, tensors, strict=True)
    ]
    return tf.nest.pack_sequence_as(params, truths)

  @property
  def _rule(self) -> Rule:
    return self.learned.rule

  def _weights(self, weights, dtype):
    if weights is None:
      weights = self.learned.weights
    else:
      check_weights(self._rule, weights)
    return {name: tf.cast(value, dtype) for name, value in weights.items()}

  def _check_state(self, state, tensors, dtype):
    """Raises ValueError unless the state can be that of these parameters."""
    key = (dtype, *(tuple(tensor.shape) for tensor in tensors))
    if key not in self._states:
      self._states[key] = state_specs(self._rule, key[1:], dtype)
    expected = self._states[key]
    try:
      tf.nest.assert_same_structure(expected, state)
      fits = all(
        spec.is_compatible_with(tf.TensorSpec(np.shape(leaf), leaf.dtype))
        for spec, leaf in zip(
          tf.nest.flatten(expected), tf.nest.flatten(state), strict=True
        )
      )
    except (AttributeError, TypeError, ValueError):
      fits = False
    if not fits:
      raise ValueError(
        "state does not belong to these params; what init or the last update"
        " returned for parameters of these shapes and dtypes is accepted."
      )

  @functools.cached_property
  def _kinds(self):
    return leaf_kinds(self._rule)

  @functools.cached_property
  def _states(self):
    """What states look like, by dtype and shapes of the parameters."""
    return {}


def load(source: str | os.PathLike, **settings) -> Functional:
  """The learned optimizer of a name or path, see `sources.read`.

  The seed is for `Functional.init`, and there is no learning rate.
  """
  return Functional(sources.read(source, **settings))


def _tensors(params: Nest) -> tuple[list[tf.Tensor], tf.DType]:
  """The parameters as a list, and the dtype to compute in."""
  tensors = []
  for i, param in enumerate(tf.nest.flatten(params)):
    try:
      tensors.append(tf.convert_to_tensor(param))
    except (TypeError, ValueError) as error:
      raise ValueError(
        f"params[{i}] is {param!r}; floating-point tensors are accepted."
      ) from error
  if not tensors:
    raise ValueError("params is empty; at least one tensor is needed.")
  for i, tensor in enumerate(tensors):
    if not tensor.dtype.is_floating:
      raise ValueError(
        f"params[{i}] is {tensor.dtype.name}; floating point is accepted."
      )
    if not tensor.shape.is_fully_defined():
      raise ValueError(
        f"params[{i}] has shape {tensor.shape}; every dimension must be known."
      )
  # Half precision is too coarse for running means and learning rates.
  only_doubles = all(tensor.dtype == tf.float64 for tensor in tensors)
  return tensors, tf.float64 if only_doubles else tf.float32


def _gradients(
  grads: Nest, params: Nest, tensors: Sequence[tf.Tensor], dtype: tf.DType
) -> list[sparse.Gradient | None]:
  """The gradients as a list, in this dtype."""
  try:
    tf.nest.assert_same_structure(params, grads)
  except (TypeError, ValueError) as error:
    raise ValueError(
      f"grads has another structure than params ({str(error).splitlines()[0]})."
    ) from error
  gradients = []
  for i, grad in enumerate(tf.nest.flatten(grads)):
    if grad is None:
      gradients.append(None)
      continue
    shape, expected = _row_shapes(grad, tensors[i])
    if not shape.is_compatible_with(expected):
      raise ValueError(
        f"grads[{i}] has shape {shape}; that of its parameter, {expected}, is"
        " accepted."
      )
    gradients.append(_cast(grad, dtype))
  if not any(grad is not None for grad in gradients):
    raise ValueError("grads are all None; at least one gradient is needed.")
  return gradients


def _row_shapes(grad, param):
  """The shapes of both; those of one row each where a gradient is sparse."""
  if isinstance(grad, tf.IndexedSlices):
    return grad.values.shape[1:], param.shape[1:]
  return tf.TensorShape(np.shape(grad)), param.shape


def _cast(grad: sparse.Gradient, dtype: tf.DType) -> sparse.Gradient:
  if isinstance(grad, tf.IndexedSlices):
    return tf.IndexedSlices(tf.cast(grad.values, dtype), grad.indices)
  return tf.cast(grad, dtype)

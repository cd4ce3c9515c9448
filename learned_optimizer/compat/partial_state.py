"""The state of a rule for some of the tensors that it was made for."""

from collections.abc import Mapping, Sequence

import tensorflow as tf

from learned_optimizer.generators import TensorGenerator
from learned_optimizer.optimizer.layout import Layout
from learned_optimizer.optimizer.rule import Rule, State


class Part:
  """Some tensors of a model, whose part of a state can be taken out and put in.

  Each leaf of a state is a matrix with one column per coordinate or one per
  tensor, or belongs to the problem as a whole.

  Attributes:
    layout: where these tensors lie when they are alone.
  """

  def __init__(
    self, kinds: Mapping[str, str], whole: Layout, indices: Sequence[int]
  ):
    """Lays the tensors out.

    Args:
      kinds: `leaf_kinds` of the rule.
      whole: where all tensors lie.
      indices: which of them these are, in ascending order.
    """
    self._kinds = kinds
    self._whole = whole
    self._indices = indices
    self.layout = whole
    if len(indices) < len(whole.shapes):
      self.layout = Layout([whole.shapes[i] for i in indices])

  def select(self, state: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """The part of a state; `state` is that of all tensors, by name."""
    selected = dict(state)
    for name in self._divided():
      blocks = self._cut(name, state[name], self._whole)
      selected[name] = self._join(
        name, [blocks[i] for i in self._indices], self.layout
      )
    return selected

  def merge(
    self, state: Mapping[str, tf.Tensor], part: Mapping[str, tf.Tensor]
  ) -> dict[str, tf.Tensor]:
    """The state with its part replaced.

    Args:
      state: that of all tensors, by name.
      part: the new state of these, as `select` returns it.
    """
    merged = dict(part)
    for name in self._divided():
      blocks = self._cut(name, state[name], self._whole)
      new_blocks = self._cut(name, part[name], self.layout)
      for i, block in zip(self._indices, new_blocks, strict=True):
        blocks[i] = block
      merged[name] = self._join(name, blocks, self._whole)
    return merged

  def _divided(self):
    """The names of the leaves of which these tensors have a part only."""
    if self.layout is self._whole:
      return []
    return [name for name, kind in self._kinds.items() if kind != "problem"]

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


def leaf_kinds(rule: Rule) -> dict[str, str]:
  """What the columns of each leaf of a state stand for, by name, in order.

  It is "coordinates", "tensors" or "problem". Asks for the states of two
  models, whose numbers of coordinates, of tensors and of problems no leaf can
  have both at once by chance.
  """
  models = [[2, 3], [4, 6, 7]]
  counts = {
    tuple(sum(sizes) for sizes in models): "coordinates",
    tuple(len(sizes) for sizes in models): "tensors",
  }
  states = [
    state_specs(rule, [(size,) for size in sizes], tf.float32)
    for sizes in models
  ]
  return {
    name: counts.get(
      tuple(state[name].shape[-1] for state in states), "problem"
    )
    for name in sorted(states[0])
  }


def state_specs(
  rule: Rule, shapes: Sequence[tuple[int, ...]], dtype: tf.DType
) -> State:
  """A state of parameters of these shapes, with `tf.TensorSpec` as leaves."""
  with tf.Graph().as_default():
    params = [tf.zeros(shape, dtype) for shape in shapes]
    weights = {
      name: tf.zeros(spec.shape, dtype)
      for name, spec in rule.weight_specs().items()
    }
    draws = rule.draws(params, TensorGenerator())
    return tf.nest.map_structure(
      lambda leaf: tf.TensorSpec(leaf.shape, leaf.dtype),
      rule.init_state(weights, params, draws),
    )

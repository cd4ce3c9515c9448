"""Flat layout: all parameter tensors side by side as columns of one matrix.

A rule that treats every coordinate alike works on matrices [rows, N], where N
is the number of coordinates of all tensors together and a row is one feature
of every coordinate. Rows are contiguous in memory, so that XLA vectorises over
coordinates, and the number of operations does not grow with the features.
Per-tensor quantities are matrices [rows, T], one column per tensor.

Many tensors lie in the order of their sizes: tensors of one size are then one
block, which is summed or filled at once, so that the number of operations grows
with the number of different sizes rather than with that of tensors.
"""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

# Up to this number of tensors, columns are in the order of the tensors.
_FEW_TENSORS = 16


class Layout:
  """Where each tensor of a list lies among the columns of a flat matrix."""

  def __init__(self, shapes: Sequence[Sequence[int]]):
    """Lays out tensors of the given static shapes in order.

    Raises:
      ValueError: if there is no tensor or a dimension is unknown.
    """
    self.shapes = [tf.TensorShape(shape) for shape in shapes]
    if not self.shapes:
      raise ValueError("params is empty; at least one tensor is needed.")
    for index, shape in enumerate(self.shapes):
      if not shape.is_fully_defined():
        raise ValueError(
          f"params[{index}] has shape {shape}; every dimension must be known."
        )
    self.sizes = [shape.num_elements() for shape in self.shapes]
    # The tensors in the order of their columns, and their sizes in groups.
    self._order = list(range(len(self.sizes)))
    self._groups = [(size, 1) for size in self.sizes]
    if len(self.sizes) > _FEW_TENSORS:
      self._order.sort(key=self.sizes.__getitem__)
      ordered = itertools.groupby(self.sizes[i] for i in self._order)
      self._groups = [(size, len(list(group))) for size, group in ordered]
    self._positions = np.argsort(self._order)

  @classmethod
  def of(cls, tensors: Sequence[tf.Tensor]) -> "Layout":
    """The layout of these tensors."""
    return cls([tensor.shape for tensor in tensors])

  def flatten(self, tensors: Sequence[tf.Tensor]) -> tf.Tensor:
    """Joins tensors of this layout's shapes to one row [1, N]."""
    return self.join([tf.reshape(tensor, [1, -1]) for tensor in tensors])

  def join(self, blocks: Sequence[tf.Tensor]) -> tf.Tensor:
    """Joins one block [rows, n] per tensor to [rows, N]."""
    return tf.concat([blocks[i] for i in self._order], axis=1)

  def split(self, rows: tf.Tensor) -> list[tf.Tensor]:
    """Cuts [rows, N] into one block [rows, n] per tensor."""
    blocks = tf.split(rows, [self.sizes[i] for i in self._order], axis=1)
    return [blocks[position] for position in self._positions]

  def unflatten(self, row: tf.Tensor) -> list[tf.Tensor]:
    """Cuts [1, N] into tensors of the original shapes."""
    return [
      tf.reshape(block, shape)
      for block, shape in zip(self.split(row), self.shapes, strict=True)
    ]

  def to_slots(
    self, rows: Mapping[str, tf.Tensor]
  ) -> list[dict[str, tf.Tensor]]:
    """Cuts every [rows, N] into slots [n, rows], one mapping per tensor."""
    blocks = {key: self.split(value) for key, value in rows.items()}
    return [
      {key: tf.transpose(blocks[key][i]) for key in blocks}
      for i in range(len(self.shapes))
    ]

  def from_slots(
    self, per_tensor: Sequence[Mapping[str, tf.Tensor]], keys: Sequence[str]
  ) -> dict[str, tf.Tensor]:
    """The inverse of `to_slots`, for these keys."""
    return {
      key: self.join([tf.transpose(slots[key]) for slots in per_tensor])
      for key in keys
    }

  def sum(self, rows: tf.Tensor) -> tf.Tensor:
    """Sums [rows, N] over each tensor's columns: [rows, T]."""

    # Sum and spread are each other's adjoint. Saying so keeps shape arithmetic
    # out of their gradients, which XLA cannot compile in a loop that is
    # differentiated twice.
    @tf.custom_gradient
    def total(x):
      widths = [size * count for size, count in self._groups]
      sums = []
      for block, (size, count) in zip(
        tf.split(x, widths, axis=1), self._groups, strict=True
      ):
        if count == 1:
          sums.append(tf.reduce_sum(block, axis=1, keepdims=True))
        else:
          block = tf.reshape(block, [x.shape[0], count, size])
          sums.append(tf.reduce_sum(block, axis=2))
      return self._permute(
        tf.concat(sums, axis=1), self._positions
      ), self.spread

    return total(rows)

  def spread(self, columns: tf.Tensor) -> tf.Tensor:
    """Repeats each tensor's column over its coordinates: [rows, N]."""

    @tf.custom_gradient
    def repeat(x):
      height = x.shape[0]
      counts = [count for _, count in self._groups]
      blocks = []
      for column, (size, count) in zip(
        tf.split(self._permute(x, self._order), counts, axis=1),
        self._groups,
        strict=True,
      ):
        if count == 1:
          blocks.append(tf.broadcast_to(column, [height, size]))
        else:
          block = tf.broadcast_to(
            column[:, :, tf.newaxis], [height, count, size]
          )
          blocks.append(tf.reshape(block, [height, count * size]))
      return tf.concat(blocks, axis=1), self.sum

    return repeat(columns)

  def _permute(self, columns, order):
    """Columns [rows, T] in another order."""
    if len(self._order) <= _FEW_TENSORS:
      return columns
    return tf.gather(columns, order, axis=1)

  def mean(self, rows: tf.Tensor) -> tf.Tensor:
    """Means of [rows, N] over each tensor's columns: [rows, T]."""
    counts = tf.constant([[max(s, 1) for s in self.sizes]], rows.dtype)
    return self.sum(rows) / counts

  @property
  def num_coordinates(self) -> int:
    """N, the number of coordinates of all tensors together."""
    return sum(self.sizes)

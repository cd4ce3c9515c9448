"""Flat layout: all parameter tensors side by side as columns of one matrix.

A rule that treats every coordinate alike works on matrices [rows, N], where N
is the number of columns, one for every coordinate of all tensors together, and
a row is one feature of every coordinate. Rows are contiguous in memory, so that
XLA vectorises over coordinates, and the number of operations does not grow with
the features. Per-tensor quantities are matrices [rows, T], one column per
tensor.

Many or large tensors are padded to whole blocks of columns. What is summed or
filled per tensor then is so per block first, in one operation for all blocks,
and the many columns fall into chunks of equal length, see `columns`. Columns
that pad a tensor hold zeros after `flatten` and `join`, and numbers of no
meaning after the steps of a rule; sums leave them out.

Tensors may hold P instances of a problem along their first axis, see
`instances`. Every tensor then counts as P tensors, one after the other, so that
T is P times as many, and what there is once for a problem is a matrix
[rows, P].
"""

import functools
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

# Up to this number of tensors and of coordinates there is no padding.
_FEW_TENSORS = 16
_FEW_COORDINATES = 16384
# Columns of a chunk. A hundred rows of so many fit into a core's cache.
_CHUNK = 2048
# Blocks are the largest that pad by no more than this part of all coordinates.
_MAX_PADDING = 1 / 16
_SMALLEST_BLOCK = 8


class Layout:
  """Where each tensor of a list lies among the columns of a flat matrix.

  Attributes:
    shapes: the static shapes of the tensors.
    num_instances: P, how many instances each of them holds along its first
      axis; 1 where there is no such axis.
    sizes: their numbers of coordinates.
    num_coordinates: that of all tensors together.
    num_columns: N, which is more where tensors are padded.
    chunk: columns of a chunk; None where all columns are one.
    block: columns of a block; None where tensors are not padded.
  """

  def __init__(
    self,
    shapes: Sequence[Sequence[int]],
    padded: bool = True,
    num_instances: int = 1,
  ):
    """Lays out tensors of the given static shapes in order.

    Args:
      shapes: the shapes.
      padded: whether many or large tensors are padded.
      num_instances: how many instances each tensor holds along its first axis;
        1 where there is no such axis.

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
    self.num_instances = num_instances
    self.sizes = [shape.num_elements() for shape in self.shapes]
    self.num_coordinates = sum(self.sizes)
    is_large = self.num_coordinates > _FEW_COORDINATES
    self.block = self.chunk = None
    # Of one instance of each tensor.
    self._sizes = self._widths = [size // num_instances for size in self.sizes]
    # Columns behind all tensors.
    self._rest = 0
    if padded and (is_large or len(self.sizes) > _FEW_TENSORS):
      self.block = _block(self._sizes)
      self._widths = [_round_up(size, self.block) for size in self._sizes]
      if is_large:
        self.chunk = _CHUNK
        self._rest = -sum(self._widths) * num_instances % _CHUNK
    self.num_columns = sum(self._widths) * num_instances + self._rest

  def __eq__(self, other):
    return isinstance(other, Layout) and self._key == other._key

  def __hash__(self):
    return hash(self._key)

  @property
  def _key(self):
    shapes = tuple(map(tuple, self.shapes))
    return shapes, self.num_instances, self.block, self.chunk

  @classmethod
  def of(
    cls,
    tensors: Sequence[tf.Tensor],
    padded: bool = True,
    num_instances: int = 1,
  ) -> "Layout":
    """The layout of these tensors."""
    return cls([tensor.shape for tensor in tensors], padded, num_instances)

  def flatten(self, tensors: Sequence[tf.Tensor]) -> tf.Tensor:
    """Joins tensors of this layout's shapes to one row [1, N]."""
    return self.join([tf.reshape(tensor, [1, -1]) for tensor in tensors])

  def join(self, blocks: Sequence[tf.Tensor]) -> tf.Tensor:
    """Joins one matrix [rows, n] per tensor to [rows, N]."""
    dtype = blocks[0].dtype
    # Tensors that are padded alike share their zeros.
    zeros = functools.cache(lambda *shape: tf.zeros(shape, dtype))
    parts = []
    for part, size, width in zip(
      blocks, self._sizes, self._widths, strict=True
    ):
      parts += self._pad(part, width - size, zeros)
    if self._rest:
      parts.append(zeros(parts[0].shape[0], self._rest))
    return tf.concat(parts, axis=1)

  def _pad(self, part, padding, zeros):
    """One tensor's columns with those that pad each instance, in pieces."""
    rows = part.shape[0]
    if not padding:
      return [part]
    if self.num_instances == 1:
      return [part, zeros(rows, padding)]
    pads = zeros(rows, self.num_instances, padding)
    part = tf.concat([self._instances_of(part), pads], axis=2)
    return [tf.reshape(part, [rows, -1])]

  def _instances_of(self, part):
    """One tensor's columns as [rows, P, columns of an instance]."""
    return tf.reshape(part, [part.shape[0], self.num_instances, -1])

  def split(self, rows: tf.Tensor) -> list[tf.Tensor]:
    """Cuts [rows, N] into one matrix [rows, n] per tensor."""
    if self.block is None:
      return tf.split(rows, self.sizes, axis=1)
    widths = []
    for size, width in zip(self._sizes, self._widths, strict=True):
      if self.num_instances == 1:
        widths += [size, width - size]
      else:
        widths += [width * self.num_instances, 0]
    parts = tf.split(rows, [*widths, self._rest], axis=1)[:-1:2]
    if self.num_instances == 1:
      return parts
    return [
      tf.reshape(self._instances_of(part)[:, :, :size], [rows.shape[0], -1])
      for part, size in zip(parts, self._sizes, strict=True)
    ]

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
    if self.block is not None:
      rows = tf.where(self.is_coordinate(), rows, tf.zeros_like(rows))
    return self._sum_all(rows)

  # Sums of all columns and `spread` are each other's adjoint. Saying so keeps
  # shape arithmetic out of their gradients, which XLA cannot compile in a loop
  # that is differentiated twice.

  def _sum_all(self, rows):
    """As `sum`, with the columns that pad."""

    @tf.custom_gradient
    def total(x):
      return self._total(x), self.spread

    return total(rows)

  def spread(self, columns: tf.Tensor) -> tf.Tensor:
    """Repeats each tensor's column over its columns: [rows, N]."""

    @tf.custom_gradient
    def repeat(x):
      return self._repeat(x), self._sum_all

    return repeat(columns)

  def _total(self, rows):
    if self.block is not None:
      return self.sum_blocks(sum_in_blocks(rows, self.block))
    sums = [
      tf.reduce_sum(self._instances_of(part), axis=2)
      for part in self.split(rows)
    ]
    return tf.concat(sums, axis=1)

  def _repeat(self, columns):
    if self.block is not None:
      return fill_blocks(self.of_blocks(columns), self.block)
    parts = tf.split(columns, len(self.sizes), axis=1)
    return tf.concat(
      [
        fill_blocks(part, size)
        for part, size in zip(parts, self._sizes, strict=True)
      ],
      axis=1,
    )

  def of_blocks(self, columns: tf.Tensor) -> tf.Tensor:
    """Each block's column of [rows, T]: [rows, G] for G blocks."""
    return tf.gather(columns, self._tensor_of_block, axis=1)

  def sum_blocks(self, columns: tf.Tensor) -> tf.Tensor:
    """Sums [rows, G] over the blocks of each tensor: [rows, T]."""
    membership = tf.one_hot(
      self._tensor_of_block, self.num_tensors, dtype=columns.dtype
    )
    return tf.matmul(columns, membership)

  def is_coordinate(self) -> tf.Tensor:
    """Which columns do not just pad: bool [1, N]."""
    return is_coordinate(self.coordinates_of_blocks, self.block)

  @property
  def coordinates_of_blocks(self) -> np.ndarray:
    """How many columns of each block do not just pad: int32 [1, G]."""
    counts = [
      np.clip(size - np.arange(0, width, self.block), 0, self.block)
      for size, width in self._parts()
    ]
    return np.concatenate(counts)[np.newaxis].astype(np.int32)

  @property
  def _tensor_of_block(self):
    return np.repeat(
      np.arange(self.num_tensors, dtype=np.int32),
      [width // self.block for _, width in self._parts()],
    )

  def _parts(self):
    """Size and width of each of T tensors; the last has what is behind it."""
    sizes = np.repeat(self._sizes, self.num_instances)
    widths = np.repeat(self._widths, self.num_instances)
    widths[-1] += self._rest
    return zip(sizes, widths, strict=True)

  @property
  def num_tensors(self) -> int:
    """T."""
    return len(self.shapes) * self.num_instances

  def mean(self, rows: tf.Tensor) -> tf.Tensor:
    """Means of [rows, N] over each tensor's columns: [rows, T]."""
    return self.mean_of_sum(self.sum(rows))

  def mean_of_sum(self, sums: tf.Tensor) -> tf.Tensor:
    """Means over each tensor's columns from sums over them, [rows, T]."""
    counts = [[max(size, 1) for size, _ in self._parts()]]
    counts = tf.constant(counts, sums.dtype)
    return sums / counts

  # What there is once for a problem.

  def mean_of_all(self, rows: tf.Tensor) -> tf.Tensor:
    """Means of [rows, N] over all columns of a problem: [rows, P]."""
    if self.block is None and self.num_instances == 1:
      return tf.reduce_mean(rows, axis=1, keepdims=True)
    total = tf.reduce_sum(self._by_problem(self.sum(rows)), axis=1)
    return total / (self.num_coordinates // self.num_instances)

  def mean_over_tensors(self, columns: tf.Tensor) -> tf.Tensor:
    """Means of [rows, T] over the tensors of a problem: [rows, P]."""
    return tf.reduce_mean(self._by_problem(columns), axis=1)

  def of_last_tensors(self, columns: tf.Tensor) -> tf.Tensor:
    """What [rows, T] has for each problem's last tensor: [rows, P]."""
    return columns[:, -self.num_instances :]

  def add_to_tensors(
    self, columns: tf.Tensor, of_problems: tf.Tensor
  ) -> tf.Tensor:
    """Adds [rows, P] to what [rows, T] has for the problem's tensors."""
    if self.num_instances == 1:
      return columns + of_problems
    total = self._by_problem(columns) + of_problems[:, tf.newaxis]
    return tf.reshape(total, [-1, self.num_tensors])

  def repeat_over_tensors(self, of_problems: tf.Tensor) -> tf.Tensor:
    """Repeats [rows, P] for each problem's tensors: [rows, T]."""
    shape = [of_problems.shape[0], self.num_tensors]
    return self.add_to_tensors(tf.zeros(shape, of_problems.dtype), of_problems)

  def _by_problem(self, columns):
    """[rows, T] as [rows, tensors of a problem, P]."""
    shape = [columns.shape[0], len(self.shapes), self.num_instances]
    return tf.reshape(columns, shape)


def fill_blocks(columns: tf.Tensor, block: int) -> tf.Tensor:
  """Repeats each block's column: [rows, G] to [rows, G * block]."""
  rows, num_blocks = columns.shape
  repeated = tf.broadcast_to(
    columns[:, :, tf.newaxis], [rows, num_blocks, block]
  )
  return tf.reshape(repeated, [rows, num_blocks * block])


def sum_in_blocks(rows: tf.Tensor, block: int) -> tf.Tensor:
  """Sums [rows, G * block] over the columns of each block: [rows, G]."""
  height, width = rows.shape
  num_blocks = width // block
  # On processors XLA multiplies matrices faster than it sums their rows.
  blocks = tf.reshape(rows, [height * num_blocks, block])
  sums = tf.matmul(blocks, tf.ones([block, 1], rows.dtype))
  return tf.reshape(sums, [height, num_blocks])


def is_coordinate(counts: tf.Tensor, block: int) -> tf.Tensor:
  """Which columns do not just pad: bool [1, G * block].

  Args:
    counts: how many of each block's columns do not, int32 [1, G].
    block: columns of a block; those that pad are the last ones.
  """
  places = tf.range(block)[tf.newaxis, tf.newaxis]
  flags = places < tf.convert_to_tensor(counts)[:, :, tf.newaxis]
  return tf.reshape(flags, [1, -1])


def _round_up(number, step):
  return -(-number // step) * step


def _block(sizes):
  """Columns of a block for tensors of these sizes, a power of two."""
  block = _CHUNK
  while block > _SMALLEST_BLOCK:
    padding = sum(_round_up(size, block) - size for size in sizes)
    if padding <= _MAX_PADDING * sum(sizes):
      return block
    block //= 2
  return block

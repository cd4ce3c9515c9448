"""What a rule does with each coordinate, over chunks that fit into the cache.

A step of a recurrent rule has about a hundred rows of intermediate values per
coordinate. Over all columns at once each of them is written to memory and read
again. Over one chunk after the other they stay in the cache, and the state is
replaced where it lies.
"""

import functools
from collections.abc import Callable, Mapping

import tensorflow as tf
from tensorflow.compiler.tf2xla.python import xla

from learned_optimizer.optimizer import layout as layouts
from learned_optimizer.optimizer.layout import Layout

Tensors = Mapping[str, tf.Tensor]
# `cell(shared, per_tensor, columns, spread)` returns the new columns, and rows
# [S, columns] to be summed over each tensor. `spread` repeats what there is for
# each tensor over its coordinates.
Cell = Callable[
  [Tensors, Tensors, Tensors, Callable[[tf.Tensor], tf.Tensor]],
  tuple[dict[str, tf.Tensor], tf.Tensor],
]


def apply(
  cell: Cell,
  layout: Layout,
  shared: Tensors,
  per_tensor: Tensors,
  columns: Tensors,
) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
  """Applies a cell to all columns.

  Large layouts are compiled by XLA whatever is around them, also where nothing
  else is compiled, and their gradient is that of all columns at once.

  Args:
    cell: elementwise over columns; pure, and equal to others that do the same,
      so that eager steps find what is compiled.
    layout: of the columns.
    shared: what is the same for all columns, of any shape.
    per_tensor: matrices [rows, T].
    columns: matrices [rows, N].

  Returns:
    The new columns, and the sums [S, T] over each tensor.
  """
  if layout.chunk is None:
    return _at_once(cell, layout, shared, per_tensor, columns)
  arguments = (dict(shared), dict(per_tensor), dict(columns))
  structure = None

  @tf.custom_gradient
  def run(*flat):
    nonlocal structure
    given = tf.nest.pack_sequence_as(arguments, flat)
    structure = _compiled(cell, layout)(*given)

    def gradient(*output_gradients):
      with tf.GradientTape() as tape:
        tape.watch(flat)
        outputs = tf.nest.flatten(_at_once(cell, layout, *given))
      return tape.gradient(
        outputs, flat, output_gradients, tf.UnconnectedGradients.ZERO
      )

    return tf.nest.flatten(structure), gradient

  flat = run(*map(tf.convert_to_tensor, tf.nest.flatten(arguments)))
  return tf.nest.pack_sequence_as(structure, flat)


def _at_once(cell, layout, shared, per_tensor, columns):
  new_columns, summands = cell(shared, per_tensor, columns, layout.spread)
  return new_columns, layout.sum(summands)


# A tf.function would not find what it has traced for an equal cell and layout,
# only what it has for the same objects.
@functools.lru_cache(maxsize=64)
def _compiled(cell, layout):
  return tf.function(
    functools.partial(_by_chunks, cell, layout),
    jit_compile=True,
    autograph=False,
  )


def _by_chunks(cell, layout, shared, per_tensor, columns):
  """As `_at_once`, for a layout with chunks."""
  block, chunk = layout.block, layout.chunk
  blocks = chunk // block
  per_block = {k: layout.of_blocks(value) for k, value in per_tensor.items()}
  counts = tf.constant(layout.coordinates_of_blocks)

  @tf.function(autograph=False)
  def on_chunk(per_block, counts, columns):
    spread = functools.partial(layouts.fill_blocks, block=block)
    new_columns, summands = cell(shared, per_block, columns, spread)
    summands = tf.where(
      layouts.is_coordinate(counts, block), summands, tf.zeros_like(summands)
    )
    return new_columns, layouts.sum_in_blocks(summands, block)

  def inputs(i, outputs):
    # What is replaced is read from where it is replaced.
    now = {key: outputs.get(key, value) for key, value in columns.items()}
    return (
      _piece(per_block, i, blocks),
      _piece(counts, i, blocks),
      _piece(now, i, chunk),
    )

  shapes = on_chunk.get_concrete_function(*inputs(0, {})).structured_outputs
  empty = tf.nest.map_structure(lambda s: tf.zeros(s.shape, s.dtype), shapes)
  new_columns = {
    key: columns[key]
    if key in columns
    else tf.zeros([spec.shape[0], layout.num_columns], spec.dtype)
    for key, spec in shapes[0].items()
  }
  num_chunks = layout.num_columns // chunk
  sums = tf.zeros([shapes[1].shape[0], num_chunks * blocks], shapes[1].dtype)

  def step(i, new_columns, sums):
    now = inputs(i, new_columns)
    # A loop of one round, which XLA does not know to be one: it would read the
    # state again where it needs it, and copy all of it to be able to.
    _, new_piece, sums_piece = tf.while_loop(
      lambda j, *_: j <= tf.minimum(i, 0),
      lambda j, *_: (j + 1, *on_chunk(*now)),
      (0, *empty),
    )
    return (
      i + 1,
      {
        key: _with_piece(value, new_piece[key], i, chunk)
        for key, value in new_columns.items()
      },
      _with_piece(sums, sums_piece, i, blocks),
    )

  _, new_columns, sums = tf.while_loop(
    lambda i, *_: i < num_chunks,
    step,
    (0, new_columns, sums),
    maximum_iterations=num_chunks,
  )
  return new_columns, layout.sum_blocks(sums)


def _piece(matrices, i, width):
  """The i-th `width` columns of matrices."""
  return tf.nest.map_structure(
    lambda matrix: tf.slice(matrix, [0, i * width], [matrix.shape[0], width]),
    matrices,
  )


def _with_piece(matrix, piece, i, width):
  """The matrix with its i-th `width` columns replaced."""
  return xla.dynamic_update_slice(matrix, piece, tf.stack([0, i * width]))

"""The flat layout against plain NumPy, over random shapes."""

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies as st

from learned_optimizer.optimizer.layout import Layout

SHAPES = st.lists(
  st.lists(st.integers(1, 4), max_size=4).map(tuple), min_size=1, max_size=5
)
random_shapes = hypothesis.given(shapes=SHAPES, seed=st.integers(0, 1000))
# The first example loads kernels, which takes as long as it takes.
no_deadline = hypothesis.settings(deadline=None, max_examples=30)


def columns_of(shapes):
  """Slices of the flat matrix, one per tensor."""
  ends = np.cumsum([int(np.prod(shape)) for shape in shapes])
  starts = [0, *ends[:-1]]
  return [slice(a, b) for a, b in zip(starts, ends, strict=True)], ends[-1]


@no_deadline
@random_shapes
def test_flatten_and_unflatten(shapes, seed):
  generator = np.random.default_rng(seed)
  arrays = [generator.normal(size=shape) for shape in shapes]
  tensors = [tf.constant(array) for array in arrays]
  layout = Layout.of(tensors)
  row = layout.flatten(tensors)
  np.testing.assert_array_equal(
    row, np.concatenate([a.ravel() for a in arrays])[np.newaxis]
  )
  assert layout.num_coordinates == row.shape[1]
  for array, tensor in zip(arrays, layout.unflatten(row), strict=True):
    np.testing.assert_array_equal(tensor, array)


@no_deadline
@random_shapes
def test_sum_mean_and_spread(shapes, seed):
  slices, num_coordinates = columns_of(shapes)
  rows = np.random.default_rng(seed).normal(size=[3, num_coordinates])
  layout = Layout(shapes)
  np.testing.assert_allclose(
    layout.sum(tf.constant(rows)),
    np.stack([rows[:, s].sum(1) for s in slices], axis=1),
    atol=1e-12,
  )
  means = np.stack([rows[:, s].mean(1) for s in slices], axis=1)
  np.testing.assert_allclose(layout.mean(tf.constant(rows)), means, atol=1e-12)
  spread = layout.spread(tf.constant(means)).numpy()
  for i, s in enumerate(slices):
    assert np.all(spread[:, s] == means[:, i : i + 1])


@no_deadline
@random_shapes
def test_slots(shapes, seed):
  slices, num_coordinates = columns_of(shapes)
  rows = np.random.default_rng(seed).normal(size=[3, num_coordinates])
  layout = Layout(shapes)
  per_tensor = layout.to_slots({"a": tf.constant(rows), "b": -rows[:1]})
  for slots, columns in zip(per_tensor, slices, strict=True):
    np.testing.assert_array_equal(slots["a"], rows[:, columns].T)
    np.testing.assert_array_equal(slots["b"], -rows[:1, columns].T)
  back = layout.from_slots(per_tensor, ["a"])
  np.testing.assert_array_equal(back["a"], rows)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_derivatives_of_sum_and_spread(jit_compile):
  """First and second derivatives, against those of a matrix product."""
  layout = Layout([(2, 2), (), (3,)])
  slices, num_coordinates = columns_of(layout.shapes)
  membership = np.zeros([num_coordinates, 3])
  for i, s in enumerate(slices):
    membership[s, i] = 1.0
  generator = np.random.default_rng(0)
  x = tf.constant(generator.normal(size=[2, num_coordinates]))
  weights = tf.constant(generator.normal(size=[2, num_coordinates]))

  def derivatives(sum_columns, spread_columns):
    @tf.function(jit_compile=jit_compile)
    def compute(x):
      sums = tf.sin(sum_columns(tf.sin(x)))
      value = tf.reduce_sum(weights * tf.exp(spread_columns(sums)) * x)
      (first,) = tf.gradients(value, [x])
      (second,) = tf.gradients(tf.reduce_sum(weights * first**2), [x])
      return value, first, second

    return compute(x)

  matrix = tf.constant(membership)
  for actual, expected in zip(
    derivatives(layout.sum, layout.spread),
    derivatives(
      lambda rows: tf.matmul(rows, matrix),
      lambda columns: tf.matmul(columns, matrix, transpose_b=True),
    ),
    strict=True,
  ):
    np.testing.assert_allclose(actual, expected, rtol=1e-10, atol=1e-12)


# More than are left unpadded.
MANY = [(2, 3), (), (4,), (3, 2), (0, 2)] * 5
LARGE = [(150, 200), (7,), (), (0,)]


@pytest.mark.parametrize("shapes", [MANY, LARGE], ids=["many", "large"])
def test_padded_tensors(shapes):
  slices, num_coordinates = columns_of(shapes)
  layout = Layout(shapes)
  assert layout.num_coordinates == num_coordinates < layout.num_columns
  generator = np.random.default_rng(0)
  arrays = [generator.normal(size=shape) for shape in shapes]
  row = layout.flatten([tf.constant(array) for array in arrays])
  assert row.shape == [1, layout.num_columns]
  for array, tensor in zip(arrays, layout.unflatten(row), strict=True):
    np.testing.assert_array_equal(tensor, array)
  sums = [array.sum() for array in arrays]
  # What is in padding columns does not count.
  noise = tf.where(layout.is_coordinate(), row, np.nan)
  np.testing.assert_allclose(layout.sum(noise), [sums], atol=1e-12)
  np.testing.assert_allclose(
    layout.mean_of_all(noise), [[sum(sums) / num_coordinates]], atol=1e-12
  )
  columns = generator.normal(size=[2, len(shapes)])
  spread = layout.spread(tf.constant(columns))
  for i, part in enumerate(layout.split(spread)):
    width = slices[i].stop - slices[i].start
    np.testing.assert_array_equal(part, np.tile(columns[:, i : i + 1], width))
  joined = layout.join(layout.split(spread))
  np.testing.assert_array_equal(
    joined, tf.where(layout.is_coordinate(), spread, 0.0)
  )
  per_tensor = layout.to_slots({"a": spread})
  np.testing.assert_array_equal(
    layout.from_slots(per_tensor, ["a"])["a"], joined
  )


def test_padding_is_little():
  for shapes in (
    [(784, 128), (128,), (128, 10), (10,)],
    [(90, 80), (80,)] * 75,
  ):
    layout = Layout(shapes)
    assert layout.num_columns <= 1.1 * layout.num_coordinates
    assert layout.num_columns % layout.chunk == 0
    assert layout.chunk % layout.block == 0


def test_the_number_of_operations_does_not_grow_with_the_tensors():
  def count(shapes):
    layout = Layout(shapes)
    with tf.Graph().as_default() as graph:
      rows = tf.constant(np.zeros([3, layout.num_columns]))
      layout.spread(layout.mean(rows))
    return len(graph.get_operations())

  assert count([(3,), (4,)] * 200) == count([(3,), (4,)] * 100)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_derivatives_of_many_tensors(jit_compile):
  """Sum and spread are adjoint, in a loop that is differentiated twice."""
  layout = Layout(MANY)
  x = tf.random.stateless_normal([2, layout.num_columns], [0, 1])

  @tf.function(jit_compile=jit_compile)
  def second_derivative(spread_sum):
    def body(i, y):
      return i + 1, tf.sin(y) * spread_sum(tf.cos(y))

    _, y = tf.while_loop(lambda i, y: i < 2, body, (0, x), maximum_iterations=2)
    (first,) = tf.gradients(tf.reduce_sum(y), [x])
    return tf.gradients(tf.reduce_sum(first**2), [x])[0]

  spread = layout.spread(tf.eye(len(MANY)))
  summed = tf.where(layout.is_coordinate(), spread, 0.0)
  projection = tf.matmul(summed, spread, transpose_a=True)
  np.testing.assert_allclose(
    second_derivative(lambda rows: layout.spread(layout.sum(rows))),
    second_derivative(lambda rows: tf.matmul(rows, projection)),
    rtol=1e-4,
    atol=1e-4,
  )


def test_an_empty_tensor_has_mean_zero():
  layout = Layout([(0, 2), (2,)])
  rows = tf.constant([[1.0, 3.0]])
  np.testing.assert_array_equal(layout.mean(rows), [[0.0, 2.0]])


def test_errors():
  with pytest.raises(ValueError, match="params is empty"):
    Layout([])
  with pytest.raises(ValueError, match=r"params\[1\] has shape .*None"):
    Layout([(2,), (None, 3)])


@pytest.mark.parametrize(
  "shapes", [[(2, 3), ()], [(3,), (5, 2)] * 9, [(70, 90), (33,)]]
)
def test_instances_count_as_tensors_of_their_own(shapes):
  stacked = [(3, *shape) for shape in shapes]
  layout = Layout(stacked, num_instances=3)
  generator = np.random.default_rng(0)
  arrays = [generator.normal(size=s).astype(np.float32) for s in stacked]
  tensors = [tf.constant(array) for array in arrays]
  row = layout.flatten(tensors)
  assert row.shape == (1, layout.num_columns)
  for tensor, array in zip(layout.unflatten(row), arrays, strict=True):
    np.testing.assert_array_equal(tensor, array)
  sums = np.concatenate([a.reshape(3, -1).sum(axis=1) for a in arrays])
  np.testing.assert_allclose(layout.sum(row)[0], sums, 1e-4, 1e-4)
  numbers = tf.range(3.0 * len(shapes))[tf.newaxis]
  spread = layout.unflatten(layout.spread(numbers))
  for i, tensor in enumerate(spread):
    for j in range(3):
      assert np.all(tensor[j] == 3 * i + j)
  by_problem = sums.reshape(len(shapes), 3)
  size = sum(a[0].size for a in arrays)
  np.testing.assert_allclose(
    layout.mean_of_all(row)[0], by_problem.sum(axis=0) / size, 1e-4, 1e-4
  )
  np.testing.assert_array_equal(
    layout.repeat_over_tensors(tf.constant([[1.0, 2.0, 3.0]])),
    [[1.0, 2.0, 3.0] * len(shapes)],
  )

"""Convolution with derivatives that are fast in compiled loops.

On CPUs, XLA runs a convolution with optimised code only if its dimensions have
the usual order. Inside loops it does not reorder them, and the derivatives that
TensorFlow defines have another order, which makes loops several times slower.
The derivatives here are convolutions in the usual order.

A convolution is linear in the images and in the kernel, so that it and its two
derivatives form a closed set: the derivatives of each are the other two, and
all higher derivatives are made of these three.
"""

import tensorflow as tf


def convolution(
  images: tf.Tensor,
  kernel: tf.Tensor,
  stride: int = 1,
  keep_size: bool = False,
) -> tf.Tensor:
  """Convolves as `tf.nn.conv2d` does.

  Args:
    images: a tensor [batch, height, width, in] with static height and width.
    kernel: a tensor [height, width, in, out] of the same dtype.
    stride: distance of the positions of the kernel.
    keep_size: whether images are padded with zeros to keep their size, which
      needs a stride of 1; otherwise the kernel stays within the images.

  Returns:
    A tensor [batch, height, width, out].

  Raises:
    ValueError: images cannot keep their size with this stride.
  """
  if keep_size and stride != 1:
    raise ValueError(f"stride must be 1 to keep the size, got {stride}")
  images = tf.convert_to_tensor(images)
  kernel = tf.convert_to_tensor(kernel)
  sizes = images.shape[1:3]
  extents = kernel.shape[:2]
  # As with "SAME", an odd zero comes last.
  paddings = [
    ((extent - 1) // 2, extent // 2) if keep_size else (0, 0)
    for extent in extents
  ]

  # Elsewhere `tf.transpose` does not compile in loops that are differentiated
  # twice, because its gradient computes a permutation. Here it is never
  # differentiated: all derivatives are those that are given.
  @tf.custom_gradient
  def forward(images, kernel):
    features = _conv2d(images, kernel, paddings, stride)
    return features, lambda d: (to_images(d, kernel), to_kernel(images, d))

  @tf.custom_gradient
  def to_images(features, kernel):
    """The derivative with respect to the images, applied to features."""
    rest = [
      (size + sum(padding) - extent) % stride
      for size, padding, extent in zip(sizes, paddings, extents, strict=True)
    ]
    flipped = tf.transpose(tf.reverse(kernel, [0, 1]), [0, 1, 3, 2])
    around = [
      (extent - 1 - before, extent - 1 - after + end)
      for extent, (before, after), end in zip(
        extents, paddings, rest, strict=True
      )
    ]
    images = _conv2d(_spread(features, stride), flipped, around)
    return images, lambda d: (forward(d, kernel), to_kernel(d, features))

  @tf.custom_gradient
  def to_kernel(images, features):
    """The derivative with respect to the kernel, applied to features."""
    kernel = _conv2d(
      tf.transpose(images, [3, 1, 2, 0]),
      tf.transpose(features, [1, 2, 0, 3]),
      paddings,
      dilations=stride,
    )
    # With a stride, the kernel may not have reached the end of the images.
    kernel = tf.transpose(kernel, [1, 2, 0, 3])[: extents[0], : extents[1]]
    return kernel, lambda d: (to_images(features, d), forward(images, d))

  return forward(images, kernel)


def _conv2d(images, kernel, paddings, strides=1, dilations=1):
  return tf.nn.conv2d(
    images, kernel, strides, [[0, 0], *paddings, [0, 0]], dilations=dilations
  )


def _spread(features: tf.Tensor, stride: int) -> tf.Tensor:
  """Puts stride - 1 zeros between the pixels of features."""
  if stride == 1:
    return features
  _, height, width, channels = features.shape
  zeros = [0, stride - 1]
  spread = tf.pad(
    tf.reshape(features, [-1, height, 1, width, 1, channels]),
    [[0, 0], [0, 0], zeros, [0, 0], zeros, [0, 0]],
  )
  spread = tf.reshape(spread, [-1, height * stride, width * stride, channels])
  return spread[:, : 1 - stride, : 1 - stride]

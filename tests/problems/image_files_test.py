"""Tests of the readers of published files."""

import gzip
import os
import pickle

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from learned_optimizer.problems import image_files
from tests import image_sets


@pytest.fixture
def mnist_paths(tmp_path):
  image_sets.write_published_mnist(tmp_path, 0, 20)
  return [str(tmp_path / name) for name in image_files.MNIST_TEST_FILES]


@pytest.fixture
def batch_path(tmp_path):
  image_sets.write_published_cifar10(tmp_path, 30)
  return str(tmp_path / "test_batch")


def write_idx(path, content):
  with gzip.open(path, "wb") as file:
    file.write(content)


def write_batch(path, **changes):
  batch = {
    "data": np.zeros((2, 3072), np.uint8),
    "labels": [3, 4],
    **changes,
  }
  with open(path, "wb") as file:
    file.write(image_sets.python2_pickle(batch))


class TestMnist:
  def test_reads_rows_in_order(self, mnist_paths):
    images, labels = image_files.read_mnist(mnist_paths)
    expected_images, expected_labels = image_sets.images(20, 28, 1)
    np.testing.assert_array_equal(images, expected_images)
    np.testing.assert_array_equal(labels, expected_labels)
    assert images.dtype == labels.dtype == np.uint8

  @pytest.mark.parametrize("kept", [0, 5, 40, -1])
  def test_truncated_gzip(self, mnist_paths, kept):
    for path in mnist_paths:
      with open(path, "rb") as file:
        content = file.read()
      with open(path, "wb") as file:
        file.write(content[:kept])
      with pytest.raises(ValueError, match=os.path.basename(path)):
        image_files.read_mnist(mnist_paths)
      with open(path, "wb") as file:
        file.write(content)

  def test_changed_bytes(self, mnist_paths):
    path = mnist_paths[0]
    with open(path, "rb") as file:
      content = bytearray(file.read())
    content[len(content) // 2] ^= 0xFF
    with open(path, "wb") as file:
      file.write(content)
    with pytest.raises(ValueError, match=f"{path} is damaged"):
      image_files.read_mnist(mnist_paths)

  def test_not_gzip(self, mnist_paths):
    with open(mnist_paths[1], "wb") as file:
      file.write(image_sets.idx(np.zeros(20, np.uint8)))
    with pytest.raises(ValueError, match="is damaged or no gzip file"):
      image_files.read_mnist(mnist_paths)

  @pytest.mark.parametrize(
    ("content", "message"),
    [
      (b"", "cut short: it has 0 bytes"),
      (b"\0\0\x08", "cut short: it has 3 bytes"),
      (image_sets.idx(np.zeros(20, np.uint8)), "no idx file"),
      (image_sets.idx(np.zeros((20, 28, 27), np.uint8)), "no idx file"),
      (
        image_sets.idx(np.zeros((20, 28, 28), np.uint8))[:-1],
        "15679 bytes after the header",
      ),
      (
        image_sets.idx(np.zeros((20, 28, 28), np.uint8)) + b"\0",
        "15681 bytes after the header",
      ),
      # A size that overflows any integer, and no memory is asked for.
      (
        b"\0\0\x08\3\xff\xff\xff\xff\0\0\0\x1c\0\0\0\x1c" + bytes(784),
        "784 bytes after the header",
      ),
    ],
  )
  def test_wrong_images(self, mnist_paths, content, message):
    write_idx(mnist_paths[0], content)
    with pytest.raises(ValueError, match=f"{mnist_paths[0]}.*{message}"):
      image_files.read_mnist(mnist_paths)

  @pytest.mark.parametrize(
    ("labels", "message"),
    [
      (np.zeros(19, np.uint8), r"labels of the shape \[19\] for 20 images"),
      (np.full(20, 10, np.uint8), "labels that are not from 0 to 9"),
    ],
  )
  def test_wrong_labels(self, mnist_paths, labels, message):
    write_idx(mnist_paths[1], image_sets.idx(labels))
    with pytest.raises(ValueError, match=f"{mnist_paths[1]}.*{message}"):
      image_files.read_mnist(mnist_paths)


class TestCifar10:
  def test_reads_files_in_order(self, batch_path):
    folder = os.path.dirname(batch_path)
    images, labels = image_files.read_cifar10(
      [os.path.join(folder, n) for n in image_files.CIFAR10_TRAIN_FILES]
    )
    expected_images, expected_labels = image_sets.images(150, 32, 3)
    np.testing.assert_array_equal(images, expected_images)
    np.testing.assert_array_equal(labels, expected_labels)
    assert images.dtype == np.uint8

  def test_bytes_as_python_2_wrote_them(self, tmp_path):
    """Written out by hand, so that it does not depend on today's pickle."""
    content = (
      b"\x80\x02}q\x01(U\x0bbatch_labelq\x02U\x05batchq\x03U\x06labelsq\x04"
      b"]q\x05(K\x06K\x09eU\x04dataq\x06cnumpy.core.multiarray\n_reconstruct\n"
      b"q\x07cnumpy\nndarray\nq\x08K\x00\x85U\x01b\x87Rq\x09(K\x01K\x02M\x00\x0c"
      b"\x86cnumpy\ndtype\nq\nU\x02u1K\x00K\x01\x87Rq\x0b(K\x03U\x01|NNNJ"
      b"\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T\x00\x18\x00\x00"
      + bytes(range(256)) * 24
      + b"tbu."
    )
    path = tmp_path / "test_batch"
    path.write_bytes(content)
    images, labels = image_files.read_cifar10([path])
    assert labels.tolist() == [6, 9]
    assert images.shape == (2, 32, 32, 3)
    # Planes of 1024 bytes: red, green, blue; rows of 32.
    assert images[0, 0, :3].tolist() == [[0] * 3, [1] * 3, [2] * 3]
    assert images[1, 1, 0].tolist() == [32] * 3

  @pytest.mark.parametrize("kept", [0, 1, 30, 1000, -1])
  def test_truncated(self, batch_path, kept):
    with open(batch_path, "rb") as file:
      content = file.read()
    with open(batch_path, "wb") as file:
      file.write(content[:kept])
    with pytest.raises(ValueError, match=f"{batch_path} is damaged"):
      image_files.read_cifar10([batch_path])

  @pytest.mark.parametrize(
    ("changes", "message"),
    [
      ({"data": np.zeros((2, 3071), np.uint8)}, r"shape \[2, 3071\], not \[N"),
      ({"data": np.zeros(3072, np.uint8)}, r"shape \[3072\], not \[N, 3072\]"),
      ({"data": np.zeros((2, 3072), np.int64)}, "data are no unsigned bytes"),
      ({"data": [1, 2]}, "is damaged or no batch of CIFAR-10"),
      ({"labels": [3]}, r"labels of the shape \[1\] for 2 images"),
      ({"labels": [3, 10]}, "labels that are not from 0 to 9"),
      ({"labels": [3, -1]}, "labels that are not from 0 to 9"),
      ({"labels": ["a", "b"]}, "labels are no integers"),
      ({"labels": [[3], [4]]}, "labels are no integers"),
      ({"labels": 3}, "is damaged or no batch of CIFAR-10"),
    ],
  )
  def test_wrong_content(self, batch_path, changes, message):
    write_batch(batch_path, **changes)
    with pytest.raises(ValueError, match=f"{batch_path}.*{message}"):
      image_files.read_cifar10([batch_path])

  def test_column_major(self, batch_path):
    data = np.arange(2 * 3072).reshape(2, 3072).astype(np.uint8)
    write_batch(batch_path, data=np.asfortranarray(data))
    images, _ = image_files.read_cifar10([batch_path])
    planes = images.transpose(0, 3, 1, 2).reshape(2, 3072)
    np.testing.assert_array_equal(planes, data)


class _Call:
  """Pickles as a call."""

  def __init__(self, function, *args):
    self._call = function, args

  def __reduce__(self):
    return self._call


class TestMaliciousPickles:
  @pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
  def test_calls_nothing(self, tmp_path, protocol):
    path, proof = tmp_path / "test_batch", tmp_path / "proof"
    for call in (
      _Call(os.system, f"touch {proof}"),
      _Call(eval, f"open({str(proof)!r}, 'w').close()"),
      _Call(exec, f"open({str(proof)!r}, 'w').close()"),
      _Call(open, str(proof), "w"),
      _Call(np.save, str(proof), 1),
      _Call(getattr, _Call(__import__, "os"), "mkdir"),
    ):
      for value in (call, {"data": call, "labels": []}, [call]):
        path.write_bytes(pickle.dumps(value, protocol))
        with pytest.raises(ValueError, match=r"test_batch is .*it calls .*\."):
          image_files.read_cifar10([path])
    assert os.listdir(tmp_path) == ["test_batch"]

  @pytest.mark.parametrize(
    "content",
    [
      b"cos\nsystem\n(S'true'\ntR.",
      b"(cos\nsystem\nS'true'\no.",
      b"(S'true'\nios\nsystem\n.",
      b"cnumpy.core.multiarray\nfrombuffer\n.",
      b"cnumpy\nfromfile\n.",
      b"cnumpy\nload\n.",
      b"cbuiltins\ngetattr\n.",
      b"c__builtin__\neval\n.",
      b"ccopyreg\n_reconstructor\n.",
      b"\x80\x04\x8c\x05numpy\x8c\x07ndarray.__class__\x93.",
      b"Psome\n.",
      b"\x82\x01.",
      # What is let through stays inert, whatever is done with it.
      b"cnumpy\nndarray\n}S'__setstate__'\nN\x86b.",
      b"cnumpy\nndarray\n(I1000000000000\ntR.",
      b"cnumpy\ndtype\n)\x81}S'args'\nNsb.",
    ],
  )
  def test_refuses(self, tmp_path, content):
    path = tmp_path / "test_batch"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="test_batch is damaged or no batch"):
      image_files.read_cifar10([path])
    # The next file is read as ever.
    write_batch(path)
    assert image_files.read_cifar10([path])[1].tolist() == [3, 4]

  @pytest.mark.parametrize("content", [b"}r\0\0\0\x40.", b"}p1073741824\n."])
  def test_asks_for_no_memory(self, tmp_path, content):
    """Python alone would make a list of 16 GB."""
    path = tmp_path / "test_batch"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="keeps a value as number 1073741824"):
      image_files.read_cifar10([path])

  @hypothesis.given(
    st.lists(
      st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)),
      max_size=8,
    )
  )
  def test_random_changes(self, tmp_path_factory, changes):
    """Either the file still is a batch, or the message names it."""
    path = tmp_path_factory.mktemp("changes") / "test_batch"
    write_batch(path)
    # Most of the file are pixels, which do not matter here.
    content = path.read_bytes().replace(bytes(2 * 3072), b"")
    for place, byte in changes:
      index = int(place * len(content))
      content = content[:index] + bytes([byte]) + content[index + 1 :]
    path.write_bytes(content)
    try:
      image_files.read_cifar10([path])
    except ValueError as error:
      assert str(path) in str(error)

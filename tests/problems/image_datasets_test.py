"""Tests of MNIST, CIFAR-10 and the digits, from every source."""

import functools
import gzip
import http.server
import os
import shutil
import socket
import threading

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from tensorflow_datasets.image_classification import mnist as mnist_builder

from learned_optimizer.problems import datasets, image_files
from tests import image_sets

LOADERS = {"mnist": datasets.mnist, "cifar10": datasets.cifar10}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
  """A folder with both sets, as TFDS prepares them."""
  folder = tmp_path_factory.mktemp("prepared")
  image_sets.write_mnist(folder)
  image_sets.write_cifar10(folder)
  return str(folder)


@pytest.fixture
def no_network(monkeypatch):
  """Fails the test that tries to connect, or to look a host up."""
  attempts = []

  def refuse(*args, **kwargs):
    attempts.append(args)
    raise OSError("no network in this test")

  for name in ("getaddrinfo", "gethostbyname", "create_connection"):
    monkeypatch.setattr(socket, name, refuse)
  for name in ("connect", "connect_ex", "sendto"):
    monkeypatch.setattr(socket.socket, name, refuse)
  yield
  assert not attempts


def check(dataset, rows, size, channels):
  """Checks that a data set has these rows of `image_sets`, scaled."""
  shape = (len(rows), size, size, channels)
  assert dataset.data.shape == shape
  assert dataset.labels.shape == (
    (len(rows),) if size == 28 else (len(rows), 1)
  )
  assert (dataset.data.dtype, dataset.labels.dtype) == (np.float32, np.int32)
  images, labels = image_sets.images(max(rows) + 1, size, channels)
  if size == 28:
    images = images.astype(np.float32) * np.float32(1 / 255)
  else:
    images = images.astype(np.float32) / 255
  np.testing.assert_array_equal(dataset.data, images[rows])
  np.testing.assert_array_equal(dataset.labels.ravel(), labels[rows])


class TestPublishedFiles:
  @pytest.mark.parametrize("folder", ["", "MNIST-data"])
  def test_mnist(self, tmp_path, folder, no_network):
    image_sets.write_published_mnist(tmp_path / folder, 5030, 20)
    source = datasets.ImageSource(str(tmp_path))
    check(datasets.mnist(source=source), range(5000, 5030), 28, 1)
    check(datasets.mnist(False, source), range(20), 28, 1)

  @pytest.mark.parametrize("folder", ["", "cifar10", "cifar-10-batches-py"])
  def test_cifar10(self, tmp_path, folder, no_network):
    image_sets.write_published_cifar10(tmp_path / folder, 20)
    source = datasets.ImageSource(str(tmp_path))
    check(datasets.cifar10(True, source), range(100), 32, 3)
    # The file of the rows for testing begins anew.
    check(datasets.cifar10(train=False, source=source), range(20), 32, 3)

  def test_go_before_what_tfds_prepared(self, tmp_path, prepared):
    shutil.copytree(prepared, tmp_path, dirs_exist_ok=True)
    image_sets.write_published_mnist(tmp_path / "MNIST-data", 5010, 20)
    # In the folder that TFDS uses, too.
    image_sets.write_published_cifar10(tmp_path / "cifar10", 20)
    source = datasets.ImageSource(str(tmp_path))
    assert datasets.mnist(source=source).size == 10
    assert datasets.cifar10(source=source).size == 100

  def test_home_folder(self, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    image_sets.write_published_mnist(tmp_path / "data", 0, 20)
    assert datasets.mnist(False, datasets.ImageSource("~/data")).size == 20

  def test_too_few_images(self, tmp_path):
    image_sets.write_published_mnist(tmp_path, 5000, 0)
    source = datasets.ImageSource(str(tmp_path))
    with pytest.raises(ValueError, match="gz must have more than 5000 .* 5000"):
      datasets.mnist(True, source)
    with pytest.raises(ValueError, match="gz must have more than 0 .* has 0"):
      datasets.mnist(False, source)
    image_sets.write_published_cifar10(tmp_path, 0)
    with pytest.raises(ValueError, match="batch_1 must have more than 0 image"):
      datasets.cifar10(True, source)


def test_scaling(tmp_path):
  """Bytes become products with float32(1/255) or quotients; they differ."""
  levels = np.arange(256)
  pixels = np.resize(levels, (1, 28, 28)).astype(np.uint8)
  for name, array in zip(
    image_files.MNIST_TEST_FILES, (pixels, np.zeros(1, np.uint8)), strict=True
  ):
    with gzip.open(tmp_path / name, "wb") as file:
      file.write(image_sets.idx(array))
  data = {
    "data": np.resize(levels, (1, 3072)).astype(np.uint8),
    "labels": [0],
  }
  (tmp_path / "test_batch").write_bytes(image_sets.python2_pickle(data))
  source = datasets.ImageSource(str(tmp_path))
  mnist = datasets.mnist(False, source).data.ravel()[:256]
  cifar10 = datasets.cifar10(False, source).data[0, :8, :, 0].ravel()
  np.testing.assert_array_equal(
    mnist, levels.astype(np.float32) * np.float32(0.00392156862745098)
  )
  np.testing.assert_array_equal(cifar10, (levels / 255).astype(np.float32))
  # As the specification counts.
  assert (mnist != cifar10).sum() == 126


class TestPreparedByTfds:
  def rows(self, prepared, name, split):
    """The rows of a split in TFDS's order, read without our code."""
    version = {"mnist": "3.0.1", "cifar10": "3.0.2"}[name]
    builder = tfds.builder_from_directory(f"{prepared}/{name}/{version}")
    examples = tfds.as_numpy(builder.as_dataset(split=split))
    return [int(image_sets.rows_of(e["image"][None])[0]) for e in examples]

  def test_mnist(self, prepared, no_network):
    source = datasets.ImageSource(prepared)
    rows = self.rows(prepared, "mnist", "train")
    assert rows != sorted(rows)  # It is TFDS's order, not that of the files.
    check(datasets.mnist(True, source), rows[5000:], 28, 1)
    rows = self.rows(prepared, "mnist", "test")
    check(datasets.mnist(False, source), rows, 28, 1)

  def test_cifar10(self, prepared, no_network):
    source = datasets.ImageSource(prepared)
    rows = self.rows(prepared, "cifar10", "train")
    check(datasets.cifar10(True, source), rows, 32, 3)
    rows = self.rows(prepared, "cifar10", "test")
    check(datasets.cifar10(False, source), rows, 32, 3)

  def test_default_folder(self, prepared, monkeypatch):
    monkeypatch.setattr(tfds.core.constants, "DATA_DIR", prepared)
    assert datasets.cifar10(train=False).size == 150

  def test_in_a_graph(self, prepared):
    expected = datasets.mnist(False, datasets.ImageSource(prepared))
    with tf.Graph().as_default() as graph, tf.compat.v1.Session():
      actual = datasets.mnist(False, datasets.ImageSource(prepared))
    np.testing.assert_array_equal(actual.data, expected.data)
    assert not graph.get_operations()

  def test_nothing_is_downloaded_again(self, prepared, no_network):
    source = datasets.ImageSource(prepared, download=True)
    assert datasets.cifar10(train=False, source=source).size == 150

  def test_too_few_images(self, tmp_path):
    image_sets.write_mnist(tmp_path, 20, 20)
    source = datasets.ImageSource(str(tmp_path))
    with pytest.raises(
      ValueError, match="3.0.1 must have more than 5000 .* 20"
    ):
      datasets.mnist(True, source)

  @pytest.mark.parametrize(
    "damage", ["cut", "change", "remove", "dataset_info"]
  )
  def test_damaged(self, prepared, tmp_path, damage):
    shutil.copytree(prepared, tmp_path, dirs_exist_ok=True)
    folder = tmp_path / "cifar10" / "3.0.2"
    (records,) = folder.glob("*test*")
    content = records.read_bytes()
    if damage == "cut":
      records.write_bytes(content[:-10])
    elif damage == "change":
      records.write_bytes(content[:99] + bytes(5) + content[104:])
    elif damage == "remove":
      records.unlink()
    else:
      path = folder / "dataset_info.json"
      path.write_text(path.read_text()[:100])
    with pytest.raises(
      ValueError, match=f"{tmp_path}.* is damaged: "
    ) as caught:
      datasets.cifar10(False, datasets.ImageSource(str(tmp_path)))
    assert "\n" not in str(caught.value)


class TestUnavailable:
  @pytest.mark.parametrize("name", LOADERS)
  @pytest.mark.parametrize("train", [False, True])
  @pytest.mark.parametrize("folder", ["empty", "absent", "file"])
  def test_says_what_to_do(self, tmp_path, no_network, name, train, folder):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    source = datasets.ImageSource(str(tmp_path / folder))
    with pytest.raises(datasets.DataUnavailableError) as caught:
      LOADERS[name](train, source)
    message = str(caught.value)
    none = "" if folder == "empty" else ", which is no folder"
    assert message.startswith(f"{name} is not in {tmp_path / folder}{none}: ")
    assert "\n" not in message
    for part in (
      "--data_dir",
      "--download",
      "--embedded_digits",
      {
        ("mnist", True): "train-images-idx3-ubyte.gz, train-labels-idx1-ubyte",
        ("mnist", False): "t10k-images-idx3-ubyte.gz, t10k-labels-idx1-ubyte",
        ("cifar10", True): "data_batch_1, data_batch_2",
        ("cifar10", False): "test_batch",
      }[name, train],
    ):
      assert part in message
    assert sorted(os.listdir(tmp_path)) == ["empty", "file"]
    assert not os.listdir(tmp_path / "empty")

  @pytest.mark.parametrize("name", LOADERS)
  @pytest.mark.parametrize("data_dir", [None, ""])
  def test_default_folder(
    self, tmp_path, monkeypatch, no_network, name, data_dir
  ):
    monkeypatch.setattr(tfds.core.constants, "DATA_DIR", str(tmp_path))
    with pytest.raises(
      datasets.DataUnavailableError, match=f"{tmp_path}/{name}"
    ):
      LOADERS[name](source=datasets.ImageSource(data_dir))

  def test_incomplete_files(self, tmp_path, no_network):
    image_sets.write_published_mnist(tmp_path, 5010, 20)
    os.remove(tmp_path / "train-labels-idx1-ubyte.gz")
    source = datasets.ImageSource(str(tmp_path))
    with pytest.raises(datasets.DataUnavailableError, match="not all there"):
      datasets.mnist(True, source)
    assert datasets.mnist(False, source).size == 20


class TestDownload:
  """TFDS's real code, from a server on this machine."""

  @pytest.fixture
  def site(self, tmp_path, monkeypatch):
    """The folder that is served, and the list of requested paths."""
    folder = tmp_path / "site"
    image_sets.write_published_mnist(folder, 5010, 20)
    requested = []

    class Handler(http.server.SimpleHTTPRequestHandler):
      def log_message(self, *unused):
        requested.append(self.path)

    server = http.server.ThreadingHTTPServer(
      ("127.0.0.1", 0), functools.partial(Handler, directory=str(folder))
    )
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}/"
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(mnist_builder, "_TRAIN_EXAMPLES", 5010)
    monkeypatch.setattr(mnist_builder, "_TEST_EXAMPLES", 20)
    monkeypatch.setattr(mnist_builder.MNIST, "URL", url)
    monkeypatch.setattr(
      mnist_builder.MNIST,
      "url_infos",
      {
        url + name: tfds.core.download.checksums.compute_url_info(folder / name)
        for name in os.listdir(folder)
      },
    )
    yield folder, requested
    server.shutdown()
    thread.join()
    server.server_close()

  def test_prepares_and_reads(self, site, tmp_path, no_other_host):
    _, requested = site
    source = datasets.ImageSource(str(tmp_path / "data"), download=True)
    train = datasets.mnist(True, source)
    assert sorted(requested) == [
      "/t10k-images-idx3-ubyte.gz",
      "/t10k-labels-idx1-ubyte.gz",
      "/train-images-idx3-ubyte.gz",
      "/train-labels-idx1-ubyte.gz",
    ]
    rows = image_sets.rows_of(np.rint(train.data * 255).astype(np.uint8))
    assert len(set(rows)) == 10
    check(train, rows, 28, 1)
    # From now on it is there.
    test = datasets.mnist(False, datasets.ImageSource(source.data_dir))
    rows = image_sets.rows_of(np.rint(test.data * 255).astype(np.uint8))
    assert sorted(rows) == list(range(20))
    check(test, rows, 28, 1)
    assert len(requested) == 4

  @pytest.mark.parametrize(
    ("damage", "message"),
    [("remove", "HTTP code: 404"), ("change", "has wrong checksum")],
  )
  def test_fails(self, site, tmp_path, no_other_host, damage, message):
    folder, _ = site
    path = folder / "t10k-labels-idx1-ubyte.gz"
    if damage == "remove":
      path.unlink()
    else:
      path.write_bytes(path.read_bytes() + b"\0")
    source = datasets.ImageSource(str(tmp_path / "data"), download=True)
    with pytest.raises(datasets.DataUnavailableError, match=message) as caught:
      datasets.mnist(False, source)
    assert "mnist could not be downloaded" in str(caught.value)
    assert "--embedded_digits" in str(caught.value)
    assert "\n" not in str(caught.value)
    # What was left behind is no set.
    with pytest.raises(datasets.DataUnavailableError, match="mnist is not in"):
      datasets.mnist(False, datasets.ImageSource(source.data_dir))

  @pytest.fixture
  def no_other_host(self, monkeypatch):
    connect = socket.socket.connect

    def local_only(self, address):
      assert address[0] == "127.0.0.1", address
      return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", local_only)


class TestDigits:
  def test_split(self):
    train, test = datasets.digits(), datasets.digits(train=False)
    assert (train.size, test.size) == (1438, 359)
    for data, labels in train, test:
      assert data.shape == (len(labels), 64)
      assert (data.dtype, labels.dtype) == (np.float32, np.int32)
      assert (data.min(), data.max()) == (0, 1)
      assert set(labels) == set(range(10))
    # The file begins with the digits in order.
    assert train.labels[:8].tolist() == [0, 1, 2, 3, 5, 6, 7, 8]
    assert test.labels[:2].tolist() == [4, 9]
    np.testing.assert_array_equal(
      train.data[0, :8] * 16, [0, 0, 5, 13, 9, 1, 0, 0]
    )

  @pytest.mark.parametrize("train", [False, True])
  def test_enlarged(self, train, no_network):
    # Whatever else is asked for.
    source = datasets.ImageSource("/absent", True, embedded_digits=True)
    digits = datasets.digits(train)
    small = digits.data.reshape(-1, 8, 8)
    mnist = datasets.mnist(train, source)
    assert mnist.data.shape == (digits.size, 28, 28, 1)
    np.testing.assert_array_equal(mnist.labels, digits.labels)
    # Blocks of three and of four pixels in turn, each of one value.
    widths = [3, 4] * 4
    np.testing.assert_array_equal(
      mnist.data[..., 0], small.repeat(widths, axis=1).repeat(widths, axis=2)
    )
    cifar10 = datasets.cifar10(train, source)
    assert cifar10.data.shape == (digits.size, 32, 32, 3)
    np.testing.assert_array_equal(cifar10.labels, digits.labels[:, None])
    for channel in range(3):
      np.testing.assert_array_equal(
        cifar10.data[..., channel], small.repeat(4, axis=1).repeat(4, axis=2)
      )
    for data, labels in mnist, cifar10:
      assert (data.dtype, labels.dtype) == (np.float32, np.int32)

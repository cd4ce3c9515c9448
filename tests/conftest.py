"""Fixtures of several test modules."""

import pytest

from tests import image_sets, running_programs


@pytest.fixture(scope="session")
def program(tmp_path_factory):
  """A function that runs a program quickly; its last arguments are keywords."""
  folder = tmp_path_factory.mktemp("output")
  with running_programs.fork_server(folder) as run:
    yield run


@pytest.fixture(scope="session")
def images(tmp_path_factory):
  """A folder with MNIST and CIFAR-10 as tensorflow-datasets prepares them."""
  folder = tmp_path_factory.mktemp("images")
  image_sets.write_mnist(str(folder))
  image_sets.write_cifar10(str(folder))
  return folder

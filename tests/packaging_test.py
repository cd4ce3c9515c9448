"""The package as its users get it: imports, data files, wheel, commands."""

import os
import pathlib
import shutil
import subprocess
import sys
import sysconfig
import zipfile

import pytest

import learned_optimizer
from learned_optimizer import packaged_data

_DATA_FILE = "learned_optimizer/py.typed"
_OPTIMIZER_FILES = ("config.json", "training.json", "weights.npz")


def _output(*command, cwd, **environment):
  """Runs a command that sees neither the checkout nor Bazel's runfiles."""
  inherited = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith(("BUILD_", "PYTHON", "RUNFILES_"))
  }
  done = subprocess.run(
    [str(word) for word in command],
    cwd=cwd,
    env=inherited | environment,
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
    text=True,
  )
  return done.returncode, done.stdout


def _succeed(*command, cwd, **environment):
  status, output = _output(*command, cwd=cwd, **environment)
  assert status == 0, output
  return output


@pytest.mark.parametrize("module", ["", ".caller", ".packaged_data"])
def test_importing_is_cheap(module, tmp_path):
  script = (
    f"import sys, learned_optimizer{module};"
    "print({'tensorflow', 'keras', 'tf_keras'} & set(sys.modules))"
  )
  root = pathlib.Path(learned_optimizer.__file__).parents[1]
  output = _succeed(
    sys.executable, "-c", script, cwd=tmp_path, PYTHONPATH=str(root)
  )
  assert output.strip() == "set()"


def test_names_of_optimizers_are_cheap(tmp_path):
  script = (
    "import sys, learned_optimizer; learned_optimizer.names();"
    "print({'tensorflow', 'keras', 'tf_keras'} & set(sys.modules))"
  )
  root = pathlib.Path(learned_optimizer.__file__).parents[1]
  output = _succeed(
    sys.executable, "-c", script, cwd=tmp_path, PYTHONPATH=str(root)
  )
  assert output.strip() == "set()"


def test_finds_data_here():
  assert os.path.isfile(packaged_data.path(_DATA_FILE))


def test_finds_data_in_a_directory_of_runfiles(monkeypatch, tmp_path):
  file = tmp_path / "learned_optimizer_ws" / "tests" / "golden" / "some.npz"
  file.parent.mkdir(parents=True)
  file.touch()
  monkeypatch.delenv("RUNFILES_MANIFEST_FILE", raising=False)
  monkeypatch.setenv("RUNFILES_DIR", str(tmp_path))
  assert packaged_data.path("tests/golden/some.npz") == str(file)


def test_finds_data_in_a_manifest_of_runfiles(monkeypatch, tmp_path):
  file = tmp_path / "elsewhere.npz"
  file.touch()
  manifest = tmp_path / "MANIFEST"
  manifest.write_text(f"learned_optimizer_ws/tests/golden/some.npz {file}\n")
  monkeypatch.setenv("RUNFILES_MANIFEST_FILE", str(manifest))
  assert packaged_data.path("tests/golden/some.npz") == str(file)


def test_runfiles_of_another_program_do_not_matter(monkeypatch, tmp_path):
  monkeypatch.delenv("RUNFILES_MANIFEST_FILE", raising=False)
  monkeypatch.setenv("RUNFILES_DIR", str(tmp_path))
  assert os.path.isfile(packaged_data.path(_DATA_FILE))


def test_names_the_data_file_that_is_missing():
  with pytest.raises(FileNotFoundError, match="learned_optimizer/absent.npz"):
    packaged_data.path("learned_optimizer/absent.npz")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
  """The wheel, built from a copy: setuptools writes beside the sources."""
  directory = tmp_path_factory.mktemp("wheel")
  for name in ("LICENSE", "README.md", "pyproject.toml"):
    shutil.copy(packaged_data.path(name), directory)
  shutil.copytree(
    packaged_data.path("learned_optimizer"),
    directory / "learned_optimizer",
    ignore=shutil.ignore_patterns("__pycache__"),
  )
  added = directory / "learned_optimizer" / "data" / "optimizers" / "added"
  added.mkdir(parents=True)
  for name in _OPTIMIZER_FILES:
    (added / name).touch()
  _succeed(
    *(sys.executable, "-m", "pip", "wheel", "--no-cache-dir", "--no-index"),
    *("--no-build-isolation", "--no-deps", "--wheel-dir", directory, "."),
    cwd=directory,
  )
  (file,) = directory.glob("*.whl")
  return file


@pytest.fixture(scope="module")
def environment(wheel, tmp_path_factory):
  """A virtual environment with the wheel, over this one's other packages."""
  directory = tmp_path_factory.mktemp("environment")
  _succeed(
    *(sys.executable, "-m", "venv", "--without-pip", directory), cwd=directory
  )
  _succeed(
    *(sys.executable, "-m", "pip", "--python", directory / "bin" / "python"),
    *("install", "--no-cache-dir", "--no-deps", "--no-index", wheel),
    cwd=directory,
  )
  packages = sysconfig.get_path("purelib", "venv", {"base": str(directory)})
  others = [entry for entry in sys.path if entry.endswith("-packages")]
  pathlib.Path(packages, "others.pth").write_text("\n".join(others))
  return directory


def test_the_wheel_holds_the_package_and_nothing_else(wheel):
  root = pathlib.Path(packaged_data.path("learned_optimizer"))
  modules = {str(file.relative_to(root.parent)) for file in root.rglob("*.py")}
  files = zipfile.ZipFile(wheel).namelist()
  assert {file for file in files if file.endswith(".py")} == modules
  assert _DATA_FILE in files
  assert {file.split("/")[0] for file in files} == {
    "learned_optimizer",
    f"learned_optimizer-{learned_optimizer.__version__}.dist-info",
  }


def test_finds_data_in_the_installed_wheel(environment, tmp_path):
  script = (
    "from learned_optimizer import packaged_data;"
    f"print(packaged_data.path({_DATA_FILE!r}))"
  )
  output = _succeed(environment / "bin" / "python", "-c", script, cwd=tmp_path)
  file = pathlib.Path(output.strip())
  assert file.is_file()
  assert environment in file.parents


def test_the_wheel_has_the_optimizers(wheel, environment, tmp_path):
  names = [*learned_optimizer.names(), "added"]
  files = zipfile.ZipFile(wheel).namelist()
  data = "learned_optimizer/data/optimizers"
  assert {file for file in files if file.startswith(data)} >= {
    f"{data}/{name}/{file}" for name in names for file in _OPTIMIZER_FILES
  }
  script = "import learned_optimizer; print(learned_optimizer.names())"
  output = _succeed(environment / "bin" / "python", "-c", script, cwd=tmp_path)
  assert output.strip() == str(sorted(names))


@pytest.mark.parametrize("command", ["metarun", "metatest"])
def test_the_commands_explain_their_flags(command, environment, tmp_path):
  _, output = _output(environment / "bin" / command, "--help", cwd=tmp_path)
  assert "\n  --" in output, output

"""How XLA compiles in the two programs.

XLA reads its settings from the environment when TensorFlow is imported. What a
user has set there stands.
"""

import hashlib
import importlib.metadata
import os
import pathlib
import tempfile

# The program of an unroll has hundreds of small kernels. Made in these ways
# they take less time to compile.
_FLAGS = (
  "--xla_cpu_use_fusion_emitters=false",
  "--xla_backend_extra_options=xla_cpu_disable_loop_unrolling",
)
# Compiled programs that are kept; one has some two megabytes.
_MAX_KEPT = 200


def compile_quickly() -> None:
  """Makes compiling quick; to be called before TensorFlow is imported."""
  given = os.environ.get("XLA_FLAGS", "")
  if given and not given.lstrip().startswith("-"):
    # The name of a file of flags, which XLA knows by how it begins.
    return
  # Of flags that are repeated XLA takes the last.
  os.environ["XLA_FLAGS"] = " ".join([*_FLAGS, given]).strip()


def keep_programs() -> None:
  """Keeps compiled programs in the user's cache folder, where runs find them.

  To be called before TensorFlow is imported. Does nothing where `TF_XLA_FLAGS`
  is set, or where there is no place to keep anything.
  """
  if "TF_XLA_FLAGS" in os.environ:
    return
  try:
    folder = _cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    _remove_oldest(folder)
    # XLA fails where it cannot write.
    with tempfile.TemporaryFile(dir=folder):
      pass
  except (OSError, RuntimeError):
    # The latter where there is no home.
    return
  os.environ["TF_XLA_FLAGS"] = (
    f"--tf_xla_persistent_cache_directory={folder}"
    " --tf_xla_persistent_cache_device_types=CPU"
  )


def _cache_folder():
  """A folder for this kind of processor and version of TensorFlow."""
  cache = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
  version = importlib.metadata.version("tensorflow")
  kind = hashlib.sha256(_processor_flags().encode()).hexdigest()[:12]
  return pathlib.Path(cache) / "learned_optimizer" / f"xla-{version}-{kind}"


def _processor_flags():
  """The instructions that the processor has, as Linux lists them."""
  for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
    if line.startswith(("flags", "Features")):
      return line
  return ""


def _remove_oldest(folder):
  ages = sorted(
    (path.stat().st_mtime, path) for path in folder.iterdir() if path.is_file()
  )
  for _, path in ages[:-_MAX_KEPT]:
    path.unlink(missing_ok=True)

"""The console commands `metarun` and `metatest`.

They run the programs as scripts: absl looks in `__main__` for the text and the
flags that `--help` shows.
"""

import runpy


def metarun() -> None:
  """Runs the program `learned_optimizer/metarun.py`."""
  runpy.run_module(
    "learned_optimizer.metarun", run_name="__main__", alter_sys=True
  )


def metatest() -> None:
  """Runs the program `learned_optimizer/metatest.py`."""
  runpy.run_module(
    "learned_optimizer.metatest", run_name="__main__", alter_sys=True
  )

"""What the benchmarks share: timing in turns, quartiles, tables and files."""

import math
import os
import pathlib
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from learned_optimizer import caller, files

if TYPE_CHECKING:
  from matplotlib.figure import Figure

# A row of a table: cells by the titles of their columns. A cell is a text, a
# number, `Quartiles` or None.
Row = Mapping[str, Any]


class Quartiles(NamedTuple):
  """Median and quartiles of several measurements."""

  low: float
  median: float
  high: float

  @classmethod
  def of(cls, values: Sequence[float] | np.ndarray) -> "Quartiles":
    """Those of a nonempty sequence of numbers."""
    return cls(*map(float, np.quantile(values, [0.25, 0.5, 0.75])))


class Seconds(NamedTuple):
  """Seconds of each measurement, two arrays [measurements].

  Attributes:
    wall: by the clock.
    cpu: of all threads of this process together.
  """

  wall: np.ndarray
  cpu: np.ndarray


def timed(function: Callable[[], Any]) -> tuple[float, float]:
  """Seconds by the clock, and CPU seconds of this process, of one call."""
  wall, cpu = time.perf_counter(), time.process_time()
  function()
  return time.perf_counter() - wall, time.process_time() - cpu


def measure(
  functions: Mapping[str, Callable[[], Any]],
  repeats: int,
  least_seconds: float = 0.0,
) -> dict[str, Seconds]:
  """Times functions in turn, so that a busy machine treats them alike.

  Each is called once beforehand, which is not counted.

  Args:
    functions: what to time; a call returns when the work is done.
    repeats: number of rounds, at least 1.
    least_seconds: in each round a function is called as often as it takes to
      fill this time, which for very short ones should be some 0.1 s.

  Returns:
    The seconds per call, by the same names. Values of the same index come from
    the same round: the quotient of two arrays has what a busy machine did to
    both divided out.
  """
  calls = {}
  for name, function in functions.items():
    function()
    wall = timed(function)[0] if least_seconds else math.inf
    calls[name] = max(1, math.ceil(least_seconds / wall))
  seconds = {name: np.zeros([2, repeats]) for name in functions}
  for index in range(repeats):
    for name, function in functions.items():
      total = timed(lambda f=function, n=calls[name]: [f() for _ in range(n)])
      seconds[name][:, index] = np.divide(total, calls[name])
  return {name: Seconds(*values) for name, values in seconds.items()}


def print_table(title: str, rows: Sequence[Row]) -> None:
  """Prints a table, with quartiles in brackets behind medians.

  Args:
    title: the line above it.
    rows: what it shows; the first names all columns, and others may lack some.
  """
  columns = list(rows[0])
  lines = [columns, *([_text(row.get(c)) for c in columns] for row in rows)]
  widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
  print(f"\n{title}")
  for line in lines:
    cells = zip(line, widths, strict=True)
    print("  ".join(cell.rjust(width) for cell, width in cells), flush=True)


def write(
  folder: str,
  name: str,
  tables: Mapping[str, Sequence[Row]],
  figure: "Figure | None" = None,
) -> None:
  """Writes `<name>.json`, and `<name>.png` where there is a figure.

  Args:
    folder: where to; made if it is missing. Relative ones count from the
      directory in which the program was called.
    name: of the files, without suffix.
    tables: the rows of each table by its title. Quartiles become objects.
    figure: what the picture shows.
  """
  path = pathlib.Path(caller.caller_path(folder))
  path.mkdir(parents=True, exist_ok=True)
  plain = {
    title: [{key: _plain(cell) for key, cell in row.items()} for row in rows]
    for title, rows in tables.items()
  }
  content = {"machine": _machine(), "tables": plain}
  files.write_json(path / f"{name}.json", content)
  if figure is not None:
    with files.whole_file(path / f"{name}.png") as partial:
      figure.savefig(partial, format="png", dpi=100)


def _machine() -> dict[str, Any]:
  """What the figures depend on besides the program."""
  import keras
  import tensorflow as tf

  return {
    "cores": len(os.sched_getaffinity(0)),
    "load": os.getloadavg(),
    "processor": platform.processor() or platform.machine(),
    "python": platform.python_version(),
    "tensorflow": tf.__version__,
    "keras": keras.__version__,
  }


def _plain(cell):
  return cell._asdict() if isinstance(cell, Quartiles) else cell


def _text(cell):
  if cell is None:
    return "-"
  if isinstance(cell, Quartiles):
    return f"{_number(cell.median)} [{_number(cell.low)}, {_number(cell.high)}]"
  return _number(cell) if isinstance(cell, float) else str(cell)


def _number(value):
  """Three digits, without an exponent where none is needed."""
  return f"{value:.0f}" if 100 <= abs(value) < 1e6 else f"{value:.3g}"

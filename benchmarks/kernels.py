"""Where the time of a compiled unroll goes: its kernels, one by one.

To record when each of them starts and ends takes time as well, half of the
whole where kernels are small. So the numbers are for comparing kernels with
each other, not for how long an unroll takes.
"""

import collections
import functools
import os
import pathlib
import re
import tempfile
from collections.abc import Sequence

from absl import app, flags

from benchmarks import tables, unrolls
from learned_optimizer import program_start, xla_settings

# A line of a compiled program: `%kernel = result opcode(...), metadata={...}`,
# with the operation it comes from among the latter. Tuples are in parentheses.
_INSTRUCTION = re.compile(r"%(\S+) = (\(.*?\)|\S+) [\w-]+\(")
_MADE_BY = re.compile(r'op_name="([^"]*)"')
# The end of a name tells more than its beginning.
_MAX_NAME = 40
_ELSE = "between kernels"


def main(argv: Sequence[str]) -> None:
  """Traces an unroll and prints where its time goes."""
  del argv
  values = flags.FLAGS
  measurement = unrolls.Measurement(
    values.problem, unroll=values.unroll, instances=values.instances
  )
  with tempfile.TemporaryDirectory() as folder:
    given = os.environ.get("XLA_FLAGS", "")
    dump = f"--xla_dump_to={folder} --xla_dump_hlo_as_text"
    # A program that was kept would not be dumped.
    os.environ |= {"XLA_FLAGS": f"{given} {dump}", "TF_XLA_FLAGS": ""}
    xla_settings.compile_quickly()
    program_start.import_tensorflow_quietly()
    microseconds = _traced(measurement, folder)
    instructions = _instructions(folder)
  # What is between kernels: finding the next one, and TensorFlow.
  for name in microseconds.keys() - instructions.keys():
    microseconds[_ELSE] += microseconds.pop(name)
  total = sum(microseconds.values())
  steps = measurement.unroll * measurement.instances
  title = f"{total / steps:.0f} CPU-us for a step of an instance, being traced"
  rows = [
    {
      "kernel": kernel,
      **instructions.get(kernel, {}),
      "CPU-us per step": time / steps,
      "of all": f"{time / total:.1%}",
    }
    for kernel, time in microseconds.most_common(values.rows)
  ]
  tables.print_table(title, rows)


def _traced(measurement, folder):
  """Microseconds of each kernel in one unroll, a counter."""
  import tensorflow as tf
  from tensorflow.tsl.profiler.protobuf import xplane_pb2

  run = unrolls.compiled(measurement)
  run()
  options = tf.profiler.experimental.ProfilerOptions(
    host_tracer_level=3, python_tracer_level=0
  )
  with tf.profiler.experimental.Profile(folder, options):
    run()
  (path,) = pathlib.Path(folder).rglob("*.xplane.pb")
  space = xplane_pb2.XSpace.FromString(path.read_bytes())
  total = collections.Counter()
  for plane in space.planes:
    names = {key: data.name for key, data in plane.event_metadata.items()}
    for line in plane.lines:
      if "Eigen" in line.name:
        total.update(_times(line, names))
  return total


def _times(line, names):
  """Microseconds by kernel of one thread, without those of kernels inside."""
  times = collections.Counter()
  around = []
  for event in sorted(
    line.events, key=lambda event: (event.offset_ps, -event.duration_ps)
  ):
    while around and around[-1][0] <= event.offset_ps:
      around.pop()
    microseconds = event.duration_ps / 1e6
    if around:
      times[around[-1][1]] -= microseconds
    name = names[event.metadata_id]
    times[name] += microseconds
    around.append((event.offset_ps + event.duration_ps, name))
  return times


def _instructions(folder):
  """By kernel: its result, and the graph's operation that it comes from."""
  (path,) = pathlib.Path(folder).glob("*cpu_after_optimizations.txt")
  found = {}
  for line in path.read_text().splitlines():
    if instruction := _INSTRUCTION.search(line):
      kernel, result = instruction.groups()
      made_by = "".join(_MADE_BY.findall(line))[-_MAX_NAME:]
      result = re.sub(r"{[^}]*}", "", result)[:_MAX_NAME]
      found[kernel] = {"result": result, "made by": made_by}
  return found


def _define_flags() -> None:
  flags.DEFINE_string("problem", "softmax_2_class", "the name of a problem set")
  flags.DEFINE_integer("unroll", 128, "number of steps", lower_bound=1)
  flags.DEFINE_integer("instances", 1, "how many at once", lower_bound=1)
  flags.DEFINE_integer("rows", 30, "rows of the table", lower_bound=1)


if __name__ == "__main__":
  _define_flags()
  parse = functools.partial(program_start.parse, flags.FLAGS)
  app.run(main, flags_parser=parse)

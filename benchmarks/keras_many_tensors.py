"""What a learned optimizer costs a Keras model of 148 tensors.

For Adam and for the hierarchical RNN: the time to build the optimizer and take
the first step, as a graph and compiled, each in a process of its own; and the
number of graph operations of one step of the optimizer.
"""

import subprocess
import sys
import time
from collections.abc import Sequence

from absl import app

from learned_optimizer import program_start

_NUM_TENSORS = 148
_UNITS = 16
_OPTIMIZERS = ("Adam", "HierarchicalRNN")
_WAYS = ("graph", "compiled")


def main(argv: Sequence[str]) -> None:
  """Measures and prints a table, or one of its cells."""
  if len(argv) == 3:
    print(_first_step(*argv[1:]))
    return
  print(
    f"{_NUM_TENSORS} tensors       first step: graph      compiled        "
    " operations"
  )
  for name in _OPTIMIZERS:
    cells = []
    for way in _WAYS:
      command = [sys.executable, __file__, name, way]
      done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
      cells.append(done.stdout.decode().split()[-3:])
    times = "".join(
      f"{float(wall):7.1f} s {float(cpu):6.1f} CPU-s" for wall, cpu, _ in cells
    )
    print(f"{name:20}{times}{cells[0][2]:>8}", flush=True)


def _first_step(name: str, way: str) -> str:
  """Seconds and CPU seconds to the end of the first step; operations."""
  program_start.import_tensorflow_quietly()
  import keras
  import numpy as np
  import tensorflow as tf

  import learned_optimizer

  keras.utils.set_random_seed(0)
  layers = [keras.layers.Dense(_UNITS) for _ in range(_NUM_TENSORS // 2)]
  model = keras.Sequential([keras.Input([_UNITS]), *layers])
  optimizer = (
    keras.optimizers.Adam()
    if name == "Adam"
    else learned_optimizer.load("digits-mlp", seed=0)
  )
  model.compile(optimizer, "mse", jit_compile=way == "compiled")
  values = np.zeros([8, _UNITS], np.float32)
  wall, cpu = time.perf_counter(), time.process_time()
  model.train_on_batch(values, values)
  wall, cpu = time.perf_counter() - wall, time.process_time() - cpu

  variables = model.trainable_variables
  grads = [tf.zeros(variable.shape) for variable in variables]
  step = tf.function(lambda *grads: optimizer.apply(grads, variables))
  graph = step.get_concrete_function(*grads).graph
  return f"{wall} {cpu} {len(graph.get_operations())}"


if __name__ == "__main__":
  app.run(main)

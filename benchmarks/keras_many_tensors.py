"""What a learned optimizer costs a Keras model of 148 tensors.

For Adam and for the hierarchical RNN: the time to build the optimizer and take
the first step, as a graph and compiled, each in a process of its own; and the
number of graph operations of one step of the optimizer.
"""

import subprocess
import sys
from collections.abc import Sequence

from absl import app

from benchmarks import tables
from learned_optimizer import program_start

_NUM_TENSORS = 148
_UNITS = 16
_OPTIMIZERS = ("Adam", "HierarchicalRNN")
_WAYS = ("graph", "compiled")


def main(argv: Sequence[str]) -> None:
  """Measures and prints a table, or one of its cells."""
  if len(argv) == 3:
    program_start.import_tensorflow_quietly()
    print(*first_step(*argv[1:], _NUM_TENSORS))
    return
  rows = []
  for name in _OPTIMIZERS:
    row = {"optimizer": name}
    for way in _WAYS:
      command = ["-m", "benchmarks.keras_many_tensors", name, way]
      done = subprocess.run(
        [sys.executable, *command], stdout=subprocess.PIPE, check=True
      )
      wall, cpu, operations = done.stdout.decode().split()[-3:]
      row |= {f"{way}, s": float(wall), f"{way}, CPU-s": float(cpu)}
    rows.append({**row, "operations": operations})
  tables.print_table(f"First step of {_NUM_TENSORS} tensors", rows)


def first_step(
  name: str, way: str, num_tensors: int
) -> tuple[float, float, int]:
  """Seconds and CPU seconds to the end of the first step; operations.

  Args:
    name: of the optimizer, Adam or HierarchicalRNN.
    way: graph or compiled.
    num_tensors: of the model, an even number.
  """
  import keras
  import numpy as np
  import tensorflow as tf

  import learned_optimizer

  keras.utils.set_random_seed(0)
  layers = [keras.layers.Dense(_UNITS) for _ in range(num_tensors // 2)]
  model = keras.Sequential([keras.Input([_UNITS]), *layers])
  optimizer = (
    keras.optimizers.Adam()
    if name == "Adam"
    else learned_optimizer.load("digits-mlp", seed=0)
  )
  model.compile(optimizer, "mse", jit_compile=way == "compiled")
  values = np.zeros([8, _UNITS], np.float32)
  wall, cpu = tables.timed(lambda: model.train_on_batch(values, values))

  variables = model.trainable_variables
  grads = [tf.zeros(variable.shape) for variable in variables]
  step = tf.function(lambda *grads: optimizer.apply(grads, variables))
  graph = step.get_concrete_function(*grads).graph
  return wall, cpu, len(graph.get_operations())


if __name__ == "__main__":
  app.run(main)

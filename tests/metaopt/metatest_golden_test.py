"""metatest's losses with the released checkpoint are the original's.

Needs the reference data beside the checkout, and skips without it.
"""

import numpy as np
import pytest
import tensorflow as tf

from learned_optimizer.metaopt import evaluation
from learned_optimizer.metaopt.program import Program, Purpose
from learned_optimizer.metaopt.task import Task
from learned_optimizer.metaopt.trial import Trial
from learned_optimizer.optimizer.variables import load_variables
from learned_optimizer.problems.datasets import Dataset
from learned_optimizer.problems.problem_generator import FullyConnected
from tests.metaopt import runs

_FOLDER = "checkpoints/hess_cl_mt/HierarchicalRNN_GRUCell_20_2"


@pytest.mark.parametrize("jit_compile", [False, True])
def test_losses_are_those_of_the_original(jit_compile):
  folder = runs.shared(_FOLDER)
  with np.load(runs.shared("golden/scale_metatest_digits.npz")) as file:
    dataset = Dataset(
      file["data_uint8_0_16"].astype(np.float32) / 16, file["labels"]
    )
    golden = {
      name.removeprefix("sigmoid/"): file[name]
      for name in file.files
      if name.startswith("sigmoid/")
    }
  problem = FullyConnected(64, 10, (20,), variant="evaluation")
  params = [golden[f"init_param/{i}"] for i in range(4)]
  log_rates = [
    golden[f"init_log_learning_rate/{i}"].reshape(param.shape)
    for i, param in enumerate(params)
  ]
  draws = {"coordinates": log_rates, "tensors": [0.0] * len(params)}
  trial = Trial(params, draws, golden["batches"], [])
  with tf.Graph().as_default(), tf.compat.v1.Session() as session:
    optimizer = runs.hierarchical_rnn().build()
    program = Program(
      session,
      optimizer,
      Task.of(problem, dataset, 128),
      jit_compile,
      Purpose.EVALUATE,
    )
    load_variables(
      session,
      list(optimizer.weights.values()),
      optimizer.read_weights(str(folder / "model.ckpt-0")),
    )
    points = np.arange(0, 300, 10)
    losses = evaluation.run(program, trial, points)
  assert losses.on_batches[0] - losses.on_batches[-1] > 0.05
  np.testing.assert_allclose(
    losses.on_batches, golden["obj_batch_before_step"], rtol=1e-4
  )
  np.testing.assert_allclose(
    losses.on_data, golden["func/obj_full"][points], rtol=1e-4
  )

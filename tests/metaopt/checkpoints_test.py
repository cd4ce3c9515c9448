"""What a run publishes: names, shapes, numbers; old checkpoints."""

import numpy as np
import pytest

from learned_optimizer.optimizer import checkpoints
from learned_optimizer.optimizer.coordinatewise_rnn import CoordinatewiseRNN
from learned_optimizer.optimizer.global_learning_rate import GlobalLearningRate
from learned_optimizer.optimizer.learning_rate_schedule import (
  LearningRateSchedule,
)
from learned_optimizer.optimizer.trainable_adam import TrainableAdam
from learned_optimizer.problems.problem_spec import Spec
from tests.metaopt import runs

_SHAPES = {
  "LOL/Layer2_RNN/BiasGRUCell/candidate/Affine/Bias": [20],
  "LOL/Layer2_RNN/BiasGRUCell/candidate/Affine/Matrix": [40, 20],
  "LOL/Layer2_RNN/BiasGRUCell/gates/Affine/Bias": [40],
  "LOL/Layer2_RNN/BiasGRUCell/gates/Affine/Matrix": [40, 40],
  "LOL/Level0_RNN/init_vector": [1, 10],
  "LOL/Level1_RNN/init_vector": [1, 20],
  "LOL/Level2_RNN/init_vector": [1, 20],
  "LOL/PerTensor/GradsToDelta/Matrix": [4, 1],
  "LOL/PerTensor/Layer0_RNN/BiasGRUCell/candidate/Affine/Bias": [10],
  "LOL/PerTensor/Layer0_RNN/BiasGRUCell/candidate/Affine/Matrix": [22, 10],
  "LOL/PerTensor/Layer0_RNN/BiasGRUCell/gates/Affine/Bias": [20],
  "LOL/PerTensor/Layer0_RNN/BiasGRUCell/gates/Affine/Matrix": [22, 20],
  "LOL/PerTensor/Layer0_RNN/Global/Affine/Bias": [30],
  "LOL/PerTensor/Layer0_RNN/Global/Affine/Matrix": [20, 30],
  "LOL/PerTensor/Layer0_RNN/Param/Affine/Bias": [30],
  "LOL/PerTensor/Layer0_RNN/Param/Affine/Matrix": [20, 30],
  "LOL/PerTensor/Layer1_RNN/Affine/Bias": [60],
  "LOL/PerTensor/Layer1_RNN/Affine/Matrix": [20, 60],
  "LOL/PerTensor/Layer1_RNN/BiasGRUCell/candidate/Affine/Bias": [20],
  "LOL/PerTensor/Layer1_RNN/BiasGRUCell/candidate/Affine/Matrix": [42, 20],
  "LOL/PerTensor/Layer1_RNN/BiasGRUCell/gates/Affine/Bias": [40],
  "LOL/PerTensor/Layer1_RNN/BiasGRUCell/gates/Affine/Matrix": [42, 40],
  "LOL/PerTensor/learning_rate_momentum_logit": [],
  "LOL/PerTensor/param_stepsize_offset": [],
  "LOL/inp_decay_bias": [1],
  "LOL/inp_decay_weights": [10, 1],
  "LOL/learning_rate_bias": [1],
  "LOL/learning_rate_weights": [10, 1],
  "LOL/scl_decay_bias": [1],
  "LOL/scl_decay_weights": [10, 1],
  "LOL/update_weights": [10, 1],
}


@pytest.fixture(scope="module")
def hrnn_run(tmp_path_factory):
  """The folder of a run of metarun's optimizer: two problems, four unrolls."""
  folder = tmp_path_factory.mktemp("hrnn")
  runs.train(
    folder,
    optimizer=runs.hierarchical_rnn(),
    num_meta_iterations=1,
    learning_rate=1e-6,
    gradient_clip=1e4,
  )
  return folder


def test_holds_the_94_variables_of_the_original(hrnn_run):
  values = runs.published(hrnn_run)
  found = {name: (v.dtype.name, v.shape) for name, v in values.items()}
  assert found == _with_slots(_SHAPES)
  assert len(found) == 94
  assert sum(values[name].size for name in _SHAPES) == 8349


_OTHER_OPTIMIZERS = {
  "CoordinatewiseRNN": (
    Spec(CoordinatewiseRNN, ([10, 20, 20], "LSTMCell"), {}),
    {
      "LOL/decay_bias": [1],
      "LOL/decay_weights": [20, 1],
      "LOL/init_vector": [1, 100],
      "LOL/learning_rate_bias": [1],
      "LOL/learning_rate_weights": [20, 1],
      "LOL/multi_rnn_cell/cell_0/lstm_cell/bias": [40],
      "LOL/multi_rnn_cell/cell_0/lstm_cell/kernel": [11, 40],
      "LOL/multi_rnn_cell/cell_1/lstm_cell/bias": [80],
      "LOL/multi_rnn_cell/cell_1/lstm_cell/kernel": [30, 80],
      "LOL/multi_rnn_cell/cell_2/lstm_cell/bias": [80],
      "LOL/multi_rnn_cell/cell_2/lstm_cell/kernel": [40, 80],
      "LOL/update_weights": [20, 1],
    },
  ),
  "TrainableAdam": (
    Spec(TrainableAdam, (), {}),
    {
      "LOL/beta1_logit": [],
      "LOL/beta2_logit": [],
      "LOL/log_epsilon": [],
      "LOL/log_learning_rate": [],
    },
  ),
  "GlobalLearningRate": (
    Spec(GlobalLearningRate, (), {}),
    {"LOL/global_learning_rate": []},
  ),
  "LearningRateSchedule": (
    Spec(LearningRateSchedule, (1e-3, 7), {}),
    {"LOL/learning_rates": [7]},
  ),
}


@pytest.mark.parametrize("name", _OTHER_OPTIMIZERS)
def test_variables_of_other_optimizers(name, tmp_path):
  spec, shapes = _OTHER_OPTIMIZERS[name]
  runs.train(tmp_path, optimizer=spec, num_problems=1, num_meta_iterations=1)
  values = runs.published(tmp_path)
  found = {k: (v.dtype.name, v.shape) for k, v in values.items()}
  assert found == _with_slots(shapes)


def _with_slots(shapes):
  """What a checkpoint holds: weights, RMSProp's slots and the step."""
  variables = {
    name + slot: ("float32", tuple(shape))
    for name, shape in shapes.items()
    for slot in ("", "/RMSProp", "/RMSProp_1")
  }
  return variables | {"global_step": ("int32", ())}


def test_slots_begin_as_in_the_original(hrnn_run):
  before = runs.read(hrnn_run / "model.ckpt-0")
  assert before["global_step"] == 0
  for name in _SHAPES:
    assert np.all(before[f"{name}/RMSProp"] == 1)
    assert np.all(before[f"{name}/RMSProp_1"] == 0)
  after = runs.published(hrnn_run)
  assert after["global_step"] == 4
  name = "LOL/update_weights"
  assert np.any(after[f"{name}/RMSProp_1"] != 0)
  assert np.any(after[name] != before[name])


def test_goes_on_from_the_released_checkpoint(tmp_path):
  released = runs.shared("checkpoints/hess_cl_mt/HierarchicalRNN_GRUCell_20_2")
  for path in released.iterdir():
    (tmp_path / path.name).write_bytes(path.read_bytes())
  old = runs.published(tmp_path)
  _, output = runs.train(
    tmp_path,
    optimizer=runs.hierarchical_rnn(),
    num_problems=1,
    num_meta_iterations=1,
    unrolls=1,
    learning_rate=1e-6,
    gradient_clip=1e4,
  )
  assert "Problem #0" in output
  runs.assert_equal(runs.read(tmp_path / "model.ckpt-6"), old)
  new = runs.published(tmp_path)
  assert new["global_step"] == old["global_step"] + 1 == 7
  for name in _SHAPES:
    np.testing.assert_allclose(
      new[name], old[name] - new[f"{name}/RMSProp_1"], atol=1e-7
    )
    np.testing.assert_allclose(
      new[f"{name}/RMSProp_1"],
      0,
      atol=1e-6 * np.sqrt(10.01),
    )


def test_an_old_checkpoint_starts_at_the_next_problem(tmp_path):
  runs.train(tmp_path / "old", num_problems=1)
  old = runs.published(tmp_path / "old")
  new = tmp_path / "new"
  new.mkdir()
  for path in (tmp_path / "old").iterdir():
    if path.name.startswith(("model", "checkpoint")):
      (new / path.name).write_bytes(path.read_bytes())
  result, _ = runs.train(new, num_problems=1, seed=8)
  assert result.global_step == old["global_step"] + 4
  point = runs.points(new)[0] / "variables.npz"
  with np.load(point, allow_pickle=False) as first:
    runs.assert_equal(dict(first), old)


def test_keeps_the_last_five(tmp_path):
  for number in (4, 8):
    runs.train(tmp_path, num_problems=number, num_meta_iterations=1)
  steps = sorted(
    int(path.stem.split("-")[1]) for path in tmp_path.glob("*.index")
  )
  assert steps == [8, 10, 12, 14, 16]


def test_the_newest_is_the_best_or_else_the_last(tmp_path):
  assert checkpoints.newest(tmp_path) is None
  runs.train(tmp_path, num_problems=1)
  assert checkpoints.newest(tmp_path) == str(tmp_path / "model.ckpt-4")
  for number in (9, 10):
    best = tmp_path / f"best-{number}"
    best.mkdir()
    for path in tmp_path.glob("model.ckpt-4.*"):
      name = path.name.replace("-4.", f"-{number}.", 1)
      (best / name).write_bytes(path.read_bytes())
  assert checkpoints.newest(tmp_path) == str(best / "model.ckpt-10")


@pytest.mark.parametrize("damage", [b"\xff\xfe nonsense \x00", b"", None])
def test_finds_checkpoints_whose_list_is_damaged(tmp_path, damage):
  runs.train(tmp_path, num_problems=6, num_meta_iterations=1)
  listing = tmp_path / "checkpoint"
  if damage is None:
    listing.unlink()
  else:
    listing.write_bytes(damage)
  assert checkpoints.latest(tmp_path) == str(tmp_path / "model.ckpt-12")
  result, _ = runs.train(tmp_path, num_problems=7, num_meta_iterations=1)
  assert result.global_step == 14


def test_a_checkpoint_of_another_kind_is_refused(tmp_path):
  runs.train(tmp_path / "old", optimizer=runs.baseline("SGD"), num_problems=1)
  path = checkpoints.latest(tmp_path / "old")
  values = checkpoints.read(path)
  with pytest.raises(ValueError, match="no variable LOL/update_weights"):
    checkpoints.matching(values, {"LOL/update_weights": (10, 1)}, path)
  with pytest.raises(ValueError, match=r"SGD/learning_rate has shape"):
    checkpoints.matching(values, {"SGD/learning_rate": (2,)}, path)


@pytest.mark.parametrize("damage", ["data", "index", "cut", "gone"])
def test_a_damaged_checkpoint_is_an_error(tmp_path, damage):
  runs.train(tmp_path, num_problems=1)
  path = checkpoints.latest(tmp_path)
  data = tmp_path / "model.ckpt-4.data-00000-of-00001"
  if damage == "data":
    data.write_bytes(bytes(b ^ 255 for b in data.read_bytes()))
  elif damage == "index":
    (tmp_path / "model.ckpt-4.index").write_bytes(b"not an index")
  elif damage == "cut":
    data.write_bytes(data.read_bytes()[:5])
  else:
    data.unlink()
  with pytest.raises(ValueError, match="cannot be read") as error:
    checkpoints.read(path)
  assert "\n" not in str(error.value)

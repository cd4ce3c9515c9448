"""The benchmarks run, and measure and draw what they say."""

import json
from types import SimpleNamespace

import pytest
from matplotlib import image

from benchmarks import (
  keras_many_tensors,
  kernels,
  meta_training,
  tables,
  unrolls,
  update_cost,
)


def test_functions_are_timed_in_turn():
  calls = []
  seconds = tables.measure(
    {name: lambda n=name: calls.append(n) for name in "ab"}, repeats=3
  )
  # The first call of each is not counted.
  assert calls == ["a", "b"] * 4
  for measured in seconds.values():
    assert measured.wall.shape == measured.cpu.shape == (3,)


def test_time_is_filled_with_calls(monkeypatch):
  def timed(function):
    function()
    return 0.02, 0.01

  monkeypatch.setattr(tables, "timed", timed)
  calls = []
  measured = tables.measure(
    {"a": lambda: calls.append(0)}, repeats=2, least_seconds=0.09
  )
  # Two to find out how many, then two rounds of five.
  assert len(calls) == 12
  assert measured["a"].wall.tolist() == [0.004, 0.004]
  assert measured["a"].cpu.tolist() == [0.002, 0.002]


def test_table(capsys, tmp_path):
  quartiles = tables.Quartiles.of([5.0, 1.0, 2.0, 4.0, 3.0])
  assert quartiles == (2, 3, 4)
  rows = [{"name": "one", "cost": quartiles}, {"name": "eleven"}]
  tables.print_table("costs", rows)
  assert capsys.readouterr().out.splitlines()[1:] == [
    "costs",
    "  name      cost",
    "   one  3 [2, 4]",
    "eleven         -",
  ]
  tables.write(str(tmp_path / "new"), "costs", {"costs": rows})
  (path,) = (tmp_path / "new").iterdir()
  content = json.loads(path.read_text())
  assert content["machine"]["cores"] >= 1
  assert content["tables"]["costs"] == [
    {"name": "one", "cost": {"low": 2, "median": 3, "high": 4}},
    {"name": "eleven"},
  ]


def test_update_cost(tmp_path):
  selection = update_cost.Selection(
    ["GlobalLearningRate"], [10**4], [6], [2], 1
  )
  measured = {
    update_cost.UPDATE: list(update_cost.updates(selection)),
    update_cost.STEP: list(update_cost.training_steps(selection)),
  }
  for rows, num_parameters in zip(measured.values(), (9522, 9550), strict=True):
    adam, rule = rows
    assert adam["optimizer"] == "Adam"
    assert adam["x Adam, CPU"] == (1, 1, 1)
    assert rule["optimizer"] == "GlobalLearningRate"
    assert rule["parameters"] == num_parameters
  # Adam keeps two moments of each parameter, and two scalars of its own; the
  # rule keeps the scalars alone.
  adam, rule = (row["bytes/parameter"] for row in measured[update_cost.UPDATE])
  assert adam == pytest.approx(3 * 8, rel=1e-2)
  assert rule == pytest.approx(8, rel=1e-2)
  figure = update_cost.draw(measured)
  tables.write(str(tmp_path), "update_cost", measured, figure)
  pixels = image.imread(tmp_path / "update_cost.png")[..., :3]
  colourful = pixels.max(axis=-1) - pixels.min(axis=-1) > 0.3
  assert colourful.sum() > 100


def test_number_of_tensors():
  for num_parameters in update_cost.NUM_PARAMETERS:
    units = update_cost._units(num_parameters, 150, {})
    assert len(units) == 76
    actual = sum((a + 1) * b for a, b in zip(units, units[1:], strict=False))
    assert actual == pytest.approx(num_parameters, rel=0.03)


def test_meta_training(tmp_path, monkeypatch):
  def run(measurement):
    # Here, since a process of its own costs seconds to begin.
    return unrolls.measure(measurement)

  monkeypatch.setattr(unrolls.Measurement, "run", run)
  monkeypatch.setattr(
    meta_training, "adam_seconds", lambda repeats: [0.93e-3] * repeats
  )
  measurement = unrolls.Measurement("softmax_2_class", unroll=20, repeats=1)
  rows = meta_training.speed(measurement._replace(ways=["op by op"]))
  assert [row["way"] for row in rows] == ["op by op"]
  for row in rows:
    # As fast as Adam was then: what is left is the quotient.
    assert row["x original"].median == pytest.approx(
      row["steps/CPU-s"].median / 354
    )
    assert row["first meta-step, s"] > 0
  rows += meta_training.speed(
    measurement._replace(instances=2, ways=["op by op"], max_rows=8)
  )
  assert rows[-1]["instances"] == 2
  assert rows[-1]["x original"] is None
  figure = meta_training.draw(rows[:1])
  tables.write(str(tmp_path), "meta_training", {"Speed": rows}, figure)
  assert (tmp_path / "meta_training.png").stat().st_size > 1000


def test_keras_many_tensors():
  wall, cpu, operations = keras_many_tensors.first_step("Adam", "graph", 4)
  assert wall > 0
  assert cpu > 0
  assert operations > 20


def test_kernels_are_traced(tmp_path):
  measurement = unrolls.Measurement("softmax_2_class", unroll=8)
  microseconds = kernels._traced(measurement, str(tmp_path))
  assert any(name.startswith("MatMul") for name in microseconds)
  assert sum(microseconds.values()) > 0


def test_times_of_kernels_are_without_those_inside():
  events = [
    SimpleNamespace(metadata_id=key, offset_ps=start, duration_ps=duration)
    for key, start, duration in [
      (2, 0, 2e6),
      (1, 0, 9e6),
      (2, 5e6, 3e6),
      (3, 6e6, 1e6),
      (2, 9e6, 4e6),
    ]
  ]
  line = SimpleNamespace(events=events)
  times = kernels._times(line, {1: "loop", 2: "product", 3: "part"})
  assert times == {"loop": 4, "product": 8, "part": 1}


def test_kernels_are_named(tmp_path):
  (tmp_path / "module.cpu_after_optimizations.txt").write_text(
    "ENTRY %main (a: f32[2]) -> f32[2] {\n"
    "  %a.1 = f32[2]{0} parameter(0)\n"
    "  %loop = (f32[2]{0}, s32[]) while(%a.1), body=%b\n"
    "  ROOT %MatMul.2 = f32[2,3]{1,0} dot(%a.1, %a.1),"
    ' metadata={op_type="MatMul" op_name="gradients/MatMul"}\n}\n'
  )
  instructions = kernels._instructions(tmp_path)
  assert instructions["MatMul.2"] == {
    "result": "f32[2,3]",
    "made by": "gradients/MatMul",
  }
  assert instructions["a.1"] == {"result": "f32[2]", "made by": ""}
  assert instructions["loop"]["result"] == "(f32[2], s32[])"

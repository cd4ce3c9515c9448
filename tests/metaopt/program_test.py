"""One program per structure of a problem, compiled once per power of two."""

import numpy as np
import tensorflow as tf

from learned_optimizer.metaopt.program import Program, Programs
from learned_optimizer.metaopt.task import Task, describe
from tests.metaopt import processes, runs


def test_compiles_once_for_each_power_of_two(tmp_path):
  generator = np.random.default_rng(3)
  lengths = [int(n) for n in generator.integers(1, 17, size=50)]
  powers = {1 << (n - 1).bit_length() for n in lengths}
  assert len(set(lengths)) > 2 * len(powers)
  dump = tmp_path / "xla"
  assert processes.finish(runs.count_compiled, tmp_path, dump, lengths) == 0
  first, second = map(int, (tmp_path / "counts.txt").read_text().split())
  assert 0 < first <= len(powers)
  # Another instance of the problem compiles nothing.
  assert second == first


def _objectives(program, seed=0):
  trial = program.draw(6, np.random.default_rng(seed))
  feed = program.feed(trial, 0, 6, first=True, reset=True)
  return program.run(program.out.problem_objectives, feed)


def _tasks(entry, *seeds):
  spec, dataset, batch_size = entry
  return [
    Task.of(spec.build(random_seed=seed), dataset, batch_size) for seed in seeds
  ]


def test_another_instance_runs_in_the_same_program_with_its_numbers():
  first, second = _tasks(runs.quadratic(), 1, 2)
  with tf.Graph().as_default() as graph, tf.compat.v1.Session() as session:
    optimizer = runs.baseline().build()
    session.run(tf.compat.v1.global_variables_initializer())
    programs = Programs(session, optimizer)
    program = programs.get(first, False, True)
    of_first = _objectives(program)
    nodes = len(graph.get_operations())
    assert programs.get(second, False, True) is program
    of_second = _objectives(program)
    assert len(graph.get_operations()) == nodes
    alone = Program(session, optimizer, second, False, True)
    np.testing.assert_allclose(of_second, _objectives(alone), rtol=1e-6)
    assert not np.allclose(of_first, of_second)
    programs.get(first, False, True)
    np.testing.assert_array_equal(_objectives(program), of_first)


def test_another_structure_is_another_program():
  entries = [
    runs.quadratic(3),
    runs.quadratic(4),
    runs.softmax(),
    runs.softmax(num_rows=21),
    runs.softmax(l2_reg_scale=0.5),
  ]
  with tf.Graph().as_default(), tf.compat.v1.Session() as session:
    optimizer = runs.baseline().build()
    session.run(tf.compat.v1.global_variables_initializer())
    programs = Programs(session, optimizer)
    different = [
      programs.get(task, False, False)
      for entry in entries
      for task in _tasks(entry, 1)
    ]
    assert len({*map(id, different)}) == len(entries)
    (task,) = _tasks(entries[0], 9)
    assert programs.get(task, False, False) is different[0]
    assert programs.get(task, False, True) is not different[0]


def test_an_instance_starts_with_nothing_carried_over():
  first, second = _tasks(runs.quadratic(), 1, 2)
  with tf.Graph().as_default(), tf.compat.v1.Session() as session:
    optimizer = runs.baseline().build()
    session.run(tf.compat.v1.global_variables_initializer())
    program = Program(session, optimizer, first, False, True)
    trial = program.draw(4, np.random.default_rng(0))
    program.run(program.propagate, program.feed(trial, 0, 4, True, True))
    carried = program.carried()
    assert any(np.any(value) for value in carried)
    program.load(second)
    assert not any(np.any(value) for value in program.carried())
    program.restore_carried(carried)
    for value, expected in zip(program.carried(), carried, strict=True):
      np.testing.assert_array_equal(value, expected)


def test_describes_problems_as_one_writes_them():
  spec = runs.Spec(runs.Negative, (1, tf.nn.relu), {"scale": 0.5, "f": np.sum})
  assert describe(spec) == "Negative(1, relu, scale=0.5, f=sum)"

"""Files of the original L2O-DM and RNNProp, and what only looks like them."""

import os
import pathlib
import pickle
import struct
from collections.abc import Mapping

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import learned_optimizer
from learned_optimizer.compat import keras as of_keras_3
from learned_optimizer.compat import l2l_files, sources
from learned_optimizer.compat import tf_keras as of_tf_keras
from learned_optimizer.compat.learned_rule import LearnedRule
from learned_optimizer.optimizer import settings as rule_settings
from learned_optimizer.optimizer.checkpoints import CheckpointError
from tests.compat import learned
from tests.optimizer import dm_vectors, reference

# Spread and largest size of the weights of the first layer and of the last.
RELEASED = {
  "dm/cw": [1.005, 9.75, 1.539, 2.76],
  "dm_aug/cw": [1.306, 17.8, 2.665, 6.39],
  "dm_il/cw": [0.706, 8.54, 1.407, 3.68],
  "dm_cl/cw": [0.377, 2.27, 0.603, 0.87],
  "dm_cl_il/cw": [0.385, 2.31, 0.420, 0.64],
  "rnnprop/rp": [0.144, 0.42, 0.262, 0.43],
  "rnnprop_cl_il/rp": [0.144, 0.44, 0.229, 0.49],
}
CHANGES = {
  "dm/cw": [
    [-0.046313506, 0.086305285, -0.133238401, -0.04341578],
    [-0.123911186, 0.156602868, 0.028157418, 0.006334237],
    [-0.226691048, -0.123944397, 0.042370559, 0.03222839],
  ],
  "dm_cl_il/cw": [
    [-0.016542798, 0.01892158, -0.004855465, 0.000571161],
    [-0.038917218, 0.039599879, 0.002399678, 0.000976405],
    [-0.05444066, 0.013177924, 0.003507716, 0.002620377],
  ],
  "rnnprop/rp": [
    [-0.002465764, 0.000444544, -0.00246575, -0.00045923],
    [-0.004966643, 0.001419257, -0.001968709, -0.002101017],
    [-0.006358429, 0.00017734, -0.002171614, -0.000757651],
  ],
  "rnnprop_cl_il/rp": [
    [-0.001716671, 0.000884331, -0.001716662, -0.000447372],
    [-0.00330169, 0.002175602, -0.001328205, -0.00147448],
    [-0.004267869, 0.000764316, -0.00136532, 0.00010873],
  ],
}


def _released(name):
  return reference.shared(f"checkpoints/dm_rnnprop/{name}.l2l-0")


@pytest.mark.parametrize("name", RELEASED)
def test_released_models(name):
  model = sources.read(_released(name))
  kind = "L2ODM" if name.endswith("cw") else "RNNProp"
  assert model.rule == rule_settings.make_rule(kind, {})
  statistics = []
  for weight in ("lstm_1/w_gates", "linear/w"):
    values = model.weights[f"LOL/{weight}"]
    statistics += [np.std(values), np.abs(values).max()]
  np.testing.assert_allclose(statistics, RELEASED[name], rtol=0, atol=0.03)


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
@pytest.mark.parametrize("name", CHANGES)
def test_steps_of_released_models(name, dtype):
  model = sources.read(_released(name))
  dm_vectors.assert_changes(model.rule, model.weights, CHANGES[name], dtype)


# The parts of such a file. The real ones have an instruction BINPUT after
# nearly every other, which is of no use.


def _text(text):
  return b"X" + struct.pack("<I", len(text)) + text.encode()


def _global(name):
  module, attribute = name.split()
  return f"c{module}\n{attribute}\n".encode()


DICT = _global("dill._dill _load_type") + _text("dict") + b"\x85R"
MODULE = (
  _global("dill._dill _import_module")
  + _text("numpy.core._multiarray_umath")
  + b"\x85R"
)
RECONSTRUCT = (
  _global("dill._dill _get_attr") + MODULE + _text("_reconstruct") + b"\x86R"
)
EMPTY_ARRAY = RECONSTRUCT + _global("numpy ndarray") + b"K\0\x85C\1b\x87R"
FLOAT32 = (
  _global("numpy dtype")
  + _text("f4")
  + b"K\0K\1\x87R"
  + b"(K\3"
  + _text("<")
  + b"NNN"
  + 2 * b"J\xff\xff\xff\xff"
  + b"K\0tb"
)


def _array(value, dtype=FLOAT32):
  shape = b"".join(b"K" + bytes([size]) for size in value.shape)
  content = value.tobytes()
  return (
    EMPTY_ARRAY
    + b"(K\1"
    + (b"(" + shape + b"t")
    + dtype
    + b"\x89B"
    + struct.pack("<I", len(content))
    + content
    + b"tb"
  )


def _dictionary(code):
  items = b"".join(_text(key) + value for key, value in code.items())
  return b"(" + items + b"u"


def _file(modules: Mapping[str, Mapping[str, bytes]]) -> bytes:
  code = {key: b"}" + _dictionary(value) for key, value in modules.items()}
  start = b"\x80\3" + _global("collections defaultdict")
  return start + DICT + b"\x85R" + _dictionary(code) + b"."


def _code(model: LearnedRule) -> dict[str, dict[str, bytes]]:
  modules = {}
  for name, value in model.weights.items():
    _, module, variable = name.split("/")
    modules.setdefault(module, {})[variable] = _array(value)
  return modules


MODELS = {
  "L2ODM": {"layers": [3, 2]},
  "RNNProp": {"layers": [2]},
}


@pytest.fixture(params=MODELS)
def model(request):
  return learned.learned(request.param, **MODELS[request.param])


@pytest.fixture
def path(tmp_path):
  return tmp_path / "cw.l2l-0"


@pytest.fixture
def code():
  """A model, as instructions by module and variable."""
  return _code(learned.learned("L2ODM", layers=[2]))


def test_the_file_tells_rule_and_settings(model, path):
  path.write_bytes(_file(_code(model)))
  actual = sources.read(path)
  learned.assert_same(actual, model)
  assert actual.training == {"file": "cw.l2l-0"}


def test_settings_that_the_file_does_not_tell(path):
  settings = {"layers": [3], "preprocess": "identity"}
  model = learned.learned("L2ODM", **settings, output_scale=1.0)
  path.write_bytes(_file(_code(model)))
  learned.assert_same(sources.read(path, output_scale=1.0), model)
  with pytest.raises(ValueError, match="can be read without preprocess"):
    sources.read(path, preprocess="log_and_sign")


def test_what_is_stored_once_and_used_again(path, code):
  modules = code | {"linear": {"w": b"h\x07", "b": b"h\x08"}}
  once = {"w": _array(np.ones([2, 1], np.float32)) + b"q\7"}
  once["b"] = _array(np.zeros(1, np.float32)) + b"r\x08\0\0\0"
  path.write_bytes(_file({"unused": once} | modules))
  weights = l2l_files.read(path)
  assert weights["LOL/linear/w"] is weights["LOL/unused/w"]
  np.testing.assert_array_equal(weights["LOL/linear/b"], [0])


@pytest.mark.parametrize("name", ["rp.l2l", "rp.l2l-0", "rp.l2l-12"])
def test_load_and_export(model, tmp_path, name):
  folder = tmp_path / "trained"
  folder.mkdir()
  (folder / name).write_bytes(_file(_code(model)))
  optimizer = learned_optimizer.load(folder / name, learning_rate=0.5)
  assert isinstance(optimizer, getattr(of_keras_3, model.optimizer_name))
  assert optimizer.rule == model.rule
  assert optimizer.learning_rate == 0.5
  for key, value in optimizer.learned_weights.items():
    np.testing.assert_array_equal(value, model.weights[key])
  learned_optimizer.export(str(folder / name), tmp_path / "exported")
  learned.assert_same(sources.read(tmp_path / "exported"), model)


def test_a_folder_stands_for_its_best_weights(model, tmp_path):
  (tmp_path / "cw.l2l-0").write_bytes(_file(_code(model)))
  (tmp_path / "cw.l2l-3").write_bytes(b"of no use")
  learned.assert_same(sources.read(tmp_path), model)
  (tmp_path / "rp.l2l-0").write_bytes(_file(_code(model)))
  with pytest.raises(CheckpointError, match="There is no checkpoint in"):
    sources.read(tmp_path)


@pytest.mark.parametrize(
  "library, optimizers",
  [(keras, of_keras_3), (tf_keras, of_tf_keras)],
  ids=["keras", "tf_keras"],
)
def test_steps_in_keras(model, path, library, optimizers):
  path.write_bytes(_file(_code(model)))
  given, _ = sources.read_for(None, path, {})
  optimizer = optimizers.from_learned(given)
  start = [np.float32([[1, 2]]), np.float32(3)]
  grads = [tf.constant([[0.1, -3.0]]), tf.constant(0.0)]
  variables = [tf.Variable(value) for value in start]
  if library is keras:
    variables = [keras.Variable(value) for value in start]
  params = [tf.constant(value) for value in start]
  weights = {name: tf.constant(v) for name, v in model.weights.items()}
  state = model.rule.init_state(weights, params, [])
  for _ in range(2):
    optimizer.apply_gradients(zip(grads, variables, strict=True))
    update = model.rule.update(weights, params, grads, state)
    params, state = update.params, update.state
  for variable, param in zip(variables, params, strict=True):
    np.testing.assert_allclose(variable.numpy(), param, rtol=1e-6)


class Make:
  """Unpickling it makes a folder."""

  def __init__(self, path: pathlib.Path):
    self._path = path

  def __reduce__(self):
    return os.mkdir, (str(self._path),)


def _refused(path, message):
  """Asserts that a file is refused in one sentence and did nothing."""
  for read in (l2l_files.read, sources.read, learned_optimizer.load):
    with pytest.raises(CheckpointError, match=message) as error:
      read(path)
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)
  assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
  "within", [lambda x: x, lambda x: {"linear": {"w": x}}]
)
def test_malicious_pickles(path, protocol, within):
  target = path.with_name("made")
  data = pickle.dumps(within(Make(target)), protocol)
  path.write_bytes(data)
  _refused(path, "which is not let in")
  pickle.loads(data)
  assert target.exists()


@pytest.mark.parametrize(
  "instructions",
  [
    # Calls, and parts of calls, that no such file has.
    b"cos\nsystem\n",
    _global("dill._dill _import_module") + _text("os") + b"\x85R",
    _global("dill._dill _load_type") + _text("CodeType") + b"\x85R",
    _global("dill._dill _get_attr") + MODULE + _text("__loader__") + b"\x86R",
    _global("dill._dill _get_attr") + _global("numpy dtype") + b"\x86R",
    _global("collections defaultdict") + _global("numpy dtype") + b"\x85R",
    _global("numpy ndarray") + b"K\1\x85R",
    _global("numpy dtype") + _text("O") + b"K\0K\1\x87R",
    _global("numpy dtype") + b"}" + _text("__setstate__") + b"Ksb",
  ],
  ids=str,
)
def test_other_calls(path, code, instructions):
  path.write_bytes(_file(code | {"linear": {"w": instructions}}))
  _refused(path, "is not let in|that is no float32|do not fit together")


def test_truncated_files(path, code):
  data = _file(code)
  for length in range(len(data)):
    path.write_bytes(data[:length])
    with pytest.raises(CheckpointError) as error:
      l2l_files.read(path)
    assert "\n" not in str(error.value)
  path.write_bytes(data + b"a")
  _refused(path, "it holds more than one object")


def test_damaged_files(path, code):
  """Whatever else a byte is, arrays are read or the file is refused."""
  data = _file(code)
  generator = np.random.default_rng(0)
  for place in generator.integers(len(data), size=2000):
    byte = bytes([generator.integers(256)])
    path.write_bytes(data[:place] + byte + data[place + 1 :])
    try:
      weights = l2l_files.read(path)
    except CheckpointError:
      continue
    for name, value in weights.items():
      assert name.startswith("LOL/")
      assert type(value) is np.ndarray
      assert value.dtype == np.float32


@pytest.mark.parametrize(
  "changes, message",
  [
    (
      {"lstm_1": {"w_gates": (5, 8), "b_gates": (8,)}},
      r"cannot be used: weights\['LOL/lstm_1/w_gates'\] has shape \(5, 8\);"
      r" with these settings \(4, 8\) is accepted\.$",
    ),
    ({"lstm_1": {"w_gates": (4, 8)}}, "has no LOL/lstm_1/b_gates|has shape"),
    ({"lstm_1": {"w_gates": (4, 8), "b_gates": (0,)}}, "has shape"),
    ({"lstm_1": {"w_gates": (), "b_gates": ()}}, "has shape"),
    ({"linear": {"w": (2, 1)}}, "has no LOL/linear/b of shape"),
    ({"linear": {"b": (1,)}}, "not of a learned optimizer: it has none"),
    ({"linear": {}}, "not of a learned optimizer: it has none"),
    ({"more": {"w": (1,)}}, r"has LOL/more/w of shape \(1,\), which L2ODM"),
  ],
)
def test_wrong_shapes(path, code, changes, message):
  changes = {
    module: {k: _array(np.ones(shape, np.float32)) for k, shape in v.items()}
    for module, v in changes.items()
  }
  path.write_bytes(_file(code | changes))
  l2l_files.read(path)
  for read in (sources.read, learned_optimizer.load):
    with pytest.raises(CheckpointError, match=message) as error:
      read(path)
    assert "\n" not in str(error.value)


ONE = np.ones(1, np.float32)


@pytest.mark.parametrize(
  "value, message",
  [
    (_array(ONE, FLOAT32.replace(b"f4", b"f8")), "that is no float32 array"),
    (_array(ONE, FLOAT32.replace(b"<", b">")), "that is no float32 array"),
    (_array(ONE).replace(b"\x89B", b"\x88B"), "that is no float32 array"),
    (_array(ONE).replace(b"(K\1t", b"(K\2t"), "reshape"),
    (_array(ONE).replace(b"(K\1t", b"(J\xff\xff\xff\xfft"), "shape is none"),
    (_array(ONE).replace(b"(K\1t", b"((K\1ttt"), "is no float32 array"),
    (_array(ONE).replace(b"(K\1t", b"(K\1\x85t"), "shape is none"),
    (EMPTY_ARRAY, "that is no float32 array"),
    (b"}", "that is no float32 array"),
    (_text("w"), "that is no float32 array"),
    (b"}K\1K\1s", "keys that are no strings"),
    (b"}(" + _text("w") + b"u", "do not fit together"),
    (b"(", "do not fit together"),
    (b"R", "do not fit together|no float32"),
    (b"h\x09", "do not fit together"),
  ],
)
def test_other_values(path, code, value, message):
  code["linear"]["w"] = value
  path.write_bytes(_file(code))
  _refused(path, message)


@pytest.mark.parametrize(
  "data", [b"", b"no pickle", b"N.", b"}.", b"\x80\3K\1.", b"}\x94."]
)
def test_other_files(path, data):
  path.write_bytes(data)
  with pytest.raises(CheckpointError) as error:
    sources.read(path)
  assert "\n" not in str(error.value)


def test_numbers_that_are_not_finite(path, code):
  code["linear"]["b"] = _array(np.float32([np.nan]))
  path.write_bytes(_file(code))
  with pytest.raises(CheckpointError, match="NaN or infinite"):
    sources.read(path)


def test_a_folder_and_a_file_that_is_not_there(path):
  with pytest.raises(ValueError, match="There is no optimizer"):
    sources.read(path)
  path.mkdir()
  with pytest.raises(CheckpointError, match="There is no checkpoint in"):
    sources.read(path)
  with pytest.raises(CheckpointError, match="cannot be read"):
    l2l_files.read(path)

"""The files `cw.l2l-0`, `rp.l2l-0` of the original L2O-DM and RNNProp.

Such a file is a pickle, made by the package dill, of float32 arrays by module
and variable. A pickle is a program for a stack machine, which may call
anything. Here the machine is simulated: what is called is a name that is looked
at and nothing more, so that the program can do nothing but put together what
such a file holds.
"""

import dataclasses
import pathlib
import pickletools
import re
from typing import Any

import numpy as np

from learned_optimizer.optimizer.checkpoints import CheckpointError

_NAME = re.compile(r"\.l2l(-\d+)?$")
_RECONSTRUCT = "numpy.core.multiarray _reconstruct"
# What a pickle may ask for.
_GLOBALS = (
  "collections defaultdict",
  "dill._dill _get_attr",
  "dill._dill _import_module",
  "dill._dill _load_type",
  "numpy dtype",
  "numpy ndarray",
  _RECONSTRUCT,
)
# Instructions that push their argument, a constant, or a tuple of this length.
_ARGUMENTS = (
  *("BININT", "BININT1", "BININT2"),
  *("BINBYTES", "BINUNICODE", "SHORT_BINBYTES"),
)
_CONSTANTS = {"NEWFALSE": False, "NEWTRUE": True, "NONE": None}
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_MARK = object()
_DO_NOT_FIT = "its instructions do not fit together"


@dataclasses.dataclass(frozen=True)
class _Global:
  """Something that a pickle may call or pass on."""

  name: str


class _Float32:
  """A dtype, complete once its byte order is set."""

  is_complete = False


class _Array:
  """An array, once its contents are set."""

  value: np.ndarray | None = None


def is_name(name: str) -> bool:
  """Whether a file of this name is such a file."""
  return _NAME.search(name) is not None


def of_folder(folder: pathlib.Path) -> pathlib.Path | None:
  """The file of a folder's best weights, which has index 0 or none, if any."""
  found = [*folder.glob("*.l2l-0"), *folder.glob("*.l2l")]
  return found[0] if len(found) == 1 else None


def read(path: pathlib.Path) -> dict[str, np.ndarray]:
  """Reads the weights; executes nothing that it reads.

  Args:
    path: the file.

  Returns:
    Float32 arrays by checkpoint name, `LOL/<module>/<variable>`.

  Raises:
    CheckpointError: it cannot be read, is damaged, or holds anything else.
  """
  try:
    return {
      f"LOL/{module}/{variable}": _value(array)
      for module, variables in _items(_simulate(path.read_bytes()))
      for variable, array in _items(variables)
    }
  except (OSError, ValueError) as error:
    raise CheckpointError(
      f"{path} cannot be read as weights of L2O-DM or RNNProp ({error})."
    ) from error


def _items(value):
  if type(value) is not dict:
    raise ValueError("it is no dictionary of dictionaries of arrays")
  return value.items()


def _value(array):
  if type(array) is not _Array or array.value is None:
    raise ValueError("it holds something that is no float32 array")
  return array.value


def _simulate(data: bytes) -> Any:
  """What is pickled, with an `_Array` for each array.

  Raises:
    ValueError: the pickle is damaged, or does what these files do not.
  """
  stack, memo = [], {}
  instructions = list(pickletools.genops(data))
  try:
    for instruction, argument, _ in instructions:
      _follow(instruction.name, argument, stack, memo)
  except LookupError as error:
    raise ValueError(_DO_NOT_FIT) from error
  _, _, end = instructions[-1]
  if end != len(data) - 1 or len(stack) != 1:
    raise ValueError("it holds more than one object")
  return stack.pop()


def _follow(name: str, argument: Any, stack: list, memo: dict) -> None:
  """Follows one instruction; `pickletools` has these names."""
  if name in ("PROTO", "STOP"):
    pass
  elif name in _ARGUMENTS:
    stack.append(argument)
  elif name in _CONSTANTS:
    stack.append(_CONSTANTS[name])
  elif name == "GLOBAL":
    if argument not in _GLOBALS:
      raise ValueError(f"it asks for {argument}, which is not let in")
    stack.append(_Global(argument))
  elif name == "MARK":
    stack.append(_MARK)
  elif name in ("BINPUT", "LONG_BINPUT"):
    memo[argument] = stack[-1]
  elif name in ("BINGET", "LONG_BINGET"):
    stack.append(memo[argument])
  elif name in _TUPLES:
    stack.append(_pop(stack, _TUPLES[name]))
  elif name == "TUPLE":
    stack.append(_pop_to_mark(stack))
  elif name == "EMPTY_DICT":
    stack.append({})
  elif name == "SETITEM":
    _set_items(_pop(stack, 2), stack[-1])
  elif name == "SETITEMS":
    _set_items(_pop_to_mark(stack), stack[-1])
  elif name == "REDUCE":
    stack.append(_call(*_pop(stack, 2)))
  elif name == "BUILD":
    (state,) = _pop(stack, 1)
    _complete(stack[-1], state)
  else:
    raise ValueError(f"it has the instruction {name}, which is not let in")


def _pop(stack, count):
  values = tuple(stack.pop() for _ in range(count))[::-1]
  if any(value is _MARK for value in values):
    raise ValueError(_DO_NOT_FIT)
  return values


def _pop_to_mark(stack):
  values = []
  while (value := stack.pop()) is not _MARK:
    values.append(value)
  return tuple(values[::-1])


def _set_items(items, target):
  keys, values = items[::2], items[1::2]
  if type(target) is not dict or len(keys) != len(values):
    raise ValueError(_DO_NOT_FIT)
  # Tuples within tuples can take for ever to be hashed.
  if not all(type(key) is str for key in keys):
    raise ValueError("it has a dictionary with keys that are no strings")
  target.update(zip(keys, values, strict=True))


def _call(function: Any, arguments: Any) -> Any:
  """What a call stands for."""
  match function, arguments:
    case _Global("dill._dill _load_type"), ("dict",):
      return _Global("dict")
    case _Global("collections defaultdict"), (_Global("dict"),):
      return {}
    case (
      _Global("dill._dill _import_module"),
      ("numpy.core._multiarray_umath" | "numpy.core.multiarray",),
    ):
      return _Global("numpy.core.multiarray")
    case (
      _Global("dill._dill _get_attr"),
      (_Global("numpy.core.multiarray"), "_reconstruct"),
    ):
      return _Global(_RECONSTRUCT)
    case _Global(name), (_Global("numpy ndarray"), (0,), b"b") if (
      name == _RECONSTRUCT
    ):
      return _Array()
    case _Global("numpy dtype"), ("f4", 0, 1):
      return _Float32()
  raise ValueError("it makes something that is no float32 array")


def _complete(target: Any, state: Any) -> None:
  """Sets what an array or its dtype lacks when it is made."""
  match target, state:
    case _Float32(), (3, "<", None, None, None, -1, -1, 0):
      target.is_complete = True
    case (
      _Array(),
      (1, tuple(shape), _Float32(is_complete=True), False, bytes(content)),
    ):
      if not all(type(size) is int and size >= 0 for size in shape):
        raise ValueError("it has an array whose shape is none")
      values = np.frombuffer(content, "<f4").reshape(shape)
      target.value = values.astype(np.float32)
    case _:
      raise ValueError("it makes something that is no float32 array")

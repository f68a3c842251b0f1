"""Reads a pickle without running any of its code.

A pickle is a program that may call any function. Here it can only make lists,
tuples, dictionaries, plain values and `Note`s, which record names and calls:
nothing that a pickle names is imported or called.
"""

import dataclasses
import pickletools
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np

from eigen3.data.errors import DataError, shown


@dataclasses.dataclass(eq=False, slots=True)
class Note:
  """A name that a pickle refers to, or a call of what it names.

  Attributes:
    name: the name without its module.
    args: arguments of the call; None if the name is not called.
    state: the state that the pickle sets on the result of the call; None if it
      sets none.
  """

  name: str
  args: tuple | None = None
  state: Any = None


def read(
  content: bytes,
  admitted: Mapping[str, Collection[str]],
  made: Mapping[str, Callable[..., Any]],
) -> Any:
  """Reads the content of a pickle as plain values and `Note`s.

  Args:
    content: the bytes of the pickle.
    admitted: the modules from which each name is allowed, keyed by name.
    made: trusted functions to call in place of some of those named, keyed by
      name. Their results are used instead of `Note`s. They accept any
      arguments, and raise ValueError for invalid ones.

  Raises:
    DataError: the pickle uses a name or an instruction that is not allowed, or
      is damaged.
  """
  try:
    return _Machine(admitted, made).run(content)
  except DataError:
    raise
  except (ValueError, IndexError, KeyError) as error:
    reason = shown(' '.join(str(error).split()), 120)
    raise DataError(
      f'found a damaged file or one that is not a pickle ({reason}), expected '
      'a pickle'
    ) from error


# The types of the objects that these functions of NumPy and pandas make.
_TYPES = {
  '_frombuffer': 'ndarray',
  '_new_DatetimeIndex': 'DatetimeIndex',
  '_new_Index': 'Index',
  '_reconstruct': 'ndarray',
  '_unpickle_timestamp': 'Timestamp',
}


def what(value: Any) -> str:
  """Describes any value in a few words, for error messages."""
  if isinstance(value, str):
    return repr(value if len(value) <= 60 else f'{value[:57]}...')
  if isinstance(value, Note):
    return _TYPES.get(value.name, value.name)
  if value is None or isinstance(value, float | np.generic):
    return str(value)
  if type(value) is int:
    bits = value.bit_length()
    return f'the integer {value}' if bits < 64 else f'an integer of {bits} bits'
  return type(value).__name__


class _Machine:
  """A pickle's stack, marks and memo, as `pickletools` describes them."""

  def __init__(self, admitted, made):
    self._admitted = admitted
    self._made = made
    self._stack: list[Any] = []
    self._below: list[list[Any]] = []  # the stack under each mark
    self._memo: dict[int, Any] = {}

  def run(self, content: bytes) -> Any:
    """Runs the pickle in `content` and returns the value that it holds.

    Raises:
      DataError: a name or an instruction is not allowed.
      ValueError: the pickle is damaged.
      IndexError: the pickle is damaged.
      KeyError: the pickle is damaged.
    """
    for opcode, argument, _ in pickletools.genops(content):
      if opcode.name in _PUSHED:
        self._stack.append(argument)
      elif opcode.name in _INSTRUCTIONS:
        _INSTRUCTIONS[opcode.name](self, argument)
      elif opcode.name not in _WITHOUT_EFFECT:
        raise DataError(
          f'found the instruction {opcode.name} in the pickle, expected only '
          'those that plain data needs; refused'
        )
    return self.pop()

  def push(self, value: Any) -> None:
    self._stack.append(value)

  def pop(self) -> Any:
    return self._stack.pop()

  def mark(self) -> None:
    self._below.append(self._stack)
    self._stack = []

  def since_mark(self) -> list[Any]:
    items, self._stack = self._stack, self._below.pop()
    return items

  def last(self, count: int) -> list[Any]:
    return [self.pop() for _ in range(count)][::-1]

  def append(self, items: list[Any]) -> None:
    target = self._stack[-1]
    if type(target) is not list:
      raise ValueError(
        f'found an item appended to {what(target)}, expected one appended to a '
        'list'
      )
    target.extend(items)

  def set_items(self, items: list[Any]) -> None:
    target = self._stack[-1]
    for key, value in zip(items[::2], items[1::2], strict=True):
      # Hashing a key of another type may never end.
      if type(target) is not dict or type(key) is not str:
        raise ValueError(
          f'found {what(key)} as a key of {what(target)}, expected a string as '
          'a key of a dict'
        )
      target[key] = value

  def put(self, index: int | None) -> None:
    self._memo[len(self._memo) if index is None else index] = self._stack[-1]

  def get(self, index: int) -> None:
    self.push(self._memo[index])

  def name(self, module: Any, name: Any) -> None:
    if type(module) is not str or type(name) is not str:
      raise ValueError(
        f'found {what(module)} and {what(name)} as module and name, expected '
        'strings'
      )
    if module not in self._admitted.get(name, ()):
      raise DataError(
        f'found {what(f"{module}.{name}")} in the pickle, expected only what '
        'a table of numbers and dates needs; refused'
      )
    self.push(Note(name))

  def call(self) -> None:
    function, args = self.last(2)
    if type(function) is not Note or function.args is not None:
      raise ValueError(
        f'found a call of {what(function)}, expected a call of a named function'
      )
    if type(args) is not tuple:
      raise ValueError(
        f'found {what(args)} as the arguments of {function.name}, expected a '
        'tuple'
      )
    make = self._made.get(function.name)
    self.push(make(*args) if make else Note(function.name, args))

  def build(self) -> None:
    state = self.pop()
    target = self._stack[-1]
    if type(target) is not Note or target.args is None:
      raise ValueError(
        f'found BUILD applied to {what(target)}, expected the result of a call'
      )
    target.state = state


def _push_dict(machine: _Machine) -> None:
  items = machine.since_mark()
  machine.push({})
  machine.set_items(items)


# Instructions that push their argument, a plain value.
_PUSHED = frozenset((
  'INT', 'BININT', 'BININT1', 'BININT2', 'LONG', 'LONG1', 'LONG4',
  'FLOAT', 'BINFLOAT',
  'UNICODE', 'SHORT_BINUNICODE', 'BINUNICODE', 'BINUNICODE8',
  'SHORT_BINBYTES', 'BINBYTES', 'BINBYTES8', 'BYTEARRAY8',
))  # fmt: skip
_WITHOUT_EFFECT = frozenset(('PROTO', 'FRAME', 'STOP'))
_INSTRUCTIONS: dict[str, Callable[[_Machine, Any], None]] = {
  'NONE': lambda machine, _: machine.push(None),
  'NEWTRUE': lambda machine, _: machine.push(True),
  'NEWFALSE': lambda machine, _: machine.push(False),
  'EMPTY_LIST': lambda machine, _: machine.push([]),
  'EMPTY_TUPLE': lambda machine, _: machine.push(()),
  'EMPTY_DICT': lambda machine, _: machine.push({}),
  'MARK': lambda machine, _: machine.mark(),
  'LIST': lambda machine, _: machine.push(machine.since_mark()),
  'TUPLE': lambda machine, _: machine.push(tuple(machine.since_mark())),
  'TUPLE1': lambda machine, _: machine.push(tuple(machine.last(1))),
  'TUPLE2': lambda machine, _: machine.push(tuple(machine.last(2))),
  'TUPLE3': lambda machine, _: machine.push(tuple(machine.last(3))),
  'DICT': lambda machine, _: _push_dict(machine),
  'APPEND': lambda machine, _: machine.append(machine.last(1)),
  'APPENDS': lambda machine, _: machine.append(machine.since_mark()),
  'SETITEM': lambda machine, _: machine.set_items(machine.last(2)),
  'SETITEMS': lambda machine, _: machine.set_items(machine.since_mark()),
  'PUT': _Machine.put,
  'BINPUT': _Machine.put,
  'LONG_BINPUT': _Machine.put,
  'MEMOIZE': _Machine.put,
  'GET': _Machine.get,
  'BINGET': _Machine.get,
  'LONG_BINGET': _Machine.get,
  'GLOBAL': lambda machine, both: machine.name(*both.partition(' ')[::2]),
  'STACK_GLOBAL': lambda machine, _: machine.name(*machine.last(2)),
  'REDUCE': lambda machine, _: machine.call(),
  'NEWOBJ': lambda machine, _: machine.call(),
  'BUILD': lambda machine, _: machine.build(),
}

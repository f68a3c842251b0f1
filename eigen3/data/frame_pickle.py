"""Reads DataFrames pickled by pandas 1, 2 or 3, without running their code."""

import datetime
import itertools
import math
import re
from typing import Any, NamedTuple

import numpy as np

from eigen3.data import inert_pickle
from eigen3.data.errors import DataError, shown
from eigen3.data.inert_pickle import Note, what

_STRINGS = ('pandas.arrays', 'pandas.core.arrays.string_')
_MULTIARRAY = ('numpy.core.multiarray', 'numpy._core.multiarray')
_BUILTINS = ('builtins', '__builtin__')
# Every name that a pickled frame of numbers, names and dates refers to, and the
# modules that contain it in various versions of Python and the libraries.
_ADMITTED = {
  'ArrowStringArray': (*_STRINGS, 'pandas.core.arrays.string_arrow'),
  'BlockManager': ('pandas.core.internals.managers',),
  'BusinessDay': ('pandas._libs.tslibs.offsets',),
  'DataFrame': ('pandas', 'pandas.core.frame'),
  'DatetimeArray': ('pandas.arrays', 'pandas.core.arrays.datetimes'),
  'DatetimeIndex': ('pandas', 'pandas.core.indexes.datetimes'),
  'Day': ('pandas._libs.tslibs.offsets',),
  'Index': ('pandas', 'pandas.core.indexes.base'),
  'Int64Index': ('pandas.core.indexes.numeric',),
  'NA': ('pandas', 'pandas._libs.missing'),
  'RangeIndex': ('pandas', 'pandas.core.indexes.range'),
  'StringArray': _STRINGS,
  'StringDtype': ('pandas', 'pandas.core.arrays.string_'),
  '__nat_unpickle': ('pandas._libs.tslibs.nattype',),
  '__pyx_unpickle_NDArrayBacked': ('pandas._libs.arrays',),
  '_frombuffer': ('numpy.core.numeric', 'numpy._core.numeric'),
  '_nat_unpickle': ('pandas._libs.tslibs.nattype',),
  '_new_DatetimeIndex': ('pandas.core.indexes.datetimes',),
  '_new_Index': ('pandas.core.indexes.base',),
  '_reconstruct': _MULTIARRAY,
  '_reconstructor': ('copyreg', 'copy_reg'),
  '_restore_array': ('pyarrow.lib',),
  '_unpickle_block': ('pandas._libs.internals',),
  '_unpickle_timestamp': ('pandas._libs.tslibs.timestamps',),
  'bytearray': _BUILTINS,
  'date': ('datetime',),
  'datetime': ('datetime',),
  'dtype': ('numpy',),
  'encode': ('_codecs',),
  'ndarray': ('numpy',),
  'object': _BUILTINS,
  'py_buffer': ('pyarrow.lib',),
  'scalar': _MULTIARRAY,
  'slice': _BUILTINS,
  'timedelta': ('datetime',),
  'type_for_alias': ('pyarrow.lib',),
}
# Units of timestamps, keyed by pandas' codes.
_UNITS = {7: 's', 8: 'ms', 9: 'us', 10: 'ns'}
# A longer array in a cell is not read.
_MOST_IN_CELL = 64


class Frame(NamedTuple):
  """A table as read from a file.

  Attributes:
    labels: T row labels: datetime64[D], text, or any other values found.
    columns: C names.
    cells: object [T, C], the values found, which are not checked.
  """

  labels: list[Any]
  columns: tuple[str, ...]
  cells: np.ndarray


def read_frame(content: bytes) -> Frame:
  """Reads the frame in a pickle without running code (see `inert_pickle`).

  Args:
    content: the bytes of the pickle.

  Raises:
    DataError: the pickle is damaged, uses a name or an instruction that a frame
      of numbers does not need, or does not hold such a frame.
  """
  try:
    return _frame(inert_pickle.read(content, _ADMITTED, _MADE), len(content))
  except DataError:
    raise
  except ValueError as error:  # also raised by NumPy
    reason = shown(' '.join(str(error).split()), 120)
    raise DataError(
      f'found a damaged DataFrame ({reason}), expected one that pandas wrote'
    ) from error


def _frame(found: Any, most_cells: int) -> Frame:
  match found:
    case Note('DataFrame', _, {'_mgr': manager} | {'_data': manager}):
      pass
    case _:
      raise DataError(f'found {what(found)}, expected a DataFrame')
  match manager:
    case Note('BlockManager', ([*blocks], [columns, index])):
      pass
    case Note(  # before pandas 1.3
      'BlockManager',
      _,
      [_, _, _, {'0.14.1': {'axes': [columns, index], 'blocks': [*blocks]}}],
    ):
      pass
    case _:
      raise ValueError(
        f'found {what(manager)} in the DataFrame, expected a BlockManager '
        'with a list of blocks and two axes'
      )
  names = tuple(_name(name) for name in _axis(columns))
  labels = [_label(label) for label in _axis(index)]
  # A cell takes a byte or more.
  if len(labels) * len(names) > most_cells:
    raise ValueError(
      f'found {len(labels)} x {len(names)} cells in {most_cells} bytes, '
      'expected at most one cell per byte'
    )
  return Frame(labels, names, _cells(blocks, len(labels), names))


def _axis(note: Any) -> list[Any]:
  """Returns a pandas Index's labels; NumPy dates become datetime64[D]."""
  match note:
    case Note('_new_Index' | '_new_DatetimeIndex', (_, {'data': data})):
      pass
    case Note(_, (Note(kind), _)):
      raise DataError(
        f'found {kind} as the labels of rows or columns, expected names or '
        'dates'
      )
    case _:
      raise ValueError(
        f'found {what(note)} as an axis, expected a pandas Index'
      )
  match data:
    case Note('__pyx_unpickle_NDArrayBacked', _, (_, data, *_)):
      pass
    case Note('DatetimeArray', _, {'_data': data}):
      pass
    case Note(_, _, {'_pa_array': text}):
      return _text(text)
  values = _array(data)
  if values is None or values.ndim != 1:
    raise ValueError(
      f'found {what(data)} as the values of a pandas Index, expected a '
      'one-dimensional array'
    )
  if values.dtype.kind == 'M':
    return list(values.astype('M8[D]'))
  return values.tolist()


def _text(note: Any) -> list[str]:
  """Returns the strings of a pickled PyArrow array."""
  match note:
    case Note(
      '_restore_array',
      [
        [
          Note('type_for_alias', ('string' | 'large_string' as kind,)),
          int(length),
          _,
          int(first),
          [
            missing,
            Note('py_buffer', (bytes() | bytearray() as ends,)),
            Note('py_buffer', (bytes() | bytearray() as text,)),
          ],
          *_,
        ]
      ],
    ) if length >= 0 and first >= 0:
      pass
    case _:
      raise ValueError(
        f'found {what(note)} as text, expected a PyArrow string array'
      )
  if missing is not None:
    raise DataError(
      'found a missing label of a row or column of the DataFrame, expected a '
      'name or date for each'
    )
  width = np.dtype(np.int64 if kind == 'large_string' else np.int32)
  known = ends[: len(ends) // width.itemsize * width.itemsize]
  places = np.frombuffer(known, width)[first : first + length + 1].tolist()
  if places != sorted(places) or len(places) != length + 1 or places[0] < 0:
    raise ValueError(
      f'found the string offsets {shown(str(places), 60)}, expected '
      f'{length + 1} that are not negative and never decrease'
    )
  return [text[start:end].decode() for start, end in itertools.pairwise(places)]


def _name(name: Any) -> str:
  if type(name) is str or (type(name) is int and abs(name) < 2**63):
    return str(name)
  raise DataError(
    f'found {what(name)} as the name of a column, expected a string or an '
    'integer between -2**63 and 2**63'
  )


def _label(label: Any) -> Any:
  """Converts a pickled date to datetime64[D]; returns other labels unchanged.

  A pandas Timestamp with a time zone is also returned unchanged.
  """
  match label:
    case Note('date' | 'datetime', (bytes(packed), *_)) if len(packed) >= 4:
      # The highest bit of a month is a flag of Python's.
      year, month = packed[0] * 256 + packed[1], packed[2] & 127
      return np.datetime64(datetime.date(year, month, packed[3]), 'D')
    case Note('_unpickle_timestamp', (int(value), _, None, *rest)):
      unit = _UNITS[rest[0]] if rest and rest[0] in _UNITS else 'ns'
      if abs(value) < 2**63:
        return np.array(value, f'M8[{unit}]').astype('M8[D]')[()]
  return label


def _cells(
  blocks: list[Any], num_rows: int, names: tuple[str, ...]
) -> np.ndarray:
  """Returns the cells, object [T, C]; each block holds columns of one type."""
  cells = np.empty((num_rows, len(names)), object)
  missing = np.ones(len(names), bool)
  for block in blocks:
    match block:
      case Note('_unpickle_block', (note, where, _)):
        pass
      case {'values': note, 'mgr_locs': where}:
        pass
      case _:
        raise ValueError(
          f'found {what(block)} among blocks, expected a block of columns'
        )
    places = _places(where, len(names))
    if not missing[places].all() or len(set(places)) != len(places):
      raise ValueError('found a column stored twice, expected each once')
    missing[places] = False
    values = _array(note)
    if values is None:
      raise DataError(
        f"column '{names[places[0]]}': found {what(note)}, expected an array "
        'of cells with nine numbers each'
      )
    if values.shape != (len(places), num_rows):
      raise ValueError(
        f'found a block of shape {values.shape}, expected '
        f'{(len(places), num_rows)}, columns by rows'
      )
    cells[:, places] = values.T.astype(object)
  if missing.any():
    name = names[int(np.argmax(missing))]
    raise ValueError(f"found no block with column '{name}', expected one")
  for place, cell in enumerate(cells.flat):
    if type(cell) is Note:
      cells.flat[place] = _cell(cell)
  return cells


def _cell(note: Note) -> Any:
  if note.name == 'NA':  # missing, in pandas' words
    return None
  array = _array(note, _MOST_IN_CELL)
  return note if array is None else array


def _places(note: Any, num_columns: int) -> list[int]:
  """Returns the indices of a block's columns in the frame, at least one."""
  everything = np.arange(num_columns)
  match note:
    case Note('slice', (int() | None, int() | None, int() | None) as bounds):
      places = everything[slice(*bounds)]
    case _:
      chosen = _array(note, num_columns)
      if chosen is None or chosen.dtype.kind != 'i' or chosen.ndim != 1:
        found = what(note)
        if chosen is not None:
          found = f'an array of {chosen.dtype} of shape {chosen.shape}'
        raise ValueError(
          f'found {found} as the columns of a block, expected a slice or at '
          f'most {num_columns} signed integers in a one-dimensional array'
        )
      outside = chosen[~np.isin(chosen, everything)]
      if len(outside):
        raise ValueError(
          f'found the column number {outside[0]} in a block, expected 0 to '
          f'{num_columns - 1}'
        )
      places = chosen
  if not len(places):
    raise ValueError(
      'found a block without columns, expected at least one column'
    )
  return places.tolist()


def _array(note: Any, most: float = math.inf) -> np.ndarray | None:
  """Returns the array that a note describes.

  The result is None if the note describes no array, or one of more than `most`
  elements. If `note` is itself a NumPy array, it is returned as it is.
  """
  match note:
    case np.ndarray():
      return note
    case Note('_reconstruct', _, (int(), shape, dtype, bool(turned), data)):
      return _shaped(data, dtype, shape, 'F' if turned else 'C', most)
    case Note('_frombuffer', (data, dtype, shape, 'C' | 'F' as order)):
      return _shaped(data, dtype, shape, order, most)
  return None


def _shaped(
  data: Any, dtype: Any, shape: Any, order: Any, most: float
) -> np.ndarray | None:
  if type(shape) is not tuple or not all(
    type(size) is int and 0 <= size < 2**31 for size in shape
  ):
    raise ValueError(
      f'found shape {shape!r:.30}, expected a tuple of integers >= 0'
    )
  count = math.prod(shape)
  if count > most:
    return None
  kind = _dtype(dtype)
  if kind.kind == 'O':
    if type(data) is not list or len(data) != count:
      raise ValueError(
        f'found {_length(data)} for an array of shape {shape}, expected a list '
        f'of {count}'
      )
    array = np.empty(count, object)
    for place, value in enumerate(data):  # NumPy would convert lists to arrays
      array[place] = value
    return array.reshape(shape)  # such lists are always in C order
  if not isinstance(data, bytes | bytearray) or (
    len(data) != count * kind.itemsize
  ):
    raise ValueError(
      f'found {_length(data)} for an array of shape {shape}, expected '
      f'{count * kind.itemsize} bytes'
    )
  return np.frombuffer(data, kind).reshape(shape, order=order)


def _length(data: Any) -> str:
  is_sized = isinstance(data, bytes | bytearray | list)
  return f'{what(data)} of length {len(data)}' if is_sized else what(data)


def _dtype(note: Any) -> np.dtype:
  match note:
    case Note('dtype', (str(code), *_), (int(), str(order), *rest)):
      pass
    case _:
      raise ValueError(
        f'found {what(note)} as the dtype of an array, expected a NumPy dtype '
        'with a type code and a byte order'
      )
  if order not in ('<', '>', '=', '|'):
    raise ValueError(f'found byte order {what(order)}, expected one of < > = |')
  if code in ('O', 'O8'):
    return np.dtype(object)
  if code == 'M8':
    match rest:
      case [*_, (_, (bytes(unit), 1, 1, 1))] if unit.decode() in _DATE_UNITS:
        return np.dtype(f'{order}M8[{unit.decode()}]')
  elif re.fullmatch('[iu][1248]|f[248]|b1', code):
    return np.dtype(f'{order}{code}')
  raise ValueError(
    f'found the dtype {what(code)}, expected integers or floats of at most 8 '
    f'bytes, booleans, objects, or dates in units of {", ".join(_DATE_UNITS)}'
  )


_DATE_UNITS = ('D', 's', 'ms', 'us', 'ns')


def _listed(args: tuple[Any, ...]) -> str:
  return f'({", ".join(map(what, args))})'


def _bytes(*args: Any) -> bytes:
  """Returns the bytes that a call of `encode` or `bytearray` makes.

  Pickle protocols before 3 store bytes as text, a character per byte.
  """
  match args:
    case (str(text), 'latin1' | 'latin-1'):
      return text.encode('latin-1')
    case (bytes(data),):
      return data
    case ():
      return b''
  raise ValueError(
    f'found bytes made of {_listed(args)}, expected latin-1 text'
  )


def _scalar(*args: Any) -> Any:
  """Returns a pickled NumPy scalar as a Python number, bool or date.

  `args` are the pickled dtype and the bytes of the scalar.
  """
  match args:
    case (dtype, bytes(data)):
      array = _shaped(data, dtype, (), 'C', 1)
      if array is not None:
        return array.item()
  raise ValueError(
    f'found a NumPy scalar of {_listed(args)}, expected a dtype and bytes'
  )


def _plain_object(*args: Any) -> Note:
  """Returns a `Note` for an object created by pickle protocol 0 or 1."""
  match args:
    case (Note(name, None), Note('object'), None):
      return Note(name, ())
  raise ValueError(
    f'found _reconstructor{_listed(args)}, expected (class, object, None)'
  )


def _nothing(*args: Any) -> None:
  """Returns None, which stands for a missing date."""


_MADE = {
  '__nat_unpickle': _nothing,
  '_nat_unpickle': _nothing,
  '_reconstructor': _plain_object,
  'bytearray': _bytes,
  'encode': _bytes,
  'scalar': _scalar,
}

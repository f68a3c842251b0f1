"""Reads Eigen2's files of prices and features: pickled DataFrames or CSVs.

A row is a day and a column a ticker; a cell holds the nine numbers of
`indicators.FEATURES`, as a list or an array, or in a CSV as text in brackets.
"""

import bz2
import csv
import datetime
import gzip
import hashlib
import io
import lzma
import os
import pathlib
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

from eigen3.data.errors import DataError
from eigen3.data.frame_pickle import Frame, read_frame
from eigen3.data.indicators import FEATURES, PRICES, eigen2_features
from eigen3.data.inert_pickle import what
from eigen3.data.panel import MarketPanel

# The columns that Eigen2 could buy.
INVESTABLE = (8, 116)

_PICKLES = ('.pkl', '.pickle')
_COMPRESSED: dict[str, Callable[..., Any]] = {
  '.gz': gzip.open,
  '.bz2': bz2.open,
  '.xz': lzma.open,
}
# A file that unpacks to more than this many times its size, and to more than
# `_ALWAYS_UNPACKED`, is refused.
_MOST_GROWTH = 200
_ALWAYS_UNPACKED = 1 << 26  # bytes
_MISSING = ('', 'NaN', 'nan', 'NA', 'None')
_PRICE_PLACES = [FEATURES.index(price) for price in PRICES]
_LARGEST = float(np.finfo(np.float32).max)


def is_eigen2(path: str | os.PathLike) -> bool:
  """Returns whether a file looks like one that `read_eigen2` reads.

  That is, it has the suffix of a pickle, or is a CSV with a '[' in its second
  line; either may be compressed.
  """
  path = pathlib.Path(path)
  kind = _kind(path)
  if kind != '.csv' or not path.is_file():
    return kind in _PICKLES and path.is_file()
  opened = _COMPRESSED.get(path.suffix.lower(), open)
  try:
    with opened(path, 'rb') as file:
      return b'[' in (file.readline(1 << 20), file.readline(1 << 20))[1]
  except (OSError, EOFError, lzma.LZMAError, zlib.error):
    return False


def read_eigen2(
  path: str | os.PathLike,
  investable: tuple[int, int] = INVESTABLE,
  recompute: bool = False,
) -> MarketPanel:
  """Reads a panel from an Eigen2 file.

  No code in a pickle is run (see `inert_pickle`), and no cell of a CSV is
  evaluated. Empty cells are missing. Any other cell must have nine numbers,
  each of which may be missing (NaN or None). Rows are sorted by date.

  Args:
    path: a `.pkl` or `.pickle` file with dates as the index, or a `.csv` file
      with dates in the first column; any of these followed by `.gz`, `.bz2` or
      `.xz` if it is compressed.
    investable: (first, stop), the range of columns that may be bought.
    recompute: compute the features from the prices, as `build_panel` does,
      which leaves a column's first 34 rows with a close missing. By default the
      features are those in the file, which Eigen2's agents were trained on.

  Returns:
    The panel, marked as containing only survivors.

  Raises:
    DataError: the file cannot be read or is invalid, or `investable` is not a
      range of its columns; the error names the file and, if a cell is invalid,
      the cell's date and column.
  """
  path = pathlib.Path(path)
  try:
    packed = _bytes_of(path)
    content = _unpacked(path, packed)
    read = read_frame if _kind(path) in _PICKLES else _read_csv
    frame = read(content)
    if not 0 <= investable[0] < investable[1] <= len(frame.columns):
      raise DataError(
        f'found {len(frame.columns)} columns and investable={investable}, '
        'expected (first, stop) with 0 <= first < stop <= the number of columns'
      )
    dates = _dates(frame.labels)
    order = _order(dates)
    values = _values(frame, dates)[order]  # [T, C, 9] float64
    ohlc = values[..., _PRICE_PLACES]
    return MarketPanel(
      dates=dates[order],
      columns=frame.columns,
      ohlc=ohlc,
      features=eigen2_features(ohlc) if recompute else values,
      investable=investable,
      source_hash=hashlib.sha256(packed).hexdigest(),
      notes='features computed from the prices of a file of Eigen2'
      if recompute
      else 'features as a file of Eigen2 has them',
    )
  except DataError as error:
    raise DataError(f'{path}: {error}') from error


def _kind(path: pathlib.Path) -> str:
  """Returns the suffix in lower case, such as '.pkl' for 'a.PKL.gz'."""
  suffixes = [suffix.lower() for suffix in path.suffixes]
  if suffixes and suffixes[-1] in _COMPRESSED:
    suffixes.pop()
  return suffixes[-1] if suffixes else ''


def _bytes_of(path: pathlib.Path) -> bytes:
  if _kind(path) not in (*_PICKLES, '.csv'):
    raise DataError(
      f"found the file name '{path.name}', expected one that ends in .pkl, "
      f'.pickle or .csv, or in one of these followed by '
      f'{" or ".join(_COMPRESSED)}'
    )
  try:
    return path.read_bytes()
  except OSError as error:
    raise DataError(
      f'cannot be read ({error.strerror or error}), expected a readable file'
    ) from error


def _unpacked(path: pathlib.Path, packed: bytes) -> bytes:
  opened = _COMPRESSED.get(path.suffix.lower())
  if opened is None:
    return packed
  most = max(_ALWAYS_UNPACKED, _MOST_GROWTH * len(packed))
  try:
    with opened(io.BytesIO(packed)) as file:
      content = file.read(most + 1)
  except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
    raise DataError(
      f'found a damaged or uncompressed file ({error}), expected a complete '
      f'{path.suffix} file'
    ) from error
  if len(content) > most:
    raise DataError(
      f'found {len(packed):,} bytes that unpack to more than {most:,} bytes, '
      'expected at most that many; if the file is meant to be this large, '
      'unpack it first'
    )
  return content


def _read_csv(content: bytes) -> Frame:
  """Reads the bytes of a CSV as a `Frame` of text, without blank rows."""
  try:
    text = content.decode('utf-8-sig')
  except UnicodeDecodeError as error:
    raise DataError(
      f'found bytes that are not UTF-8 ({error.reason}), expected a UTF-8 CSV'
    ) from error
  reader = csv.reader(io.StringIO(text, newline=''), strict=True)
  rows = []
  try:
    header = next(reader, [])
    for row in reader:
      if not any(cell.strip() for cell in row):
        continue
      if len(row) != len(header):
        raise DataError(
          f'line {reader.line_num}: found {len(row)} cells, expected '
          f'{len(header)}, as in the header'
        )
      rows.append(row)
  except csv.Error as error:
    raise DataError(
      f'line {reader.line_num}: found text that is not a CSV ({error}), '
      'expected comma-separated cells'
    ) from error
  names = tuple(name.strip() for name in header[1:])
  cells = np.empty((len(rows), len(names)), object)
  for index, row in enumerate(rows):
    cells[index] = row[1:]
  return Frame([row[0].strip() for row in rows], names, cells)


def _dates(labels: list[Any]) -> np.ndarray:
  """Converts row labels to dates, datetime64[D] [T]."""
  dates = np.empty(len(labels), 'datetime64[D]')
  for index, label in enumerate(labels):
    try:
      if type(label) is str:
        label = np.datetime64(datetime.datetime.fromisoformat(label).date())
    except ValueError:
      pass
    if not isinstance(label, np.datetime64) or np.isnat(label):
      raise DataError(
        f'row {index + 1} below the header: found {what(label)} as its date, '
        'expected a date as YYYY-MM-DD'
      )
    dates[index] = label
  return dates


def _order(dates: np.ndarray) -> np.ndarray:
  order = np.argsort(dates, kind='stable')
  same = np.flatnonzero(dates[order][1:] == dates[order][:-1])
  if same.size:
    raise DataError(
      f'row {order[same[0] + 1] + 1} below the header: found '
      f'{dates[order][same[0]]} a second time, expected each date once'
    )
  return order


def _values(frame: Frame, dates: np.ndarray) -> np.ndarray:
  """Returns the numbers of all cells, float64 [T, C, 9]; NaN is missing.

  `dates` are those of the rows, for error messages.
  """
  values = np.full((*frame.cells.shape, len(FEATURES)), np.nan)

  def where(row: int, column: int) -> str:
    return f"row {dates[row]}, column '{frame.columns[column]}'"

  for row, cells in enumerate(frame.cells):
    for column, cell in enumerate(cells):
      try:
        numbers = _numbers(cell)
      except DataError as error:
        raise DataError(f'{where(row, column)}: {error}') from error
      if len(numbers):
        values[row, column] = numbers
  if np.isnan(values).all():
    raise DataError(
      'found no number in any cell, expected nine numbers in at least one'
    )
  large = np.abs(values) > _LARGEST  # NaN is not
  if large.any():
    row, column, feature = (int(i) for i in np.argwhere(large)[0])
    raise DataError(
      f'{where(row, column)}: found {values[row, column, feature]} as '
      f'{FEATURES[feature]}, expected a number from {-_LARGEST:.1e} to '
      f'{_LARGEST:.1e}'
    )
  return values


def _numbers(cell: Any) -> Any:
  """Returns a cell's nine numbers, or an empty sequence for a missing cell."""
  if cell is None or (isinstance(cell, float) and np.isnan(cell)):
    return ()
  if isinstance(cell, str):
    cell = _split(cell)
  elif isinstance(cell, np.ndarray) and cell.ndim == 1:
    cell = cell.tolist()
  if not isinstance(cell, list | tuple):
    raise DataError(
      f'found {what(cell)}, expected a list or one-dimensional array of nine '
      'numbers'
    )
  if len(cell) not in (0, len(FEATURES)):
    raise DataError(
      f'found a cell of {len(cell)} numbers, expected nine, or none if it is '
      'missing'
    )
  if set(map(type, cell)) <= {float}:  # most are
    return cell
  return [_number(number) for number in cell]


def _number(number: Any) -> float:
  if number is None:
    return np.nan
  if type(number) is float or (type(number) is int and abs(number) < 2**63):
    return float(number)
  raise DataError(
    f'found {what(number)} among nine numbers, expected a float, an integer '
    'between -2**63 and 2**63, or NaN'
  )


def _split(text: str) -> list[float]:
  """Parses numbers in brackets, separated by commas or, as in NumPy, spaces.

  Text that marks a missing cell, such as '' or 'NaN', gives an empty list.
  """
  text = text.strip()
  if text in _MISSING:
    return []
  if text[0] != '[' or text[-1] != ']':
    raise DataError(
      f'found {what(text)}, expected nine numbers in square brackets'
    )
  inner = text[1:-1].strip()
  parts = inner.split(',') if ',' in inner else inner.split()
  return [_parsed(part.strip()) for part in parts]


def _parsed(text: str) -> float:
  if text in _MISSING[1:]:
    return np.nan
  try:
    if '_' in text:  # Python would read 1_000
      raise ValueError(text)
    return float(text)
  except ValueError:
    raise DataError(
      f'found {what(text)} inside the square brackets, expected a number or NaN'
    ) from None

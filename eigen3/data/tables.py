"""Reads CSV and Parquet files as tables of days, numbers and symbols.

Files are read in batches. Only the columns that the caller chooses from the
header are read, so that reading needs little more memory than they take.
"""

import contextlib
import dataclasses
import functools
import io
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from eigen3.data import cells
from eigen3.data.cells import AS_WRITTEN, Cells, Days
from eigen3.data.errors import Refused, shown
from eigen3.data.headers import Choice, Choose, Header, says_nothing_new
from eigen3.data.indicators import PRICES
from eigen3.data.text_files import Layout, layout_of, plain

_PARQUET_MAGIC = b'PAR1'
_BLOCK_BYTES = 1 << 24
_BATCH_ROWS = 1 << 17
_WITH_COMMA = 'a number with a decimal comma, as the other numbers of the file'


@dataclasses.dataclass(frozen=True, eq=False)
class Column:
  """A column's printable name in the file, and its cells, one for each row.

  `expected` describes a valid cell, for error messages.
  """

  name: str
  cells: Cells
  expected: str = 'a number'


@dataclasses.dataclass(frozen=True, eq=False)
class Table:
  """The chosen columns of a file, R rows.

  Attributes:
    day: the column of days, datetime64[D] [R].
    numbers: columns of float64 [R], with the keys of `Choice.numbers`.
    codes: int32 [R], the index in `symbols` of each row's symbol; None without
      a symbol column.
    symbols: distinct symbols, in the order of their first rows.
    rows: int32 [R], for error messages: each row's line in a CSV, whose first
      line is 1, or its number in a Parquet file, from 1.
    ignored: printable names of the columns that were not chosen, except row
      numbers (such as pandas' index) and further columns that identify the
      symbol (such as 'isin' beside 'ticker').
  """

  day: Column
  numbers: dict[Any, Column]
  codes: np.ndarray | None
  symbols: tuple[str, ...]
  rows: np.ndarray
  ignored: tuple[str, ...] = ()

  @property
  def has_symbols(self) -> bool:
    """Returns whether each row, or each column of numbers, has a symbol."""
    return self.codes is not None or any(
      isinstance(key, tuple) for key in self.numbers
    )

  def by_symbol(self) -> list[tuple[str, dict[str, Column], np.ndarray]]:
    """Returns each symbol, its columns by canonical name, and its row indices.

    The table must have symbols, see `has_symbols`. If columns have keys
    (symbol, name), rows in which a symbol has no price are left out for this
    symbol.
    """
    if self.codes is not None:
      order = np.argsort(self.codes, kind='stable')
      ends = np.cumsum(np.bincount(self.codes))
      rows = np.split(order, ends[:-1])
      return [
        (name, self.numbers, own)
        for name, own in zip(self.symbols, rows, strict=True)
      ]
    columns: dict[str, dict[str, Column]] = {}
    for (symbol, name), column in self.numbers.items():
      columns.setdefault(symbol, {})[name] = column
    return [
      (symbol, own, np.flatnonzero(_has_price(own)))
      for symbol, own in columns.items()
    ]


def read_file(
  file: BinaryIO, choose: Choose, written: Days = AS_WRITTEN
) -> Table:
  """Reads a Parquet file or a CSV; the first bytes show which it is.

  Args:
    file: a seekable file, read from its beginning. It may be compressed with
      gzip.
    choose: chooses columns from the header; raises `Refused` if one is missing.
    written: the date format.

  Raises:
    Refused: the file is neither, is damaged, unpacks to an implausible size, or
      is refused by `read_csv` or `read_parquet`.
  """
  with plain(file) as content:
    is_parquet = content.read(len(_PARQUET_MAGIC)) == _PARQUET_MAGIC
    content.seek(0)
    read = read_parquet if is_parquet else read_csv
    return read(content, choose, written)


def read_csv(
  file: BinaryIO, choose: Choose, written: Days = AS_WRITTEN
) -> Table:
  """Reads a CSV in UTF-8, not compressed; see `read_file`.

  The header is one row, or the two levels that pandas writes for yfinance's
  columns. Two levels are joined to the names that pandas uses in Parquet, such
  as "('Close', 'AAPL')".

  Raises:
    Refused: the file is not a CSV, has no rows below the header, a row over
      several lines, a row with a wrong number of cells or an invalid symbol, or
      `choose` refuses its header.
  """
  layout = layout_of(file)
  header, start = layout.header, layout.start
  choice = choose(header)
  rows = _line_numbers(file, layout)
  if not len(rows):
    raise Refused('found no rows below the header, expected at least one')
  file.seek(start)
  places = {place: str(place) for place in choice.places}
  try:
    with _refusing('a file that is not a CSV', 'a CSV'):
      reader = pa_csv.open_csv(
        file,
        read_options=pa_csv.ReadOptions(
          use_threads=False,  # with threads, errors do not name the row
          block_size=_BLOCK_BYTES,
          column_names=[str(place) for place in range(len(header))],
        ),
        parse_options=pa_csv.ParseOptions(delimiter=layout.separator),
        convert_options=pa_csv.ConvertOptions(
          include_columns=list(places.values()),
          column_types=dict.fromkeys(places.values(), pa.string()),
          check_utf8=False,
        ),
      )
      return _gathered(
        reader, places, choice, header, rows, written, layout.decimal
      )
  except Refused as error:
    raise _located(error, rows) from error


def read_parquet(
  file: BinaryIO, choose: Choose, written: Days = AS_WRITTEN
) -> Table:
  """Reads a Parquet file that is not inside a gzip file; see `read_file`.

  Raises:
    Refused: the file is not Parquet, is damaged or has no rows; a chosen column
      occurs twice; a symbol is invalid; or `choose` refuses the header.
  """
  with (
    _refusing('a damaged file or one that is not Parquet', 'a Parquet file'),
    pq.ParquetFile(file) as data,
  ):
    names = data.schema_arrow.names
    choice = choose(tuple(names))
    places = {place: names[place] for place in choice.places}
    for name in places.values():
      if names.count(name) > 1:
        raise Refused(
          f'found {names.count(name)} columns of this name, expected one',
          column=shown(name),
        )
    if not data.metadata.num_rows:
      raise Refused('found no rows, expected at least one')
    batches = data.iter_batches(_BATCH_ROWS, columns=list(places.values()))
    rows = np.arange(1, data.metadata.num_rows + 1, dtype=np.int32)
    return _gathered(batches, places, choice, tuple(names), rows, written)


def _has_price(columns: dict[str, Column]) -> np.ndarray:
  """Returns whether each row has a price, valid or not; bool [R]."""
  prices = [columns[name].cells for name in PRICES if name in columns]
  return np.any([~np.isnan(p.values) | p.is_wrong for p in prices], axis=0)


def _gathered(
  batches: Iterable[pa.RecordBatch],
  places: dict[int, str],
  choice: Choice,
  header: Header,
  rows: np.ndarray,
  written: Days,
  decimal: str = '.',
) -> Table:
  """Gathers batches into a table.

  `places` maps the chosen columns' indices in the header to the names of the
  batches' fields. `rows` becomes `Table.rows`.

  Raises:
    Refused: a row spans several lines, or a symbol is invalid.
  """
  known: dict[str, int] = {}
  read: dict[int, Callable[[pa.Array], Cells]]
  numbers, splits = (
    functools.partial(function, decimal=decimal)
    for function in (cells.numbers, cells.ratios)
  )
  read = {
    place: splits if _is_split(key) else numbers
    for key, place in choice.numbers.items()
  }
  read[choice.day] = functools.partial(cells.days, written=written)
  kinds = dict.fromkeys(choice.numbers.values(), 'float64')
  kinds[choice.day] = 'datetime64[D]'
  if choice.symbol is not None:
    read[choice.symbol] = functools.partial(cells.symbols, known=known)
    kinds[choice.symbol] = 'int32'
  filling = {p: cells.Filling(len(rows), kind) for p, kind in kinds.items()}
  count = 0
  for batch in batches:
    count += len(batch)
    if count > len(rows):
      break
    for place, name in places.items():
      filling[place].put(read[place](batch.column(name)))
  if count != len(rows):
    raise Refused(
      'found rows that span several lines, expected each row on one line'
    )
  number = 'a number' if decimal == '.' else _WITH_COMMA
  expected = dict.fromkeys(places, number)
  expected[choice.day] = written.expected
  for key, place in choice.numbers.items():
    if _is_split(key):
      expected[place] = f'{number}, or new shares for old ones such as 4:1'
  columns = {
    place: Column(shown(header[place]), filling[place].cells(), expected[place])
    for place in places
  }
  codes = None
  if choice.symbol is not None:
    column = columns[choice.symbol]
    codes = column.cells.values
    for index in column.cells.wrong[:1]:
      found = column.cells.found(index)
      raise Refused(
        f"found '{found}', expected a symbol of {cells.SYMBOL}",
        int(rows[index]),
        column.name,
      )
  return Table(
    day=columns[choice.day],
    numbers={key: columns[place] for key, place in choice.numbers.items()},
    codes=codes,
    symbols=tuple(known),
    rows=rows,
    ignored=tuple(
      shown(name)
      for place, name in enumerate(header)
      if place not in places and not says_nothing_new(name)
    ),
  )


def _is_split(key: Any) -> bool:
  return (key[1] if isinstance(key, tuple) else key) == 'split'


@contextlib.contextmanager
def _refusing(found: str, expected: str) -> Iterator[None]:
  """Converts Arrow's errors about a file to Refused."""
  try:
    yield
  except Refused:
    raise
  except (pa.ArrowException, OSError, ValueError, KeyError) as error:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    raise Refused(
      f'found {found} ({shown(reason, 120)}), expected {expected}'
    ) from error


def _line_numbers(file: BinaryIO, layout: Layout) -> np.ndarray:
  """Returns each row's line in the file, int32 [R]; the first line is 1.

  Raises:
    Refused: a line has a NUL byte, or a quote that is not closed on it.
  """
  file.seek(layout.start)
  # One character per byte, and '\n' for any line end.
  text = io.TextIOWrapper(file, 'latin-1')
  try:
    return np.fromiter(_filled_lines(text, layout), np.int32)
  finally:
    text.detach()  # it would close the file


def _filled_lines(text: Iterable[str], layout: Layout) -> Iterator[int]:
  mark = re.escape(layout.separator)
  quoted = re.compile(rf'(^|{mark})"(?:[^"]|"")*"[^{mark}]*')
  open_quote = re.compile(f'(^|{mark})"')
  for number, line in enumerate(text, layout.lines + 1):
    if '\0' in line:
      raise Refused('found a NUL byte, expected a CSV', number)
    # Arrow would continue into the next lines, which would be lost silently.
    if line.count('"') % 2 and open_quote.search(quoted.sub(r'\1', line)):
      raise Refused(
        'found an opening quote, expected it closed on the same line',
        number,
      )
    if line != '\n':  # Arrow leaves out empty lines only
      yield number


def _located(error: Refused, rows: np.ndarray) -> Refused:
  """Rewrites Arrow's error about a row's number of cells, giving the line.

  Other errors are returned unchanged.
  """
  found = re.search(r'Row #(\d+): Expected (\d+) col.*got (\d+)', error.reason)
  if found is None:
    return error
  row = int(rows[min(int(found[1]), len(rows)) - 1])
  return Refused(f'found {found[3]} cells, expected {found[2]}', row)

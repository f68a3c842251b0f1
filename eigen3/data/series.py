"""Reads series to observe alongside stocks: indices, rates, commodities."""

import dataclasses
import hashlib
import os
import pathlib
import re
from collections.abc import Mapping

import numpy as np

from eigen3.data.cells import AS_WRITTEN, SYMBOL, Days, is_symbol
from eigen3.data.csv_files import (
  VOLUME_BOUNDS,
  Masked,
  make_ticker,
  read_history,
)
from eigen3.data.errors import DataError, Refused, shown
from eigen3.data.headers import (
  Choice,
  Header,
  date_column,
  is_unnamed,
  known_columns,
  letters,
  pair_choice,
  symbol_column,
)
from eigen3.data.indicators import PRICES
from eigen3.data.tables import Column, Table, read_file
from eigen3.data.text_files import name_of

# Values outside these bounds become missing: they are errors, and float32 might
# not hold their indicators.
_BOUNDS = {**dict.fromkeys(PRICES, (-1e15, 1e15)), 'volume': VOLUME_BOUNDS}
_SUFFIXES = ('.csv', '.tsv', '.parquet')
_LONGEST_LAG = 3650


@dataclasses.dataclass(frozen=True, eq=False)
class Series:
  """A series of R days with values, which is observed and cannot be bought.

  A value need not be a price: zero and negative values are valid.

  Attributes:
    name: the column's name in a panel.
    dates: datetime64[D] [R], strictly increasing: the days that the values
      describe.
    ohlc: float64 [R, 4], open, high, low, close; any of them for which the file
      has no column equals the close. Rows without a close are dropped.
    volume: float64 [R]; NaN is missing.
    lag: calendar days from a value's date until it is known, at least 0. The
      value is observed on the first trading day on which it is known, and on no
      other.
    masked: the empty and the invalid cells, which are missing.
    source_hash: sha256 of the file.
    revised: days with several different rows; the last row with a valid value,
      or else the last row, was kept.
  """

  name: str
  dates: np.ndarray
  ohlc: np.ndarray
  volume: np.ndarray
  lag: int
  masked: tuple[Masked, ...]
  source_hash: str
  revised: tuple[str, ...] = ()


def read_context(text: str, written: Days = AS_WRITTEN) -> tuple[Series, ...]:
  """Reads series given as 'PATH', 'PATH:lag=1' or 'PATH:lag=1:name=VIX'.

  See `read_series`; the lag is 0 if it is not given.

  Raises:
    DataError: as in `read_series`, or the lag is not a whole number of days
      from 0 to 3650.
  """
  path, *options = re.split(':(?=(?:lag|name)=)', text)
  given = dict(option.split('=', 1) for option in options)
  lag = given.get('lag', '0')
  if not re.fullmatch(r'\d{1,4}', lag) or int(lag) > _LONGEST_LAG:
    raise DataError(
      f"context {shown(text, 120)}: found lag '{shown(lag)}', expected a whole "
      f'number of days from 0 to {_LONGEST_LAG}'
    )
  return read_series(path, int(lag), given.get('name', ''), written)


def read_series(
  path: str | os.PathLike,
  lag: int = 0,
  name: str = '',
  written: Days = AS_WRITTEN,
) -> tuple[Series, ...]:
  """Reads the series in a CSV or Parquet file, or in all those of a folder.

  A file has a column of dates and one of the following:

  - open, high, low and close, or a close alone: one series. If all four and an
    adjusted close are there, they are adjusted and checked like the prices of
    a stock.
  - a column `value`: one series.
  - one of these and a series_id (or symbol, name): one series for each id.
  - a header of two levels, as in `read_table`: one series for each symbol.
  - none of these: one series for each other column with numbers.

  Empty cells are days without a value. A single series is called `name` if that
  is given, else by its series_id or symbol, else by the file's name. If there
  are several series, each is called by its series_id, symbol, column or file;
  if `name` is given, it and an underscore precede each.

  Args:
    path: a file or a folder.
    lag: calendar days from the date of a value until it is known.
    name: the name of a single series, or the prefix of several.
    written: the format and time zone of dates.

  Raises:
    DataError: a name is invalid, there is no file, or a file cannot be read, is
      invalid, or holds no series.
  """
  if name and not is_symbol(name):
    raise DataError(
      f"context: found the name '{shown(name)}', expected {SYMBOL}"
    )
  path = pathlib.Path(path)
  files = [path]
  if path.is_dir():
    files = sorted(p for p in path.iterdir() if name_of(p)[1] in _SUFFIXES)
    if not files:
      raise DataError(
        f'{path}: found no .csv, .tsv or .parquet file in this folder, '
        'expected at least one'
      )
  found = []
  for file in files:
    try:
      found += _read_file(file, lag, written)
    except Refused as error:
      raise DataError(f'{file}: {error}') from error
    except OSError as error:
      raise DataError(
        f'{file}: cannot be read ({error.strerror or error}), expected a '
        'readable file'
      ) from error
  if name and len(found) == 1:
    return (dataclasses.replace(found[0], name=name),)
  prefix = f'{name}_' if name else ''
  return tuple(dataclasses.replace(s, name=prefix + s.name) for s in found)


def _read_file(path: pathlib.Path, lag: int, written: Days) -> list[Series]:
  with path.open('rb') as file:
    digest = hashlib.file_digest(file, 'sha256').hexdigest()
    file.seek(0)
    table = read_file(file, _choose, written)
  every = np.arange(len(table.rows))
  parts: list[tuple[str, dict[str, Column], np.ndarray]]
  if table.has_symbols:
    parts = table.by_symbol()
  elif 'close' in table.numbers:
    parts = [('', table.numbers, every)]
  else:
    parts = [
      (column.name, {'close': column}, every)
      for column in table.numbers.values()
      if not np.isnan(column.cells.values).all()
    ]
    if not parts:
      raise Refused('found no number in any column, expected at least one')
    if len(parts) == 1:
      parts = [('', *parts[0][1:])]
  return [
    _series(name or name_of(path)[0], table, numbers, index, lag, digest)
    for name, numbers, index in parts
  ]


def _choose(header: Header) -> Choice:
  pairs = pair_choice(header)
  if pairs is not None:
    return pairs
  day = date_column(header)
  columns = known_columns(header)
  by_letters = {letters(name): place for place, name in enumerate(header)}
  if 'value' in by_letters:
    columns = {'close': by_letters['value']}
  if 'close' in columns:
    columns.pop('date', None)
    return Choice(day, columns, symbol_column(header))
  others = [
    place
    for place, column in enumerate(header)
    if place != day and not is_unnamed(column)
  ]
  for place in others:
    if header.count(header[place]) > 1:
      raise Refused(
        'found several columns of this name, expected one',
        column=shown(header[place]),
      )
  return Choice(day, {place: place for place in others})


def _series(
  name: str,
  table: Table,
  numbers: Mapping[str, Column],
  index: np.ndarray,
  lag: int,
  digest: str,
) -> Series:
  """Makes a series from the rows of `table` at `index`.

  Raises:
    Refused: the name, the columns `numbers` or a cell in these rows is invalid,
      or no row has a valid value.
  """
  if not is_symbol(name):
    raise Refused(f"found the series name '{shown(name)}', expected {SYMBOL}")
  if 'close' not in numbers:
    raise Refused(f"found no close column of series '{name}', expected one")
  if {'adjusted_close', *PRICES} <= numbers.keys():
    ticker = make_ticker(name, table, numbers, index)
    dates, ohlc, volume = ticker.dates, ticker.ohlc, ticker.volume
    masked, revised = ticker.masked, ticker.revised
  else:
    history = read_history(table, numbers, index, _BOUNDS)
    dates, values = history.dates, history.values
    masked, revised = history.masked, history.revised
    close = values['close']
    ohlc = np.stack([values.get(key, close) for key in PRICES], axis=-1)
    volume = values.get('volume', np.full(len(dates), np.nan))
  known = ~np.isnan(ohlc[:, 3])
  if not known.any():
    raise Refused(
      'found no valid number in any row, expected at least one',
      column=numbers['close'].name,
    )
  return Series(
    name, dates[known], ohlc[known], volume[known], lag, masked, digest, revised
  )

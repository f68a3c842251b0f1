"""Reads single files that hold the prices of many stocks."""

import hashlib
import os
import pathlib
from collections.abc import Mapping

import numpy as np

from eigen3.data.cells import AS_WRITTEN, SYMBOL, Days, is_symbol
from eigen3.data.csv_files import Ticker, make_ticker
from eigen3.data.errors import DataError, Refused, shown
from eigen3.data.headers import (
  Choice,
  Header,
  known_columns,
  pair_choice,
  require_prices,
  symbol_column,
)
from eigen3.data.panel_file import is_panel
from eigen3.data.readers import Progress, Refusal, Source
from eigen3.data.tables import Column, Table, read_file


def read_table(
  path: str | os.PathLike,
  progress: Progress = iter,
  written: Days = AS_WRITTEN,
) -> Source:
  """Reads a CSV or a Parquet file of daily prices of many stocks.

  A long table has a row for each day and symbol, in any order. Its columns are
  a symbol (or ticker, name) and those that `read_folder` reads. A wide table,
  as yfinance returns it, has a row for each day and a header of two levels,
  prices and symbols. For each symbol, days without any price are left out.

  A symbol that cannot be used is listed in `Source.refused`, and the other
  symbols are read. If a defect does not belong to one symbol, such as a row
  that lacks cells, the whole file is refused.

  Args:
    path: a CSV or Parquet file; the type is detected from its first bytes.
    progress: wraps the list of symbols, e.g. `tqdm`.
    written: the format and time zone of dates.

  Raises:
    DataError: the file cannot be read, is refused, or has no usable ticker.
  """
  path = pathlib.Path(path)
  try:
    with path.open('rb') as file:
      digest = hashlib.file_digest(file, 'sha256')
      file.seek(0)
      table = read_file(file, _choose, written)
  except Refused as error:
    if is_panel(path):
      raise DataError(
        f'{path}: found a prepared panel, expected a file of prices'
      ) from error
    raise DataError(f'{path}: {error}') from error
  except OSError as error:
    raise DataError(
      f'{path}: cannot be read ({error.strerror or error}), expected a '
      'readable file'
    ) from error
  tickers: list[Ticker] = []
  refused: list[Refusal] = []
  for name, numbers, index in progress(table.by_symbol()):
    try:
      tickers.append(_ticker(name, table, numbers, index))
    except Refused as error:
      refused.append(
        Refusal(path.name, error.reason, error.row, error.column, shown(name))
      )
  if not tickers:
    raise DataError(
      f'{path}: found no usable ticker, expected at least one; refused '
      f'tickers: {len(refused)}, the first is {refused[0]}'
    )
  tickers.sort(key=lambda ticker: ticker.name)
  return Source(
    tickers=tuple(tickers),
    refused=tuple(refused),
    ignored=(),
    source_hash=digest.hexdigest(),
    place=str(path),
  )


def _choose(header: Header) -> Choice:
  pairs = pair_choice(header)
  if pairs is not None:
    return pairs
  columns = known_columns(header)
  require_prices(columns, header)
  symbol = symbol_column(header)
  if symbol is None:
    raise Refused(
      f'found no symbol column among {shown(", ".join(header), 120)}, expected '
      "one; if one of these holds the symbols, call it 'symbol'; to read a "
      'file of one ticker, give its folder'
    )
  return Choice(columns.pop('date'), columns, symbol)


def _ticker(
  name: str, table: Table, numbers: Mapping[str, Column], index: np.ndarray
) -> Ticker:
  if not is_symbol(name):
    raise Refused(f"found '{shown(name)}', expected a symbol of {SYMBOL}")
  require_prices([*numbers, 'date'], [c.name for c in numbers.values()])
  return make_ticker(name, table, numbers, index)

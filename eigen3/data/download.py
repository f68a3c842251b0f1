"""Downloads daily prices from Yahoo through yfinance, unchanged.

Prices are saved as downloaded, so that a panel can be rebuilt from the file
offline, like a panel from any other file of prices.
"""

import logging
import os
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from eigen3.data.cells import SYMBOL, is_symbol
from eigen3.data.errors import DataError, shown
from eigen3.data.panel_file import parquet_schema
from eigen3.files import atomic_path

# The requested columns, as yfinance names them.
_FIELDS = (
  'Open', 'High', 'Low', 'Close', 'Adj Close', 'Volume', 'Dividends',
  'Stock Splits',
)  # fmt: skip
_SCHEMA = pa.schema(
  [
    pa.field('Date', pa.date32()),
    pa.field('Ticker', pa.string()),
    *(pa.field(name, pa.float64()) for name in _FIELDS),
  ],
  metadata={b'eigen3.download': b'yfinance'},
)
_BATCH = 20  # symbols per request
# Seconds before the second and later attempts; most failures are rate limits.
_WAITS = (2.0, 8.0, 32.0)

# Takes symbols, the first day and the day after the last. Returns a frame as
# yfinance.download does, with columns (Price, Ticker).
Fetch = Callable[[list[str], str | None, str | None], Any]


def download_prices(
  symbols: Sequence[str],
  path: str | os.PathLike,
  first_day: np.datetime64 | None = None,
  last_day: np.datetime64 | None = None,
  fetch: Fetch | None = None,
  sleep: Callable[[float], None] = time.sleep,
  advance: Callable[[int], Any] = int,
) -> tuple[str, ...]:
  """Saves the prices of `symbols` as a Parquet file for `read_table`.

  Prices are not adjusted for dividends, but an adjusted close, dividends and
  splits are included. Missing symbols are requested again, up to three times.

  Args:
    symbols: as Yahoo spells them, in upper or lower case.
    path: the file to write; an existing one is replaced.
    first_day: the first day to download; None for the first available.
    last_day: the last day to download; None for the last available.
    fetch: gets the prices, see `Fetch`; by default through yfinance.
    sleep: a function that waits for a number of seconds.
    advance: called with the number of symbols finished since the last call.

  Returns:
    The symbols for which no price was found, in upper case.

  Raises:
    DataError: a symbol is invalid, there was no price at all, yfinance is not
      installed, or the file cannot be written.
  """
  wanted = list(dict.fromkeys(symbol.strip().upper() for symbol in symbols))
  for symbol in wanted:
    if not is_symbol(symbol):
      raise DataError(
        f"download: found '{shown(symbol)}', expected a symbol of {SYMBOL}"
      )
  fetch = fetch or _yfinance()
  start = None if first_day is None else str(first_day)
  end = None if last_day is None else str(last_day + np.timedelta64(1, 'D'))
  tables: dict[str, pa.Table] = {}
  error = ''
  for wait in (0.0, *_WAITS):
    missing = [symbol for symbol in wanted if symbol not in tables]
    if missing and wait:
      sleep(wait)
    for batch in _batches(missing):
      try:
        found = _tables(fetch(batch, start, end), batch)
      except Exception as failure:  # of any type: each library has its own
        error = f'; the last error: {shown(failure, 120)}'
        continue
      tables |= found
      advance(len(found))
  if not tables:
    names = shown(', '.join(wanted), 120) or 'an empty list of symbols'
    reason = error or (
      '; check the network, the range of days, and the spelling at Yahoo'
    )
    raise DataError(
      f'download: found no prices of {names}, expected prices of at least '
      f'one symbol{reason}'
    )
  missing = [symbol for symbol in wanted if symbol not in tables]
  advance(len(missing))
  _save(pa.concat_tables([tables[s] for s in wanted if s in tables]), path)
  return tuple(missing)


def is_download(path: str | os.PathLike) -> bool:
  """Returns whether `path` is a file that `download_prices` wrote."""
  try:
    schema = parquet_schema(path)
  except (pa.ArrowException, OSError):
    return False
  return _SCHEMA.metadata.keys() <= (schema.metadata or {}).keys()


def _yfinance() -> Fetch:
  try:
    import yfinance
  except ImportError as error:
    raise DataError(
      'download: found no package yfinance, expected it to be installed: '
      "pip install 'eigen3[download]'"
    ) from error
  # We report failures ourselves, in one line.
  logging.getLogger('yfinance').setLevel(logging.CRITICAL)

  def fetch(symbols: list[str], start: str | None, end: str | None) -> Any:
    span = {'start': start, 'end': end} if start or end else {'period': 'max'}
    with warnings.catch_warnings():
      warnings.simplefilter('ignore')  # from the libraries that it uses
      return yfinance.download(
        symbols, **span, auto_adjust=False, actions=True, progress=False
      )

  return fetch


def _batches(symbols: list[str]) -> Iterator[list[str]]:
  for first in range(0, len(symbols), _BATCH):
    yield symbols[first : first + _BATCH]


def _tables(frame: Any, symbols: list[str]) -> dict[str, pa.Table]:
  """Returns each symbol's rows with a price, for symbols that have any."""
  tables: dict[str, pa.Table] = {}
  if frame is None or frame.empty:
    return tables
  days = frame.index.to_numpy().astype('datetime64[D]')
  there = set(frame.columns)
  for symbol in symbols:
    columns = [
      frame[name, symbol].to_numpy(np.float64)
      if (name, symbol) in there
      else np.full(len(days), np.nan)
      for name in _FIELDS
    ]
    own = ~np.isnan(columns[:4]).all(axis=0)
    if own.any():
      names = [symbol] * int(own.sum())
      values = [column[own] for column in columns]
      tables[symbol] = pa.table([days[own], names, *values], schema=_SCHEMA)
  return tables


def _save(table: pa.Table, path: str | os.PathLike) -> None:
  try:
    with atomic_path(path) as temporary, temporary.open('wb') as file:
      pq.write_table(table, file)
  except OSError as error:
    reason = error.strerror or error
    raise DataError(
      f'{path}: cannot be written ({reason}), expected a writable path'
    ) from error

"""Reads which stocks are members of a universe on each day.

A list of today's members, used for the past, has survivorship bias. A file of
intervals gives the members of each day.
"""

import csv
import dataclasses
import datetime
import hashlib
import io
import os
import pathlib

import numpy as np

from eigen3.data.errors import DataError
from eigen3.data.panel import MarketPanel

_HEADER = ('ticker', 'start_date', 'end_date')


@dataclasses.dataclass(frozen=True, eq=False)
class Universe:
  """The intervals during which each ticker is a member.

  Attributes:
    intervals: each ticker's intervals as (first day, day after the last); the
      second is NaT if the interval has not ended. Keyed by the ticker in
      capitals, with '.' before a share class.
    content: the bytes of the file that was read.
  """

  intervals: dict[str, tuple[tuple[np.datetime64, np.datetime64], ...]]
  content: bytes

  def members(
    self, dates: np.ndarray, tickers: tuple[str, ...] | list[str]
  ) -> np.ndarray:
    """Returns whether each ticker is a member on each day.

    A ticker without an interval is never a member. Case and the separator
    before a share class do not matter: 'BRK.B', 'brk-b' and 'BRK/B' are the
    same.

    Args:
      dates: datetime64[D] [T].
      tickers: N names.

    Returns:
      bool [T, N].
    """
    members = np.zeros((len(dates), len(tickers)), bool)
    for column, ticker in enumerate(tickers):
      for first, end in self.intervals.get(_key(ticker), ()):
        inside = dates >= first
        if not np.isnat(end):
          inside &= dates < end
        members[:, column] |= inside
    return members

  def size(self, dates: np.ndarray) -> np.ndarray:
    """Returns the number of members on each day, int [T].

    Members without prices count, too.
    """
    names = list(self.intervals)
    return self.members(dates, names).sum(axis=1)


def with_universe(panel: MarketPanel, universe: Universe) -> MarketPanel:
  """Returns `panel` with purchases limited to members of `universe`.

  The result's `notes` state which share of the universe's members is investable
  in `panel` and has a close.

  Raises:
    DataError: no investable stock is a member on any day of the panel.
  """
  first, stop = panel.investable
  members = universe.members(panel.dates, panel.columns[first:stop])
  if not members.any():
    raise DataError(
      'universe: found no investable column that is a member on any day from '
      f'{panel.dates[0]} to {panel.dates[-1]}, expected at least one; the '
      "universe file must list the panel's tickers on these days"
    )
  priced = members & ~np.isnan(panel.ohlc[:, first:stop, 3])
  share = priced.sum(axis=1) / np.maximum(universe.size(panel.dates), 1)
  digest = hashlib.sha256(panel.source_hash.encode() + universe.content)
  return dataclasses.replace(
    panel,
    members=members,
    source_hash=digest.hexdigest(),
    notes=(
      f'{panel.notes}; bought only while in the universe, of which '
      f'{share[0]:.0%} has prices on the first day, {share.mean():.0%} on '
      f'average and {share[-1]:.0%} on the last'
    ),
  )


def read_universe(path: str | os.PathLike) -> Universe:
  """Reads a CSV with the columns ticker, start_date and end_date.

  end_date is the first day on which the stock is no longer a member; it is
  empty for current members. A ticker may have several rows.

  Raises:
    DataError: the file cannot be read or is invalid; the error names the file
      and, if known, row and column.
  """
  path = pathlib.Path(path)
  try:
    content = path.read_bytes()
    lines = list(csv.reader(io.StringIO(content.decode('utf-8-sig'))))
  except OSError as error:
    raise DataError(
      f'{path}: cannot be read ({error.strerror or error}), expected a '
      'readable file'
    ) from error
  except (UnicodeDecodeError, csv.Error) as error:
    raise DataError(
      f'{path}: found a file that cannot be read ({error}), expected a CSV in '
      'UTF-8'
    ) from error
  header = tuple(cell.strip().lower() for cell in lines[0]) if lines else ()
  if header != _HEADER:
    found = ', '.join(header)[:60]
    raise DataError(
      f"{path}: row 1: found the header '{found}', expected "
      f"'{', '.join(_HEADER)}'"
    )
  intervals: dict[str, list[tuple[np.datetime64, np.datetime64]]] = {}
  for number, cells in enumerate(lines[1:], 2):
    if not any(cell.strip() for cell in cells):
      continue
    ticker, interval = _interval(f'{path}: row {number}', cells)
    intervals.setdefault(ticker, []).append(interval)
  if not intervals:
    raise DataError(
      f'{path}: found no row below the header, expected at least one, with '
      f'{", ".join(_HEADER)}'
    )
  return Universe({k: tuple(v) for k, v in intervals.items()}, content)


def _interval(
  where: str, cells: list[str]
) -> tuple[str, tuple[np.datetime64, np.datetime64]]:
  if len(cells) != len(_HEADER):
    raise DataError(
      f'{where}: found {len(cells)} cells, expected {len(_HEADER)}'
    )
  ticker, start, end = (cell.strip() for cell in cells)
  if not ticker:
    raise DataError(
      f"{where}, column 'ticker': found nothing, expected a ticker"
    )
  first = _day(where, 'start_date', start)
  after = _day(where, 'end_date', end) if end else np.datetime64('NaT', 'D')
  if after <= first:
    raise DataError(
      f"{where}, column 'end_date': found {end}, expected a day after {start}"
    )
  return _key(ticker), (first, after)


def _day(where: str, column: str, text: str) -> np.datetime64:
  try:
    return np.datetime64(datetime.date.fromisoformat(text), 'D')
  except ValueError as error:
    raise DataError(
      f"{where}, column '{column}': found '{text}', expected a day as "
      'YYYY-MM-DD'
    ) from error


def _key(ticker: str) -> str:
  return ticker.upper().replace('-', '.').replace('/', '.')

"""Reads, validates, adjusts and masks the price histories of single stocks."""

import dataclasses
import io
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from eigen3.data.cells import AS_WRITTEN, Days
from eigen3.data.errors import Refused
from eigen3.data.headers import single_choice
from eigen3.data.indicators import PRICES
from eigen3.data.tables import Column, Table, read_file

# A daily move of the adjusted close beyond these ratios is more often a missed
# split or a bad tick than real; it is reported and kept.
SUSPICIOUS = (0.5, 1.9)
# Valid ranges. Values outside become missing: they are errors, and float32, in
# which a panel keeps prices and features, might not hold them or their ratios.
_PRICE_BOUNDS = (1e-9, 1e12)
VOLUME_BOUNDS = (0.0, 1e15)
# A file in which more days than this, and than a tenth of all, have several
# different rows is refused.
_FEW_REVISED = 3
_BOUNDS = {
  **dict.fromkeys((*PRICES, 'adjusted_close'), _PRICE_BOUNDS),
  'volume': VOLUME_BOUNDS,
}


@dataclasses.dataclass(frozen=True)
class Masked:
  """The empty cells of a column, or those out of range; both are missing."""

  column: str
  count: int
  row: int  # line (CSV) or row (Parquet) of the first such cell
  found: str  # value of the first such cell; 'nothing' if they are empty


@dataclasses.dataclass(frozen=True, eq=False)
class Ticker:
  """The daily price history of one stock, R rows.

  Attributes:
    name: the ticker.
    dates: datetime64[D] [R], strictly increasing.
    ohlc: float64 [R, 4], open, high, low, close, adjusted for splits and
      dividends if the file has an adjusted close; NaN is missing.
    volume: float64 [R], divided by the factor that adjusts the prices, so that
      price times volume is still the money traded; NaN is missing.
    splits: number of rows with a split.
    dividends: number of rows with a dividend.
    adjusted: number of rows whose prices the adjustment changed.
    outside: number of rows whose open or close is not between low and high;
      they are kept.
    suspicious: (day, close over the previous close) if this ratio is so large
      or small that it is likely an error, see `SUSPICIOUS`; the row is kept.
    masked: the empty cells, and the cells out of range, of each column of
      prices or volumes.
    repeated: days with several equal rows, of which one was kept; a day occurs
      once for each row that was dropped.
    revised: days with several different rows; the last row with a valid price,
      or else the last row, was kept.
    unpriced: days of rows without any price, which were dropped.
    ignored: names of columns that were not read, as in `Table`.
    unadjusted: (index in `dates`, new shares per old share) of splits that are
      stated in the file but not reflected in its prices; the prices are kept.
  """

  name: str
  dates: np.ndarray
  ohlc: np.ndarray
  volume: np.ndarray
  splits: int
  dividends: int
  adjusted: int
  outside: int
  suspicious: tuple[tuple[str, float], ...]
  masked: tuple[Masked, ...]
  repeated: tuple[str, ...] = ()
  revised: tuple[str, ...] = ()
  unpriced: tuple[str, ...] = ()
  ignored: tuple[str, ...] = ()
  unadjusted: tuple[tuple[int, float], ...] = ()


@dataclasses.dataclass(frozen=True, eq=False)
class History:
  """The R rows of a stock or series before any adjustment.

  Attributes:
    dates: datetime64[D] [R], strictly increasing.
    values: float64 [R] for each column, keyed by canonical name, such as
      'adjusted_close'; NaN is missing.
    masked: as in `Ticker`.
    repeated: as in `Ticker`.
    revised: as in `Ticker`.
    unpriced: as in `Ticker`.
  """

  dates: np.ndarray
  values: dict[str, np.ndarray]
  masked: tuple[Masked, ...]
  repeated: tuple[str, ...]
  revised: tuple[str, ...]
  unpriced: tuple[str, ...]


def read_ticker(
  name: str, content: bytes, written: Days = AS_WRITTEN
) -> Ticker:
  """Reads one stock's prices from the bytes of a CSV or Parquet file.

  Raises:
    Refused: `content` is not a table of daily prices of one stock, or as in
      `make_ticker`.
  """
  return make_ticker(
    name, read_file(io.BytesIO(content), single_choice, written)
  )


def make_ticker(
  name: str,
  table: Table,
  numbers: Mapping[str, Column] | None = None,
  index: np.ndarray | None = None,
) -> Ticker:
  """Makes one stock's history from rows of a table.

  If there is an adjusted close, open, high, low and close are multiplied by
  adjusted_close / close, and the volume is divided by it. Prices and volumes
  out of range (see `_BOUNDS`), such as a price of 0 or a negative volume,
  become missing. Rows without any price are dropped. Of several rows of one
  day, the first is kept if all are equal in the columns used, else the last
  with a price in range, or the last if none has one.

  Args:
    name: the ticker.
    table: R rows.
    numbers: the columns to use, keyed by canonical name; by default all those
      of the table.
    index: indices of the rows to use; by default all.

  Raises:
    Refused: a cell of these rows and columns is wrong, the close or the
      adjusted close has no value in range in any row, or too many days (see
      `_FEW_REVISED`) have several different rows.
  """
  if numbers is None:
    numbers = table.numbers
  history = read_history(table, numbers, index, _BOUNDS, rows_need=PRICES)
  for key in ('close', 'adjusted_close'):
    if key in numbers and np.isnan(history.values[key]).all():
      raise Refused(
        'found no valid price in any row, expected at least one',
        column=numbers[key].name,
      )
  return _adjusted(name, history, table.ignored)


def read_history(
  table: Table,
  numbers: Mapping[str, Column],
  index: np.ndarray | None,
  bounds: Mapping[str, tuple[float, float]],
  rows_need: tuple[str, ...] = (),
) -> History:
  """Returns rows of a table, sorted by day, with one row per day.

  Of several rows of one day, one is kept as described in `make_ticker`.

  Args:
    table: R rows.
    numbers: the columns to use, keyed by canonical name.
    index: indices of the rows to use; None for all.
    bounds: valid ranges (least, most), keyed by canonical name; values outside
      become missing. Columns without bounds are not checked.
    rows_need: a row that is empty in all of these columns is dropped, unless
      every row is. If no columns are named, no row is dropped.

  Raises:
    Refused: a cell of these rows and columns is wrong, or too many days have
      several different rows.
  """
  if index is None:
    index = np.arange(len(table.rows))
  lines = table.rows[index]
  values = {
    key: _usable(column, index, lines) for key, column in numbers.items()
  }
  dates = _usable(table.day, index, lines)
  needed = [~np.isnan(values[key]) for key in rows_need]
  unpriced = ~np.any(needed, axis=0) if needed else np.zeros(len(dates), bool)
  if unpriced.all():  # the caller names the empty column
    unpriced[:] = False
  days = [str(day) for day in np.sort(dates[unpriced])]
  rows = _Rows(dates[~unpriced], lines[~unpriced], {
    key: value[~unpriced] for key, value in values.items()
  })  # fmt: skip
  kept, repeated, revised = _one_a_day(rows, bounds, table.day.name)
  lines = rows.lines[kept]
  dates = rows.dates[kept]
  values = {key: value[kept] for key, value in rows.values.items()}
  masked = [
    cells
    for key in bounds
    if key in values
    for cells in _mask(numbers[key].name, values[key], lines, *bounds[key])
  ]
  order = np.argsort(dates)
  return History(
    dates[order],
    {key: value[order] for key, value in values.items()},
    tuple(masked),
    repeated,
    revised,
    tuple(days),
  )


def _usable(column: Column, index: np.ndarray, lines: np.ndarray) -> np.ndarray:
  """Returns a column's values at `index`.

  `lines` has the line numbers of these cells, for the error.

  Raises:
    Refused: one of these cells is wrong.
  """
  if column.cells.wrong.size:
    wrong = column.cells.is_wrong[index]
    if wrong.any():
      first = int(np.argmax(wrong))
      raise Refused(
        f"found '{column.cells.found(index[first])}', expected "
        f'{column.expected}',
        int(lines[first]),
        column.name,
      )
  return column.cells.values[index]


def _mask(
  name: str, values: np.ndarray, lines: np.ndarray, least: float, most: float
) -> list[Masked]:
  """Sets values out of range to NaN, in place.

  Returns:
    A record of the empty cells and one of the cells out of range, each only if
    there are any.
  """
  empty = np.isnan(values)
  impossible = ~empty & ~((values >= least) & (values <= most))
  masked = []
  for bad in (empty, impossible):
    if bad.any():
      first = int(np.argmax(bad))
      found = 'nothing' if empty[first] else f'{values[first]:g}'
      masked.append(Masked(name, int(bad.sum()), int(lines[first]), found))
  values[impossible] = np.nan
  return masked


class _Rows(NamedTuple):
  """R rows: their days, line numbers in the file, and values per column."""

  dates: np.ndarray
  lines: np.ndarray
  values: dict[str, np.ndarray]


def _one_a_day(
  rows: _Rows, bounds: Mapping[str, tuple[float, float]], name: str
) -> tuple[np.ndarray, tuple[str, ...], tuple[str, ...]]:
  """Returns which rows to keep, bool [R], and the repeated and revised days.

  If all rows of a day are equal, the first is kept; else the last with a price
  within bounds, or the last if none has one. `Ticker` defines repeated and
  revised days. `name` is the date column's name, for the error.

  Raises:
    Refused: too many days have several different rows.
  """
  kept = np.ones(len(rows.dates), bool)
  order = np.argsort(rows.dates, kind='stable')
  dates = rows.dates[order]
  again = np.append(False, dates[1:] == dates[:-1])
  if not again.any():
    return kept, (), ()
  day = np.cumsum(~again) - 1
  differs = np.zeros(len(order), bool)
  priced = np.zeros(len(order), bool)
  for key, unsorted in rows.values.items():
    value = unsorted[order]
    empty = np.isnan(value)
    differs[1:] |= (value[1:] != value[:-1]) & ~(empty[1:] & empty[:-1])
    if key in bounds and key != 'volume':
      priced |= (value >= bounds[key][0]) & (value <= bounds[key][1])
  is_revised = np.bincount(day, differs & again) > 0
  places = np.arange(len(order))
  rank = np.where(is_revised[day], places + priced * len(order), -places)
  last = np.lexsort((rank, day))[np.append(day[1:] != day[:-1], True)]
  kept[:] = False
  kept[order[last]] = True
  revised = np.unique(dates[is_revised[day]])
  num_days = day[-1] + 1
  if len(revised) > max(_FEW_REVISED, num_days // 10):
    row = order[np.argmax(differs & again)]
    raise Refused(
      f'found {rows.dates[row]} in several rows with different numbers (this '
      f'is true of {len(revised)} of {num_days} days), expected one row per '
      'day; for several tickers, add a symbol column and give the file itself '
      'as the source; intraday prices are not supported',
      int(rows.lines[row]),
      name,
    )
  equal = dates[again & ~is_revised[day]]
  return kept, tuple(map(str, equal)), tuple(map(str, revised))


def _adjusted(name: str, history: History, ignored: tuple[str, ...]) -> Ticker:
  dates, values = history.dates, history.values
  raw = np.stack([values[price] for price in PRICES], axis=-1)
  nothing = np.full(len(dates), np.nan)
  factor = np.ones(len(dates))
  if 'adjusted_close' in values:
    factor = values['adjusted_close'] / values['close']
  ohlc = raw * factor[:, None]
  low, high = raw[:, 2], raw[:, 1]
  ends = raw[:, [0, 3]]
  outside = (ends > high[:, None]) | (ends < low[:, None])
  return Ticker(
    name=name,
    dates=dates,
    ohlc=ohlc,
    volume=values.get('volume', nothing) / factor,
    splits=_count(values.get('split', nothing), neutral=(0.0, 1.0)),
    dividends=_count(values.get('dividend', nothing), neutral=(0.0,)),
    # Ten digits: a factor of 1 with rounding error is no adjustment.
    adjusted=int((np.abs(factor - 1.0) > 1e-10).sum()),
    outside=int(outside.any(axis=1).sum()),
    suspicious=_suspicious(dates, ohlc[:, 3]),
    masked=history.masked,
    repeated=history.repeated,
    revised=history.revised,
    unpriced=history.unpriced,
    ignored=ignored,
    unadjusted=_unadjusted(values.get('split', nothing), ohlc[:, 3]),
  )


def _unadjusted(
  splits: np.ndarray, close: np.ndarray
) -> tuple[tuple[int, float], ...]:
  """Returns (row, new shares per old share) of unadjusted splits.

  A split in `splits` counts as unadjusted if undoing it would make the move of
  the close on its day smaller.
  """
  known = np.flatnonzero(~np.isnan(close))
  found = []
  for row in np.flatnonzero((splits > 0.0) & (splits != 1.0)).tolist():
    place = int(np.searchsorted(known, row))
    if 0 < place < len(known):
      move = np.log(close[known[place]] / close[known[place - 1]])
      if abs(move + np.log(splits[row])) < abs(move):
        found.append((row, float(splits[row])))
  return tuple(found)


def _count(values: np.ndarray, neutral: tuple[float, ...]) -> int:
  return int((~np.isnan(values) & ~np.isin(values, neutral)).sum())


def _suspicious(
  dates: np.ndarray, close: np.ndarray
) -> tuple[tuple[str, float], ...]:
  known = ~np.isnan(close)
  days, ratios = dates[known][1:], close[known][1:] / close[known][:-1]
  wild = (ratios < SUSPICIOUS[0]) | (ratios > SUSPICIOUS[1])
  return tuple(
    (str(day), float(ratio))
    for day, ratio in zip(days[wild], ratios[wild], strict=True)
  )

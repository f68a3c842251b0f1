"""Builds a panel from a source: aligns days, adds indicators, sorts columns."""

import dataclasses
import datetime

import numpy as np

from eigen3.data.calendars import find_markets
from eigen3.data.csv_files import Ticker
from eigen3.data.errors import DataError
from eigen3.data.indicators import FEATURES, eigen2_features
from eigen3.data.panel import MarketPanel
from eigen3.data.readers import Source
from eigen3.data.series import Series
from eigen3.data.splits import MIN_TRAINING_DAYS

_BLOCK = 64  # tickers at a time, because float64 copies of all take much memory


def build_panel(
  source: Source,
  validation_days: int,
  holdout_days: int,
  first_day: np.datetime64 | None = None,
  last_day: np.datetime64 | None = None,
  includes_delisted: bool = False,
) -> MarketPanel:
  """Builds a panel of tickers and series on the union of the tickers' days.

  The columns are, in this order: the series, as context; tickers with fewer
  than `MIN_TRAINING_DAYS` closes on the training days, also as context; and
  tickers that may be bought. Training days are all but the last
  validation_days + holdout_days days. Series keep their order; both groups of
  tickers are in alphabetical order. Indicators also use days before
  `first_day`.

  The days of the panel are the tickers' days from `first_day` to `last_day`. A
  value of a series is observed on the first of the tickers' days, inside the
  panel or not, that is at least `Series.lag` calendar days after the value's
  date, and on no other: values are not carried forward. If several values fall
  on one day, the latest is used. Values known before the tickers' first day are
  used by indicators only.

  A source is assumed to hold survivors only unless `includes_delisted` is set.
  Setting it is an error if every ticker has a row on the last of the tickers'
  days, whatever `last_day` is.

  Args:
    source: tickers and series, from `open_source` and `with_series`.
    validation_days: number of days in the validation split.
    holdout_days: number of held-out days.
    first_day: earlier days are left out of the panel; None keeps all.
    last_day: later days are left out of the panel; None keeps all.
    includes_delisted: whether the source includes delisted stocks.

  Raises:
    DataError: too few days are left for training, no ticker may be bought, or
      `includes_delisted` is set wrongly (see above).
  """
  tickers = source.tickers
  dates = _union([ticker.dates for ticker in tickers])
  if includes_delisted and all(t.dates[-1] == dates[-1] for t in tickers):
    raise DataError(
      'includes_delisted: found True, but every ticker has a row on '
      f'{dates[-1]}, the last of their days; expected a delisted ticker, or '
      'False'
    )
  days = _between(dates, first_day, last_day)
  num_days = days.stop - days.start
  num_training = num_days - validation_days - holdout_days
  if num_training < MIN_TRAINING_DAYS:
    raise _too_few(
      f'{source.place}: found {num_days} days from {first_day or dates[0]} to '
      f'{last_day or dates[-1]}',
      validation_days,
      holdout_days,
    )
  return _filled(
    source,
    dates,
    days,
    num_training,
    survivors_only=not includes_delisted,
  )


def _filled(
  source: Source,
  dates: np.ndarray,
  days: slice,
  num_training: int,
  survivors_only: bool,
) -> MarketPanel:
  """Builds the panel of the days `dates[days]`; see `build_panel`."""
  ordered, num_short = _ordered(
    source.tickers, dates[days][:num_training], source.place
  )
  num_series = len(source.series)
  cells = _Cells.empty(days.stop - days.start, num_series + len(ordered))
  cells.put_series(source.series, dates, days)
  cells.put_tickers(ordered, num_series, dates, days)
  return MarketPanel(
    dates=dates[days],
    columns=tuple(
      [one.name for one in source.series] + [one.name for one in ordered]
    ),
    ohlc=cells.ohlc,
    features=cells.features,
    investable=(num_series + num_short, num_series + len(ordered)),
    volume=cells.volume,
    column_kinds=('context',) * num_series + ('stock',) * len(ordered),
    source_hash=source.source_hash,
    survivors_only=survivors_only,
    training_days=num_training,
    markets=_markets(source, ordered, dates[days][:num_training]),
    notes=(
      f'investable: at least {MIN_TRAINING_DAYS} closes in the first '
      f'{num_training} days'
    ),
  )


def _markets(
  source: Source, ordered: list[Ticker], training: np.ndarray
) -> tuple[int, ...]:
  """Returns the index of each column's market.

  Each series is a market of its own. The result is empty if `find_markets` does
  not find several markets among the tickers.
  """
  markets = find_markets([ticker.dates for ticker in ordered], training)
  if not markets:
    return ()
  first = max(markets) + 1
  return (*range(first, first + len(source.series)), *markets)


def _too_few(found: str, validation_days: int, holdout_days: int) -> DataError:
  return DataError(
    f'{found}, expected at least '
    f'{MIN_TRAINING_DAYS + validation_days + holdout_days}: '
    f'{MIN_TRAINING_DAYS} for training, {validation_days} for validation and '
    f'{holdout_days} for holdout'
  )


def parse_day(text: str | None, name: str) -> np.datetime64 | None:
  """Parses a day in ISO format, such as 2019-12-31; None stays None.

  Raises:
    DataError: `text` is not such a day; the error names the setting `name`.
  """
  if text is None:
    return None
  try:
    return np.datetime64(datetime.date.fromisoformat(text), 'D')
  except ValueError as error:
    raise DataError(
      f"{name}: found '{text}', expected a day as YYYY-MM-DD"
    ) from error


def _ordered(
  tickers: tuple[Ticker, ...], training: np.ndarray, place: str
) -> tuple[list[Ticker], int]:
  """Returns tickers in the panel's order, and how many of them are context.

  Raises:
    DataError: all tickers would be context.
  """

  def is_investable(ticker: Ticker) -> bool:
    closes = ticker.dates[~np.isnan(ticker.ohlc[:, 3])]
    within = (closes >= training[0]) & (closes <= training[-1])
    return int(within.sum()) >= MIN_TRAINING_DAYS

  ordered = sorted(tickers, key=lambda t: (is_investable(t), t.name))
  num_context = sum(not is_investable(ticker) for ticker in ordered)
  if num_context == len(ordered):
    raise DataError(
      f'{place}: found no ticker among {len(ordered)} with at least '
      f'{MIN_TRAINING_DAYS} closes in the {len(training)} training days, '
      'expected at least one; tickers with fewer are not investable'
    )
  return ordered, num_context


def _between(
  dates: np.ndarray, first: np.datetime64 | None, last: np.datetime64 | None
) -> slice:
  """Returns the slice of `dates` from `first` to `last`, both included.

  None means no bound.
  """
  start = 0 if first is None else int(np.searchsorted(dates, first))
  stop = len(dates)
  if last is not None:
    stop = int(np.searchsorted(dates, last, side='right'))
  return slice(start, max(start, stop))


def _union(parts: list[np.ndarray]) -> np.ndarray:
  """Returns the days that occur in any of `parts`, sorted and distinct."""
  first = min(days[0] for days in parts)
  last = max(days[-1] for days in parts)
  is_there = np.zeros((last - first).astype(int) + 1, bool)
  for days in parts:
    is_there[(days - first).astype(int)] = True
  return first + np.flatnonzero(is_there)


@dataclasses.dataclass(frozen=True, eq=False)
class _Cells:
  """Prices [T, C, 4], features [T, C, F] and volume [T, C] in float32."""

  ohlc: np.ndarray
  features: np.ndarray
  volume: np.ndarray

  @classmethod
  def empty(cls, num_days: int, num_columns: int) -> '_Cells':
    """Returns cells that are all missing."""
    shape = (num_days, num_columns)
    return cls(
      np.full((*shape, 4), np.nan, np.float32),
      np.full((*shape, len(FEATURES)), np.nan, np.float32),
      np.full(shape, np.nan, np.float32),
    )

  def put_series(
    self, series: tuple[Series, ...], dates: np.ndarray, days: slice
  ) -> None:
    """Writes series into the first columns.

    Indicators are computed from all rows of a series. Each row is then assigned
    to the first of `dates` on which it is known; if several fall on one day,
    the last is kept. Rows known before the first of `dates`, and rows assigned
    to a day outside `dates[days]`, are left out.
    """
    for column, one in enumerate(series):
      known = one.dates + np.timedelta64(one.lag, 'D')
      rows = np.searchsorted(dates, known)
      last = np.append(rows[1:] != rows[:-1], True)
      put = last & (known >= dates[0]) & (rows >= days.start)
      put &= rows < days.stop
      rows = rows[put] - days.start
      features = eigen2_features(one.ohlc[:, None])[:, 0]
      self.ohlc[rows, column] = one.ohlc[put]
      self.features[rows, column] = _float32(features[put])
      self.volume[rows, column] = one.volume[put]

  def put_tickers(
    self, tickers: list[Ticker], first: int, dates: np.ndarray, days: slice
  ) -> None:
    """Writes tickers into the columns from `first` on."""
    for start in range(0, len(tickers), _BLOCK):
      part = tickers[start : start + _BLOCK]
      prices = np.full((len(dates), len(part), 4), np.nan)
      volume = np.full((len(dates), len(part)), np.nan)
      for column, ticker in enumerate(part):
        rows = np.searchsorted(dates, ticker.dates)
        prices[rows, column] = ticker.ohlc
        volume[rows, column] = ticker.volume
      columns = slice(first + start, first + start + len(part))
      self.ohlc[:, columns] = prices[days]
      self.volume[:, columns] = volume[days]
      self.features[:, columns] = _float32(eigen2_features(prices)[days])


def _float32(values: np.ndarray) -> np.ndarray:
  """Replaces values too large for float32 with NaN.

  A change in % from a value near 0, as in TRIX, is unbounded.
  """
  return np.where(np.abs(values) < np.finfo(np.float32).max, values, np.nan)

"""From tickers to a panel: alignment, indicators, what may be bought."""

import datetime

import numpy as np

from eigen3.data.csv_files import Ticker
from eigen3.data.errors import DataError
from eigen3.data.indicators import FEATURES, eigen2_features
from eigen3.data.panel import MarketPanel
from eigen3.data.readers import Source
from eigen3.data.splits import MIN_TRAINING_DAYS


def build_panel(
  source: Source,
  validation_days: int,
  holdout_days: int,
  first_day: np.datetime64 | None = None,
  last_day: np.datetime64 | None = None,
  includes_delisted: bool = False,
) -> MarketPanel:
  """The panel of all tickers on the union of their days.

  Columns with fewer than `MIN_TRAINING_DAYS` closes before the last
  validation_days + holdout_days days come first, as context; then those that
  may be bought; both in alphabetical order. Indicators know days before
  `first_day`.

  A source is taken to hold survivors only unless `includes_delisted` says
  otherwise, which tickers that are all priced to the last day contradict.

  Args:
    source: what `read_folder` found.
    validation_days: days of the validation split.
    holdout_days: days of the holdout split.
    first_day: the first day of the panel, None for the first there is.
    last_day: the last day of the panel, None for the last there is.
    includes_delisted: whether stocks that left the market are among them.

  Raises:
    DataError: no day or no investable column is left, or nothing was ever
      delisted though `includes_delisted` says so.
  """
  tickers = source.tickers
  dates = np.unique(np.concatenate([ticker.dates for ticker in tickers]))
  if includes_delisted and all(t.dates[-1] == dates[-1] for t in tickers):
    raise DataError(
      f'includes_delisted: every ticker has a row on the last day, '
      f'{dates[-1]}; these are survivors only'
    )
  days = np.ones(len(dates), bool)
  if first_day is not None:
    days &= dates >= first_day
  if last_day is not None:
    days &= dates <= last_day
  num_training = int(days.sum()) - validation_days - holdout_days
  if num_training < MIN_TRAINING_DAYS:
    raise DataError(
      f'panel: {days.sum()} days from {first_day or dates[0]} to '
      f'{last_day or dates[-1]}, expected at least {MIN_TRAINING_DAYS} for '
      f'training, {validation_days} for validation and {holdout_days} for '
      'holdout'
    )
  ordered, num_context = _ordered(tickers, dates[days][:num_training])
  ohlc, features, volume = _aligned(ordered, dates)
  return MarketPanel(
    dates=dates[days],
    columns=tuple(ticker.name for ticker in ordered),
    ohlc=ohlc[days],
    features=features[days],
    investable=(num_context, len(ordered)),
    volume=volume[days],
    column_kinds=('stock',) * len(ordered),
    source_hash=source.source_hash,
    survivors_only=not includes_delisted,
    training_days=num_training,
    notes=(
      f'investable: at least {MIN_TRAINING_DAYS} closes in the first '
      f'{num_training} days'
    ),
  )


def parse_day(text: str | None, name: str) -> np.datetime64 | None:
  """The day `text` says; None stays None, anything else is a DataError."""
  if text is None:
    return None
  try:
    return np.datetime64(datetime.date.fromisoformat(text), 'D')
  except ValueError as error:
    raise DataError(
      f"{name}: found '{text}', expected a day as YYYY-MM-DD"
    ) from error


def _ordered(
  tickers: tuple[Ticker, ...], training: np.ndarray
) -> tuple[list[Ticker], int]:
  """Context first, then investable, and how many are context."""

  def is_investable(ticker: Ticker) -> bool:
    closes = ticker.dates[~np.isnan(ticker.ohlc[:, 3])]
    within = (closes >= training[0]) & (closes <= training[-1])
    return int(within.sum()) >= MIN_TRAINING_DAYS

  ordered = sorted(tickers, key=lambda t: (is_investable(t), t.name))
  num_context = sum(not is_investable(ticker) for ticker in ordered)
  if num_context == len(ordered):
    raise DataError(
      f'panel: none of {len(ordered)} tickers has {MIN_TRAINING_DAYS} closes '
      f'in the {len(training)} training days, nothing could be bought'
    )
  return ordered, num_context


def _aligned(
  tickers: list[Ticker], dates: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Prices [T, C, 4], features [T, C, F] and volume [T, C] in float32."""
  shape = (len(dates), len(tickers))
  ohlc = np.full((*shape, 4), np.nan, np.float32)
  features = np.full((*shape, len(FEATURES)), np.nan, np.float32)
  volume = np.full(shape, np.nan, np.float32)
  block = 64  # tickers at a time: float64 of all would be most of the memory
  for start in range(0, len(tickers), block):
    part = tickers[start : start + block]
    prices = np.full((len(dates), len(part), 4), np.nan)
    for column, ticker in enumerate(part):
      rows = np.searchsorted(dates, ticker.dates)
      prices[rows, column] = ticker.ohlc
      volume[rows, start + column] = ticker.volume
    columns = slice(start, start + len(part))
    ohlc[:, columns] = prices
    features[:, columns] = eigen2_features(prices)
  return ohlc, features, volume

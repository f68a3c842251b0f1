"""Computes observed features: those in a panel, and some without units.

Prices drift away from their range in training, and so do features in units of
price. Divided by the column's mean absolute daily change over the last year, a
day's change or the distance to a moving average keeps its range over decades,
for a share, an index or a rate that may be negative.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from eigen3.data.calendars import own_days
from eigen3.data.errors import DataError
from eigen3.data.panel import MarketPanel

YEAR_DAYS = 252


def observe(panel: MarketPanel, names: Sequence[str]) -> np.ndarray:
  """Returns the named features, which are the panel's or those of `SCALED`.

  Args:
    panel: T days, C columns.
    names: F' names. 'scaled_macd', 'scaled_macd_signal' and
      'scaled_close_minus_mean' need the feature without 'scaled_' in the panel.

  Returns:
    float32 [T, C, F'], read-only, NaN if missing. The values of a day are known
    at the day's close. The array is cached per panel and names.

  Raises:
    DataError: a name is unknown, or the panel lacks a feature that is needed.
  """
  return panel.once(_observed, tuple(names))


def last_window(
  panel: MarketPanel, names: Sequence[str], context_days: int
) -> np.ndarray:
  """Returns the window of the panel's last day, not normalised.

  Args:
    panel: T days, C columns; it may have several markets.
    names: see `observe`.
    context_days: D, at most T.

  Returns:
    float32 [D, C, F'], the F' features on the last D days of each column's own
    market. The columns of a market with fewer days begin with NaN.

  Raises:
    DataError: as in `observe`.
  """
  seen = observe(panel, names)
  own = own_days(np.isfinite(panel.ohlc[..., 3]), panel.markets, context_days)
  if own is None:
    return seen[-context_days:]
  days = own.last(panel.num_days - 1, context_days)
  missing = np.full_like(seen[:1], np.nan)
  return np.append(seen, missing, axis=0)[days, np.arange(panel.num_columns)]


def _observed(panel: MarketPanel, names: tuple[str, ...]) -> np.ndarray:
  """Computes what `observe` returns."""
  usual = None
  observed = np.empty((*panel.features.shape[:2], len(names)), np.float32)
  for place, name in enumerate(names):
    if name in panel.feature_names or name not in SCALED:
      (index,) = _indices(panel, name)
      observed[..., place] = panel.features[..., index]
      continue
    if usual is None:
      usual = _by_own_rows(panel.ohlc[..., 3], _usual_move)
    # If a column has not moved for a year, the feature is 0.
    moves = SCALED[name](panel) / np.where(usual == 0, np.inf, usual)
    observed[..., place] = moves
  observed.flags.writeable = False
  return observed


def _of(name: str) -> Callable[[MarketPanel], np.ndarray]:
  def feature(panel: MarketPanel) -> np.ndarray:
    if name not in panel.feature_names:
      raise DataError(
        f"data.observed_features: found 'scaled_{name}', expected a panel with "
        f"the feature '{name}'; this one has {', '.join(panel.feature_names)}"
      )
    index = panel.feature_names.index(name)
    return panel.features[..., index].astype(np.float64)

  return feature


def _change(panel: MarketPanel) -> np.ndarray:
  return _by_own_rows(panel.ohlc[..., 3], pd.DataFrame.diff)


def _close_minus_year(panel: MarketPanel) -> np.ndarray:
  return _by_own_rows(panel.ohlc[..., 3], lambda close: close - _year(close))


# Functions for what `observe` divides by the mean absolute daily change: the
# close's change since the previous row, MACD and its signal, and the close
# minus its means over 20 days and over a year.
SCALED: Mapping[str, Callable[[MarketPanel], np.ndarray]] = {
  'scaled_change': _change,
  'scaled_macd': _of('macd'),
  'scaled_macd_signal': _of('macd_signal'),
  'scaled_close_minus_mean': _of('close_minus_mean'),
  'scaled_close_minus_year': _close_minus_year,
}


def _usual_move(close: pd.DataFrame) -> pd.DataFrame:
  """Computes each column's mean absolute daily change over the last year.

  A year is the longest window of the features that are divided by this mean.
  With a shorter window, days without moves would make this mean almost 0 while
  a price is still far from its one-year mean.
  """
  return _year(close.diff().abs())


def _year(values: pd.DataFrame) -> pd.DataFrame:
  """Computes rolling means over a year, or over the fewer rows available."""
  return values.rolling(YEAR_DAYS, min_periods=1).mean()


def _by_own_rows(
  close: np.ndarray, function: Callable[[pd.DataFrame], pd.DataFrame]
) -> np.ndarray:
  """Applies `function` to closes [T, C], skipping each column's missing ones.

  A column's remaining rows are treated as consecutive; in the result, skipped
  cells are NaN.
  """
  missing = np.isnan(close)
  order = np.argsort(missing, axis=0, kind='stable')  # own rows first
  own = np.take_along_axis(close.astype(np.float64), order, axis=0)
  result = np.empty_like(own)
  np.put_along_axis(result, order, function(pd.DataFrame(own)).to_numpy(), 0)
  return np.where(missing, np.nan, result)


def _indices(panel: MarketPanel, name: str) -> tuple[int, ...]:
  try:
    return panel.feature_indices((name,))
  except DataError as error:
    reason = f'{error}, or of {", ".join(SCALED)}'
    raise DataError(f'data.observed_features: {reason}') from error

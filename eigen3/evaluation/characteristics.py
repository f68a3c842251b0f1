"""Characteristics of stocks at each close, computed from the panel alone.

Known risks explain part of the differences between stocks' returns; measures
and controls separate these risks from a policy's skill. A daily return needs a
close on two successive days of the panel.
"""

import functools
from typing import NamedTuple

import numpy as np
import pandas as pd

from eigen3.data import MarketPanel

VOLATILITY_DAYS = 120
BETA_DAYS = 252
VOLUME_DAYS = 60
REVERSAL_DAYS = 20
# Momentum is the return of a year without its last month.
MOMENTUM_DAYS, SKIPPED_DAYS = 252, 21


class Characteristics(NamedTuple):
  """Characteristics of N stocks; float64 [T, N], NaN where not known.

  Attributes:
    volatility: standard deviation of daily returns over the last
      `VOLATILITY_DAYS` days.
    beta: beta to `market_returns` over the last `BETA_DAYS` days.
    size: logarithm of `dollar_volume`; NaN without volumes or if nothing was
      traded.
    reversal: minus the return over the last `REVERSAL_DAYS` days.
    momentum: the return from `MOMENTUM_DAYS` to `SKIPPED_DAYS` days ago.
  """

  volatility: np.ndarray
  beta: np.ndarray
  size: np.ndarray
  reversal: np.ndarray
  momentum: np.ndarray

  def stacked(self, *names: str) -> np.ndarray:
    """Stacks K named characteristics, float64 [T, N, K]."""
    return np.stack([getattr(self, name) for name in names], axis=2)


def characteristics(panel: MarketPanel) -> Characteristics:
  """Computes the characteristics of a panel's investable stocks.

  Volatility, beta and size need a value (a return or a dollar volume) on at
  least half of the days that they cover; reversal and momentum need only the
  closes at both ends. The result is read-only and cached for each panel.
  """
  return panel.once(_characteristics)


def risks(panel: MarketPanel) -> np.ndarray:
  """Returns the known risks, float64 [T, N, number of risks].

  They are volatility, beta and size; without volumes, only the first two. The
  adjusted measures of `measures.measure` use them as factors.
  """
  names = (
    'volatility',
    'beta',
    *(('size',) if panel.volume is not None else ()),
  )
  return characteristics(panel).stacked(*names)


def buyable(panel: MarketPanel) -> np.ndarray:
  """Returns which stocks have a close and are in the universe, bool [T, N]."""
  has_close = np.isfinite(closes(panel))
  return has_close if panel.members is None else has_close & panel.members


def closes(panel: MarketPanel) -> np.ndarray:
  """Returns stocks' closes, float64 [T, N]; NaN if missing or not positive."""
  close = panel.ohlc[:, slice(*panel.investable), 3].astype(np.float64)
  return np.where(np.isfinite(close) & (close > 0.0), close, np.nan)


def daily_returns(panel: MarketPanel) -> np.ndarray:
  """Computes simple returns from the previous day's close, float64 [T, N]."""
  close = closes(panel)
  returns = np.full_like(close, np.nan)
  returns[1:] = close[1:] / close[:-1] - 1.0
  return returns


def market_returns(panel: MarketPanel) -> np.ndarray:
  """Computes each day's mean return of the stocks buyable on the day before.

  Returns:
    float64 [T]; 0 on the first day, and if no such stock has a return.
  """
  returns = daily_returns(panel)
  known = np.isfinite(returns)
  known[1:] &= buyable(panel)[:-1]
  count = np.maximum(known.sum(axis=1), 1)
  return np.where(known, returns, 0.0).sum(axis=1) / count


def _characteristics(panel: MarketPanel) -> Characteristics:
  """Computes what `characteristics` returns."""
  close, returns = closes(panel), daily_returns(panel)
  market = np.where(
    np.isfinite(returns), market_returns(panel)[:, None], np.nan
  )
  mean = functools.partial(_rolling, days=BETA_DAYS, statistic='mean')
  covariance = mean(returns * market) - mean(returns) * mean(market)
  variance = mean(market**2) - mean(market) ** 2
  with np.errstate(divide='ignore', invalid='ignore'):
    found = Characteristics(
      volatility=_rolling(returns, VOLATILITY_DAYS, 'std'),
      beta=np.where(variance > 0.0, covariance / variance, np.nan),
      size=np.log(dollar_volume(panel)),
      reversal=-_change(close, REVERSAL_DAYS, 0),
      momentum=_change(close, MOMENTUM_DAYS, SKIPPED_DAYS),
    )
  found = Characteristics(
    *(np.where(np.isfinite(values), values, np.nan) for values in found)
  )
  for values in found:
    values.flags.writeable = False
  return found


def dollar_volume(panel: MarketPanel) -> np.ndarray:
  """Computes the median daily dollar volume over `VOLUME_DAYS` days, [T, N].

  The last of these days is that of the row. A day's dollar volume is the
  close times the shares traded. The median is NaN if fewer than half of the
  days have one, and always without volumes.
  """
  if panel.volume is None:
    return np.full((panel.num_days, panel.num_investable), np.nan)
  traded = closes(panel) * panel.volume[:, slice(*panel.investable)]
  return _rolling(traded, VOLUME_DAYS, 'median')


def _rolling(values: np.ndarray, days: int, statistic: str) -> np.ndarray:
  """Computes a rolling statistic, [T, N]; NaN with under half of the values."""
  rolling = pd.DataFrame(values).rolling(days, min_periods=days // 2)
  return getattr(rolling, statistic)().to_numpy()


def _change(close: np.ndarray, first: int, last: int) -> np.ndarray:
  """Computes the return from `first` to `last` days before each day, [T, N]."""
  change = np.full_like(close, np.nan)
  until = len(close) - last
  change[first:] = close[first - last : until] / close[: len(close) - first]
  return change - 1.0

"""Prices in the form that the trading rules need, a row per stock and day."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from eigen3.data import calendars
from eigen3.data.panel import MarketPanel
from eigen3.environment.rules import Rules
from eigen3.types import Array

# Status of a stock on a day.
PRICED = 0  # it has a positive close, and may be bought
UNPRICED = 1  # it has no positive close
GONE = 2  # it has had no close for `delisting_days` open days of its market
BARRED = 3  # it has a positive close, but is not in the universe
CLOSED = 4  # it has no close because its market is closed for the day


class Quote(NamedTuple):
  """Prices and status of a stock on a day; 0 is a missing price.

  Attributes:
    open: float [...].
    high: float [...].
    last_close: float [...], the close of this day or, if that is missing, the
      latest before it.
    status: float [...], one of PRICED, UNPRICED, GONE, BARRED and CLOSED.
  """

  open: Array
  high: Array
  last_close: Array
  status: Array


def quote(table: Array, day: Array, stock: Array) -> Quote:
  """Looks up quotes; indices out of range are clipped.

  Args:
    table: float [T, N, 4], see `price_table`.
    day: int32 [...].
    stock: int32 [...], broadcastable with `day`.

  Returns:
    The quotes; each field has the broadcast shape.
  """
  num_days, num_stocks, width = table.shape
  cell = jnp.clip(day, 0, num_days - 1) * num_stocks + jnp.clip(
    stock, 0, num_stocks - 1
  )
  rows = table.reshape(-1, width).at[cell].get(mode='promise_in_bounds')
  return Quote(*jnp.moveaxis(rows, -1, 0))


def days_closed(table: Array, day: Array, stock: Array, most: int) -> Array:
  """Counts the days in a row after `day` that each stock's market is closed.

  Args:
    table: float [T, N, 4], see `price_table`.
    day: int32 [].
    stock: int32 [M].
    most: the number of days to look ahead, and so the largest count.

  Returns:
    int32 [M].
  """
  days = day + 1 + jnp.arange(most, dtype=jnp.int32)
  is_closed = quote(table, days, stock[:, None]).status == CLOSED
  return jnp.cumprod(is_closed, axis=1, dtype=jnp.int32).sum(axis=1)


def has_price(status: Array) -> Array:
  """Returns whether a stock can be valued and sold at its close; bool [...]."""
  return (status == PRICED) | (status == BARRED)


def price_table(panel: MarketPanel, rules: Rules) -> np.ndarray:
  """Packs the investable columns' prices so that a quote is one gather.

  Every value is known at the close of its day. A price that is not a positive
  number is missing. A stock is gone after `delisting_days` open days of its
  market in a row without a close. If `delisting_price` is 'entry_price', as in
  Eigen2, only days without any price or feature count towards `delisting_days`.
  If the panel has a universe, stocks that are not members on a day are barred:
  they can be sold but not bought.

  Args:
    panel: T days, C columns, N of them investable.
    rules: rules of delisting.

  Returns:
    float64 [T, N, 4], read-only; the last axis has the fields of `Quote`. The
    table is cached per panel, `delisting_price` and `delisting_days`.
  """
  return panel.once(_table, rules.delisting_price, rules.delisting_days)


def _table(
  panel: MarketPanel, delisting_price: str, delisting_days: int
) -> np.ndarray:
  """Computes what `price_table` returns."""
  first, stop = panel.investable
  ohlc = panel.ohlc[:, first:stop].astype(np.float64)
  prices = np.where(np.isfinite(ohlc) & (ohlc > 0), ohlc, 0.0)
  close = prices[..., 3]
  unpriced = close == 0
  absent = unpriced
  if delisting_price == 'entry_price':
    features = panel.features[:, first:stop]
    absent = np.isnan(ohlc).all(-1) & np.isnan(features).all(-1)
  status = np.where(unpriced, UNPRICED, PRICED)
  if panel.members is not None:
    status[~unpriced & ~panel.members] = BARRED
  every_close = panel.ohlc[..., 3]
  is_open = calendars.open_days(
    np.isfinite(every_close) & (every_close > 0), panel.markets
  )
  is_open = is_open[:, first:stop]
  status[unpriced & ~is_open] = CLOSED
  missed = calendars.run_length(absent, is_open)
  status[missed >= delisting_days] = GONE
  table = np.stack(
    [prices[..., 0], prices[..., 1], _last_positive(close), status], axis=-1
  )
  table.flags.writeable = False
  return table


def _last_positive(close: np.ndarray) -> np.ndarray:
  """Returns each day's latest positive close, 0 before the first; [T, N]."""
  days = np.arange(len(close))[:, None]
  latest = np.maximum.accumulate(np.where(close > 0, days, 0), axis=0)
  return np.take_along_axis(close, latest, axis=0)

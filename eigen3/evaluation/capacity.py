"""Compares the fills of an account with the dollar volume of the stocks."""

from typing import NamedTuple

import numpy as np

from eigen3.data import MarketPanel
from eigen3.evaluation import characteristics
from eigen3.evaluation.backtest import Backtest

PARTICIPATION = 0.01  # of the usual daily dollar volume
QUANTILE = 0.95


class Capacity(NamedTuple):
  """Sizes of a backtest's fills, as fractions of the usual dollar volume.

  See `fill_shares` for these fractions.

  Attributes:
    median: median fraction.
    high: the fraction that 95 % of the fills do not exceed.
    largest: largest fraction.
    account: the initial cash with which 95 % of the fills would have been at
      most 1 % of the usual dollar volume.
    fills: number of fills whose usual volume is known and above 0; without any,
      the other fields are NaN.
  """

  median: float
  high: float
  largest: float
  account: float
  fills: int


def fill_shares(backtest: Backtest, panel: MarketPanel) -> np.ndarray:
  """Divides each fill's value by the stock's usual daily dollar volume.

  The usual volume is the median over the `characteristics.VOLUME_DAYS` days up
  to the day before the fill.

  Returns:
    float64 [2 M] for M closed trades, first all entries, then all exits; NaN if
    the usual volume is unknown or 0.
  """
  trades = backtest.trades
  first, _ = panel.investable
  place = {name: column for column, name in enumerate(panel.columns)}
  stock = np.array([place[x] for x in trades['ticker']], int) - first
  usual = characteristics.dollar_volume(panel)
  shares = trades['shares'].to_numpy(float)
  found = []
  for when in ('entry', 'exit'):
    dates = trades[f'{when}_date'].to_numpy().astype('datetime64[D]')
    day = np.searchsorted(panel.dates, dates)
    value = shares * trades[f'{when}_price'].to_numpy(float)
    traded = usual[np.maximum(day - 1, 0), stock]
    known = (traded > 0.0) & (day > 0)
    found.append(np.where(known, value / np.where(known, traded, 1.0), np.nan))
  return np.concatenate(found)


def capacity(
  backtest: Backtest, panel: MarketPanel, initial_cash: float
) -> Capacity:
  """Summarises the sizes of a backtest's fills; see `fill_shares`.

  Args:
    backtest: the backtest whose fills are measured.
    panel: the market; without volumes, `fills` is 0.
    initial_cash: initial cash of the backtest; the values of fills are assumed
      to be proportional to it.
  """
  shares = fill_shares(backtest, panel)
  shares = shares[np.isfinite(shares)]
  if not shares.size:
    return Capacity(np.nan, np.nan, np.nan, np.nan, 0)
  high = float(np.quantile(shares, QUANTILE))
  return Capacity(
    float(np.median(shares)),
    high,
    float(shares.max()),
    initial_cash * PARTICIPATION / high if high > 0.0 else np.inf,
    len(shares),
  )

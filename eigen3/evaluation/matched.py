"""Random entries, matched to a policy's entries by volatility and beta."""

import numpy as np

from eigen3.data import MarketPanel
from eigen3.evaluation import cross_section
from eigen3.evaluation.backtest import Backtest
from eigen3.evaluation.characteristics import characteristics, closes

MATCHED_BY = ('volatility', 'beta')
NEAREST = 20  # number of stocks from which one is drawn


def ordered(
  backtest: Backtest,
  panel: MarketPanel,
  days: np.ndarray,
  fills_at_open: bool,
) -> np.ndarray:
  """Returns on which days the stocks of a backtest's trades were ordered.

  An order that fills at an open was decided on the last day before the fill on
  which its stock had a close. On a panel of several markets, other days may lie
  between decision and fill.

  Args:
    backtest: the backtest of a policy.
    panel: T days, N stocks.
    days: int [S], the consecutive days on which the policy decided.
    fills_at_open: whether orders fill at the next open, else at the close.

  Returns:
    bool [S, N], True for the stocks ordered on a day.
  """
  trades = backtest.trades
  first, stop = panel.investable
  place = {name: n for n, name in enumerate(panel.columns[first:stop])}
  dates = trades['entry_date'].to_numpy().astype('datetime64[D]')
  bought = np.zeros((len(days), stop - first), bool)
  stock = np.array([place[name] for name in trades['ticker']], int)
  day = np.searchsorted(panel.dates, dates)
  if fills_at_open:
    every = np.arange(panel.num_days)[:, None]
    has_close = np.isfinite(closes(panel))
    last = np.maximum.accumulate(np.where(has_close, every, -1), axis=0)
    day = last[day - 1, stock]
  bought[day - days[0], stock] = True
  return bought


def risk(panel: MarketPanel, days: np.ndarray) -> np.ndarray:
  """Returns the ranks by which entries are matched, float64 [S, N, 2].

  On each of the S `days`, the stocks with a known volatility are ranked by it,
  and those with a known beta by beta; all other ranks are NaN. See
  `cross_section.ranks`.
  """
  found = characteristics(panel).stacked(*MATCHED_BY)[days]
  known = np.isfinite(found)
  return np.stack(
    [
      cross_section.ranks(found[..., k], known[..., k])
      for k in range(len(MATCHED_BY))
    ],
    axis=2,
  )


def draw(
  bought: np.ndarray,
  available: np.ndarray,
  factors: np.ndarray,
  rng: np.random.Generator,
  rest: int,
  nearest: int,
) -> np.ndarray:
  """Replaces each entry's stock by a random one of the stocks nearest to it.

  The stock itself may be among them. A stock that was drawn is not drawn again
  while it may still be held, because it could not be bought then. If no
  distance is known because factors are NaN, any available stock may be drawn.

  Args:
    bought: bool [S, N], the policy's entries.
    available: bool [S, N], stocks that could be bought.
    factors: float [S, N, K], K factors on one scale, known on the day of the
      decision; the nearest stocks have the smallest Euclidean distance in them.
    rng: generator of the draws.
    rest: number of days after a draw on which the stock is not drawn again.
    nearest: number of stocks from which one is drawn.

  Returns:
    bool [S, N], with as many entries per day as `bought`, or as many as are
    possible.
  """
  drawn = np.zeros_like(bought)
  for day, stock in np.argwhere(bought):
    held = drawn[max(day - rest, 0) : day + 1].any(axis=0)
    can = np.flatnonzero(available[day] & ~held)
    if not can.size:
      continue
    apart = ((factors[day, can] - factors[day, stock]) ** 2).sum(axis=1)
    if np.isfinite(apart).any():
      can = can[np.argsort(apart, kind='stable')[:nearest]]
    drawn[day, rng.choice(can)] = True
  return drawn

"""Hidden signals of the embedded markets, and the stock prices they drive.

Except in `none` and `patience` (see `Hidden`), the hidden drift is the expected
return of the next day. Noise is about 1.5 % a day, in `patience` 0.4 %. The
markets differ in what reveals the drift:

  drift     each stock's own prices: its drift follows slow, irregular cycles.
  leading   another column, whose past moves drive all stocks alike. A shock
            that raises their drift also lowers their prices at once, by just
            enough that a stock's own returns have no serial correlation, so
            that its past returns predict nothing. The past of the other column
            explains half of the variance of the 20-day return averaged over the
            stocks; features averaged over all columns explain almost none.
  some      own prices as in `drift`, but of half the stocks only; the other
            stocks are noise.
  regime    each stock's own past moves, which continue in calm times and revert
            in other times; the level of another column shows whether times are
            calm.
  none      nothing: the days of a `drift` market in another order.
  patience  falls that revert on the next day, most of them small; another
            column announces large ones. Noise does not hide the falls, but a
            position ties up cash (see `synthetic_patience`).
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from eigen3.data import synthetic_patience
from eigen3.data.synthetic_patience import Dips
from eigen3.data.synthetic_prices import (
  MARKET_NOISE,
  STOCK_NOISE,
  bars,
  bars_from,
  moves_of,
  of_a_day,
)

# Standard deviation of the drift, a fraction of the price. 0.35 % a day is 7 %
# in 20 days, in which the noise of 1.5 % a day adds up to 6.7 %.
DRIFT = 0.0035
# A damped cycle: its effect on a price mostly reverts, which keeps prices of
# later years in the range of the training days.
CYCLE_DAYS = 250.0
DAMPING_DAYS = 120.0
MEMORY_DAYS = 20.0  # time constant of past moves' influence on the drift
REGIME_DAYS = 120.0  # mean length of a regime
# The column that shows the regime: its level in calm times, the ratio of its
# level in other times to that, the days of adjustment and the daily noise.
GAUGE, GAUGE_RATIO, GAUGE_DAYS, GAUGE_NOISE = 15.0, 2.0, 5.0, 0.05


class Streams(NamedTuple):
  """Random streams, one for each part of a market.

  Changing one part thus leaves the draws of the other parts unchanged.

  Attributes:
    drifts: stream of the hidden cycles or dips.
    prices: stream of the stocks' noise, first prices, highs and lows.
    others: stream of the parts that only some markets have.
  """

  drifts: np.random.Generator
  prices: np.random.Generator
  others: np.random.Generator


class Hidden(NamedTuple):
  """A market's stocks and their hidden drift.

  Attributes:
    drift: [T, N], the expected return from each close to the next; for `none`,
      before the days were shuffled; for `patience`, the rebound from a dip,
      without the risk of another dip.
    stocks: prices [T, N, 4].
    signal: prices [T, 1, 4] of the column that shows the signal, or None.
    dips: the hidden process of the market `patience`; None for other markets.
  """

  drift: np.ndarray
  stocks: np.ndarray
  signal: np.ndarray | None = None
  dips: Dips | None = None


def _drift(
  streams: Streams, num_days: int, num_stocks: int, scale: float
) -> Hidden:
  """Makes stocks whose drift follows cycles, which their prices reveal."""
  hidden = scale * DRIFT * _cycles(streams.drifts, num_days, num_stocks)
  noise = np.add(*_noise(streams.prices, num_days, num_stocks))
  moves = _stock_moves(hidden, noise)
  return Hidden(hidden, bars(streams.prices, moves))


def _leading(
  streams: Streams, num_days: int, num_stocks: int, scale: float
) -> Hidden:
  """Makes stocks, and a column whose past moves drive all of them.

  With drift m_t = k m_(t-1) + w_t, driven by the column's shocks w, and noise
  u_t, a stock's returns m_t + u_(t+1) are serially uncorrelated if cov(u_t,
  w_t) = -k var(m).
  """
  shocks = streams.others.standard_normal((num_days, 2, 1))
  past = _remembered(of_a_day(shocks))
  hidden = np.repeat(scale * DRIFT * past, num_stocks, axis=1)
  keep = np.exp(-1.0 / MEMORY_DAYS)
  reaction = scale * DRIFT * keep / np.sqrt(1.0 - keep**2)
  noise = np.add(*_noise(streams.prices, num_days, num_stocks))
  moves = _stock_moves(hidden, noise - reaction * shocks, reaction)
  leader = moves_of(0.0 * past, STOCK_NOISE * shocks, STOCK_NOISE)
  return Hidden(
    hidden, bars(streams.prices, moves), bars(streams.others, leader)
  )


def _some(
  streams: Streams, num_days: int, num_stocks: int, scale: float
) -> Hidden:
  """Makes stocks like `_drift`; half of them, rounded down, have no drift."""
  follows = streams.others.permutation(num_stocks) < (num_stocks + 1) // 2
  hidden = scale * DRIFT * _cycles(streams.drifts, num_days, num_stocks)
  hidden = np.where(follows, hidden, 0.0)
  noise = np.add(*_noise(streams.prices, num_days, num_stocks))
  moves = _stock_moves(hidden, noise)
  return Hidden(hidden, bars(streams.prices, moves))


def _regime(
  streams: Streams, num_days: int, num_stocks: int, scale: float
) -> Hidden:
  """Makes stocks whose moves continue or revert; a gauge column shows which."""
  market, own = _noise(streams.prices, num_days, num_stocks)
  turns = streams.others.random(num_days) < 1.0 / REGIME_DAYS
  calm = (streams.others.integers(2) + np.cumsum(turns)) % 2 == 0  # [T]
  past = _remembered(of_a_day(own) / STOCK_NOISE)
  hidden = scale * DRIFT * np.where(calm[:, None], past, -past)
  moves = _stock_moves(hidden, market + own)
  return Hidden(
    hidden, bars(streams.prices, moves), _gauge(streams.others, calm)
  )


def _none(
  streams: Streams, num_days: int, num_stocks: int, scale: float
) -> Hidden:
  """Makes stocks like `_drift`, whose days are shuffled in one common order."""
  hidden = scale * DRIFT * _cycles(streams.drifts, num_days, num_stocks)
  noise = np.add(*_noise(streams.prices, num_days, num_stocks))
  moves = _stock_moves(hidden, noise)
  moves = moves[streams.others.permutation(num_days)]
  return Hidden(hidden, bars(streams.prices, moves))


def _patience(
  streams: Streams, num_days: int, num_stocks: int, scale: float
) -> Hidden:
  """Makes stocks whose dips revert, and a herald that announces deep ones."""
  dips = synthetic_patience.draw(
    streams.drifts, streams.others, num_days, num_stocks, scale
  )
  market = streams.prices.standard_normal((num_days, 2, 1))
  own = streams.prices.standard_normal((num_days, 2, num_stocks))
  deviations = (
    synthetic_patience.MARKET_NOISE,
    synthetic_patience.STOCK_NOISE,
  )
  noise = deviations[0] * market + deviations[1] * own
  fair = moves_of(np.zeros_like(dips.sizes), noise, np.hypot(*deviations))
  stocks = bars(streams.prices, fair + synthetic_patience.moves(dips))
  level = synthetic_patience.herald(streams.others, dips.phases)
  changes = np.diff(level, prepend=level[0])
  signal = _by_day(streams.others, level[0], changes)
  return Hidden(dips.sizes, stocks, signal, dips)


MARKETS: Mapping[str, Callable[[Streams, int, int, float], Hidden]] = {
  'drift': _drift,
  'leading': _leading,
  'some': _some,
  'regime': _regime,
  'none': _none,
  'patience': _patience,
}
# Names of the columns that show the signal.
SIGNAL_COLUMNS = {'leading': 'LEADER', 'regime': 'GAUGE', 'patience': 'HERALD'}


def _cycles(rng: np.random.Generator, num_days: int, num: int) -> np.ndarray:
  """Draws damped cycles [T, num] of variance 1 with a complex AR(1) process."""
  turn = np.exp(-1.0 / DAMPING_DAYS + 2j * np.pi / CYCLE_DAYS)
  shocks = rng.standard_normal((num_days, num, 2)) @ np.array([1.0, 1j])
  return _autoregression(shocks, turn).real


def _remembered(shocks: np.ndarray) -> np.ndarray:
  """Returns sums of past shocks with fading weights, [T, num], variance 1."""
  return _autoregression(shocks, np.exp(-1.0 / MEMORY_DAYS))


def _autoregression(shocks: np.ndarray, turn) -> np.ndarray:
  """Returns an AR(1) process [T, num] with coefficient `turn`.

  It has the variance of `shocks`, [T, num], which are scaled down for this.
  """
  state, rows = shocks[0], [shocks[0]]
  for shock in shocks[1:]:
    state = turn * state + np.sqrt(1.0 - np.abs(turn) ** 2) * shock
    rows.append(state)
  return np.stack(rows)


def _noise(
  rng: np.random.Generator, num_days: int, num: int
) -> tuple[np.ndarray, np.ndarray]:
  """Draws common noise [T, 2, 1] and each stock's own [T, 2, num]."""
  market = rng.standard_normal((num_days, 2, 1))
  own = rng.standard_normal((num_days, 2, num))
  return MARKET_NOISE * market, STOCK_NOISE * own


def _stock_moves(
  hidden: np.ndarray, noise: np.ndarray, more: float = 0.0
) -> np.ndarray:
  """Returns moves [T, 2, N], each day with the drift of the day before.

  Args:
    hidden: the drift, [T, N].
    noise: [T, 2, N].
    more: standard deviation of the part of `noise` that is neither market nor
      stock noise; 0 if there is none.
  """
  expected = np.concatenate([np.zeros((1, hidden.shape[1])), hidden[:-1]])
  deviation = np.hypot(MARKET_NOISE, STOCK_NOISE)
  return moves_of(expected, noise, np.hypot(deviation, more))


def _gauge(rng: np.random.Generator, calm: np.ndarray) -> np.ndarray:
  """Draws prices [T, 1, 4] near one level in calm times, else near another."""
  goals = np.log(GAUGE * np.where(calm, 1.0, GAUGE_RATIO))
  noise = GAUGE_NOISE * rng.standard_normal(len(calm))
  level, moves = goals[0], []
  for goal, shock in zip(goals, noise, strict=True):
    moves.append((goal - level) / GAUGE_DAYS + shock)
    level += moves[-1]
  return _by_day(rng, goals[0], np.array(moves))


def _by_day(
  rng: np.random.Generator, start: float, moves: np.ndarray
) -> np.ndarray:
  """Returns prices [T, 1, 4] that do not move from close to open.

  Log prices begin at `start` and change by `moves`, [T].
  """
  halves = np.stack([np.zeros_like(moves), moves], axis=1)[..., None]
  return bars_from(rng, start, halves)

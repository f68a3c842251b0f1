"""What can be wrong with the rows of one ticker, found by stated rules.

The thresholds were set by hand on two public sets of S&P 500 stocks, 2.4 and
0.6 million rows. The 16 bad ticks and 7 splits found there look like errors of
the data, as far as prices alone can tell; of the 48 unexplained moves many are
spin-offs that were not adjusted for, and some are the oil crash of March 2020.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from eigen3.data.csv_files import SUSPICIOUS, Ticker

# A close this far from the one before is looked at.
_SMALLEST = 1.15
# Its move is out of scale at so many times the median move of the days around
# it. In the larger set 6,240 moves are beyond 15 %, and 589 out of scale.
OUT_OF_SCALE = 15.0
_AROUND = 30  # rows on either side
_LEAST_AROUND = 20  # fewer moves say too little of what is usual
# News is traded: on up to so many times the median money of the days before,
# nothing happened that the market took note of. That leaves 48 of the 589.
USUAL_MONEY = 3.0
_MONEY_ROWS = 20
# A bad tick is back within so many rows, in one move, and at most so much of
# its own move away from where it left.
TICK_ROWS = 3
_TICK_REST = 0.25
# New price over old; 4:3 and 5:4 are too near to what a day can bring.
_WHOLE = np.array([2, 3, 4, 5, 6, 7, 8, 10, 15, 20, 25, 50, 100.0, 1.5])
SPLIT_RATIOS = np.concatenate([1.0 / _WHOLE, _WHOLE])
SPLIT_TOLERANCE = 0.05  # of close and open, both over the close before
SPIKE = 1.5
STALE_ROWS = 5


@dataclasses.dataclass(frozen=True)
class Move:
  """A close far from the one before it.

  Attributes:
    kind: 'tick', a level that is left again at once; 'split', by a ratio of
      splits; 'unexplained', out of scale on usual money, such as a spin-off
      that was not adjusted for; or 'large', which much money was traded on.
    row: the row of the ticker with the new close.
    stop: the first row that is back, for a tick; else the row after `row`.
    before: the close before.
    ratio: the new close over it.
    split: the nearest of `SPLIT_RATIOS`, for a split; else 1.
    scale: size over that of a usual move around it, NaN where unknown.
    money: traded, over what is usual, NaN where unknown.
  """

  kind: str
  row: int
  stop: int
  before: float
  ratio: float
  split: float
  scale: float
  money: float


def find_moves(ticker: Ticker) -> tuple[Move, ...]:
  """The moves of the close that are likely errors, or large.

  The way back from a bad tick is part of it and no move of its own.
  """
  rows = np.flatnonzero(~np.isnan(ticker.ohlc[:, 3]))
  close = ticker.ohlc[rows, 3]
  logs = np.diff(np.log(close))  # [i] leads from rows[i] to rows[i + 1]
  moves: list[Move] = []
  for i in np.flatnonzero(np.abs(logs) > np.log(_SMALLEST)).tolist():
    row = int(rows[i + 1])
    if moves and row <= moves[-1].stop and moves[-1].kind == 'tick':
      continue
    before, ratio = close[i], close[i + 1] / close[i]
    scale = _scale(logs, i)
    is_large = not SUSPICIOUS[0] <= ratio <= SUSPICIOUS[1]
    if not (is_large or scale >= OUT_OF_SCALE):
      continue
    money = _money(ticker, rows, i + 1)
    kind, away, split = 'large', 1, 1.0
    if scale >= OUT_OF_SCALE and not money > USUAL_MONEY:
      away = _rows_away(logs, i)
      split = _split_ratio(ratio, ticker.ohlc[row, 0] / before)
      kind = 'tick' if away else 'unexplained' if split == 1.0 else 'split'
    elif not is_large:
      continue
    stop = int(rows[i + 1 + away]) if kind == 'tick' else row + 1
    split = split if kind == 'split' else 1.0
    found = (float(value) for value in (before, ratio, split, scale, money))
    moves.append(Move(kind, row, stop, *found))
  return tuple(moves)


def outside(ohlc: np.ndarray) -> np.ndarray:
  """Rows [R] with open or close outside low to high; NaN is never outside."""
  opening, high, low, close = ohlc.T
  least, most = np.fmin(opening, close), np.fmax(opening, close)
  return (most > high) | (least < low) | (low > high)


def spikes(ohlc: np.ndarray) -> np.ndarray:
  """Cells [R, 4] of highs and lows far beyond open and close."""
  opening, high, low, close = ohlc.T
  cells = np.zeros(ohlc.shape, bool)
  cells[:, 1] = high > SPIKE * np.fmax(opening, close)
  cells[:, 2] = SPIKE * low < np.fmin(opening, close)
  return cells


def stale_runs(ticker: Ticker) -> list[tuple[int, int]]:
  """(first row, rows) of runs with one close, on one volume or none."""
  close, volume = ticker.ohlc[:, 3], ticker.volume
  unknown = np.isnan(volume)
  same = np.isclose(close[1:], close[:-1], rtol=1e-9, atol=0.0)
  same &= (
    (volume[1:] == volume[:-1])
    | (volume[1:] == 0.0)
    | (unknown[1:] & unknown[:-1])
  )
  return [
    (start, length + 1)
    for start, length in runs(same)
    if length + 1 >= STALE_ROWS
  ]


def trading_days(tickers: Sequence[Ticker]) -> tuple[np.ndarray, np.ndarray]:
  """The days on which the market traded, and the odd days, on which few did.

  Odd are days on which fewer than half of the tickers that are listed then
  have a row: one file with a wrong date must not open a gap in all others.
  Before the first and after the last row of all others there is no telling.
  """
  dates = np.unique(np.concatenate([ticker.dates for ticker in tickers]))
  rows = np.zeros(len(dates), int)
  listed = np.zeros(len(dates) + 1, int)
  for ticker in tickers:
    places = np.searchsorted(dates, ticker.dates)
    rows[places] += 1
    listed[places[0]] += 1
    listed[places[-1] + 1] -= 1
  is_trading = 2 * rows >= np.cumsum(listed)[:-1]
  return dates[is_trading], dates[~is_trading]


def gaps(dates: np.ndarray, trading: np.ndarray) -> list[tuple[str, int]]:
  """(first day, days) of runs of trading days within `dates` but not in it."""
  if not len(dates):
    return []
  listed = trading[(trading >= dates[0]) & (trading <= dates[-1])]
  absent = ~among(listed, dates)
  return [(str(listed[start]), length) for start, length in runs(absent)]


def among(days: np.ndarray, dates: np.ndarray) -> np.ndarray:
  """Which of `days` are in `dates`, which increase and are not empty."""
  places = np.searchsorted(dates, days)
  return dates[np.minimum(places, len(dates) - 1)] == days


def runs(mask: np.ndarray) -> list[tuple[int, int]]:
  """(start, length) of every run of True in [R]."""
  edges = np.flatnonzero(np.diff(mask, prepend=False, append=False))
  starts, stops = edges[::2].tolist(), edges[1::2].tolist()
  return [(a, b - a) for a, b in zip(starts, stops, strict=True)]


def _scale(logs: np.ndarray, i: int) -> float:
  around = np.abs(logs[max(0, i - _AROUND) : i + _AROUND + 1])
  if len(around) < _LEAST_AROUND:
    return np.nan
  usual = np.sort(around)[len(around) // 2]  # np.median takes ten times longer
  return abs(logs[i]) / usual if usual > 0.0 else np.inf


def _money(ticker: Ticker, rows: np.ndarray, place: int) -> float:
  """Price times volume of a row over the median of the rows before it."""
  chosen = rows[max(0, place - _MONEY_ROWS) : place + 1]
  money = ticker.ohlc[chosen, 3] * ticker.volume[chosen]
  known = money[:-1][~np.isnan(money[:-1])]
  usual = np.median(known) if known.size else 0.0
  return money[-1] / usual if usual > 0.0 else np.nan


def _rows_away(logs: np.ndarray, i: int) -> int:
  """For how many rows move i left where it came from; 0 if it stayed away."""
  for away in range(1, min(TICK_ROWS, len(logs) - 1 - i) + 1):
    rest = logs[i : i + away + 1].sum() / logs[i]
    way_back = -logs[i + away] / logs[i]
    if abs(rest) <= _TICK_REST and way_back >= 1.0 - _TICK_REST:
      return away
  return 0


def _split_ratio(close: float, opening: float) -> float:
  """The ratio of splits that both are near to, or 1."""
  off = np.abs(np.log(close / SPLIT_RATIOS))
  nearest = SPLIT_RATIOS[np.argmin(off)]
  off_open = abs(np.log(opening / nearest))
  near = off.min() <= SPLIT_TOLERANCE and off_open <= SPLIT_TOLERANCE
  return nearest if near else 1.0

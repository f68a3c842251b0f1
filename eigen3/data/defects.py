"""Finds defects in the price histories of stocks, using fixed rules.

The thresholds were set by hand on two public sets of S&P 500 stocks, 2.4 and
0.6 million rows. There the rules find 16 bad ticks and 7 unadjusted splits,
which look like data errors to a reader of the prices. Many unexplained moves
are spin-offs that were not adjusted for, and some are the oil crash of March
2020.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from eigen3.data.csv_files import SUSPICIOUS, Ticker

# A close that changed by more than this factor, up or down, is examined.
_SMALLEST = 1.15
# Its move is out of scale if it is at least this many times the median move of
# the days around it. In the larger set 6,240 moves exceed 15 %, and 589 are out
# of scale.
OUT_OF_SCALE = 15.0
_AROUND = 30  # rows on either side
_LEAST_AROUND = 20  # fewer moves do not show the usual size
# News raises the volume: if a day's dollar volume is at most this many times
# the median of the days before, there was no news. That leaves 48 of the 589.
USUAL_MONEY = 3.0
_MONEY_ROWS = 20
# A bad tick reverts in one move within `TICK_ROWS` rows. The distance that then
# remains to the close before the tick is at most the share `_TICK_REST` of the
# tick's own move.
TICK_ROWS = 3
_TICK_REST = 0.25
# New price over old; 4:3 and 5:4 are too close to ordinary moves.
_WHOLE = np.array([2, 3, 4, 5, 6, 7, 8, 10, 15, 20, 25, 50, 100.0, 1.5])
SPLIT_RATIOS = np.concatenate([1.0 / _WHOLE, _WHOLE])
SPLIT_TOLERANCE = 0.05  # for close and open, each over the previous close
SPIKE = 1.5
STALE_ROWS = 5


@dataclasses.dataclass(frozen=True)
class Move:
  """A close far from the one before it.

  Attributes:
    kind: for a move out of scale (see `OUT_OF_SCALE`) at a usual or unknown
      dollar volume, 'tick' if it soon reverts, 'split' if it is near a usual
      split ratio, or else 'unexplained', such as a spin-off that was not
      adjusted for; 'large' for any other move beyond `SUSPICIOUS`, such as one
      at a high dollar volume.
    row: the row of the ticker with the new close.
    stop: for a tick, the row in which the close is back; else the row after
      `row`.
    before: the previous close.
    ratio: the new close over the previous one.
    split: for a split, the nearest of `SPLIT_RATIOS`, new price over old;
      else 1.
    scale: size of the move over the median size of the moves around it; NaN if
      unknown.
    money: the day's dollar volume over the median dollar volume of the rows
      before; NaN if unknown.
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
  """Returns the moves of the close that are likely errors, or large.

  All moves up to the return from a bad tick are part of the tick, which is one
  `Move`.
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
  """Returns which rows have prices out of order, bool [R].

  That is, open or close is not between low and high, or low is above high.
  Missing prices are ignored.
  """
  opening, high, low, close = ohlc.T
  least, most = np.fmin(opening, close), np.fmax(opening, close)
  return (most > high) | (least < low) | (low > high)


def spikes(ohlc: np.ndarray) -> np.ndarray:
  """Returns which highs and lows are far beyond open and close, bool [R, 4].

  That is, by more than the factor `SPIKE`. Missing prices are ignored.
  """
  opening, high, low, close = ohlc.T
  cells = np.zeros(ohlc.shape, bool)
  cells[:, 1] = high > SPIKE * np.fmax(opening, close)
  cells[:, 2] = SPIKE * low < np.fmin(opening, close)
  return cells


def stale_runs(ticker: Ticker) -> list[tuple[int, int]]:
  """Returns (first row, length) of each run of `STALE_ROWS` or more stale rows.

  A row continues a run if its close equals that of the row before, and its
  volume is 0 or equals that of the row before, or both volumes are missing.
  """
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
  """Returns the market's trading days, and the odd days with few tickers.

  A day on which any ticker has a row is odd if fewer than half of the tickers
  listed on it have one, else a trading day. A ticker is listed from its first
  to its last row. So one file with a wrong date does not cause a gap in all
  others. But a wrong date before the first or after the last row of all other
  tickers counts as a trading day.
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
  """Returns (first day, length) of runs of trading days missing in `dates`.

  Only days between the first and last of `dates` count.
  """
  if not len(dates):
    return []
  listed = trading[(trading >= dates[0]) & (trading <= dates[-1])]
  absent = ~among(listed, dates)
  return [(str(listed[start]), length) for start, length in runs(absent)]


def among(days: np.ndarray, dates: np.ndarray) -> np.ndarray:
  """Returns which of `days` are in `dates`, which is sorted and not empty."""
  places = np.searchsorted(dates, days)
  return dates[np.minimum(places, len(dates) - 1)] == days


def runs(mask: np.ndarray) -> list[tuple[int, int]]:
  """Returns (start, length) of every run of True in `mask`, bool [R]."""
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
  """Returns a row's dollar volume over the median of the rows before it.

  The result is NaN if either is unknown or the median is 0.

  Args:
    ticker: the ticker.
    rows: increasing indices of the rows with a close.
    place: the row's index in `rows`.
  """
  chosen = rows[max(0, place - _MONEY_ROWS) : place + 1]
  money = ticker.ohlc[chosen, 3] * ticker.volume[chosen]
  known = money[:-1][~np.isnan(money[:-1])]
  usual = np.median(known) if known.size else 0.0
  return money[-1] / usual if usual > 0.0 else np.nan


def _rows_away(logs: np.ndarray, i: int) -> int:
  """Returns after how many rows the move `logs[i]` reverts, as a bad tick does.

  The result is 0 if it does not revert within `TICK_ROWS` rows.
  """
  for away in range(1, min(TICK_ROWS, len(logs) - 1 - i) + 1):
    rest = logs[i : i + away + 1].sum() / logs[i]
    way_back = -logs[i + away] / logs[i]
    if abs(rest) <= _TICK_REST and way_back >= 1.0 - _TICK_REST:
      return away
  return 0


def _split_ratio(close: float, opening: float) -> float:
  """Returns the split ratio near both `close` and `opening`; 1 if none is.

  Both are given as ratios to the previous close.
  """
  off = np.abs(np.log(close / SPLIT_RATIOS))
  nearest = SPLIT_RATIOS[np.argmin(off)]
  off_open = abs(np.log(opening / nearest))
  near = off.min() <= SPLIT_TOLERANCE and off_open <= SPLIT_TOLERANCE
  return nearest if near else 1.0

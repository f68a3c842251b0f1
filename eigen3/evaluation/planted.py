"""Plants a signal of known strength in a panel, to test a study's power.

Days are resampled with replacement: prices keep heavy tails, volatilities and a
common market factor, but the past predicts nothing. Then a signal is added:
stocks whose close is below its mean of the last 20 days rise more than others.
The default observed features reveal this signal.
"""

import dataclasses
import hashlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import special

from eigen3 import settings
from eigen3.data import FEATURES, MarketPanel, eigen2_features
from eigen3.evaluation import cross_section
from eigen3.evaluation.characteristics import buyable

# The signal ranks stocks by how far the close is below its mean of this many
# last days.
MEAN_DAYS = 20
# Search for the signal's strength: the first and the largest strength tried, in
# standard deviations of daily moves; the maximum number of steps; and the
# tolerance as a share of the IC.
_START, _MOST, _STEPS, _NEAR = 0.02, 2.0, 20, 0.005


class Planted(NamedTuple):
  """A panel and the signal that was planted in it.

  Attributes:
    panel: a copy with resampled days and the signal.
    signal: float64 [T, N], each stock's signal at a day's close. The higher the
      signal, the higher the expected return. NaN on days without a price, and
      on a stock's first `MEAN_DAYS` - 1 days.
  """

  panel: MarketPanel
  signal: np.ndarray


class _Moves(NamedTuple):
  """Resampled daily moves of the stocks.

  Attributes:
    bars: float64 [T, N, 4], logarithms of open, high, low and close, each
      divided by the previous close, all shifted so that the mean logarithmic
      return is the same for all stocks.
    listed: bool [T, N], days on which a stock has prices.
    start: float64 [N], logarithm of the price to which the first bar is added.
    deviation: float64 [N], standard deviation of daily moves, close to close.
  """

  bars: np.ndarray
  listed: np.ndarray
  start: np.ndarray
  deviation: np.ndarray


def plant(
  panel: MarketPanel, ic: float, seed: int, horizon: int = 20
) -> Planted:
  """Returns a copy of a panel, with resampled days and a signal of a given IC.

  Each day gets the moves of a randomly drawn day, which is the same for all
  stocks; a stock without a move on the drawn day gets its move of another
  random day. Days are drawn with replacement: a permutation would fix each
  stock's total return, so that a stock that did well early would do worse
  later. All stocks get the same mean logarithmic return; otherwise the past
  would show which stocks rise more. Volatile stocks therefore have larger mean
  simple returns, but their returns do not rank higher. A stock whose price
  never changes gets no prices.

  `ic` is the expected rank IC, over the stocks that can be bought, of a day's
  signal with the return from the next open to the close `horizon` days after
  that day. The realised IC differs from `ic` by chance, by as much as the IC of
  a copy without a signal (`ic` 0, same seed) differs from 0.

  Columns that cannot be bought stay as they are. Dollar volumes are resampled
  with the moves.

  Args:
    panel: a panel with Eigen2's features, which are recomputed.
    ic: expected mean daily rank IC, at least 0 and below 1; 0 plants nothing.
    seed: random seed of the draws.
    horizon: number of days from the signal's day to the end of the return.

  Raises:
    ValueError: `ic` is out of range or larger than such a signal can reach on
      the panel; or the panel has other features, or too few stocks or days.
  """
  settings.require(0.0 <= ic < 1.0, 'ic', ic, 'at least 0 and below 1')
  settings.require(
    panel.feature_names == FEATURES,
    'panel.feature_names',
    ', '.join(panel.feature_names),
    f'the features of Eigen2, which can be recomputed: {", ".join(FEATURES)}',
  )
  ohlc = panel.ohlc[:, slice(*panel.investable)].astype(np.float64)
  moves, source = _resampled(ohlc, np.random.default_rng(seed))
  can_buy = buyable(panel)

  def mean_ic(strength: float) -> float:
    prices, signal = _walk(moves, strength)
    outcomes = forward_returns(prices, horizon)
    daily = cross_section.rank_ic(signal, outcomes, can_buy)
    if not np.isfinite(daily).any():
      raise ValueError(
        'panel: found no day on which at least '
        f'{cross_section.FEWEST_STOCKS} stocks can be bought, have '
        f'prices on the {MEAN_DAYS} days before and one horizon={horizon} days '
        'later, expected at least one such day'
      )
    return float(np.nanmean(daily))

  strength = _strength(mean_ic, ic) if ic else 0.0
  prices, signal = _walk(moves, strength)
  return Planted(_replaced(panel, prices, source, (ic, seed, horizon)), signal)


def forward_returns(ohlc: np.ndarray, horizon: int) -> np.ndarray:
  """Computes returns from the next open to the close `horizon` days ahead.

  Args:
    ohlc: float [T, N, 4], NaN if missing.
    horizon: number of days, at least 1.

  Returns:
    float64 [T, N], NaN on the last `horizon` days and if either price is
    missing.
  """
  found = np.full(ohlc.shape[:2], np.nan)
  stop = max(len(ohlc) - horizon, 0)
  found[:stop] = ohlc[horizon:, :, 3] / ohlc[1 : stop + 1, :, 0] - 1.0
  return found


def _resampled(
  ohlc: np.ndarray, rng: np.random.Generator
) -> tuple[_Moves, np.ndarray]:
  """Resamples the daily moves of prices [T, N, 4].

  Also returns the day from which each move is taken, int [T, N].
  """
  listed = (np.isfinite(ohlc) & (ohlc > 0.0)).all(axis=2)
  path = np.log(np.where(listed[..., None], ohlc, 1.0))
  days = np.arange(len(ohlc))[:, None]
  latest = np.maximum.accumulate(np.where(listed, days, -1), axis=0)
  has_move = listed.copy()
  has_move[0] = False
  has_move[1:] &= latest[:-1] >= 0
  before = np.take_along_axis(path[..., 3], np.maximum(latest, 0), axis=0)
  bars = path.copy()
  bars[1:] -= before[:-1, :, None]
  bars[~has_move] = np.nan
  listed &= has_move.any(axis=0)
  source = np.repeat(
    rng.choice(np.flatnonzero(has_move.any(axis=1)), (len(ohlc), 1)),
    ohlc.shape[1],
    axis=1,
  )
  for stock in np.flatnonzero(listed.any(axis=0)):
    own = np.flatnonzero(has_move[:, stock])
    absent = ~has_move[source[:, stock], stock]
    source[absent, stock] = rng.choice(own, absent.sum())
  mean, deviation = _mean_and_deviation(bars[..., 3], has_move)
  listed &= deviation > 0.0
  bars += (mean[deviation > 0.0].mean() - mean)[:, None]
  start = np.take_along_axis(path[..., 0], listed.argmax(axis=0)[None], axis=0)
  bars = np.take_along_axis(bars, source[..., None], axis=0)
  return _Moves(bars, listed, start[0], deviation), source


def _mean_and_deviation(
  moves: np.ndarray, known: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Returns the mean and standard deviation of each stock's known moves, [N].

  Both are 0 for a stock without known moves.

  Args:
    moves: float [T, N].
    known: bool [T, N].
  """
  count = np.maximum(known.sum(axis=0), 1)
  mean = np.where(known, moves, 0.0).sum(axis=0) / count
  apart = np.where(known, moves - mean, 0.0)
  return mean, np.sqrt((apart**2).sum(axis=0) / count)


def _walk(moves: _Moves, strength: float) -> tuple[np.ndarray, np.ndarray]:
  """Builds prices [T, N, 4] and the signal [T, N] that drives them.

  A day's whole bar, in log price, is shifted by the signal of the day before,
  times `strength` times the standard deviation of the stock's daily moves.
  """
  path, drift = moves.start.copy(), np.zeros_like(moves.start)
  recent = np.full((MEAN_DAYS, len(path)), np.nan)
  prices = np.full(moves.bars.shape, np.nan)
  signals = np.full(moves.listed.shape, np.nan)
  started = np.zeros(len(path), bool)
  for day, listed in enumerate(moves.listed):
    started |= listed
    bar = path[:, None] + moves.bars[day] + drift[:, None]
    path = np.where(listed, bar[:, 3], path)
    prices[day, listed] = np.exp(bar[listed])
    recent[day % MEAN_DAYS, started] = path[started]
    below = np.full(len(path), np.nan)
    below[listed] = (recent.mean(axis=0) - path)[listed]
    below[listed] /= moves.deviation[listed]
    signals[day] = _normal_scores(below)
    drift = strength * moves.deviation * np.nan_to_num(signals[day])
  return prices, signals


def _normal_scores(values: np.ndarray) -> np.ndarray:
  """Maps values [N] by rank to quantiles of the standard normal distribution.

  NaN stays NaN.
  """
  known = np.flatnonzero(np.isfinite(values))
  order = known[np.argsort(values[known], kind='stable')]
  scores = np.full(len(values), np.nan)
  scores[order] = special.ndtri((np.arange(len(order)) + 0.5) / len(order))
  return scores


def _strength(mean_ic: Callable[[float], float], ic: float) -> float:
  """Finds a strength whose IC exceeds the IC without a signal by `ic`.

  Args:
    mean_ic: maps a strength to the mean daily IC.
    ic: above 0.

  Raises:
    ValueError: no strength tried comes close enough, or `mean_ic` raises it.
  """
  without, strength = mean_ic(0.0), _START
  for _ in range(_STEPS):
    added = mean_ic(strength) - without
    if abs(added - ic) <= _NEAR * ic:
      return strength
    strength *= ic / max(added, ic / 4.0)
    if strength > _MOST:
      break
  raise ValueError(
    f'ic: found {ic}, expected a rank IC that a signal can reach on this panel '
    f'(the last signal tried added {added:.3f} to the mean rank IC)'
  )


def _replaced(
  panel: MarketPanel, prices: np.ndarray, source: np.ndarray, how: tuple
) -> MarketPanel:
  """Returns a copy of a panel with other prices, features and volumes.

  Args:
    panel: the panel; only its investable columns change.
    prices: the stocks' new prices, [T, N, 4].
    source: int [T, N], the day from which each dollar volume is taken.
    how: `ic`, `seed` and `horizon` of `plant`.
  """
  stocks = slice(*panel.investable)
  ohlc, features = panel.ohlc.copy(), panel.features.copy()
  ohlc[:, stocks] = prices
  features[:, stocks] = eigen2_features(ohlc[:, stocks])
  volume = panel.volume
  if volume is not None:
    volume = volume.copy()
    traded = panel.ohlc[:, stocks, 3].astype(np.float64) * volume[:, stocks]
    traded = np.take_along_axis(traded, source, axis=0)
    volume[:, stocks] = traded / prices[..., 3]
  digest = hashlib.sha256(f'{panel.source_hash} planted 1 {how}'.encode())
  ic, seed, horizon = how
  return dataclasses.replace(
    panel,
    ohlc=ohlc,
    features=features,
    volume=volume,
    source_hash=digest.hexdigest(),
    notes=(
      f'{panel.notes}; days resampled with seed {seed}, a signal of rank IC '
      f'{ic} to {horizon} days planted'
    ),
  )

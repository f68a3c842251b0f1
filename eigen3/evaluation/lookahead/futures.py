"""Randomly changes the data of a panel or source after a given day."""

import dataclasses
from typing import Any

import numpy as np

from eigen3.data import MarketPanel, Source

_PRICE = 50.0  # start of the random walk of a column without a known close
# Pairs: a share of all prices, and the factor that they are multiplied by.
_ODD = (
  (0.02, 1000.0),
  (0.02, 0.001),
  (0.02, 0.0),
  (0.02, -1.0),
  (0.05, np.nan),
)


def scramble(panel: MarketPanel, last_day: int, seed: int) -> MarketPanel:
  """Returns the panel with random values on all days after `last_day`.

  Prices are a random walk with large steps from the last known close, with
  gaps, jumps, zeros and negative numbers. Almost half of the columns lack data
  on some of the changed days: until a random day, from a random day on, or for
  a few days. On the other changed days, features are drawn independently of the
  prices, and so are volumes if the panel has them. If the panel has a universe,
  membership is drawn for each stock and changed day.

  Args:
    panel: T days.
    last_day: the last unchanged day.
    seed: seed of the random values.

  Raises:
    ValueError: `last_day` is negative, or no day follows it.
  """
  if not 0 <= last_day < panel.num_days - 1:
    raise ValueError(
      f'last_day: found {last_day} in a panel of {panel.num_days} days, '
      'expected a day, counted from 0, that at least one more day follows'
    )
  rng = np.random.default_rng((seed, last_day))
  later = slice(last_day + 1, None)
  ohlc, features = panel.ohlc.copy(), panel.features.copy()
  ohlc[later] = _other_prices(rng, ohlc[: last_day + 1], len(ohlc[later]))
  scale = 10.0 ** rng.uniform(-2, 4, features.shape[1:])
  features[later] = scale * rng.standard_normal(features[later].shape)
  features[later][rng.random(features[later].shape) < 0.05] = np.nan
  absent = _absences(rng, *ohlc[later].shape[:2])
  ohlc[later][absent] = features[later][absent] = np.nan
  changed: dict[str, Any] = {'ohlc': ohlc, 'features': features}
  if panel.volume is not None:
    changed['volume'] = panel.volume.copy()
    changed['volume'][later] = 10.0 ** rng.uniform(0, 9, absent.shape)
    changed['volume'][later][absent] = np.nan
  if panel.members is not None:
    changed['members'] = panel.members.copy()
    changed['members'][later] = rng.random(panel.members[later].shape) < 0.5
  return dataclasses.replace(panel, **changed)


def scramble_source(
  source: Source, last_day: np.datetime64, seed: int
) -> Source:
  """Returns the source with randomly changed data after `last_day`.

  The values of each later row are multiplied by a random factor. Tickers may
  lose some or all of their later rows, but every day keeps a row of at least
  one ticker, so that the number of days stays the same. Series lose about a
  tenth of their later rows. A row of a series is later if its date plus `lag`
  days, when it becomes known, is after `last_day`.

  Args:
    source: the raw data of a panel.
    last_day: the last unchanged day.
    seed: seed of the random changes.
  """
  rng = np.random.default_rng(
    (seed, last_day.astype('datetime64[D]').astype(int))
  )

  def other(one, later, gone):
    factor = np.exp(rng.normal(0.0, 0.3, len(later)))
    factor[~later] = 1.0
    return dataclasses.replace(
      one,
      dates=one.dates[~gone],
      ohlc=(one.ohlc * factor[:, None])[~gone],
      volume=(one.volume * factor)[~gone],
    )

  tickers, covered = [], source.tickers[0].dates[:0]
  for ticker in source.tickers:
    later = ticker.dates > last_day
    share = rng.choice([0.1, 1.0], p=[0.7, 0.3])
    drawn = rng.random(len(later)) < share
    gone = later & drawn & np.isin(ticker.dates, covered)
    covered = np.union1d(covered, ticker.dates)
    if not gone.all():
      tickers.append(other(ticker, later, gone))
  series = []
  for one in source.series:
    seen = one.dates + np.timedelta64(one.lag, 'D')
    late = np.asarray(seen > last_day)
    series.append(other(one, late, late & (rng.random(len(late)) < 0.1)))
  return dataclasses.replace(
    source, tickers=tuple(tickers), series=tuple(series)
  )


def _other_prices(
  rng: np.random.Generator, known: np.ndarray, num_days: int
) -> np.ndarray:
  """Draws prices [num_days, C, 4] that continue those of `known`, [M, C, 4]."""
  close = np.where(np.isfinite(known[..., 3]), known[..., 3], 0.0)
  latest = np.where(close > 0, np.arange(len(close))[:, None], 0).max(axis=0)
  start = close[latest, np.arange(close.shape[1])]
  start = np.where(start > 0, start, _PRICE)
  moves = rng.normal(0.0, 0.1, (num_days, len(start), 1))
  prices = start[:, None] * np.exp(np.cumsum(moves, axis=0))
  prices = prices * np.exp(rng.normal(0.0, 0.05, (*prices.shape[:2], 4)))
  for share, factor in _ODD:
    prices[rng.random(prices.shape) < share] *= factor
  return prices


def _absences(
  rng: np.random.Generator, num_days: int, num_columns: int
) -> np.ndarray:
  """Draws which cells lack data, bool [num_days, C]; see `scramble`."""
  day = np.arange(num_days)[:, None]
  first = rng.integers(0, num_days, num_columns)
  # For about half, the random day is the first changed day, so that code which
  # sees one day ahead is caught.
  first[rng.random(num_columns) < 0.5] = 0
  length = rng.integers(1, 10, num_columns)
  kind = rng.integers(0, 6, num_columns)
  gone = (kind == 0) & (day >= first)
  unlisted = (kind == 1) & (day < first)
  away = (kind == 2) & (day >= first) & (day < first + length)
  return gone | unlisted | away

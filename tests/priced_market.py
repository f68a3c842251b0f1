"""A panel of random prices and volumes, with stocks that come and go."""

import dataclasses

import numpy as np

from eigen3.data import MarketPanel, eigen2_features


def make_panel(num_days=320, num_stocks=12, seed=0, members=True):
  """Returns INDEX and stocks S00, ... of different volatilities and betas.

  The first lists late, the second leaves early, the third has a gap.
  """
  rng = np.random.default_rng(seed)
  market = rng.normal(0.0004, 0.01, (num_days, 1))
  beta = rng.uniform(0.3, 1.8, num_stocks)
  own = rng.normal(0.0, 1.0, (num_days, num_stocks))
  moves = beta * market + rng.uniform(0.005, 0.03, num_stocks) * own
  close = 50.0 * np.exp(np.cumsum(moves, axis=0))
  opening = close * np.exp(rng.normal(0.0, 0.005, close.shape))
  high = 1.01 * np.maximum(close, opening)
  low = 0.99 * np.minimum(close, opening)
  stocks = np.stack([opening, high, low, close], axis=-1)
  stocks[: num_days // 4, 0] = np.nan
  stocks[-num_days // 4 :, 1] = np.nan
  stocks[num_days // 2 : num_days // 2 + 3, 2] = np.nan
  ohlc = np.concatenate([np.ones((num_days, 1, 4)), stocks], axis=1)
  volume = rng.lognormal(12.0, 1.0, ohlc.shape[:2])
  volume[np.isnan(ohlc[..., 3])] = np.nan
  panel = MarketPanel(
    dates=np.busday_offset('2010-01-04', np.arange(num_days)),
    columns=('INDEX', *(f'S{n:02d}' for n in range(num_stocks))),
    ohlc=ohlc,
    features=eigen2_features(ohlc),
    investable=(1, num_stocks + 1),
    volume=volume,
    survivors_only=False,
  )
  if not members:
    return panel
  inside = rng.random((num_days // 40 + 1, num_stocks)) < 0.9
  return dataclasses.replace(
    panel, members=np.repeat(inside, 40, axis=0)[:num_days]
  )

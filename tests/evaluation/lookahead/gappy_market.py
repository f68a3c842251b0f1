"""A market with gaps and a universe, and settings for short episodes."""

import numpy as np

from eigen3.data import MarketPanel, eigen2_features
from experiments.configs import td3

NUM_DAYS = 120
WARM_UP = 34
INVESTABLE = (1, 6)
TRAIN_STOP = 80


def config(**settings):
  """Returns all settings; `settings` are of the environment."""
  config = td3.get_config('smoke')
  config.data.validation_days = 25
  config.data.holdout_days = 15
  section = config.environment
  section.context_days = 4
  section.trading_days = 14
  section.max_holding_days = 3
  section.settlement_days = 5
  section.delisting_days = 2
  section.min_sale_target = 2.0
  section.max_sale_target = 12.0
  section.initial_cash = 10_000.0
  section.max_position_fraction = 0.4
  section.min_position_value = 800.0
  section.commission_bp = 20.0
  section.slippage_bp = 30.0
  section.loss_multiplier = 1.5
  section.inaction_penalty = 0.25
  section.update(settings)
  return config.lock()


def panel(seed=0):
  """Draws a volatile market with missing prices, rows and periods."""
  rng = np.random.default_rng(seed)
  shape = (NUM_DAYS + WARM_UP, INVESTABLE[1] + 1)
  close = 50 * np.exp(np.cumsum(rng.normal(0, 0.03, shape), axis=0))
  ohlc = close[..., None] * np.exp(rng.normal(0, 0.02, (*shape, 4)))
  ohlc[rng.random(ohlc.shape) < 0.03] = np.nan
  ohlc[rng.random(ohlc.shape) < 0.01] = 0.0
  for column in range(shape[1]):
    first = rng.integers(WARM_UP, shape[0], 3)
    for day in first:
      ohlc[day : day + rng.integers(2, 7), column] = np.nan
  ohlc[: WARM_UP + 30, 2] = np.nan  # lists late
  ohlc[WARM_UP + 95 :, 4] = np.nan  # leaves early
  features = eigen2_features(ohlc)
  num_stocks = INVESTABLE[1] - INVESTABLE[0]
  joins_or_leaves = rng.random((NUM_DAYS, num_stocks)) < 0.08
  return MarketPanel(
    dates=np.datetime64('2001-01-01') + np.arange(NUM_DAYS),
    columns=('INDEX', 'A', 'B', 'C', 'D', 'E', 'NOISE'),
    ohlc=ohlc[WARM_UP:],
    features=features[WARM_UP:],
    volume=rng.lognormal(10, 1, shape)[WARM_UP:],
    members=np.cumsum(joins_or_leaves, axis=0) % 2 == 0,
    investable=INVESTABLE,
  )

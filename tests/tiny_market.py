"""Markets of a few days, whose numbers can be followed by hand."""

import numpy as np

from eigen3.data import MarketPanel
from experiments.configs import td3

COST = 0.01  # of each fill
CASH = 10_000.0


def config(**settings):
  """The environment's settings: positions of half the equity, 1 % costs."""
  section = td3.get_config('smoke').environment.copy_and_resolve_references()
  section.update(
    context_days=2,
    max_holding_days=2,
    settlement_days=4,
    entry_choice='best',
    coefficient_threshold=1.0,
    coefficient_ceiling=2.0,
    full_size_coefficient=2.0,
    min_sale_target=10.0,
    max_sale_target=50.0,
    fill='next_open',
    target_fill='limit_or_open',
    delisting_price='last_close',
    delisting_return=0.0,
    delisting_days=3,
    initial_cash=CASH,
    max_position_fraction=0.5,
    min_position_value=100.0,
    enforce_cash=True,
    commission_bp=60.0,
    slippage_bp=40.0,
  )
  section.update(settings)
  return section


def panel(close, opening=None, high=None):
  """A market of the columns INDEX (context), A, B, ... from closes [T, N].

  Opens are the closes of the day before and highs the larger of the two,
  unless given.
  """
  close = np.asarray(close, float)
  if opening is None:
    opening = np.concatenate([close[:1], close[:-1]])
  high = np.maximum(opening, close) if high is None else high
  low = np.minimum(opening, close)
  stocks = np.stack([opening, high, low, close], axis=-1)
  ohlc = np.concatenate([np.ones_like(stocks[:, :1]), stocks], axis=1)
  num_days, num_stocks = close.shape
  return MarketPanel(
    dates=np.datetime64('2024-01-01') + np.arange(num_days),
    columns=('INDEX', *'ABCDEFGH'[:num_stocks]),
    ohlc=ohlc,
    features=np.zeros((num_days, num_stocks + 1, 9)),
    investable=(1, num_stocks + 1),
    survivors_only=False,
  )

"""Draws small markets with every kind of gap, and settings for them."""

import numpy as np

from eigen3.data.panel import MarketPanel
from experiments.configs import td3

NUM_DAYS = 48
NUM_COLUMNS = 6
INVESTABLE = (1, 6)


def config(**settings):
  """Returns the environment's settings for short episodes with many trades."""
  section = td3.get_config('smoke').environment
  with section.unlocked():
    section.fill = 'next_open'
    section.target_fill = 'limit_or_open'
    section.entry_choice = 'best'
    section.max_entries_per_day = 1
    section.delisting_price = 'last_close'
    section.delisting_return = 0.0
    section.coefficient_threshold = 1.0
    section.coefficient_ceiling = 2.0
    section.full_size_coefficient = 2.0
    section.enforce_cash = True
    section.scaled_actions = True
    section.reward = 'entry'
    section.context_days = 3
    section.trading_days = 18
    section.max_holding_days = 4
    section.delisting_days = 2
    section.settlement_days = 6
    section.min_sale_target = 2.0
    section.max_sale_target = 12.0
    section.initial_cash = 10_000.0
    section.max_position_fraction = 0.5
    section.min_position_value = 800.0
    section.commission_bp = 20.0
    section.slippage_bp = 30.0
    section.loss_multiplier = 1.5
    section.inaction_penalty = 0.25
    section.update(settings)
  return section


def panel(seed: int, num_markets: int = 1) -> MarketPanel:
  """Draws volatile prices with missing prices, rows and periods."""
  rng = np.random.default_rng(seed)
  shape = (NUM_DAYS, NUM_COLUMNS)
  close = 50 * np.exp(np.cumsum(rng.normal(0, 0.04, shape), axis=0))
  opening = close * np.exp(rng.normal(0, 0.03, shape))
  spread = np.exp(np.abs(rng.normal(0, 0.02, (2, *shape))))
  high = np.maximum(opening, close) * spread[0]
  low = np.minimum(opening, close) / spread[1]
  ohlc = np.stack([opening, high, low, close], axis=-1)
  features = rng.normal(size=(*shape, 9))
  ohlc[rng.random(ohlc.shape) < 0.06] = np.nan
  ohlc[rng.random(ohlc.shape) < 0.01] = 0.0
  ohlc[rng.random(ohlc.shape) < 0.01] = -1.0
  rows = rng.random(shape) < 0.04
  for column in range(NUM_COLUMNS):
    for _ in range(rng.integers(0, 3)):
      first = rng.integers(0, NUM_DAYS)
      rows[first : first + rng.integers(2, 7), column] = True
    if rng.random() < 0.2:  # lists late
      rows[: rng.integers(0, NUM_DAYS // 2), column] = True
    if rng.random() < 0.2:  # leaves early
      rows[rng.integers(NUM_DAYS // 2, NUM_DAYS) :, column] = True
    if rng.random() < 0.15:  # opens are no longer reported
      ohlc[rng.integers(5, NUM_DAYS) :, column, 0] = np.nan
  markets = _close_markets(rows, seed) if num_markets == 2 else ()
  ohlc[rows] = np.nan
  # A row without prices may still have features; then it is not absent.
  features[rows & (rng.random(shape) < 0.8)] = np.nan
  # Every other market has a universe whose members change.
  num_stocks = INVESTABLE[1] - INVESTABLE[0]
  changes = rng.random((NUM_DAYS, num_stocks)) < 0.1
  members = np.cumsum(changes, axis=0) % 2 == 0
  return MarketPanel(
    dates=np.datetime64('2001-01-01') + np.arange(NUM_DAYS),
    columns=tuple(f'C{i}' for i in range(NUM_COLUMNS)),
    ohlc=ohlc,
    features=features,
    investable=INVESTABLE,
    members=members if seed % 2 else None,
    markets=markets,
  )


def _close_markets(rows: np.ndarray, seed: int) -> tuple[int, ...]:
  """Marks holidays of two markets in rows [T, C]; returns columns' markets."""
  markets = np.array([0, 1, 1, 0, 1, 0])
  for market in (0, 1):
    first = (7 * seed) % 11 + 9 * market
    for start in (first, first + 22):
      rows[start : start + 4, markets == market] = True
  if seed % 4 == 3:  # one of them ends
    rows[9:, markets == 1] = True
  return tuple(markets)


def actions(seed: int, num_steps: int) -> np.ndarray:
  """Draws float32 [S, N, 2] with ties, targets out of range and quiet days."""
  rng = np.random.default_rng(1_000_000 + seed)
  num_stocks = INVESTABLE[1] - INVESTABLE[0]
  coefficients = rng.uniform(0, 2.4, (num_steps, num_stocks))
  coefficients[rng.random(num_steps) < 0.2] *= 0.4
  coefficients[rng.random(num_steps) < 0.1] = 1.5
  targets = rng.uniform(0, 15, (num_steps, num_stocks))
  return np.stack([coefficients, targets], axis=-1).astype(np.float32)

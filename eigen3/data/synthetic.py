"""The embedded market: seeded, with a signal whose strength is a setting.

Every stock has a hidden daily drift that comes and goes in slow, irregular
cycles. Twenty to thirty days of prices reveal it with a signal-to-noise ratio
of about one, so a policy that learns to read them earns money, and one that
is given the drift itself is the yardstick. Without signal, no price can be
predicted and the expected return of every trade before costs is zero.
"""

import dataclasses
import hashlib
import json
from typing import Any

import numpy as np

from eigen3.data.errors import DataError
from eigen3.data.indicators import WARM_UP_DAYS, eigen2_features
from eigen3.data.panel import MarketPanel

FIRST_DAY = np.datetime64('2000-01-03')
# Standard deviations of a day's return, as fractions of the price. 0.35 % a day
# is 7 % in 20 days, in which the noise of 1.5 % a day adds up to 6.7 %.
DRIFT = 0.0035
MARKET_NOISE = 0.006
STOCK_NOISE = 0.0137
RANGE = 0.006  # of high and low beyond open and close
# The drift is a damped cycle: what it adds to a price is mostly given back,
# which keeps prices of later years in the range that training has seen.
CYCLE_DAYS = 250.0
DAMPING_DAYS = 120.0
OVERNIGHT = 0.25  # share of a day's drift and variance before the open
# A stock that comes late or leaves early is there for at least so many days,
# its warm-up included.
SHORTEST_LISTING = 2 * WARM_UP_DAYS


@dataclasses.dataclass(frozen=True, eq=False)
class SyntheticMarket:
  """A panel and what it hides.

  Attributes:
    panel: T days of C columns: an index and random walks, the N stocks, then
      more random walks; features are all known from the first day except in
      the first days of late listings.
    drift: float32 [T, N], the expected return from the close of each day to
      that of the next, known to nobody but the informed policy. Drifts go on
      where a stock is not listed.
  """

  panel: MarketPanel
  drift: np.ndarray


def synthetic_market(config: Any) -> SyntheticMarket:
  """The market that `config` describes; equal settings give equal bits.

  Args:
    config: the section `data.synthetic` of experiments/configs/td3.py.

  Raises:
    DataError: a setting is out of its range.
  """
  _check(config)
  # One stream per cause: a setting of one leaves the draws of the others.
  drifts, prices, context, volumes, listings, later = (
    np.random.default_rng(seed)
    for seed in np.random.SeedSequence(config.seed).spawn(6)
  )
  num_days = config.num_days + WARM_UP_DAYS
  first, stop = config.num_context, config.num_context + config.num_stocks
  drift = config.signal * DRIFT * _cycles(drifts, num_days, config.num_stocks)
  stocks = _stock_prices(prices, drift)
  before = _context_prices(context, stocks, first)
  after = _walks(later, num_days, config.num_columns - stop)
  ohlc = np.concatenate([before, stocks, after], axis=1)  # [T, C, 4]
  volume = volumes.lognormal(13.0, 0.5, ohlc.shape[:2])
  volume[:, :first] = volume[:, stop:] = np.nan
  unlisted = _unlisted(listings, config, num_days)
  ohlc[unlisted] = np.nan
  volume[unlisted] = np.nan
  panel = MarketPanel(
    dates=np.busday_offset(FIRST_DAY, np.arange(config.num_days)),
    columns=_names(first, stop, config.num_columns),
    ohlc=ohlc[WARM_UP_DAYS:],
    features=eigen2_features(ohlc)[WARM_UP_DAYS:],
    investable=(first, stop),
    volume=volume[WARM_UP_DAYS:],
    source_hash=_settings_hash(config),
    survivors_only=False,
    notes=f'embedded market, seed {config.seed}, signal {config.signal}',
  )
  return SyntheticMarket(panel, drift[WARM_UP_DAYS:].astype(np.float32))


def _check(config: Any) -> None:
  def refuse(field: str, expected: str):
    raise DataError(
      f'data.synthetic.{field}: found {config[field]}, expected {expected}'
    )

  if config.num_days < 1:
    refuse('num_days', 'at least 1')
  if config.num_context < 0:
    refuse('num_context', 'at least 0')
  if config.num_stocks < 1:
    refuse('num_stocks', 'at least 1')
  least = config.num_context + config.num_stocks
  if config.num_columns < least:
    refuse('num_columns', f'at least num_context + num_stocks, {least}')
  if not 0.0 <= config.signal < float('inf'):
    refuse('signal', 'a finite number of at least 0')
  for field in ('late_listings', 'delistings'):
    if not 0.0 <= config[field] <= 1.0:
      refuse(field, 'a share in [0, 1]')
    if config[field] > 0.0 and config.num_days < 4 * SHORTEST_LISTING:
      refuse(field, f'0 with fewer than {4 * SHORTEST_LISTING} days')


def _cycles(rng: np.random.Generator, num_days: int, num: int) -> np.ndarray:
  """Damped cycles [T, num] with variance 1: the real part of an AR(1)."""
  turn = np.exp(-1.0 / DAMPING_DAYS + 2j * np.pi / CYCLE_DAYS)
  shocks = rng.standard_normal((num_days, num, 2)) @ np.array([1.0, 1j])
  state, rows = shocks[0], [shocks[0].real]
  for shock in shocks[1:]:
    state = turn * state + np.sqrt(1.0 - np.abs(turn) ** 2) * shock
    rows.append(state.real)
  return np.stack(rows)


def _stock_prices(rng: np.random.Generator, drift: np.ndarray) -> np.ndarray:
  """Prices [T, N, 4]; a day's return has the drift of the day before."""
  num_days, num = drift.shape
  expected = np.concatenate([np.zeros((1, num)), drift[:-1]])
  market = rng.standard_normal((num_days, 2, 1))
  own = rng.standard_normal((num_days, 2, num))
  noise = MARKET_NOISE * market + STOCK_NOISE * own
  return _prices(rng, expected, noise, np.hypot(MARKET_NOISE, STOCK_NOISE))


def _prices(
  rng: np.random.Generator, expected, noise: np.ndarray, deviation: float
) -> np.ndarray:
  """Prices [T, N, 4] from a day's expected return and noise [T, 2, N].

  The two parts of a day, before and after the open, are each a fair game
  around their share of the expected return: the mean of exp(x) is taken out.
  """
  share = np.array([OVERNIGHT, 1.0 - OVERNIGHT])[:, None]
  moves = share * (np.asarray(expected)[:, None] - 0.5 * deviation**2)
  moves = moves + np.sqrt(share) * noise
  start = np.log(rng.uniform(20.0, 200.0, noise.shape[2]))
  halves = moves.reshape(2 * len(noise), noise.shape[2])
  path = start + np.cumsum(halves, axis=0)
  path = path.reshape(moves.shape)
  opening, close = path[:, 0], path[:, 1]
  above, below = np.abs(rng.normal(0.0, RANGE, (2, *close.shape)))
  high = np.maximum(opening, close) + above
  low = np.minimum(opening, close) - below
  return np.exp(np.stack([opening, high, low, close], axis=-1))


def _context_prices(
  rng: np.random.Generator, stocks: np.ndarray, num: int
) -> np.ndarray:
  """Prices [T, num, 4]: an equal-weighted index, then unrelated walks."""
  before = np.concatenate([stocks[:1, :, 3], stocks[:-1, :, 3]])
  change = (stocks / before[..., None]).mean(axis=1)  # [T, 4]
  close = 100.0 * np.cumprod(change[:, 3])
  index = (close / change[:, 3])[:, None] * change
  walks = _walks(rng, len(stocks), num)
  return np.concatenate([index[:, None], walks[:, 1:]], axis=1)[:, :num]


def _walks(rng: np.random.Generator, num_days: int, num: int) -> np.ndarray:
  """Prices [T, num, 4] that nothing predicts and that predict nothing."""
  noise = STOCK_NOISE * rng.standard_normal((num_days, 2, num))
  return _prices(rng, np.zeros((num_days, num)), noise, STOCK_NOISE)


def _unlisted(
  rng: np.random.Generator, config: Any, num_days: int
) -> np.ndarray:
  """Cells [T, C] in which a stock is not yet or no longer listed."""
  num = config.num_stocks
  unlisted = np.zeros((num_days, config.num_columns), bool)
  if not (config.late_listings or config.delistings):
    return unlisted
  middle = config.num_days // 2
  lists = WARM_UP_DAYS + rng.integers(1, middle - SHORTEST_LISTING // 2, num)
  leaves = WARM_UP_DAYS + rng.integers(
    middle + SHORTEST_LISTING // 2, config.num_days, num
  )
  chosen = rng.permutation(num)
  is_late = chosen < round(config.late_listings * num)
  # From the other end: no stock does both while there is a choice.
  is_gone = num - 1 - chosen < round(config.delistings * num)
  day = np.arange(num_days)[:, None]
  first = config.num_context
  unlisted[:, first : first + num] = (is_late & (day < lists)) | (
    is_gone & (day >= leaves)
  )
  return unlisted


def _names(first: int, stop: int, num_columns: int) -> tuple[str, ...]:
  stocks = [f'STOCK{i:03d}' for i in range(stop - first)]
  walks = [f'NOISE{i:03d}' for i in range(1, num_columns)]
  # The index is the first of the columns before the stocks.
  before = ['INDEX', *walks][:first]
  after = walks[max(first - 1, 0) :][: num_columns - stop]
  return (*before, *stocks, *after)


def _settings_hash(config: Any) -> str:
  settings = json.dumps(dict(config), sort_keys=True, default=str)
  return hashlib.sha256(f'synthetic 1 {settings}'.encode()).hexdigest()

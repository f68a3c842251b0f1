"""The embedded synthetic markets: seeded, with a signal of any strength.

Stocks have a hidden daily drift. Which data reveal it depends on the market
(see `synthetic_signals`); in the market `none` nothing does, and nothing can be
earned. In the others, a policy that learns to infer the drift earns money; the
control `informed`, which is given the drift, shows roughly how much can be
earned. With signal 0 no stock's price can be predicted, and the expected return
of every trade before costs is zero.
"""

import dataclasses
import hashlib
import json
from typing import Any

import numpy as np

from eigen3 import settings
from eigen3.data.errors import DataError
from eigen3.data.indicators import WARM_UP_DAYS, eigen2_features
from eigen3.data.panel import MarketPanel
from eigen3.data.synthetic_patience import Dips
from eigen3.data.synthetic_prices import walks
from eigen3.data.synthetic_signals import (
  MARKETS,
  SIGNAL_COLUMNS,
  Hidden,
  Streams,
)

FIRST_DAY = np.datetime64('2000-01-03')
# A stock that is listed late or delisted early is listed for at least this many
# days, including its warm-up.
SHORTEST_LISTING = 2 * WARM_UP_DAYS

_SHARE = settings.number(lambda x: 0 <= x <= 1, 'a share in [0, 1]')
_MOST_CELLS = 10**8  # days x columns; they are in memory several times
_EXPECTED = {
  'market': settings.one_of(*MARKETS),
  'seed': settings.SEED,
  'num_days': settings.whole(1, 100_000),
  'num_context': settings.COUNT,
  'num_stocks': settings.AT_LEAST_ONE,
  'num_columns': settings.whole(1, 100_000),
  'signal': settings.NOT_NEGATIVE,
  'late_listings': _SHARE,
  'delistings': _SHARE,
}


@dataclasses.dataclass(frozen=True, eq=False)
class SyntheticMarket:
  """A panel and its hidden signal.

  Attributes:
    panel: T days; C columns in this order: the context columns before the
      stocks (an index, in some markets a column that shows the signal, random
      walks), the N stocks, more random walks. Features are known from the first
      day; those of a stock that is listed late, from `WARM_UP_DAYS` days after
      its listing.
    drift: float32 [T, N], the expected return from the close of each day to
      that of the next, which agents do not see. It also has values when a stock
      is not listed. In the market 'none' it is the drift before the days were
      shuffled, and predicts nothing. In 'patience' it is the next day's rebound
      from a dip; that the stock may dip again is not taken into account.
    dips: the hidden process of the market 'patience'; None for other markets.
  """

  panel: MarketPanel
  drift: np.ndarray
  dips: Dips | None = None


def synthetic_market(config: Any) -> SyntheticMarket:
  """Makes the market that `config` describes, bit-identical on every call.

  Args:
    config: the section `data.synthetic` of experiments/configs/td3.py.

  Raises:
    DataError: a setting is out of its range, or the signal is so large that
      prices leave the range of float32.
  """
  _check(config)
  # A stream for each part: settings of one do not change the draws of others.
  drifts, prices, context, volumes, listings, later, others = (
    np.random.default_rng(seed)
    for seed in np.random.SeedSequence(config.seed).spawn(7)
  )
  num_days = config.num_days + WARM_UP_DAYS
  first, stop = config.num_context, config.num_context + config.num_stocks
  with np.errstate(over='ignore', invalid='ignore'):
    hidden = MARKETS[config.market](
      Streams(drifts, prices, others),
      num_days,
      config.num_stocks,
      config.signal,
    )
  _check_prices(hidden.stocks, config)
  before = _context_prices(context, hidden, first)
  after = walks(later, num_days, config.num_columns - stop)
  ohlc = np.concatenate([before, hidden.stocks, after], axis=1)  # [T, C, 4]
  volume = volumes.lognormal(13.0, 0.5, ohlc.shape[:2])
  volume[:, :first] = volume[:, stop:] = np.nan
  unlisted = _unlisted(listings, config, num_days)
  ohlc[unlisted] = np.nan
  volume[unlisted] = np.nan
  panel = MarketPanel(
    dates=np.busday_offset(FIRST_DAY, np.arange(config.num_days)),
    columns=_names(first, stop, config.num_columns, config.market),
    ohlc=ohlc[WARM_UP_DAYS:],
    features=eigen2_features(ohlc)[WARM_UP_DAYS:],
    investable=(first, stop),
    volume=volume[WARM_UP_DAYS:],
    source_hash=_settings_hash(config),
    survivors_only=False,
    notes=f"embedded market '{config.market}', seed {config.seed}, "
    f'signal {config.signal}',
  )
  dips = hidden.dips and hidden.dips._replace(
    sizes=hidden.dips.sizes[WARM_UP_DAYS:],
    phases=hidden.dips.phases[WARM_UP_DAYS:],
  )
  drift = hidden.drift[WARM_UP_DAYS:].astype(np.float32)
  return SyntheticMarket(panel, drift, dips)


def _check(config: Any) -> None:
  def refuse(field: str, expected: str):
    raise DataError(
      f'data.synthetic.{field}: found {config[field]!r}, expected {expected}'
    )

  for field, expected in _EXPECTED.items():
    if not expected.meets(config[field]):
      refuse(field, expected.wanted(config[field]))
  if config.market in SIGNAL_COLUMNS and config.num_context < 2:
    refuse(
      'num_context',
      f"at least 2 in the market '{config.market}': the second column is "
      f'{SIGNAL_COLUMNS[config.market]}',
    )
  least = config.num_context + config.num_stocks
  if config.num_columns < least:
    refuse('num_columns', f'at least num_context + num_stocks, {least}')
  if config.num_days * config.num_columns > _MOST_CELLS:
    most = _MOST_CELLS // config.num_columns
    refuse('num_days', f'at most {most} with num_columns={config.num_columns}')
  for field in ('late_listings', 'delistings'):
    if config[field] > 0.0 and config.num_days < 4 * SHORTEST_LISTING:
      refuse(
        field,
        f'0 with num_days={config.num_days}; other values need at least '
        f'{4 * SHORTEST_LISTING} days',
      )


def _check_prices(ohlc: np.ndarray, config: Any) -> None:
  """Raises DataError if drifts move prices out of the range of float32."""
  least, most = np.finfo(np.float32).tiny, np.finfo(np.float32).max
  if not ((ohlc >= least) & (ohlc <= most)).all():
    raise DataError(
      f'data.synthetic.signal: found {config.signal}, expected a smaller '
      f'number: in {config.num_days} days (data.synthetic.num_days) prices '
      'leave the range of float32'
    )


def _context_prices(
  rng: np.random.Generator, hidden: Hidden, num: int
) -> np.ndarray:
  """Returns prices [T, num, 4] of the context columns before the stocks.

  They are an index of the stocks, the signal column if the market has one, and
  random walks.
  """
  stocks = hidden.stocks
  before = np.concatenate([stocks[:1, :, 3], stocks[:-1, :, 3]])
  change = (stocks / before[..., None]).mean(axis=1)  # [T, 4]
  close = 100.0 * np.cumprod(change[:, 3])
  index = (close / change[:, 3])[:, None] * change
  others = walks(rng, len(stocks), num)[:, 1:]
  if hidden.signal is not None:
    others[:, :1] = hidden.signal
  return np.concatenate([index[:, None], others], axis=1)[:, :num]


def _unlisted(
  rng: np.random.Generator, config: Any, num_days: int
) -> np.ndarray:
  """Draws when each stock is not yet or no longer listed, bool [T, C]."""
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
  # From the other end, so that no stock is both if that can be avoided.
  is_gone = num - 1 - chosen < round(config.delistings * num)
  day = np.arange(num_days)[:, None]
  first = config.num_context
  unlisted[:, first : first + num] = (is_late & (day < lists)) | (
    is_gone & (day >= leaves)
  )
  return unlisted


def _names(
  first: int, stop: int, num_columns: int, market: str
) -> tuple[str, ...]:
  stocks = [f'STOCK{i:03d}' for i in range(stop - first)]
  walks = [f'NOISE{i:03d}' for i in range(1, num_columns)]
  # The index is the first of the columns before the stocks.
  before = ['INDEX', *walks][:first]
  if market in SIGNAL_COLUMNS:
    before[1] = SIGNAL_COLUMNS[market]
  after = walks[max(first - 1, 0) :][: num_columns - stop]
  return (*before, *stocks, *after)


def _settings_hash(config: Any) -> str:
  settings = json.dumps(dict(config), sort_keys=True, default=str)
  return hashlib.sha256(f'synthetic 1 {settings}'.encode()).hexdigest()

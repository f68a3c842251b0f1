"""The proof of no look-ahead, for a panel and a configuration.

All values after a day are changed at random; the panel and its changed copy are
called futures. Up to and including that day, indicators, normalised
observations, a policy's actions, fills, the account, rewards that are known,
controls and backtests must not change by a single bit.

By design, three things depend on later days:

- The normalisation, and the choice of what may be bought, are determined on all
  training days. If a training day is changed, both futures use those of the
  unchanged data.
- Rewards may look ahead, but nothing else may depend on them. A reward is
  compared if it is known by the day after which values change. `entry`, the
  future return of a trade, is known when the trade is closed. `entry_excess`
  subtracts the mean return of the day's trades, and counts as known when the
  longest possible trade is closed; without `market_timing` it also depends on
  the trades of all days, and is not compared. `portfolio`, the change of equity
  to the next close, is known at that close. `shaped_portfolio` counts as known
  when the longest possible trade is closed. `eigen2` does not look ahead.
- The control that is given the embedded market's hidden drift is left out.
"""

import functools
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from eigen3 import settings
from eigen3.data import (
  FEATURES,
  MarketPanel,
  eigen2_features,
  fit_normalisation,
  observe,
  split_days,
)
from eigen3.environment import Market, Rules, TradingEnvironment
from eigen3.environment.rollout import Actions
from eigen3.evaluation.backtest import Backtester
from eigen3.evaluation.controls import Controls
from eigen3.evaluation.lookahead import accounts
from eigen3.evaluation.lookahead.futures import scramble
from eigen3.evaluation.lookahead.leaks import (
  Compared,
  Comparison,
  compare_pasts,
  named,
  summed,
)
from eigen3.types import Array

# Maps days [M] of a market to actions [M, N, 2] or an encoded policy.
Policy = Callable[[Market, Array], Actions]

_CHUNK_CELLS = 1 << 24  # most cells of windows that are compared at once


class Parts(NamedTuple):
  """The functions and classes to check; by default those of the project.

  Attributes:
    indicators: maps prices [T, C, 4] to features [T, C, F].
    normalise: called like `fit_normalisation`.
    market: called like `Market.from_panel`.
    environment: called like `TradingEnvironment`.
    backtester: called like `Backtester`.
    controls: called like `Controls`.
  """

  indicators: Callable[[np.ndarray], np.ndarray] = eigen2_features
  normalise: Callable[..., Any] = fit_normalisation
  market: Callable[..., Market] = Market.from_panel
  environment: Callable[..., TradingEnvironment] = TradingEnvironment
  backtester: Callable[..., Backtester] = Backtester
  controls: Callable[..., Controls] = Controls


OURS = Parts()


def prove(
  panel: MarketPanel,
  config: Mapping[str, Any],
  policy: Policy | None = None,
  last_days: Sequence[int] | None = None,
  seeds: Sequence[int] = (0,),
  acting_days: int = 64,
  parts: Parts = OURS,
) -> dict[str, Compared]:
  """Proves that nothing up to a day depends on values after that day.

  Args:
    panel: T days. Its features are taken as given; see `prove_maker` to check
      how they were made.
    config: all settings; `data`, `environment`, `evaluation` and `seed` are
      read.
    policy: called once per future, on a batch of days before and after the last
      unchanged day; None to check no policy. If it returns an encoded policy,
      the encoded market is compared, and so are the actions computed from it
      while an account is simulated.
    last_days: the last unchanged days, used one at a time, each at least D - 1
      and at most T - 2. By default those of `spread_days`.
    seeds: seeds of the random changes; each is used with each last day.
    acting_days: the most days on which the policy is evaluated in each future.
    parts: the code to check.

  Returns:
    The numbers of compared values by kind, in order of computation; see
    `leaks.summed`.

  Raises:
    LookAheadError: something looks ahead; the error names the array and the
      day.
    ValueError: a last day or a setting is out of range, or the panel is too
      short.
  """
  if last_days is None:
    last_days = spread_days(panel, config)
  for last_day in last_days:
    _check_last_day(last_day, panel, config)

  def results():
    for last_day, seed in itertools.product(last_days, seeds):
      panels = (panel, scramble(panel, last_day, seed))
      futures = _Futures(panels, last_day, config, parts)
      rng = np.random.default_rng((seed, last_day))
      comparisons = _comparisons(futures, policy, acting_days, rng)
      for before, after, days in comparisons:
        yield compare_pasts(before, after, last_day, days)

  return summed(results())


def spread_days(
  panel: MarketPanel, config: Mapping[str, Any], count: int = 4
) -> list[int]:
  """Returns days after which to change all values, in ascending order.

  They are `count` days, spread evenly from the first day with a full window to
  the second to last day, and the last training day or the nearest day in that
  range: if only days after the training days change, the normalisation must
  stay the same. Duplicates are dropped.

  Raises:
    ValueError: the panel is too short.
  """
  first, last = _bounds(panel, config)
  spread = np.linspace(first, last, count).round().astype(int)
  last_training_day = _training_days(panel, config)[1] - 1
  return np.unique([*spread, np.clip(last_training_day, first, last)]).tolist()


def _bounds(panel: MarketPanel, config: Mapping[str, Any]) -> tuple[int, int]:
  """Returns the first day with a full window and the second to last day.

  Raises:
    ValueError: the panel is too short.
  """
  window = config['environment']['context_days']
  if panel.num_days <= window:
    raise ValueError(
      f'panel: found {panel.num_days} days, expected at least {window + 1}: a '
      'full window (environment.context_days) and one more day'
    )
  return window - 1, panel.num_days - 2


def _check_last_day(
  last_day: int, panel: MarketPanel, config: Mapping[str, Any]
) -> None:
  first, last = _bounds(panel, config)
  if not first <= last_day <= last:
    raise ValueError(
      f'last_days: found {last_day}, expected {settings.span(first, last)}, so '
      'that a full window ends on it and at least one day comes after it'
    )


def _training_days(
  panel: MarketPanel, config: Mapping[str, Any]
) -> tuple[int, int]:
  return split_days(panel.num_days, config['data'], panel.training_days).train


class _Futures(NamedTuple):
  """A panel in two futures.

  Attributes:
    panels: the original and the changed one.
    last_day: the last day on which they are equal.
    config: all settings.
    parts: the code to check.
  """

  panels: tuple[MarketPanel, MarketPanel]
  last_day: int
  config: Mapping[str, Any]
  parts: Parts


def _comparisons(
  futures: _Futures,
  policy: Policy | None,
  acting_days: int,
  rng: np.random.Generator,
) -> Iterator[Comparison]:
  """Yields comparisons of all stages, from indicators to accounts."""
  panels, last_day, config, parts = futures
  yield _indicators(futures)
  markets = _markets(futures)
  yield _observations(markets, config)
  yield from _windows(markets, last_day)
  environments = [parts.environment(p, config['environment']) for p in panels]
  shape = (panels[0].num_days, panels[0].num_investable)
  actions = _random_actions(rng, environments[0].rules, shape, last_day)
  yield from accounts.accounts('account', environments, actions, last_day)
  yield from _backtests(futures, actions)
  if policy is not None:
    days = _days_around(futures, acting_days)
    decided = [policy(m, jnp.asarray(days)) for m in markets]
    before, after = (accounts.named_actions('actions', x) for x in decided)
    yield before, after, days
    mixed = [
      accounts.with_policy(of_days, days, of_policy)
      for of_days, of_policy in zip(actions, decided, strict=True)
    ]
    yield from accounts.accounts(
      "policy's account", environments, mixed, last_day
    )


def _indicators(futures: _Futures) -> Comparison:
  """Returns a comparison of the indicators of both futures' prices."""
  before, after = (
    np.asarray(futures.parts.indicators(p.ohlc)) for p in futures.panels
  )
  count = before.shape[-1]
  names = FEATURES if count == len(FEATURES) else tuple(map(str, range(count)))
  return (
    named('indicators', names, before),
    named('indicators', names, after),
    None,
  )


def _markets(futures: _Futures) -> list[Market]:
  """Returns the market of the original panel and that of the changed one.

  If a training day is changed, both use the normalisation of the original
  data; otherwise each has its own.
  """
  panels, last_day, config, parts = futures
  train = _training_days(panels[0], config)
  names = tuple(config['data']['observed_features'])
  normalisation = parts.normalise(observe(panels[0], names), train)
  normalisations = [normalisation, normalisation]
  if last_day >= train[1] - 1:
    normalisations[1] = parts.normalise(observe(panels[1], names), train)
  return [
    parts.market(
      panel,
      names,
      normalisation,
      config['environment']['context_days'],
    )
    for panel, normalisation in zip(panels, normalisations, strict=True)
  ]


def _observations(
  markets: Sequence[Market], config: Mapping[str, Any]
) -> Comparison:
  """Returns a comparison of the normalised features of all days."""
  names = config['data']['observed_features']
  before, after = (
    named('observations', names, np.asarray(m.features)) for m in markets
  )
  return before, after, None


def _windows(markets: Sequence[Market], last_day: int) -> Iterator[Comparison]:
  """Yields comparisons of all windows up to `last_day`, and some later ones."""
  market = markets[0]
  cells = market.context_days * int(np.prod(market.features.shape[1:]))
  size = max(1, _CHUNK_CELLS // cells)
  stop = min(market.num_days, last_day + 1 + size)
  for first in range(market.context_days - 1, stop, size):
    days = np.arange(first, min(first + size, stop))
    before, after = (
      {'windows': np.asarray(_gather(m, jnp.asarray(days)))} for m in markets
    )
    yield before, after, days


@jax.jit
def _gather(market: Market, days: Array) -> Array:
  return market.windows(days)


def _random_actions(
  rng: np.random.Generator, rules: Rules, shape: tuple[int, int], last_day: int
) -> list[np.ndarray]:
  """Draws each future's actions, float32 [T, N, 2].

  Args:
    rng: the random generator.
    rules: define the bounds, which some actions exceed.
    shape: (T, N).
    last_day: the last day with the same actions in both futures.
  """
  futures = []
  for _ in range(2):
    coefficients = rng.uniform(0, 1.2 * rules.coefficient_ceiling, shape)
    coefficients[rng.random(shape[0]) < 0.2] *= 0.4  # quiet days
    targets = rng.uniform(0, 1.2 * rules.max_sale_target, shape)
    actions = np.stack([coefficients, targets], axis=-1)
    futures.append(actions.astype(np.float32))
  futures[1][: last_day + 1] = futures[0][: last_day + 1]
  return futures


def _backtests(
  futures: _Futures, actions: Sequence[np.ndarray]
) -> Iterator[Comparison]:
  """Yields one comparison of the two futures, over the whole panel.

  It compares the backtests of the controls and of the given actions.
  """
  settings = futures.config['environment']
  evaluation = {**futures.config['evaluation'], 'random_entries': 1}
  backtesters = [
    futures.parts.backtester(panel, settings, (0, panel.num_days))
    for panel in futures.panels
  ]
  make_controls = [
    functools.partial(
      futures.parts.controls,
      panel,
      environment=settings,
      evaluation=evaluation,
      seed=futures.config['seed'],
    )
    for panel in futures.panels
  ]
  return accounts.backtests(backtesters, make_controls, actions)


def _days_around(futures: _Futures, count: int) -> np.ndarray:
  """Returns at most `count` consecutive days around `last_day`.

  If possible, three quarters of them are up to and including `last_day`.
  """
  panel = futures.panels[0]
  first, _ = _bounds(panel, futures.config)
  count = min(count, panel.num_days - first)
  start = futures.last_day + 1 - -(-3 * count // 4)
  return np.arange(count) + np.clip(start, first, panel.num_days - count)

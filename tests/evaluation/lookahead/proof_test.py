"""Nothing looks ahead, in any mode; planted leaks are found.

Planted leaks show the power of the proof. Each is planted in one part, and the
proof must name its array and its day.
"""

import dataclasses
import itertools

import gappy_market
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from eigen3 import data
from eigen3.data import Normalisation
from eigen3.environment import Market, TradingEnvironment, prices
from eigen3.evaluation import Backtester, lookahead
from eigen3.evaluation.lookahead import LookAheadError, Parts
from experiments.configs import td3

TRAIN_STOP = gappy_market.TRAIN_STOP
LAST = 90  # after the training days
MODES = {
  'fill': ('next_open', 'close'),
  'target_fill': ('limit_or_open', 'limit'),
  'delisting_price': ('last_close', 'entry_price'),
  'entry_choice': ('best_available', 'best'),
  'enforce_cash': (True, False),
  'max_entries_per_day': (1, 2),
  'reward': ('entry', 'eigen2'),
}
# All arrays except the reward.
ALL = list(itertools.product((0, 1), repeat=len(MODES) - 1))
# Eight rows with all four combinations of any two settings.
SOME = [
  (a, b, c, a ^ b, a ^ c, b ^ c, a ^ b ^ c)
  for a, b, c in itertools.product((0, 1), repeat=3)
]
KINDS = (
  'indicators',
  'observations',
  'windows',
  'account',
  'rewards',
  'controls',
  'backtest',
)


def settings_of(row):
  return {
    name: choices[i]
    for (name, choices), i in zip(MODES.items(), row, strict=True)
  }


def prove_mode(row, market_seed, seeds):
  """Runs the proof in the mode of `row`; enough values must be compared."""
  config = gappy_market.config(**settings_of(row))
  panel = gappy_market.panel(market_seed)
  if market_seed % 3 == 0:  # all can be bought on every day
    panel = dataclasses.replace(panel, members=None)
  found = lookahead.prove(panel, config, seeds=seeds)
  assert tuple(found) == KINDS
  for name, compared in found.items():
    assert min(compared) > 50, name


def test_nothing_looks_ahead_where_orders_wait():
  """Uses a market with weekends beside one without."""
  panel = gappy_market.panel()
  markets = np.array([0, 1, 1, 1, 0, 0, 0])
  closed = np.isin(np.arange(panel.num_days) % 7, [5, 6])
  cells = closed[:, None] & (markets == 1)
  panel = dataclasses.replace(
    panel,
    ohlc=np.where(cells[..., None], np.nan, panel.ohlc),
    features=np.where(cells[..., None], np.nan, panel.features),
    markets=tuple(markets.tolist()),
  )
  config = gappy_market.config(
    max_entries_per_day=2, entry_choice='best_available'
  )
  found = lookahead.prove(panel, config)
  for name, compared in found.items():
    assert min(compared) > 50, name


@pytest.mark.parametrize('index', range(len(SOME)))
def test_nothing_looks_ahead(index):
  prove_mode(SOME[index], index, seeds=[index])


def test_the_mean_trade_of_a_day_looks_no_further_than_its_trades():
  """Without `market_timing`, the mean of all days is known at their end."""
  panel = gappy_market.panel(1)
  for timing in (True, False):
    config = gappy_market.config(reward='entry_excess', market_timing=timing)
    compared = lookahead.prove(panel, config)
    assert (compared['rewards'].known > 50) is timing
    assert compared['rewards'].changed > 50


@pytest.mark.long
@pytest.mark.parametrize('row', ALL, ids=str)
def test_nothing_looks_ahead_in_any_mode(row):
  """Uses the reward that depends on all rules; Eigen2's only on exits."""
  prove_mode((*row, 0), market_seed=sum(row), seeds=range(2))


@pytest.mark.long
def test_nothing_looks_ahead_in_the_embedded_market():
  config = td3.get_config('smoke')
  config.data.synthetic.late_listings = 0.3
  config.data.synthetic.delistings = 0.3
  panel = data.synthetic_market(config.data.synthetic).panel
  found = lookahead.prove(panel, config)
  assert min(min(compared) for compared in found.values()) > 300


def test_days_are_spread_and_the_last_training_day_is_one():
  panel, config = gappy_market.panel(), gappy_market.config()
  days = lookahead.spread_days(panel, config)
  assert days == [3, 41, TRAIN_STOP - 1, 80, 118]
  # So are those of windows that begin after the training days.
  long = gappy_market.config(context_days=100)
  assert lookahead.spread_days(panel, long, 2) == [99, 118]


@pytest.mark.parametrize('last_day', [2, 119])
def test_days_that_cannot_be_proven_are_refused(last_day):
  with pytest.raises(ValueError, match=f'found {last_day}, expected 3 to 118'):
    lookahead.prove(
      gappy_market.panel(), gappy_market.config(), last_days=[last_day]
    )


def test_a_panel_without_a_day_after_its_first_window_is_refused():
  panel = gappy_market.panel()
  config = gappy_market.config(context_days=panel.num_days)
  with pytest.raises(ValueError, match='found 120 days, expected at least 121'):
    lookahead.prove(panel, config)


# Planted leaks.


def find_leak(parts, last_day=LAST, **settings):
  """Returns the leak that the proof names if all can always be bought."""
  with pytest.raises(LookAheadError) as raised:
    lookahead.prove(
      dataclasses.replace(gappy_market.panel(), members=None),
      gappy_market.config(**settings),
      last_days=[last_day],
      seeds=range(5),
      parts=parts,
    )
  assert raised.value.last_day == last_day
  return raised.value.leak


def of_tomorrow(values):
  """Returns the next day's `values` on each day except the last."""
  return np.concatenate([values[1:], values[-1:]])


def test_features_of_the_next_day_are_found():
  def leaking(ohlc):
    return of_tomorrow(data.eigen2_features(ohlc))

  leak = find_leak(Parts(indicators=leaking))
  assert (leak.name, leak.day) == ('indicators.open', LAST)


@pytest.mark.parametrize('name', data.FEATURES)
def test_each_indicator_is_looked_at(name):
  place = data.FEATURES.index(name)

  def leaking(ohlc):
    features = data.eigen2_features(ohlc)
    features[..., place] = of_tomorrow(features[..., place])
    return features

  leak = find_leak(Parts(indicators=leaking))
  assert (leak.name, leak.day) == (f'indicators.{name}', LAST)


def test_a_centred_moving_average_is_found():
  """Its window reaches five days ahead."""

  def leaking(ohlc):
    features = data.eigen2_features(ohlc)
    close = np.nan_to_num(ohlc[..., 3])
    padded = np.pad(close, ((5, 5), (0, 0)), mode='edge')
    around = [padded[days : days + len(close)] for days in range(11)]
    features[..., 8] = close - np.mean(around, axis=0)
    return features

  leak = find_leak(Parts(indicators=leaking))
  assert (leak.name, leak.day) == ('indicators.close_minus_mean', LAST - 4)


def test_a_normalisation_of_all_days_is_found():
  def leaking(features, train):
    return data.fit_normalisation(features, (0, len(features)))

  leak = find_leak(Parts(normalise=leaking))
  # The first known cell: a change needs the previous day.
  assert (leak.name, leak.day) == ('observations.rsi', 0)
  # Statistics are known from the last training day on.
  leak = find_leak(Parts(normalise=leaking), last_day=TRAIN_STOP - 1)
  assert (leak.name, leak.day) == ('observations.rsi', 0)


def test_a_normalisation_by_the_last_day_is_found():
  def leaking(features, train):
    by = data.fit_normalisation(features, train)
    return Normalisation(by.mean, by.std * (1 + np.isnan(features[-1, :, :1])))

  names = [
    find_leak(Parts(normalise=leaking), last_day=day).name
    for day in (TRAIN_STOP - 1, LAST)
  ]
  assert names == ['observations.rsi', 'observations.scaled_change']


def test_observations_of_the_next_day_are_found():
  def leaking(panel, *arguments):
    features = of_tomorrow(panel.features)
    return Market.from_panel(
      dataclasses.replace(panel, features=features), *arguments
    )

  leak = find_leak(Parts(market=leaking))
  assert (leak.name, leak.day) == ('observations.rsi', LAST)


@jax.tree_util.register_pytree_node_class
class LateMarket(Market):
  """A market whose windows end a day late."""

  def window(self, day):
    return super().window(day + 1)

  def tree_flatten(self):
    return (self.features,), self.context_days

  @classmethod
  def tree_unflatten(cls, context_days, leaves):
    return cls(*leaves, context_days)


def test_windows_that_end_a_day_late_are_found():
  def leaking(*arguments):
    market = Market.from_panel(*arguments)
    return LateMarket(market.features, market.context_days)

  leak = find_leak(Parts(market=leaking))
  assert (leak.name, leak.day) == ('windows', LAST)


def with_prices(change):
  """Returns an environment with prices [T, N, 4] changed by `change`."""

  def environment(panel, settings, *arguments):
    environment = TradingEnvironment(panel, settings, *arguments)
    table = np.array(environment.prices)
    change(prices.Quote(*np.moveaxis(table, -1, 0)))
    environment.prices = jnp.asarray(table)
    return environment

  return Parts(environment=environment)


def test_fills_at_the_open_of_the_next_day_are_found():
  @with_prices
  def leaking(quotes):
    quotes.open[:] = of_tomorrow(quotes.open)

  leak = find_leak(leaking)
  assert (leak.name, leak.day) == ('account.timestep.extras.equity', LAST)


def test_targets_hit_by_the_high_of_the_next_day_are_found():
  @with_prices
  def leaking(quotes):
    quotes.high[:] = of_tomorrow(quotes.high)

  leak = find_leak(leaking)
  assert leak.name == 'account.timestep.extras.closed.exit_price'
  assert leak.day == LAST


def test_a_status_that_knows_of_delistings_is_found():
  """Stocks delisted tomorrow are sold, and not bought, today."""

  @with_prices
  def leaking(quotes):
    gone = of_tomorrow(quotes.status) == prices.GONE
    quotes.status[gone] = prices.GONE

  leak = find_leak(leaking, delisting_days=1)
  assert leak.name == 'account.timestep.extras.entries.outcome'
  assert leak.day == LAST


def test_a_universe_of_those_that_will_be_priced_is_found():
  """Only stocks with a close three days later can be bought."""

  def leaking(panel, settings, *arguments):
    first, stop = panel.investable
    members = np.isfinite(panel.ohlc[:, first:stop, 3])
    for _ in range(3):
      members = of_tomorrow(members)
    return TradingEnvironment(
      dataclasses.replace(panel, members=members), settings, *arguments
    )

  leak = find_leak(Parts(environment=leaking))
  assert leak.name == 'account.timestep.extras.available'
  assert LAST - 2 <= leak.day <= LAST


class LeakingEnvironment(TradingEnvironment):
  """Passes its time steps through `leak`."""

  def step(self, state, action):
    next_state, timestep = super().step(state, action)
    return next_state, self.leak(state.day, timestep)


@jax.tree_util.register_pytree_node_class
class RewardedAccount(LeakingEnvironment):
  """Adds the reward to the account's equity."""

  def leak(self, day, timestep):
    extras = timestep.extras
    return timestep._replace(
      extras=extras._replace(equity=extras.equity + timestep.reward)
    )


def test_an_account_that_sees_the_entry_reward_is_found():
  """The reward of an entry is known before the trade is over."""
  leak = find_leak(Parts(environment=RewardedAccount), reward='entry')
  assert leak.name == 'account.timestep.extras.equity'
  assert LAST - 5 <= leak.day <= LAST


@jax.tree_util.register_pytree_node_class
class RewardedByTomorrow(LeakingEnvironment):
  """Pays tomorrow's price of the first stock."""

  def leak(self, day, timestep):
    tomorrow = prices.quote(self.prices, day + 1, 0).last_close
    return timestep._replace(reward=timestep.reward + tomorrow)


@pytest.mark.parametrize('reward', MODES['reward'])
def test_a_settled_reward_that_looks_ahead_is_found(reward):
  leak = find_leak(Parts(environment=RewardedByTomorrow), reward=reward)
  assert (leak.name, leak.day) == ('rewards.account', LAST)


def test_a_control_that_ranks_by_tomorrow_is_found():
  class Clairvoyant:
    def __init__(self, panel, backtester, environment, evaluation, seed):
      first, stop = panel.investable
      close = panel.ohlc[backtester.days[0] :, first:stop, 3]
      rises = (of_tomorrow(close) > close)[: len(backtester.days)]
      targets = np.full(rises.shape, 10.0)
      self._actions = np.stack([2.0 * rises, targets], axis=-1)
      self._backtester = backtester

    def run(self):
      actions = jnp.asarray(self._actions, jnp.float32)
      return {'clairvoyant': [self._backtester.run(actions)]}

  leak = find_leak(Parts(controls=Clairvoyant))
  assert (leak.name, leak.day) == ('controls.clairvoyant.actions', LAST)


def test_a_backtest_that_peeks_is_found():
  """Actions are played a day early, and fill at once."""

  class Peeking(Backtester):
    def run(self, actions, account_aware=False):
      return super().run(jnp.roll(actions, -1, axis=0), account_aware)

  leak = find_leak(Parts(backtester=Peeking), fill='close')
  assert (leak.name, leak.day) == ('backtest.equity', LAST)

"""Tests of the reward `entry_excess` against single trades of the slow account.

The mean trade of a day is computed by an account that buys each stock of the
market alone on that day, and holds it until its exit.
"""

import dataclasses

import double_precision
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import quick_compilation
import random_markets
import slow_account

from eigen3.data.panel import MarketPanel
from eigen3.environment import Rules, TradingEnvironment
from eigen3.environment.rewards import NAMED

STOP = random_markets.NUM_DAYS - 4
MODES = [
  {'market_timing': True},
  {'market_timing': False},
  {'market_timing': True, 'fill': 'close', 'max_entries_per_day': 2},
  {
    'market_timing': False,
    'max_entries_per_day': 2,
    'target_fill': 'limit',
    'delisting_price': 'entry_price',
  },
]
SEEDS = (1, 2)  # the first has a universe whose members change


def _config(**settings):
  return random_markets.config(
    **{
      'reward': 'entry_excess',
      'entry_choice': 'best_available',
      'full_size_coefficient': 1.5,
      **settings,
    }
  )


class SlowExcess:
  """Computes the mean trade of every day by playing each trade."""

  def __init__(self, panel, config):
    self.account = slow_account.SlowAccount(panel, config, STOP)
    self.config = config
    widest = config.max_sale_target
    first = config.context_days - 1
    of_days = [self.mean(day, widest) for day in range(first, STOP - 1)]
    self.of_all_days = np.mean([x for x in of_days if x is not None])

  def mean(self, day, sale_target):
    num_stocks = self.account.ohlc.shape[1]
    found = [
      self.account.alone(day, stock, sale_target) for stock in range(num_stocks)
    ]
    found = [x for x in found if x is not None]
    return np.mean(found) if found else None

  def nothing(self, day):
    """Returns the reward of an unused entry."""
    if not self.config.market_timing:
      return -self.of_all_days
    mean = self.mean(day, self.config.max_sale_target)
    return 0.0 if mean is None else -mean

  def reward(self, day, trades):
    """Returns the reward of a day on which these trades were decided."""
    paid = 0.0
    for trade in trades:
      percent = self.account.alone(day, trade.stock, trade.sale_target)
      if percent is None:  # No open filled the order.
        paid += self.nothing(day)
        continue
      size = min(trade.coefficient / self.config.full_size_coefficient, 1.0)
      paid += size * (percent - self.mean(day, trade.sale_target))
      paid += (1.0 - size) * self.nothing(day)
    unused = self.config.max_entries_per_day - len(trades)
    return paid + unused * self.nothing(day)


@pytest.mark.parametrize('mode', MODES, ids=str)
def test_it_is_the_entry_reward_less_the_mean_of_all_trades(mode):
  config = _config(**mode)
  num_steps = config.trading_days + config.settlement_days
  start = 7
  environments, actions, expected, some = [], [], [], []
  for seed in SEEDS:
    panel = random_markets.panel(seed)
    of_days = random_markets.actions(seed, num_steps)
    played = slow_account.SlowAccount(panel, config, STOP).play(
      start, of_days.astype(np.float64)
    )
    slow = SlowExcess(panel, config)
    expected.append(
      [slow.reward(start + k, day.accepted) for k, day in enumerate(played)]
    )
    some.append([bool(day.accepted) for day in played])
    actions.append(of_days)
    environments.append((panel, config, (1, STOP)))
  with double_precision.enable_x64(True):
    batch = jax.tree.map(
      lambda *leaves: np.stack(leaves),
      *(TradingEnvironment(*arguments) for arguments in environments),
    )
    play = quick_compilation.jit(jax.vmap(_rewards, in_axes=(0, None, 0)))
    found = play(batch, np.int32(start), np.stack(actions))
  np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)
  # Both kinds of days occurred: with trades and without.
  some = np.array(some)
  assert 8 < some.sum() < some.size - 8
  assert np.std(np.array(expected)[some]) > 1.0


def _rewards(environment, start, actions):
  state, _ = environment.reset_at(start)

  def step(state, action):
    state, timestep = environment.step(state, action)
    return state, timestep.reward

  return jax.lax.scan(step, state, actions)[1]


@jax.jit
def _paid(environment, day, sale_target):
  """Returns rewards of full orders [N], of no order [], and `entry` [N]."""
  rules, reward = environment.rules, environment.reward
  stock = jnp.arange(environment.prices.shape[1])
  orders = (
    environment,
    day,
    stock,
    jnp.full(stock.shape, rules.full_size_coefficient),
    jnp.full(stock.shape, sale_target),
  )
  nothing = reward.of_nothing(environment, day)
  return reward.of_orders(*orders), nothing, NAMED['entry'].of_orders(*orders)


def _market(growth, num_days=30, cost=50.0, **settings):
  """Returns a market of stocks that grow by [num_days, N] or [N] a day."""
  growth = np.broadcast_to(growth, (num_days, np.shape(growth)[-1]))
  close = 100.0 * np.cumprod(1.0 + growth, axis=0)
  ohlc = np.repeat(close[..., None], 4, -1)
  panel = MarketPanel(
    dates=np.datetime64('2001-01-01') + np.arange(num_days),
    columns=tuple(f'C{i}' for i in range(ohlc.shape[1])),
    ohlc=ohlc,
    features=ohlc,
    investable=(0, ohlc.shape[1]),
  )
  config = _config(
    context_days=1,
    commission_bp=cost,
    slippage_bp=0.0,
    max_sale_target=50.0,
    **settings,
  )
  return TradingEnvironment(panel, config)


def _noisy(seed=0, common=0.03):
  """Returns three stocks that share most of their moves."""
  rng = np.random.default_rng(seed)
  return rng.normal(0, common, (30, 1)) + rng.normal(0.001, 0.01, (30, 3))


@pytest.mark.parametrize('timing', [True, False])
def test_where_every_trade_loses_its_costs_none_is_best(timing):
  """Costs are common to all trades, but must not cancel with the mean."""
  environment = _market(np.array([0.0, 0.001, -0.001]), market_timing=timing)
  paid, nothing, entry = _paid(environment, 10, 50.0)
  assert (np.asarray(entry) < 0).all()
  assert (np.asarray(paid) < nothing).all()
  assert np.max(paid) > 0  # though the best is above the mean


@pytest.mark.parametrize('timing', [True, False])
def test_where_every_trade_gains_none_is_worst(timing):
  environment = _market(
    np.array([0.01, 0.02, 0.03]), market_timing=timing, cost=10.0
  )
  paid, nothing, entry = _paid(environment, 10, 50.0)
  assert (np.asarray(entry) > 0).all()
  assert (np.asarray(paid) > nothing).all()
  assert np.min(paid) < 0


def test_with_timing_actions_differ_by_as_much_as_under_entry():
  environment = _market(_noisy(), market_timing=True)
  for day in range(5, 20):
    paid, nothing, entry = _paid(environment, day, 50.0)
    np.testing.assert_allclose(paid - nothing, entry, atol=1e-3)


def test_without_timing_no_day_is_better_for_buying_than_another():
  environment = _market(_noisy(), market_timing=False)
  assert environment.rules.trading_days == 18
  days = range(0, 29)  # the last order of all is filled on the last day
  paid, nothing, entry = (
    np.stack(x)
    for x in zip(*(_paid(environment, d, 50.0) for d in days), strict=True)
  )
  assert np.ptp(nothing) == 0
  worth = paid - nothing[:, None]
  assert np.std(entry.mean(1)) > 2.0
  assert np.std(worth.mean(1)) < 1e-3
  # On average over days, buying and each stock keep their profit.
  np.testing.assert_allclose(worth.mean(0), entry.mean(0), atol=1e-3)


@pytest.mark.parametrize('timing', [True, False])
def test_what_is_common_to_all_stocks_is_gone(timing):
  """Rewards of a day's trades do not depend on later moves of the market."""
  own = _noisy(common=0.0)
  paid = []
  for shock in (0.0, 0.05, -0.05):
    moves = own.copy()
    moves[12] = (1 + moves[12]) * (1 + shock) - 1
    environment = _market(moves, market_timing=timing, cost=0.0)
    paid.append(_paid(environment, 10, 50.0))
  spread = np.std([x.mean() for _, _, x in paid])
  assert spread > 3.0
  assert np.std([x for x, _, _ in paid], axis=0).max() < 0.06 * spread


def test_targets_are_compared_with_trades_of_the_same_target():
  """All stocks reach the low target, so it is neither better nor worse."""
  environment = _market(np.full(3, 0.02), market_timing=True)
  for target in (2.0, 50.0):
    paid, _, entry = _paid(environment, 10, target)
    np.testing.assert_allclose(paid, 0.0, atol=1e-3)
    assert (np.asarray(entry) > 0.5).all()


def test_costs_may_be_an_argument():
  """The reward of no order is that of trades at these costs."""
  environment = _market(_noisy(), market_timing=True, cost=100.0)
  found = _paid(_market(_noisy(), market_timing=True).at_cost(0.01), 9, 50.0)
  for one, other in zip(found, _paid(environment, 9, 50.0), strict=True):
    np.testing.assert_allclose(one, other, atol=1e-3)


@pytest.mark.parametrize('timing', [True, False])
def test_it_looks_no_further_than_the_split(timing):
  panels = [random_markets.panel(seed) for seed in (0, 0)]
  panels[1].ohlc[STOP:] *= 2
  config = _config(market_timing=timing)
  environments = [
    TradingEnvironment(panel, config, (1, STOP)) for panel in panels
  ]
  prepared = [np.asarray(one.prepared)[:STOP] for one in environments]
  np.testing.assert_array_equal(*prepared)
  for day in (20, STOP - 3, STOP - 2):
    ours, theirs = (_paid(one, day, 5.0) for one in environments)
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)


def test_other_rewards_prepare_nothing():
  """Environments with other rewards keep their tree structure."""
  environment = TradingEnvironment(
    random_markets.panel(0), random_markets.config()
  )
  assert environment.prepared is None
  assert len(jax.tree.leaves(environment)) == 4


def test_orders_that_wait_are_known_when_the_longest_trade_is_over():
  rules = Rules.from_config(_config(market_timing=True))
  rules = dataclasses.replace(rules, closed_days=3)
  days = np.arange(5)
  known = NAMED['entry_excess'].known_on(rules, days, None)
  # Closed for three days before the fill, and for three before the exit.
  held = rules.max_holding_days + rules.delisting_days
  np.testing.assert_array_equal(known, days + 1 + 3 + held + 3)

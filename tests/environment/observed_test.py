"""Tests of the observed account, by hand and against the slow account."""

import jax
import numpy as np
import pytest
import quick_compilation
import random_markets
import slow_account

from eigen3.data.panel import MarketPanel
from eigen3.environment import TradingEnvironment
from eigen3.types import Account
from experiments.configs import td3

STOP = random_markets.NUM_DAYS - 4
MODES = [
  {'fill': 'next_open', 'entry_choice': 'best_available'},
  {'fill': 'next_open', 'max_entries_per_day': 2, 'enforce_cash': False},
  {
    'fill': 'close',
    'delisting_price': 'entry_price',
    'target_fill': 'limit',
    'max_entries_per_day': 2,
  },
]
QUIET = (100, 101, 99, 100)  # open, high, low, close
SHARES = 5000 / 1.01 / 100  # of an order of 5,000 that pays 1 %


def _play(environment, start, actions):
  """Returns the first time step, and those of an episode with later states."""
  state, first = environment.reset_at(start)

  def step(state, action):
    state, timestep = environment.step(state, action)
    return state, (timestep, state)

  return first, jax.lax.scan(step, state, actions)[1]


def _by_hand(rows, target=20.0, **settings):
  """Buys the second of two stocks for half the cash of 10,000 on day 0."""
  section = td3.get_config('smoke').environment
  section.update(
    context_days=1,
    trading_days=2,
    max_holding_days=2,
    settlement_days=4,
    initial_cash=10_000.0,
    max_position_fraction=0.5,
    commission_bp=100.0,
    slippage_bp=0.0,
    observe_account=True,
    reward='portfolio',
  )
  section.update(settings)
  rows = [*rows, *[QUIET] * (7 - len(rows))]
  ohlc = np.array([[QUIET] * len(rows), rows], np.float32).swapaxes(0, 1)
  panel = MarketPanel(
    dates=np.datetime64('2001-01-01') + np.arange(len(ohlc)),
    columns=('A', 'B'),
    ohlc=ohlc,
    features=ohlc,
    investable=(0, 2),
  )
  actions = np.zeros((6, 2, 2), np.float32)
  actions[..., 1] = target
  actions[0, 1, 0] = 2.0
  environment = TradingEnvironment(panel, section)
  played = quick_compilation.jit(_play)(environment, np.int32(0), actions)
  return jax.device_get(played)


def _approx(value):
  return pytest.approx(value, rel=1e-5, abs=1e-6)


def test_an_account_by_hand():
  first, (timesteps, states) = _by_hand([QUIET, (100, 104, 98, 102), QUIET])
  assert first.account.stocks.tolist() == [[0.0] * 5] * 2
  # Six days are left; on the last six the end of an episode matters.
  assert first.account.whole.tolist() == [1.0, 1.0]
  seen = timesteps.account
  assert seen.stocks.shape == (6, 2, 5)
  np.testing.assert_array_equal(seen.stocks[:, 0], 0)
  # After the first decision it is day 1: bought at its open, worth 102 a share.
  equity = 5000 + SHARES * 102
  assert seen.stocks[0, 1] == _approx(
    [SHARES * 102 / equity / 0.5, 0.0, 2 / 50, 20 / 50, 0.0]
  )
  assert seen.whole[0] == _approx([5000 / equity, 5 / 6])
  # A day later, and another: then it is old, and a sale is pending.
  assert seen.stocks[1, 1, 1:].tolist() == _approx([0.5, 0.0, 0.4, 0.0])
  assert seen.stocks[2, 1, 1:].tolist() == _approx([1.0, 0.0, 0.4, 1.0])
  # Sold at the open of day 4; no longer observed.
  assert seen.stocks[3:, 1].tolist() == [[0.0] * 5] * 3
  assert seen.whole[3:] == _approx(np.array([[1, 2 / 6], [1, 1 / 6], [1, 0]]))
  assert states.equity[-1] < 10_000


def test_the_portfolio_reward_by_hand():
  rows = [QUIET, (100, 104, 98, 102), (102, 103, 98, 99)]
  _, (timesteps, states) = _by_hand(rows, portfolio_scale=10.0)
  # Each is until the next decision; the first includes the entry's cost.
  equity = [10_000, *(5000 + SHARES * price for price in (102, 99, 100))]
  equity += [5000 + SHARES * 99] * 3  # sold for 100, less 1 %
  assert timesteps.reward == _approx(10 * np.diff(np.log(equity)))
  assert states.cumulative_reward[-1] == _approx(
    10 * np.log(states.equity[-1] / 10_000)
  )
  assert timesteps.discount.tolist() == [1, 1, 1, 1, 1, 0]


def test_an_open_position_goes_on_into_the_reward():
  """At the end of a slice that is not terminal, the next change is paid."""
  rows = [QUIET, QUIET, QUIET, (100, 103, 99, 102)]
  _, (timesteps, _) = _by_hand(rows, settlement_days=1, portfolio_scale=1.0)
  assert timesteps.discount[2] == 1
  assert timesteps.last[2]
  sold = 5000 + SHARES * 102
  assert timesteps.reward[2] == _approx(np.log(sold / (5000 + SHARES * 100)))


def test_an_entry_at_the_close_pays_its_cost_at_once():
  _, (timesteps, _) = _by_hand([], fill='close', portfolio_scale=1.0)
  assert timesteps.reward[0] == _approx(np.log((5000 + SHARES * 100) / 10_000))


def test_an_unseen_account_is_no_array():
  first, (timesteps, _) = _by_hand([], observe_account=False)
  assert first.account is timesteps.account is None


def test_observing_changes_nothing_else():
  seen, unseen = (
    _by_hand([], observe_account=value, reward='entry')
    for value in (True, False)
  )
  first, (timesteps, states) = seen
  blind = timesteps._replace(account=None)
  np.testing.assert_equal(
    (first._replace(account=None), (blind, states)), unseen
  )


@pytest.mark.parametrize(
  ('mode', 'num_markets'),
  [(MODES[0], 1), (MODES[1], 2), (MODES[2], 1)],
)
def test_the_slow_account_sees_the_same(mode, num_markets):
  """Compares all observed numbers and rewards on markets with all gaps."""
  config = random_markets.config(
    observe_account=True, reward='portfolio', **mode
  )
  num_steps = config.trading_days + config.settlement_days
  first, last = config.context_days - 1, STOP - 1 - num_steps
  seeds = range(40)
  starts = [first + seed % (last - first + 1) for seed in seeds]
  actions = [random_markets.actions(seed, num_steps) for seed in seeds]
  panels = [random_markets.panel(seed, num_markets) for seed in seeds]
  environments = [TradingEnvironment(p, config, (1, STOP)) for p in panels]
  batch = jax.tree.map(lambda *x: np.stack(x), *environments)
  begun, (timesteps, _) = jax.device_get(
    quick_compilation.jit(jax.vmap(_play))(
      batch, np.array(starts, np.int32), np.stack(actions)
    )
  )
  found = jax.tree.map(
    lambda x, y: np.concatenate([x[:, None], y], axis=1),
    begun.account,
    timesteps.account,
  )
  sold, held = 0, 0
  for k in seeds:
    account = slow_account.SlowAccount(panels[k], config, STOP)
    account.play(starts[k], actions[k].astype(np.float64))
    days = account.days[: num_steps + 1]
    expected = Account(
      np.array([day.seen for day in days]),
      np.array([day.seen_whole for day in days]),
    )
    for name in Account._fields:
      np.testing.assert_allclose(
        getattr(found, name)[k], getattr(expected, name), atol=2e-4
      )
    growth = np.diff(np.log([day.marked for day in days]))
    np.testing.assert_allclose(timesteps.reward[k], 100 * growth, atol=5e-3)
    held += (expected.stocks[..., 0] > 0).sum()
    sold += expected.stocks[..., 4].sum()
  assert held > 400
  assert sold > 5 or config.fill == 'close'

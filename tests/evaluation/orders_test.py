"""Tests of eigen3.evaluation.orders: hand-computed, and as the environment."""

import dataclasses
import math

import jax
import numpy as np
import pytest
import tiny_market

from eigen3.environment import Rules, TradingEnvironment
from eigen3.evaluation import orders
from eigen3.evaluation.orders import Account

# A, B and C close at 20, 50 and 8 on the last of four days.
CLOSE = [[10.0, 40.0, 9.0], [11, 45, 8], [12, 44, 7], [20, 50, 8]]
LAST_DAY = np.datetime64('2024-01-04')
ACTIONS = np.array([[1.2, 20.0], [1.6, 30.0], [0.4, 70.0]], np.float32)


def decide(
  actions=ACTIONS, close=CLOSE, known=(True,) * 3, members=None, **settings
):
  held = settings.pop('held', ())
  cash = settings.pop('cash', 9_000.0)
  markets = settings.pop('markets', ())
  panel = tiny_market.panel(close)
  panel = dataclasses.replace(panel, markets=markets)
  if members is not None:
    panel = dataclasses.replace(panel, members=members)
  return orders.decide(
    panel,
    Rules.from_config(tiny_market.config(**settings)),
    np.asarray(actions, np.float32),
    np.array(known),
    Account(10_000.0, cash, held),
  )


def row(found, ticker):
  return found.table.set_index('ticker').loc[ticker]


def test_orders_by_hand():
  """At a coefficient of 2 a position is half of the equity."""
  found = decide(entry_choice='best_available')
  assert found.reason == ''
  assert found.table['ticker'].tolist() == ['B', 'A', 'C']
  assert found.table['rank'].tolist() == [1, 2, 3]
  assert found.table['order'].tolist() == [True, False, False]
  assert found.table['reaches_threshold'].tolist() == [True, True, False]
  assert row(found, 'B')['position_value'] == pytest.approx(0.5 * 0.8 * 1e4)
  assert row(found, 'A')['position_value'] == pytest.approx(0.5 * 0.6 * 1e4)
  assert row(found, 'C')['position_value'] == 0
  np.testing.assert_allclose(
    found.table['target_price'], [50 * 1.3, 20 * 1.2, 8 * 1.5]
  )
  assert row(found, 'C')['sale_target_percent'] == 50  # the allowed maximum
  assert (found.table['prices_from'] == LAST_DAY).all()
  assert (found.table['note'] == '').all()
  assert (found.table['no_order'] == '').all()


def test_two_orders_share_the_cash():
  found = decide(
    entry_choice='best_available', max_entries_per_day=2, cash=5_000.0
  )
  assert found.table['order'].tolist() == [True, True, False]
  np.testing.assert_allclose(
    found.table['position_value'], [4000, 1000, 0], rtol=1e-6
  )


@pytest.mark.parametrize(
  'changes, note',
  [
    ({'held': ('B',)}, 'held'),
    ({'known': (True, False, True)}, 'no data for 2024-01-04'),
    (
      {'members': np.array([[True, False, True]] * 4)},
      'not in the universe',
    ),
  ],
)
def test_what_is_in_the_way_is_said_and_not_bought(changes, note):
  found = decide(entry_choice='best_available', **changes)
  assert row(found, 'B')['note'] == note
  assert row(found, 'B')['rank'] == 1
  assert row(found, 'B')['position_value'] == 0
  assert found.table.loc[found.table['order'], 'ticker'].tolist() == ['A']


def test_a_closed_market_is_said():
  """Covers the Sunday of a currency pair that is traded beside stocks."""
  close = np.array(CLOSE)
  close[-1, 1:] = np.nan
  found = decide(
    close=close,
    known=(True, False, False),
    markets=(2, 0, 1, 1),
    entry_choice='best_available',
  )
  assert row(found, 'B')['note'] == 'its market is closed on 2024-01-04'
  assert found.table.loc[found.table['order'], 'ticker'].tolist() == ['A']


@pytest.mark.parametrize('days, end', [(1, ''), (3, ', has left the market')])
def test_a_stock_without_a_price_is_told_with_its_last(days, end):
  close = np.array(CLOSE)
  close[-days:, 1] = np.nan
  found = decide(close=close, entry_choice='best_available')
  missing = row(found, 'B')
  assert missing['note'] == f'no data for 2024-01-04{end}'
  assert missing['last_close'] == CLOSE[-1 - days][1]
  assert missing['prices_from'] == LAST_DAY - np.timedelta64(days, 'D')
  assert not missing['order']
  assert row(found, 'A')['order']
  close[:, 1] = np.nan
  missing = row(decide(close=close, entry_choice='best_available'), 'B')
  assert np.isnan(missing['last_close'])
  assert np.isnan(missing['target_price'])
  assert missing.isna()['prices_from']


@pytest.mark.parametrize(
  'changes, words',
  [
    ({'coefficient_threshold': 1.9}, 'no stock that can be bought reaches'),
    (
      {'entry_choice': 'best', 'held': ('B',)},
      'the stock with the largest coefficient is held',
    ),
    (
      {'entry_choice': 'best', 'known': (True, False, True)},
      'the stock with the largest coefficient has no data',
    ),
    ({'cash': 50.0}, 'a position would be smaller than'),
    ({'held': ('A', 'B'), 'entry_choice': 'best_available'}, 'no stock that'),
  ],
)
def test_an_empty_result_says_why(changes, words):
  found = decide(**changes)
  assert found.reason.startswith(words)
  assert set(found.table['no_order']) == {found.reason}  # also in the file
  assert not found.table['order'].any()


@pytest.mark.parametrize(
  'account, words',
  [
    (
      Account(0.0, 0.0),
      '--equity: found 0.0, expected a finite number above 0',
    ),
    (
      Account(math.inf, 0.0),
      '--equity: found inf, expected a finite number above 0',
    ),
    (
      Account(math.nan, 0.0),
      '--equity: found nan, expected a finite number above 0',
    ),
    (Account(9.0, math.nan), '--cash: found nan, expected 0 to 9, the equity'),
    (Account(9.0, 10.0), '--cash: found 10.0, expected 0 to 9, the equity'),
    (Account(9.0, 9.0, ('D',)), "--held: found 'D', expected one of the 3"),
  ],
)
def test_a_wrong_account_is_refused(account, words):
  panel = tiny_market.panel(CLOSE)
  rules = Rules.from_config(tiny_market.config())
  with pytest.raises(ValueError, match='--') as raised:
    orders.decide(panel, rules, ACTIONS, np.ones(3, bool), account)
  assert str(raised.value).startswith(words)


@pytest.mark.parametrize('choice', ['best', 'best_available'])
def test_orders_are_the_environment_s(choice):
  """Requests orders on every day of an episode, with the data known then."""
  rng = np.random.default_rng(7)
  close = 20 * np.exp(0.05 * rng.standard_normal((30, 6)).cumsum(0))
  close[rng.random(close.shape) < 0.15] = np.nan
  panel = tiny_market.panel(close)
  settings = tiny_market.config(
    entry_choice=choice, max_entries_per_day=2, trading_days=20
  )
  rules = Rules.from_config(settings)
  environment = TradingEnvironment(panel, settings)
  stocks = np.array(panel.columns[1:])
  step = jax.jit(TradingEnvironment.step)
  state, _ = jax.jit(TradingEnvironment.reset_at)(environment, 3)
  bought = 0
  for day in range(3, 23):
    actions = rng.uniform((0, 10), (2, 50), (6, 2)).astype(np.float32)
    state, timestep = step(environment, state, actions)
    extras, held = timestep.extras, np.asarray(state.positions.stock)
    until = slice(0, day + 1)
    past = dataclasses.replace(
      panel,
      dates=panel.dates[until],
      ohlc=panel.ohlc[until],
      features=panel.features[until],
    )
    account = Account(
      float(extras.equity), float(extras.cash), tuple(stocks[held[held >= 0]])
    )
    found = orders.decide(past, rules, actions, np.ones(6, bool), account).table
    ordered = found[found['order']]
    accepted = np.asarray(extras.entries.accepted)
    assert ordered['ticker'].tolist() == (
      stocks[np.asarray(extras.entries.stock)[accepted]].tolist()
    )
    for name, value in (
      ('position_value', extras.entries.value),
      ('sale_target_percent', extras.entries.sale_target),
      ('coefficient', extras.entries.coefficient),
    ):
      np.testing.assert_allclose(
        ordered[name], np.asarray(value)[accepted], rtol=1e-6
      )
    bought += len(ordered)
  assert 5 < bought < 40

"""Tests of eigen3.evaluation.backtest, by numbers computed by hand."""

import numpy as np
import pandas as pd
import pytest
import tiny_market

from eigen3.evaluation import Backtester
from eigen3.evaluation.backtest import summarise

NUM_DAYS = 12
A, B = 0, 1


@pytest.fixture(scope='module')
def market():
  """Returns a market: A reaches its target, B falls until its exit."""
  close = np.full((NUM_DAYS, 2), [100.0, 50.0])
  close[2:4, A] = [110, 115]
  close[4:, A] = 115
  close[5:8, B] = [50, 45, 46]
  opening = np.concatenate([close[:1], close[:-1]])
  opening[2, A] = 100
  opening[8, B] = 48
  high = np.maximum(opening, close)
  high[3, A] = 125
  return tiny_market.panel(close, opening, high)


@pytest.fixture(scope='module')
def backtester(market):
  return Backtester(market, tiny_market.config(), (0, NUM_DAYS))


@pytest.fixture(scope='module')
def actions(backtester):
  """Buys a full position of A on day 1, and half a one of B on day 4."""
  actions = np.zeros((len(backtester.days), 2, 2), np.float32)
  actions[..., 1] = 50
  actions[0, A] = 2.0, 20.0
  actions[3, B] = 1.0, 50.0
  return actions


@pytest.fixture(scope='module')
def backtest(backtester, actions):
  return backtester.run(actions)


def test_the_days_are_those_of_the_split(market, backtester):
  # One day is context, and one is the last observation.
  assert backtester.days.tolist() == list(range(1, 11))
  later = Backtester(market, tiny_market.config(), (3, 11))
  assert later.days.tolist() == list(range(3, 10))


def test_equity_by_hand(backtest):
  # Half of 10,000 is spent on A at the open of day 2, costs included.
  shares_a = 5_000 / (100 * 1.01)
  day_2 = 5_000 + 110 * shares_a
  # The target of 20 % is a limit order: 120 on day 3, less costs.
  day_3 = 5_000 + 0.99 * 120 * shares_a
  # A coefficient of half the ceiling buys half as much of B on day 5.
  shares_b = 0.25 * day_3 / (50 * 1.01)
  rest = 0.75 * day_3
  # After two whole days it is sold at the next open, 48.
  end = rest + 0.99 * 48 * shares_b
  expected = [
    10_000,
    day_2,
    day_3,
    day_3,
    rest + 50 * shares_b,
    rest + 45 * shares_b,
    rest + 46 * shares_b,
    end,
    end,
    end,
  ]
  np.testing.assert_allclose(backtest.equity, expected, rtol=1e-6)
  assert backtest.equity.dtype == np.float64
  assert backtest.dates[0] == np.datetime64('2024-01-02')
  assert len(backtest.dates) == len(backtest.equity) == 10


def test_trades_by_hand(backtest):
  shares = [5_000 / 101, 0.25 * (5_000 + 0.99 * 120 * 5_000 / 101) / 50.5]
  day = lambda i: pd.Timestamp('2024-01-01') + pd.Timedelta(i, 'D')  # noqa: E731
  expected = pd.DataFrame(
    {
      'ticker': ['A', 'B'],
      'entry_date': [day(2), day(5)],
      'exit_date': [day(3), day(8)],
      'entry_price': [100.0, 50.0],
      'exit_price': [120.0, 48.0],
      'shares': shares,
      'coefficient': [2.0, 1.0],
      'holding_days': [1, 2],
      'return_percent': [20.0, -4.0],
      'net_profit': [
        shares[0] * (0.99 * 120 - 1.01 * 100),
        shares[1] * (0.99 * 48 - 1.01 * 50),
      ],
      'reason': ['target', 'max_holding'],
    }
  )
  pd.testing.assert_frame_equal(
    backtest.trades, expected, check_dtype=False, rtol=1e-5
  )
  # The trades' profits are the change of the account.
  assert backtest.trades['net_profit'].sum() == pytest.approx(
    backtest.equity[-1] - 10_000, rel=1e-5
  )


def test_the_summary_by_hand(backtest):
  summary = backtest.summary
  equity = backtest.equity
  assert summary['profit'] == pytest.approx(equity[-1] / 10_000 - 1)
  # From the peak of day 3 to the trough of day 6.
  assert summary['max_drawdown'] == pytest.approx(1 - equity[5] / equity[2])
  assert summary['trades'] == 2
  assert summary['win_rate'] == 0.5
  assert summary['holding_days'] == 1.5
  shares_a, shares_b = backtest.trades['shares']
  fills = shares_a * (100 + 120) + shares_b * (50 + 48)
  assert summary['costs'] == pytest.approx(0.01 * fills / 10_000, rel=1e-5)
  held = [110 * shares_a, 50 * shares_b, 45 * shares_b, 46 * shares_b]
  share = np.array(held) / equity[[1, 4, 5, 6]]
  assert summary['exposure'] == pytest.approx(share.sum() / 10, rel=1e-4)


def test_only_account_awareness_buys_around_what_is_held(backtester, actions):
  actions = actions.copy()
  actions[:, A] = 2.0, 50.0  # always prefers A
  actions[:, B] = 1.5, 50.0
  plain = backtester.run(actions)
  aware = backtester.run(actions, account_aware=True)
  assert set(plain.trades['ticker']) == {'A'}
  assert set(aware.trades['ticker']) == {'A', 'B'}
  for trades in (plain.trades, aware.trades):
    for _, own in trades.groupby('ticker'):
      own = own.sort_values('entry_date')
      left = own['exit_date'].to_numpy()[:-1]
      assert (own['entry_date'].to_numpy()[1:] >= left).all()


def test_nothing_wanted_is_nothing_lost(backtester, actions):
  idle = backtester.run(np.zeros_like(actions))
  np.testing.assert_array_equal(idle.equity, tiny_market.CASH)
  assert len(idle.trades) == 0
  assert set(idle.summary.values()) == {0.0}


def test_a_split_too_short_is_one_clear_line(market):
  with pytest.raises(ValueError, match='panel too short') as error:
    Backtester(market, tiny_market.config(), (3, 8))
  assert str(error.value) == (
    'panel too short: found 5 days (3 to 7) in a split, expected at least 6 '
    'to backtest it'
  )
  assert len(Backtester(market, tiny_market.config(), (3, 9)).days) == 5


@pytest.mark.parametrize('fill', ['next_open', 'close'])
def test_no_position_that_can_be_sold_is_held_longer_than_allowed(fill):
  rng = np.random.default_rng(3)
  close = 20 * np.exp(0.05 * rng.standard_normal((40, 3)).cumsum(0))
  settings = tiny_market.config(
    fill=fill, max_holding_days=4, settlement_days=6, max_position_fraction=0.1
  )
  tested = Backtester(tiny_market.panel(close), settings, (0, 40))
  coefficient = rng.uniform(1, 2, (len(tested.days), 3))
  acts = np.stack([coefficient, np.full_like(coefficient, 12.0)], -1)
  trades = tested.run(acts.astype(np.float32)).trades
  assert set(trades['reason']) == {'max_holding', 'target'}
  longest = trades.loc[trades['reason'] == 'max_holding', 'holding_days']
  assert set(longest) == {4}
  assert trades['holding_days'].max() == 4


def make_trades(net_profit, holding_days):
  return pd.DataFrame({'net_profit': net_profit, 'holding_days': holding_days})


def test_summarise_by_hand():
  # Returns of +10 %, -10 % and +20 %: mean 6.67 %, deviation 15.28 %.
  found = summarise(
    np.array([110.0, 99.0, 118.8]),
    100.0,
    make_trades([5.0, -2.0, 0.0, 1.0], [1, 2, 3, 4]),
  )
  deviation = np.sqrt((0.1**2 / 9 + 0.5**2 / 9 + 0.4**2 / 9) / 2)
  assert found == pytest.approx(
    {
      'profit': 0.188,
      'max_drawdown': 0.1,
      'volatility': deviation * np.sqrt(252),
      'sharpe': 0.2 / 3 / deviation * np.sqrt(252),
      'trades': 4,
      'win_rate': 0.5,
      'holding_days': 2.5,
    }
  )
  assert found['sharpe'] == pytest.approx(6.9282, abs=1e-4)


def test_a_fall_from_the_start_is_a_drawdown():
  found = summarise(np.array([90.0, 95.0]), 100.0, make_trades([], []))
  assert found['max_drawdown'] == pytest.approx(0.1)


@pytest.mark.parametrize('equity', [[100.0], [100.0, 100.0, 100.0]])
def test_where_nothing_moved_nothing_is_nan(equity):
  found = summarise(np.array(equity), 100.0, make_trades([], []))
  assert set(found.values()) == {0.0}

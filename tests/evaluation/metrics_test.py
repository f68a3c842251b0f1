"""Tests of a backtest's numbers, by hand and by slow references."""

import ast
import json
import math
import pathlib

import hypothesis
import numpy as np
import pandas as pd
import pytest
import tiny_market
from hypothesis import strategies as st

from eigen3 import evaluation
from eigen3.evaluation import Backtest, Judge, backtest, metrics

pytestmark = pytest.mark.filterwarnings('error')

NO_TRADES = pd.DataFrame(
  {
    'ticker': pd.Series(dtype=str),
    'entry_price': pd.Series(dtype=float),
    'exit_price': pd.Series(dtype=float),
    'shares': pd.Series(dtype=float),
    'holding_days': pd.Series(dtype=int),
    'net_profit': pd.Series(dtype=float),
    'reason': pd.Series(dtype=str),
  }
)


def make_backtest(equity, initial=100.0, trades=NO_TRADES):
  equity = np.asarray(equity, np.float64)
  dates = np.datetime64('2024-01-01') + np.arange(len(equity))
  summary = backtest.summarise(equity, initial, trades)
  summary |= {'exposure': 0.25, 'costs': 0.001}
  return Backtest(dates, equity, trades, summary)


@pytest.fixture
def trades():
  """Returns four trades: A gains 9 and loses 11, B gains 8 and C 2."""
  return pd.DataFrame(
    {
      'ticker': ['A', 'A', 'B', 'C'],
      'entry_price': [5.0, 6.0, 2.5, 46.0],
      'exit_price': [6.0, 5.0, 3.0, 50.0],
      'shares': [10.0, 10.0, 20.0, 1.0],
      'holding_days': [1, 2, 3, 4],
      'net_profit': [9.0, -11.0, 8.0, 2.0],
      'reason': ['target', 'max_holding', 'target', 'delisted'],
    }
  )


def test_risk_by_hand():
  # Returns of 10, -10, 20 and -5 %.
  found = metrics.measure(make_backtest([110.0, 99.0, 118.8, 112.86]))
  cagr = 1.1286 ** (252 / 4) - 1
  central = np.array([0.0625, -0.1375, 0.1625, -0.0875])
  variance = (central**2).mean()
  expected = {
    'days': 4,
    'cagr': cagr,
    'sortino': 252 * 0.0375 / math.sqrt(252 * (0.1**2 + 0.05**2) / 4),
    'calmar': cagr / 0.1,
    'drawdown_days': 1,
    'cvar': 0.1,
    'skew': (central**3).mean() / variance**1.5,
    'excess_kurtosis': (central**4).mean() / variance**2 - 3,
  }
  assert {name: found[name] for name in expected} == pytest.approx(expected)


def test_ratios_as_they_were_published():
  """Uses empyrical's tests, and Rollinger & Hoffman's example (2013)."""
  returns = np.array([1.0, 10.0, -4.0, 2.0, 3.0, 2.0, 1.0, -10.0]) / 100
  found = metrics.measure(make_backtest(100 * np.cumprod(1 + returns)))
  assert found['sortino'] == pytest.approx(2.605531251673693)
  assert found['sharpe'] == pytest.approx(1.7238613961706866)
  assert found['volatility'] == pytest.approx(0.9136465399704637)
  assert found['max_drawdown'] == pytest.approx(0.1)
  rested = np.concatenate([[0.0], returns])
  found = metrics.measure(make_backtest(100 * np.cumprod(1 + rested)))
  assert found['cagr'] == pytest.approx(1.9135925373194231)
  assert found['calmar'] == pytest.approx(19.135925373194233)
  years = np.array([17.0, 15.0, 23.0, -5.0, 12.0, 9.0, 13.0, -4.0]) / 100
  found = metrics.measure(make_backtest(100 * np.cumprod(1 + years)))
  assert found['sortino'] / math.sqrt(252) == pytest.approx(4.417, abs=5e-4)


def test_trading_by_hand(trades):
  equity = [100.0, 104.0, 106.0, 108.0]
  found = metrics.measure(make_backtest(equity, trades=trades))
  # Bought for 50, 60, 50 and 46, sold for 60, 50, 60 and 50, in 4 days.
  expected = {
    'turnover': 0.5 * (206 + 220) / 104.5 * 252 / 4,
    'payoff': (9 + 8 + 2) / 3 / 11,
    'exits_target': 0.5,
    'exits_max_holding': 0.25,
    'exits_delisted': 0.25,
    'ticker_concentration': (110**2 + 50**2 + 46**2) / 206**2,
    # A lost 2 in all.
    'largest_ticker_gain': 0.8,
  }
  assert {name: found[name] for name in expected} == pytest.approx(expected)


def test_the_summary_stays_as_it_is(trades):
  given = make_backtest([90.0, 95.0, 95.0], trades=trades)
  found = metrics.measure(given)
  assert {name: found[name] for name in given.summary} == given.summary
  assert list(found)[: len(given.summary)] == list(given.summary)
  assert all(type(number) is float for number in found.values())


@pytest.mark.parametrize(
  'equity, days',
  [
    ([100, 101, 102], 0),
    ([99, 100, 101], 1),
    ([101, 100, 100.5, 101, 90], 2),
    ([101, 90, 102, 101, 101, 101.5], 3),
    ([99, 98, 97, 96], 4),
  ],
)
def test_the_longest_drawdown(equity, days):
  assert metrics.measure(make_backtest(equity))['drawdown_days'] == days


@pytest.mark.parametrize('days, worst', [(20, 1), (21, 2), (41, 3), (252, 13)])
def test_the_tail_holds_a_twentieth(days, worst):
  # A return of -1 % on the first day, of -2 % on the next, and so on.
  returns = -0.01 * np.arange(1, days + 1) / days
  shuffled = np.random.default_rng(0).permutation(returns)
  found = metrics.measure(make_backtest(100 * np.cumprod(1 + shuffled)))
  assert found['cvar'] == pytest.approx(-np.sort(returns)[:worst].mean())


def test_returns_begin_at_the_initial_cash():
  given = make_backtest([99.0, 108.9], initial=100.0)
  np.testing.assert_allclose(metrics.daily_returns(given), [-0.01, 0.1])
  # Initial cash is computed from the profit; rounding must not be a loss.
  for last in np.random.default_rng(0).uniform(50, 150, 50):
    assert metrics.daily_returns(make_backtest([100.0, last]))[0] == 0.0


def newey_west(y, x, lags):
  """Computes least squares with Bartlett weights, term by term."""
  design = np.stack([np.ones_like(x), x], axis=1)
  bread = np.linalg.inv(design.T @ design)
  estimate = bread @ design.T @ y
  scores = design * (y - design @ estimate)[:, None]
  middle = np.zeros((2, 2))
  for i, one in enumerate(scores):
    for j, other in enumerate(scores):
      weight = max(0.0, 1.0 - abs(i - j) / (lags + 1))
      middle += weight * np.outer(one, other)
  covariance = bread @ middle @ bread * len(y) / (len(y) - 2)
  return estimate, np.sqrt(np.diag(covariance))


@pytest.mark.parametrize('days, lags', [(27, 2), (28, 3), (120, 4)])
def test_alpha_and_beta_beside_a_slow_reference(days, lags):
  rng = np.random.default_rng(days)
  market = rng.normal(0.0, 0.01, days)
  noise = rng.normal(0.0, 0.01, days + 2)
  noise = noise[2:] + 0.8 * noise[1:-1] + 0.5 * noise[:-2]
  returns = 0.001 + 0.7 * market + noise
  given = make_backtest(100 * np.cumprod(1 + returns))
  found = metrics.measure(given, market)
  estimate, error = newey_west(returns, market, lags)
  assert found['alpha'] == pytest.approx(252 * estimate[0])
  assert found['beta'] == pytest.approx(estimate[1])
  assert found['alpha_error'] == pytest.approx(252 * error[0])
  assert found['beta_error'] == pytest.approx(error[1])


def test_a_share_of_the_market_has_its_beta():
  market = np.random.default_rng(0).normal(0.0, 0.01, 60)
  returns = 0.001 + 0.5 * market
  given = make_backtest(100 * np.cumprod(1 + returns))
  found = metrics.measure(given, market)
  assert found['beta'] == pytest.approx(0.5)
  assert found['alpha'] == pytest.approx(0.252)
  assert found['beta_error'] == pytest.approx(0.0, abs=1e-10)


@hypothesis.settings(max_examples=20, deadline=None)
@hypothesis.given(st.integers(0, 10_000), st.floats(1e-3, 1e6))
def test_numbers_know_no_currency(seed, scale):
  rng = np.random.default_rng(seed)
  size = rng.integers(1, 8)
  trades = pd.DataFrame(
    {
      'ticker': rng.choice(['A', 'B', 'C'], size),
      'entry_price': rng.uniform(10, 20, size),
      'exit_price': rng.uniform(10, 20, size),
      'shares': rng.uniform(1, 2, size),
      'holding_days': rng.integers(1, 9, size),
      'net_profit': rng.normal(0, 1, size),
      'reason': rng.choice(['target', 'max_holding'], size),
    }
  )
  scaled = trades.assign(
    shares=scale * trades['shares'], net_profit=scale * trades['net_profit']
  )
  equity = 100 * np.cumprod(1 + rng.normal(0, 0.01, 40))
  market = rng.normal(0, 0.01, 40)
  one = metrics.measure(make_backtest(equity, 100.0, trades), market)
  other = metrics.measure(
    make_backtest(scale * equity, 100.0 * scale, scaled), market
  )
  assert one == pytest.approx(other, rel=1e-6, abs=1e-9, nan_ok=True)
  assert 1 / 3 <= one['ticker_concentration'] <= 1 + 1e-12
  assert one['exits_target'] + one['exits_max_holding'] == pytest.approx(1.0)


UNDEFINED_WITHOUT_TRADES = {
  'payoff',
  'exits_target',
  'exits_max_holding',
  'exits_delisted',
  'ticker_concentration',
  'largest_ticker_gain',
}
MARKET = {'alpha', 'beta', 'alpha_error', 'beta_error'}


def undefined(numbers):
  return {name for name, number in numbers.items() if math.isnan(number)}


@pytest.mark.parametrize('days', [1, 2, 250])
def test_an_account_that_rests(days):
  found = metrics.measure(make_backtest(np.full(days, 100.0)), np.zeros(days))
  moments = {'sortino', 'calmar', 'skew', 'excess_kurtosis'}
  assert undefined(found) == UNDEFINED_WITHOUT_TRADES | moments | MARKET
  assert found['cagr'] == found['cvar'] == found['turnover'] == 0.0
  assert found['drawdown_days'] == 0.0
  written = json.dumps(metrics.for_json(found), allow_nan=False)
  assert json.loads(written)['calmar'] is None
  assert json.loads(written)['cagr'] == 0.0


@pytest.mark.parametrize('last', [90.0, 110.0])
def test_a_single_day(last):
  found = metrics.measure(make_backtest([last]), np.array([0.01]))
  assert found['cvar'] == pytest.approx(1 - last / 100)
  assert found['cagr'] == pytest.approx((last / 100) ** 252 - 1)
  assert undefined(found) >= {'skew', 'excess_kurtosis', *MARKET}
  assert found['drawdown_days'] == (last < 100)


def test_steady_growth_has_no_downside():
  found = metrics.measure(make_backtest(100 * 1.001 ** np.arange(1, 253)))
  assert found['cagr'] == pytest.approx(1.001**252 - 1)
  assert found['cvar'] == pytest.approx(-0.001)
  assert {'sortino', 'calmar', 'skew'} <= undefined(found)
  assert found['drawdown_days'] == 0.0


def test_what_is_lost_stays_lost():
  given = make_backtest([50.0, -10.0, 20.0, 40.0])
  expected = [-0.5, -1.0, 0.0, 0.0]
  np.testing.assert_allclose(metrics.daily_returns(given), expected)
  found = metrics.measure(given, np.array([0.1, 0.2, 0.1, 0.2]))
  assert found['cagr'] == found['calmar'] == -1.0
  assert found['drawdown_days'] == 4
  nothing = make_backtest([100.0, 0.0])
  np.testing.assert_array_equal(metrics.daily_returns(nothing), [0.0, -1.0])
  assert metrics.measure(nothing)['cvar'] == 1.0


def test_a_peak_regained_is_no_drawdown():
  for low, high in np.random.default_rng(0).uniform([80, 100], 120, (50, 2)):
    equity = [high, min(low, high - 1), high, high]
    assert metrics.measure(make_backtest(equity))['drawdown_days'] == 1


def test_a_trade_without_profit_is_neither_gain_nor_loss(trades):
  trades = trades.assign(net_profit=[9.0, -11.0, 8.0, 0.0])
  found = metrics.measure(make_backtest([106.0], trades=trades))
  assert found['payoff'] == pytest.approx(8.5 / 11)


def test_trades_that_only_gain_or_only_lose(trades):
  gains = metrics.measure(
    make_backtest([101.0], trades=trades[trades['net_profit'] > 0])
  )
  assert math.isnan(gains['payoff'])
  assert gains['largest_ticker_gain'] == pytest.approx(9 / 19)
  losses = metrics.measure(make_backtest([99.0], trades=trades[1:2]))
  assert math.isnan(losses['payoff'])
  assert math.isnan(losses['largest_ticker_gain'])
  assert losses['ticker_concentration'] == 1.0


def test_a_benchmark_of_other_days_is_refused():
  with pytest.raises(
    ValueError, match=r'shape \(3,\), expected \(2,\), one for each'
  ):
    metrics.measure(make_backtest([101.0, 102.0]), np.zeros(3))


def test_agents_and_controls_have_the_same_numbers():
  steps = np.arange(24)[:, None]
  close = 100.0 * np.array([1.005, 0.995]) ** steps
  close *= np.random.default_rng(0).uniform(0.98, 1.02, close.shape)
  judge = Judge(
    tiny_market.panel(close),
    {
      'environment': tiny_market.config(),
      'evaluation': {'momentum_days': 2, 'random_entries': 1},
      'seed': 0,
    },
    (0, 24),
  )
  actions = np.full((len(judge.days), 2, 2), 2.0, np.float32)
  hold = judge.controls['buy_and_hold'][0]
  market = metrics.daily_returns(hold)
  results = {'agent': [judge.backtest(actions)], **judge.controls}
  found = {
    name: metrics.measure(backtests[0], market)
    for name, backtests in results.items()
  }
  assert len({tuple(numbers) for numbers in found.values()}) == 1
  assert found['buy_and_hold']['beta'] == pytest.approx(1.0)
  assert found['buy_and_hold']['alpha'] == pytest.approx(0.0, abs=1e-9)
  # Positions that are open at the end have no exit reason.
  assert math.isnan(found['buy_and_hold']['exits_target'])
  agent = found['agent']
  exits = [number for name, number in agent.items() if 'exits' in name]
  assert sum(exits) == pytest.approx(1.0)
  assert 0.5 <= agent['ticker_concentration'] <= 1.0
  growth = np.prod(1 + metrics.daily_returns(results['agent'][0]))
  assert growth - 1 == pytest.approx(agent['profit'])


def test_what_is_slow_to_import_waits_until_it_is_used():
  for path in pathlib.Path(evaluation.__file__).parent.glob('*.py'):
    imported = set()
    for node in ast.parse(path.read_text(encoding='utf-8')).body:
      if isinstance(node, ast.Import):
        imported |= {alias.name.split('.')[0] for alias in node.names}
      elif isinstance(node, ast.ImportFrom):
        imported.add(node.module.split('.')[0])
    assert not imported & {'arch', 'statsmodels'}, path.name

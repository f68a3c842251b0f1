"""Tests of a page's tables, by hand."""

import numpy as np
import pandas as pd
import pytest

from eigen3.evaluation import Backtest, backtest
from eigen3.reporting.run_page import tables

NO_TRADES = pd.DataFrame(
  {
    'ticker': pd.Series(dtype=str),
    'entry_price': pd.Series(dtype=float),
    'exit_price': pd.Series(dtype=float),
    'shares': pd.Series(dtype=float),
    'holding_days': pd.Series(dtype=int),
    'net_profit': pd.Series(dtype=float),
  }
)


def make_backtest(returns, first='2024-01-01'):
  equity = 1000.0 * np.cumprod(1.0 + np.asarray(returns))
  summary = backtest.summarise(equity, 1000.0, NO_TRADES)
  summary |= {'exposure': 0.5, 'costs': 0.001}
  dates = np.datetime64(first) + np.arange(len(equity))
  return Backtest(dates, equity, NO_TRADES, summary)


def noise(seed, days=60, mean=0.0):
  return np.random.default_rng(seed).normal(mean, 0.01, days)


@pytest.fixture(scope='module')
def controls():
  return {
    'random_entry': [make_backtest(noise(k)) for k in range(20, 30)],
    'buy_and_hold': [make_backtest(noise(1))],
  }


def test_months_by_hand():
  # Two days of December, one of January, none in between, one of March.
  first = make_backtest([0.1, -0.5, 0.2, 0.05], '2023-12-30')
  dates = np.array(
    ['2023-12-30', '2023-12-31', '2024-01-02', '2024-03-01'], 'datetime64[D]'
  )
  found = tables.months(
    Backtest(dates, first.equity, first.trades, first.summary)
  )
  assert [row.year for row in found] == [2023, 2024]
  assert found[0].months[:11] == [None] * 11
  assert found[0].months[11] == pytest.approx(-0.45)
  assert found[0].whole == pytest.approx(-0.45)
  assert found[1].months[0] == pytest.approx(0.2)
  assert found[1].months[1] is None
  assert found[1].months[2] == pytest.approx(0.05)
  assert found[1].whole == pytest.approx(0.26)


def test_a_headline_is_that_of_the_backtest(controls):
  agent = make_backtest(noise(0, mean=0.002))
  rows = tables.headlines({'agent': [agent]}, controls, seed=0)
  assert [row.name for row in rows] == ['agent', 'random_entry', 'buy_and_hold']
  expected = {'agent': agent, 'buy_and_hold': controls['buy_and_hold'][0]}
  for row in rows:
    if row.name not in expected:
      continue
    for number in ('profit', 'sharpe', 'max_drawdown'):
      estimate = getattr(row, number)
      value = expected[row.name].summary[number]
      assert estimate.value == pytest.approx(value)
      assert estimate.low < value < estimate.high


def test_the_headline_of_many_plays_is_their_mean_and_range(controls):
  tests = controls['random_entry']
  row = tables.headlines({'agent': tests[:1]}, controls, seed=0)[1]
  assert row.size == 10
  for number in ('profit', 'sharpe', 'max_drawdown'):
    values = np.array([test.summary[number] for test in tests])
    estimate = getattr(row, number)
    assert estimate.value == pytest.approx(values.mean())
    assert estimate.low == pytest.approx(np.percentile(values, 2.5))
    assert estimate.high == pytest.approx(np.percentile(values, 97.5))


def test_of_several_seeds_the_middle_half_counts(controls):
  # Profits of 0, 1, 2 and 90 %: the mean of the middle two.
  agents = {
    f'seed {k}': [make_backtest([0.0] * 20 + [profit])]
    for k, profit in enumerate([0.9, 0.01, 0.0, 0.02])
  }
  days = {k: [make_backtest(noise(5, 21))] for k in controls}
  rows = tables.headlines(agents, days, seed=0)
  assert [row.name for row in rows[:2]] == ['iqm', 'seed 0']
  assert rows[0].size == 4
  assert rows[0].profit.value == pytest.approx(0.015)
  assert 0.0 <= rows[0].profit.low < 0.015 < rows[0].profit.high <= 0.9


def test_a_policy_that_rests_has_a_headline(controls):
  agents = {'agent': [make_backtest(np.zeros(60))]}
  row = tables.headlines(agents, controls, seed=0)[0]
  assert row.profit == row.sharpe == row.max_drawdown == (0.0, 0.0, 0.0)


def test_differences_are_of_the_days(controls):
  agents = {'agent': [make_backtest(noise(1) + 0.001)]}
  found = tables.differences(agents, controls, seed=0)
  assert found.keys() == controls.keys()
  # The same days, except for a tenth of a percent each.
  assert found['buy_and_hold'].mean == pytest.approx(0.252)
  assert found['buy_and_hold'].p < 0.001
  plays = np.mean([noise(k) for k in range(20, 30)], axis=0)
  expected = 252 * (noise(1) + 0.001 - plays).mean()
  assert found['random_entry'].mean == pytest.approx(expected)


def test_all_numbers_are_means_of_plays(controls):
  agents = {'agent': controls['buy_and_hold']}
  found = tables.all_numbers(agents, controls)
  assert found['agent']['beta'] == pytest.approx(1.0)
  expected = np.mean([t.summary['sharpe'] for t in controls['random_entry']])
  assert found['random_entry']['sharpe'] == pytest.approx(expected)

"""Tests of eigen3.evaluation.summary."""

import dataclasses

import numpy as np
import pytest
from fake_backtests import DATES, make_backtest, make_results

from eigen3.evaluation import mean_summary, metrics, summary
from eigen3.files import write_json


@pytest.fixture
def results():
  return make_results()


def test_the_mean_of_a_policy(results):
  found = mean_summary(results['random_entry'])
  assert found['profit'] == pytest.approx(-0.02)
  assert found['trades'] == 5.5
  assert found['costs'] == pytest.approx(0.0042)


def test_the_summary(results):
  found = summary.means(results)
  assert found.keys() == {'agent', 'random_entry', 'buy_and_hold'}
  assert found['agent']['profit'] == 0.10
  assert found['random_entry']['profit'] == pytest.approx(-0.02)


def test_equal_results_are_equal_files(results, tmp_path):
  for name in ('a.json', 'b.json'):
    write_json(tmp_path / name, summary.means(results))
  assert (tmp_path / 'a.json').read_bytes() == (
    tmp_path / 'b.json'
  ).read_bytes()


def test_daily_returns_compound_to_the_profit(results):
  other = {'agent': [make_backtest(-0.2, seed=3)]}
  table = summary.daily_returns({'validation': other, 'holdout': results})
  assert table['split'].tolist() == ['validation'] * 30 + ['holdout'] * 30
  assert (table['date'][:30].to_numpy('datetime64[D]') == DATES).all()
  assert list(table.columns[2:]) == ['agent', 'random_entry', 'buy_and_hold']
  assert np.prod(1 + table['agent'][:30]) == pytest.approx(0.8)
  held_out = table[30:]
  assert np.prod(1 + held_out['agent']) == pytest.approx(1.10)
  # Several backtests are represented by the mean of their returns.
  equity = [b.equity for b in results['random_entry']]
  assert held_out['random_entry'].iloc[5] == pytest.approx(
    np.mean([e[5] / e[4] - 1 for e in equity])
  )
  assert table['random_entry'][:30].isna().all()


def test_a_total_loss_has_daily_returns():
  lost = dataclasses.replace(make_backtest(-1.0), equity=np.zeros(30))
  table = summary.daily_returns({'holdout': {'agent': [lost]}})
  np.testing.assert_array_equal(table['agent'], metrics.daily_returns(lost))
  assert table['agent'].notna().all()

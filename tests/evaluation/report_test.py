"""Tests of eigen3.evaluation.report."""

import dataclasses
import os

import matplotlib.image
import numpy as np
import pandas as pd
import pytest

from eigen3.evaluation import Backtest, mean_summary, metrics, report
from eigen3.files import write_json

DATES = np.datetime64('2024-01-01') + np.arange(30)


def make_backtest(profit, trades=3, seed=0):
  rng = np.random.default_rng(seed)
  equity = 1000 * np.linspace(1, 1 + profit, 30) + rng.normal(0, 1, 30)
  equity[-1] = 1000 * (1 + profit)
  table = pd.DataFrame(
    {
      'ticker': [f'T{i}' for i in range(trades)],
      'entry_date': DATES[:trades],
      'exit_date': DATES[1 : trades + 1],
      'entry_price': np.linspace(1 / 3, 1000, trades),
      'shares': np.linspace(10_000 / 7, 3, trades),
      'holding_days': np.arange(trades),
      'net_profit': np.linspace(-1.5, 2.5, trades),
      'reason': ['target'] * trades,
    }
  )
  summary = {
    'profit': profit,
    'max_drawdown': 0.125,
    'volatility': 0.2,
    'sharpe': 1.234,
    'trades': float(trades),
    'win_rate': 0.5,
    'holding_days': 6.25,
    'exposure': 0.75,
    'costs': 0.0042,
  }
  return Backtest(DATES, equity, table, summary)


@pytest.fixture
def results():
  return {
    'agent': [make_backtest(0.10)],
    'random_entry': [make_backtest(0.01, 5, 1), make_backtest(-0.05, 6, 2)],
    'buy_and_hold': [make_backtest(-0.02)],
  }


def test_the_mean_of_a_policy(results):
  found = mean_summary(results['random_entry'])
  assert found['profit'] == pytest.approx(-0.02)
  assert found['trades'] == 5.5
  assert found['costs'] == pytest.approx(0.0042)


def test_the_table(results):
  lines = report.table(results).splitlines()
  assert [' '.join(line.split()) for line in lines] == [
    'profit max drawdown Sharpe trades win rate days held exposure costs',
    'agent +10.00% 12.50% 1.23 3 50% 6.2 75% 0.42%',
    'random entry (mean of 2) -2.00% 12.50% 1.23 6 50% 6.2 75% 0.42%',
    'buy and hold -2.00% 12.50% 1.23 3 50% 6.2 75% 0.42%',
  ]
  # Aligned: every line is as wide as the next.
  assert len({len(line) for line in lines}) == 1


def test_the_summary(results):
  found = report.summary(results)
  assert found.keys() == {'agent', 'random_entry', 'buy_and_hold'}
  assert found['agent']['profit'] == 0.10
  assert found['random_entry']['profit'] == pytest.approx(-0.02)


def test_equal_results_are_equal_files(results, tmp_path):
  for name in ('a.json', 'b.json'):
    write_json(tmp_path / name, report.summary(results))
  assert (tmp_path / 'a.json').read_bytes() == (
    tmp_path / 'b.json'
  ).read_bytes()


@pytest.mark.parametrize('count', [3, 0])
def test_trades_come_back_from_their_file(tmp_path, count):
  trades = make_backtest(0.1, count).trades
  report.write_table(tmp_path / 'trades.csv', trades)
  found = pd.read_csv(
    tmp_path / 'trades.csv', parse_dates=['entry_date', 'exit_date']
  )
  assert found.columns.tolist() == trades.columns.tolist()
  pd.testing.assert_frame_equal(found, trades, check_dtype=False, rtol=1e-9)
  assert os.listdir(tmp_path) == ['trades.csv']


def test_trades_are_written_whole_or_not_at_all(tmp_path, monkeypatch):
  path = tmp_path / 'trades.csv'
  path.write_text('old')

  def fail(*unused, **also_unused):
    raise OSError('disk full')

  monkeypatch.setattr(pd.DataFrame, 'to_csv', fail)
  with pytest.raises(OSError, match='disk full'):
    report.write_table(path, make_backtest(0.1).trades)
  assert path.read_text() == 'old'


def draw(path, results, title='TD3', remark='a remark'):
  metrics = pd.DataFrame(
    {
      'iteration': [0, 1, 2, 3],
      'validation_profit': [0.0, np.nan, 0.05, 0.04],
    }
  )
  validation = {k: v for k, v in results.items() if k != 'agent'}
  report.write_picture(
    path, metrics, validation, results, 'Held-out days', title, remark
  )


def test_the_picture_is_a_png_that_shows_the_results(results, tmp_path):
  path = tmp_path / 'report.png'
  draw(path, results)
  assert path.read_bytes().startswith(b'\x89PNG\r\n\x1a\n')
  assert path.stat().st_size > 20_000
  image = matplotlib.image.imread(path)
  assert image.shape[:2] == (960, 1200)
  assert os.listdir(tmp_path) == ['report.png']
  # The agent's colour is in both halves: its curve and its equity.
  blue = np.abs(image[..., :3] - np.array([0x1B, 0x4F, 0x9C]) / 255).sum(-1)
  for half in (blue[:480], blue[480:]):
    assert (half < 0.02).sum() > 200
  # Another result is another picture; the same is the same.
  draw(tmp_path / 'same.png', results)
  assert (tmp_path / 'same.png').read_bytes() == path.read_bytes()
  draw(tmp_path / 'other.png', {**results, 'agent': [make_backtest(-0.3)]})
  assert (tmp_path / 'other.png').read_bytes() != path.read_bytes()


def test_shares_are_exact_to_the_cent(tmp_path):
  trades = make_backtest(0.1, 1).trades.assign(shares=12_345_678.91)
  report.write_table(tmp_path / 'trades.csv', trades)
  assert pd.read_csv(tmp_path / 'trades.csv')['shares'][0] == 12_345_678.91


def test_a_long_remark_is_not_cut_off(results, tmp_path):
  def ink(remark):
    """bool [width], where the lowest two lines have anything on them."""
    draw(tmp_path / 'report.png', results, remark=remark)
    image = matplotlib.image.imread(tmp_path / 'report.png')[..., :3]
    return (image < 0.9).any(-1)[-30:].any(0)

  long = ink('Stocks that had left the index before 2024 are absent. ' * 4)
  assert long.sum() > 600  # most of the width is written on
  margin = 10
  assert not long[:margin].any()
  assert not long[-margin:].any()
  assert long.sum() > ink('a remark').sum() + 300


def test_daily_returns_compound_to_the_profit(results):
  other = {'agent': [make_backtest(-0.2, seed=3)]}
  table = report.daily_returns({'validation': other, 'holdout': results})
  assert table['split'].tolist() == ['validation'] * 30 + ['holdout'] * 30
  assert (table['date'][:30].to_numpy('datetime64[D]') == DATES).all()
  assert list(table.columns[2:]) == ['agent', 'random_entry', 'buy_and_hold']
  assert np.prod(1 + table['agent'][:30]) == pytest.approx(0.8)
  held_out = table[30:]
  assert np.prod(1 + held_out['agent']) == pytest.approx(1.10)
  # Of several backtests the mean of their returns.
  equity = [b.equity for b in results['random_entry']]
  assert held_out['random_entry'].iloc[5] == pytest.approx(
    np.mean([e[5] / e[4] - 1 for e in equity])
  )
  assert table['random_entry'][:30].isna().all()


def test_a_total_loss_has_daily_returns():
  lost = dataclasses.replace(make_backtest(-1.0), equity=np.zeros(30))
  table = report.daily_returns({'holdout': {'agent': [lost]}})
  np.testing.assert_array_equal(table['agent'], metrics.daily_returns(lost))
  assert table['agent'].notna().all()

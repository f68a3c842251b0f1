"""Backtests of 30 days that end with a given profit."""

import numpy as np
import pandas as pd

from eigen3.evaluation import Backtest

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


def make_results():
  """An agent, and controls that were played once and twice."""
  return {
    'agent': [make_backtest(0.10)],
    'random_entry': [make_backtest(0.01, 5, 1), make_backtest(-0.05, 6, 2)],
    'buy_and_hold': [make_backtest(-0.02)],
  }

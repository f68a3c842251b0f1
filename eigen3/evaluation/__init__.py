"""Evaluation: backtests, controls, and measures of their results."""

from eigen3.evaluation.backtest import Backtest, Backtester
from eigen3.evaluation.controls import Controls
from eigen3.evaluation.judge import Judge, Results, mean_summary

__all__ = [
  'Backtest',
  'Backtester',
  'Controls',
  'Judge',
  'Results',
  'mean_summary',
]

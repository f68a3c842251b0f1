"""Evaluation: backtests, controls, and the report of a run."""

from eigen3.evaluation.backtest import Backtest, Backtester
from eigen3.evaluation.controls import Controls

__all__ = ['Backtest', 'Backtester', 'Controls']

"""Labels, formats and background colours of the numbers on a run's page."""

import math
from collections.abc import Iterable

import numpy as np

from eigen3.evaluation.statistics import Estimate
from eigen3.reporting.run_page import pictures
from eigen3.reporting.run_page.tables import Year

# Label and format of each metric of a backtest, in the page's order.
NUMBERS = {
  'profit': ('profit', '+.2%'),
  'cagr': ('CAGR', '+.2%'),
  'volatility': ('volatility a year', '.2%'),
  'sharpe': ('Sharpe ratio', '.2f'),
  'sortino': ('Sortino ratio', '.2f'),
  'calmar': ('Calmar ratio', '.2f'),
  'max_drawdown': ('maximum drawdown', '.2%'),
  'drawdown_days': ('longest drawdown, days', '.0f'),
  'cvar': ('CVaR 95 %, of a day', '.2%'),
  'skew': ('skewness of days', '.2f'),
  'excess_kurtosis': ('excess kurtosis of days', '.2f'),
  'beta': ('beta to buy and hold', '.2f'),
  'beta_error': ('standard error of beta', '.2f'),
  'alpha': ('alpha to buy and hold, a year', '+.2%'),
  'alpha_error': ('standard error of alpha', '.2%'),
  'exposure': ('exposure, mean', '.0%'),
  'turnover': ('turnover a year', '.1f'),
  'costs': ('costs, of the initial cash', '.2%'),
  'trades': ('trades', '.0f'),
  'win_rate': ('win rate', '.0%'),
  'payoff': ('payoff ratio', '.2f'),
  'holding_days': ('holding period, days, mean', '.1f'),
  'exits_target': ('exits at the target', '.0%'),
  'exits_max_holding': ('exits after the maximum holding', '.0%'),
  'exits_delisted': ('exits by delisting', '.0%'),
  'ticker_concentration': ('concentration on tickers (Herfindahl)', '.2f'),
  'largest_ticker_gain': ("largest ticker's share of gains", '.0%'),
}
# Metrics of the agent that are shown for other costs and fill times.
REPLAYED = ('profit', 'sharpe', 'max_drawdown', 'trades', 'costs')


def written(value: float | None, form: str) -> str:
  """Formats a number for the page, as a dash if it is None or not finite."""
  if value is None or not math.isfinite(value):
    return '\N{EN DASH}'
  return format(value, form).replace('-', '\N{MINUS SIGN}').replace('%', ' %')


def interval(estimate: Estimate, form: str) -> str:
  """Formats the ends of an interval; '' if they are not finite."""
  if not math.isfinite(estimate.low):
    return ''
  low, high = (written(x, form) for x in (estimate.low, estimate.high))
  return f'{low.removesuffix(" %")} to {high}'


def largest(years: Iterable[Year]) -> float:
  """Returns the largest absolute monthly return; 0 if there is none."""
  found = [abs(x) for year in years for x in year.months if x is not None]
  return float(np.max(found, initial=0.0))


def shade(value: float, most: float) -> str:
  """Returns a CSS background colour, green for a gain and red for a loss.

  Args:
    value: the return to be shown.
    most: the absolute return for which the colour is strongest.
  """
  colour = pictures.GAIN if value >= 0 else pictures.LOSS
  strength = round(8 + 62 * abs(value) / most) if most else 0
  return f'color-mix(in srgb, {colour} {strength}%, transparent)'

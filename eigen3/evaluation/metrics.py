"""All metrics of a backtest, for reports.

Conventions: the account is marked at each day's close, net of all costs; daily
returns are simple, and the first is from the initial cash to the first close; a
year has 252 days, or as many as the panel's calendar has; cash earns nothing.
Undefined metrics are NaN, but 0 in the backtest's own summary.
"""

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd

from eigen3.environment import Exit
from eigen3.evaluation import regression, sharpe
from eigen3.evaluation.backtest import Backtest

# The share of worst days that CVaR averages: CVaR 95 %.
TAIL = 0.05
# Equity has float32 precision, so smaller returns are rounding errors.
_ROUNDING = 1e-10


def measure(
  backtest: Backtest, benchmark: np.ndarray | None = None
) -> dict[str, float]:
  """Computes all metrics of one backtest.

  Args:
    backtest: a policy's backtest on S days.
    benchmark: daily returns on the same days, float [S], or None.

  Returns:
    The backtest's summary, followed by:

    days: S. cagr: compound annual growth rate; unreliable for few days.
    sortino: mean return over downside deviation (below 0, over all days),
    annualised. calmar: cagr over max_drawdown. drawdown_days: longest run of
    closes below an earlier peak. cvar: CVaR 95 %, the mean loss of the worst
    5 % of days, as a fraction of equity, positive for a loss. skew,
    excess_kurtosis: of daily returns; 0 for a normal distribution.

    turnover: value of all fills of closed trades over twice the mean equity,
    per year. payoff: mean gain of winning trades over mean loss of losing ones.
    exits_target, exits_max_holding, exits_delisted: shares of trades by exit
    reason. ticker_concentration: Herfindahl index of the value bought by
    ticker, 1 for a single ticker. largest_ticker_gain: the most profitable
    ticker's share of the profits of all profitable tickers.

    With a benchmark also beta, alpha (annualised, not compounded) and their
    standard errors beta_error and alpha_error: by least squares on daily
    returns, errors as in Newey & West with 4 (S / 100)^(2/9) lags, rounded
    down, corrected for the two parameters.

  Raises:
    ValueError: the benchmark has another number of days.
  """
  returns = daily_returns(backtest)
  numbers = {
    **backtest.summary,
    **_risk(returns, backtest.year),
    **_trading(backtest),
  }
  if benchmark is not None:
    numbers |= _market(
      returns, np.asarray(benchmark, np.float64), backtest.year
    )
  return {
    name: float(value) if np.isfinite(value) else math.nan
    for name, value in numbers.items()
  }


def daily_returns(backtest: Backtest) -> np.ndarray:
  """Returns the backtest's simple daily returns, float64 [S].

  The first is from the initial cash to the first close. If equity falls to 0
  or below, the return is -1 on that day and 0 after it.
  """
  equity, growth = backtest.equity, 1.0 + backtest.summary['profit']
  initial = equity[-1] / growth if growth else equity[0]
  path = np.concatenate([[initial], equity])
  path = np.where(np.minimum.accumulate(path) > 0.0, path, 0.0)
  before, after = path[:-1], path[1:]
  returns = np.divide(
    after - before, before, out=np.zeros_like(equity), where=before > 0.0
  )
  return np.where(np.abs(returns) > _ROUNDING, returns, 0.0)


def for_json(numbers: Mapping[str, float]) -> dict[str, float | None]:
  """Replaces values that are not finite by None, as JSON requires."""
  return {
    name: value if np.isfinite(value) else None
    for name, value in numbers.items()
  }


def _risk(returns: np.ndarray, year: int) -> dict[str, float]:
  path = np.cumprod(np.concatenate([[1.0], 1.0 + returns]))
  peak = np.maximum.accumulate(path)
  under = path < peak * (1.0 - _ROUNDING)
  cagr = path[-1] ** (year / len(returns)) - 1.0
  downside = np.sqrt(np.mean(np.minimum(returns, 0.0) ** 2))
  tail = np.sort(returns)[: int(TAIL * (len(returns) - 1)) + 1]
  record = sharpe.track_record(returns)
  return {
    'days': len(returns),
    'cagr': cagr,
    'sortino': math.sqrt(year) * _ratio(returns.mean(), downside),
    'calmar': _ratio(cagr, float(np.max(1.0 - path / peak))),
    # Between two closes at a peak lie those below it.
    'drawdown_days': np.diff(np.flatnonzero(~np.pad(under, 1))).max() - 1,
    'cvar': -tail.mean(),
    'skew': record.skew,
    'excess_kurtosis': record.kurtosis - 3.0,
  }


def _trading(backtest: Backtest) -> dict[str, float]:
  trades = backtest.trades
  profit = trades['net_profit'].to_numpy()
  bought = trades['shares'] * trades['entry_price']
  sold = trades['shares'] * trades['exit_price']
  years = len(backtest.equity) / backtest.year
  held = 2.0 * years * backtest.equity.mean()
  by_ticker = trades['net_profit'].groupby(trades['ticker']).sum()
  gains = by_ticker[by_ticker > 0].to_numpy()
  weights = bought.groupby(trades['ticker']).sum().to_numpy()
  return {
    'turnover': _ratio(bought.sum() + sold.sum(), held),
    'payoff': _ratio(_mean(profit[profit > 0]), -_mean(profit[profit < 0])),
    **_exits(trades),
    'ticker_concentration': _ratio((weights**2).sum(), weights.sum() ** 2),
    'largest_ticker_gain': _ratio(gains.max(initial=0.0), gains.sum()),
  }


def _exits(trades: pd.DataFrame) -> dict[str, float]:
  """Returns the fraction of trades that ended for each exit reason.

  NaN without trades, or if the table has no reasons.
  """
  reasons = trades.get('reason', pd.Series(dtype=str))
  return {
    f'exits_{reason.name.lower()}': _mean(reasons == reason.name.lower())
    for reason in Exit
    if reason is not Exit.NONE
  }


def _market(
  returns: np.ndarray, benchmark: np.ndarray, year: int
) -> dict[str, float]:
  """Returns alpha, beta and their standard errors; see `measure`.

  NaN for fewer than 3 days or a constant benchmark.

  Raises:
    ValueError: the benchmark has another number of days.
  """
  if benchmark.shape != returns.shape:
    raise ValueError(
      f'benchmark: found returns of shape {benchmark.shape}, expected '
      f'{returns.shape}, one for each day of the backtest'
    )
  names = ('alpha', 'beta', 'alpha_error', 'beta_error')
  if len(returns) < 3 or not sharpe.has_spread(benchmark):
    return dict.fromkeys(names, math.nan)
  fit = regression.least_squares(returns, benchmark[:, None])
  unit = np.array([year, 1.0])
  numbers = [*unit * fit.coefficients, *unit * fit.errors]
  return dict(zip(names, numbers, strict=True))


def _mean(values) -> float:
  return float(np.mean(values)) if len(values) else math.nan


def _ratio(numerator: float, denominator: float) -> float:
  return numerator / denominator if denominator > 0.0 else math.nan

"""Computes headlines, metrics, differences and monthly returns for a page.

The page is that of a run, or of runs that differ only in seed.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from eigen3.evaluation import bootstrap, metrics, statistics
from eigen3.evaluation.backtest import Backtest
from eigen3.evaluation.judge import Results
from eigen3.evaluation.statistics import Estimate

# Number of bootstrap resamples; p-values are multiples of 1 / 2,001.
_REPEATS = 2_000
# Percentiles of a 95 % interval.
_ENDS = (2.5, 97.5)


class Headline(NamedTuple):
  """A policy's profit, Sharpe ratio and maximum drawdown, with 95 % intervals.

  Attributes:
    name: the policy's name; 'iqm' for interquartile means over all agents.
    size: number of backtests from which the numbers were computed.
    profit: profit divided by initial cash.
    sharpe: annualised Sharpe ratio.
    max_drawdown: maximum drawdown, a share of the peak.
  """

  name: str
  size: int
  profit: Estimate
  sharpe: Estimate
  max_drawdown: Estimate


class Year(NamedTuple):
  """A policy's monthly returns in a year.

  Attributes:
    year: the calendar year.
    months: return in each of the twelve months; None for a month in which the
      backtest has no days.
    whole: return over all of the backtest's days in the year.
  """

  year: int
  months: list[float | None]
  whole: float


def headlines(agents: Results, controls: Results, seed: int) -> list[Headline]:
  """Returns the policies' headlines; if there are several agents, 'iqm' first.

  A policy with one backtest has intervals from the stationary bootstrap of its
  days, which are NaN for fewer than `bootstrap.FEWEST_DAYS` days. For a control
  with several backtests, the numbers are means over backtests, and the
  intervals hold the middle 95 % of the backtests. 'iqm' has intervals from a
  bootstrap over the agents.

  Args:
    agents: one backtest of each agent.
    controls: one or more backtests of each control.
    seed: random seed of the bootstraps.
  """
  once = {name: tests for name, tests in controls.items() if len(tests) == 1}
  once = {**agents, **once}
  returns = [metrics.daily_returns(tests[0]) for tests in once.values()]
  drawn = bootstrap.intervals(
    np.stack(returns, axis=1),
    functools.partial(_headline, year=_year(once)),
    seed,
    repeats=_REPEATS,
  )
  found = {
    name: Headline(name, 1, *drawn[k :: len(once)])
    for k, name in enumerate(once)
  }
  rows = []
  if len(agents) > 1:
    values = _headline_of([tests[0] for tests in agents.values()])
    middle = [statistics.interquartile_mean(v[:, None], seed) for v in values]
    rows.append(Headline('iqm', len(agents), *middle))
  for name, tests in {**agents, **controls}.items():
    rows.append(found[name] if name in found else _of_many(name, tests))
  return rows


def all_numbers(
  agents: Results, controls: Results
) -> dict[str, dict[str, float]]:
  """Returns each policy's metrics, averaged over its backtests, by name.

  The metrics are those of `metrics.measure`, with buy and hold as the
  benchmark. An average is NaN if the metric is NaN for any of the backtests.
  """
  market = metrics.daily_returns(controls['buy_and_hold'][0])
  found = {}
  for name, tests in {**agents, **controls}.items():
    numbers = [metrics.measure(test, market) for test in tests]
    found[name] = {
      key: float(np.mean([number[key] for number in numbers]))
      for key in numbers[0]
    }
  return found


def differences(
  agents: Results, controls: Results, seed: int
) -> dict[str, bootstrap.PairedDifference]:
  """Returns the agents' mean annualised excess return over each control.

  If a control has several backtests, their returns are averaged day by day.
  Each agent counts as a seed in `bootstrap.paired_difference`; `seed` is the
  seed of its random draws.
  """
  ours = np.stack([metrics.daily_returns(t[0]) for t in agents.values()])
  return {
    name: bootstrap.paired_difference(
      ours,
      np.mean([metrics.daily_returns(t) for t in tests], axis=0),
      seed,
      repeats=_REPEATS,
      year=_year(agents),
    )
    for name, tests in controls.items()
  }


def months(*backtests: Backtest) -> list[Year]:
  """Computes returns by calendar month; the first and last may be incomplete.

  If there are several backtests, which must be of the same days, their daily
  returns are averaged first.
  """
  days = np.mean([metrics.daily_returns(x) for x in backtests], axis=0)
  growth = np.log1p(days)
  month = backtests[0].dates.astype('datetime64[M]').astype(int)
  rows = []
  for year in np.unique(month // 12):
    inside = [
      growth[month == 12 * year + k] if (month == 12 * year + k).any() else None
      for k in range(12)
    ]
    rows.append(
      Year(
        1970 + int(year),
        [None if x is None else float(np.expm1(x.sum())) for x in inside],
        float(np.expm1(growth[month // 12 == year].sum())),
      )
    )
  return rows


def _year(results: Results) -> int:
  """Returns how many days of the results' panel make a year."""
  return next(iter(results.values()))[0].year


def _headline(returns: np.ndarray, year: int) -> np.ndarray:
  """Maps daily returns [S, M] of M backtests to three numbers each, [3 * M].

  The result holds M profits, then M Sharpe ratios, then M maximum drawdowns.

  Args:
    returns: S daily returns of each backtest.
    year: number of days in a year, for the Sharpe ratio.
  """
  path = np.cumprod(1.0 + returns, axis=0)
  peak = np.maximum(np.maximum.accumulate(path, axis=0), 1.0)
  deviation = returns.std(axis=0, ddof=1)
  moved = deviation > 0.0
  sharpe = returns.mean(axis=0) / np.where(moved, deviation, 1.0)
  return np.concatenate(
    [
      path[-1] - 1.0,
      np.sqrt(year) * np.where(moved, sharpe, 0.0),
      np.max(1.0 - path / peak, axis=0),
    ]
  )


def _headline_of(backtests: Sequence[Backtest]) -> np.ndarray:
  """Returns M backtests' profits, Sharpe ratios and max. drawdowns, [3, M]."""
  returns = [metrics.daily_returns(backtest) for backtest in backtests]
  found = _headline(np.stack(returns, axis=1), backtests[0].year)
  return found.reshape(3, -1)


def _of_many(name: str, backtests: Sequence[Backtest]) -> Headline:
  values = _headline_of(backtests)
  ends = np.percentile(values, _ENDS, axis=1)
  estimates = [
    Estimate(float(mean), float(low), float(high))
    for mean, low, high in zip(values.mean(axis=1), *ends, strict=True)
  ]
  return Headline(name, len(backtests), *estimates)

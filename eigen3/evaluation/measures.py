"""Measures of a policy on a split: how it ranks the stocks, and its account.

Most are kept as daily values, so that those of successive splits can be joined
before standard errors are computed.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from eigen3.data import MarketPanel
from eigen3.evaluation import attribution, capacity, cross_section, metrics
from eigen3.evaluation.backtest import Backtest
from eigen3.evaluation.characteristics import risks
from eigen3.evaluation.judge import Judge

FILE = 'measures.json'  # in a run's folder
MATCHED = 'matched_entry'
_DIGITS = 6  # decimals of stored numbers


def measure(
  panel: MarketPanel,
  judge: Judge,
  scores: np.ndarray,
  outcomes: np.ndarray,
  backtest: Backtest,
  environment: Mapping[str, Any],
  seed: int,
) -> dict[str, Any]:
  """Measures a policy on a split.

  Args:
    panel: the market.
    judge: the judge of the split.
    scores: float [S, N], by which the policy ranks the stocks on `judge.days`;
      higher is better.
    outcomes: float [S, N], outcomes of trades decided on these days; NaN if
      unknown.
    backtest: the policy's backtest on these days.
    environment: the `environment` section of the settings.
    seed: random seed of the matched entries.

  Returns:
    `daily`, lists of S numbers by name, None where unknown: the measures of
    `cross_section.Daily`, the daily returns of `matched_entry`, averaged over
    its backtests, and those of `attribution.portfolios`; `horizon`, the maximum
    holding, taken as the number of days that an outcome covers; `stocks`, the
    mean number of stocks that could be bought on a day; `turnover` per year;
    `exposure`, the mean invested share of the equity; `capacity`, the fields of
    `capacity.Capacity`.
  """
  days, known = judge.days, judge.buyable & np.isfinite(outcomes)
  ordered = cross_section.daily(scores, outcomes, known, risks(panel)[days])
  held = attribution.portfolios(panel)
  matched = judge.matched_entry(backtest, seed)
  daily = {
    **ordered._asdict(),
    MATCHED: np.mean([metrics.daily_returns(x) for x in matched], axis=0),
    **{name: returns[days] for name, returns in held.items()},
  }
  cash = environment['initial_cash']
  found = capacity.capacity(backtest, panel, cash)
  return {
    'daily': {name: _numbers(values) for name, values in daily.items()},
    'horizon': int(environment['max_holding_days']),
    'stocks': float(judge.buyable.sum(axis=1).mean()),
    'turnover': metrics.measure(backtest)['turnover'],
    'exposure': backtest.summary['exposure'],
    'capacity': metrics.for_json(found._asdict()),
  }


def _numbers(values: np.ndarray) -> list[float | None]:
  """Rounds values for JSON; values that are not finite become None."""
  return [round(float(x), _DIGITS) if np.isfinite(x) else None for x in values]

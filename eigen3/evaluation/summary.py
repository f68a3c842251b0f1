"""Metrics of a run's champion and controls, for the run's files."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from eigen3.evaluation import metrics
from eigen3.evaluation.judge import Results, mean_summary
from eigen3.evaluation.sharpe import Deflated, deflate, track_record


def means(results: Results) -> dict[str, dict[str, float]]:
  """Returns each policy's summary metrics, averaged over its backtests."""
  return {name: mean_summary(tests) for name, tests in results.items()}


def champion(
  results: Mapping[str, Results], deflated: Deflated
) -> dict[str, Any]:
  """Returns the champion's metrics and deflated Sharpe ratio, for JSON.

  Args:
    results: backtests by split and policy; policies must include 'agent' (the
      champion) and 'buy_and_hold', whose returns are the benchmark.
    deflated: the champion's deflated Sharpe ratio.

  Returns:
    `metrics`, for each split all metrics of `metrics.measure`; and `trials`,
    the fields of `deflated`. Numbers that are not finite are None.
  """
  found = {}
  for split, judged in results.items():
    market = metrics.daily_returns(judged['buy_and_hold'][0])
    found[split] = metrics.for_json(metrics.measure(judged['agent'][0], market))
  return {'metrics': found, 'trials': metrics.for_json(deflated._asdict())}


def deflated(results: Mapping[str, Results], ratios: np.ndarray) -> Deflated:
  """Deflates the champion's Sharpe ratio on the validation days.

  Args:
    results: backtests by split and policy; 'agent' is the champion.
    ratios: float [n], daily Sharpe ratios of all n trials; see `deflate`.
  """
  returns = metrics.daily_returns(results['validation']['agent'][0])
  return deflate(ratios, track_record(returns))


def daily_returns(results: Mapping[str, Results]) -> pd.DataFrame:
  """Returns the daily returns of every policy.

  Args:
    results: backtests by split and policy.

  Returns:
    A row per split and day. Columns: `split`, `date` and, for each policy, the
    return since the day before, averaged over the policy's backtests.
  """
  tables = []
  for split, policies in results.items():
    dates = next(iter(policies.values()))[0].dates
    columns = {
      name: np.mean([metrics.daily_returns(test) for test in tests], axis=0)
      for name, tests in policies.items()
    }
    tables.append(pd.DataFrame({'split': split, 'date': dates, **columns}))
  return pd.concat(tables, ignore_index=True)

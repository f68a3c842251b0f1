"""Joins the results of a policy on the held-out days of all folds.

Daily numbers are averaged over seeds and chained over folds before standard
errors are computed, so that seeds and folds are not taken as independent.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from eigen3.evaluation import attribution, metrics, regression
from eigen3.evaluation.controls import at_exposure
from eigen3.evaluation.cross_section import Daily
from eigen3.evaluation.measures import MATCHED
from eigen3.evaluation.pooled import Outcome
from eigen3.evaluation.regression import DailyMean

EQUAL = 'equal_exposure'  # buy and hold with the policy's mean invested share
_PORTFOLIOS = ('market', *attribution.PORTFOLIOS)


class Joined(NamedTuple):
  """Results of a policy on the S held-out days of all folds.

  Daily values are means over seeds.

  Attributes:
    dates: datetime64[ns] [S].
    fold: int [S], the year of each day's fold.
    returns: float [S], daily returns of the policy's account.
    daily: other daily values by name, float [S]; see `measures.measure`.
    controls: daily returns of each control by name, float [S].
    measures: the measures of each run, see `measures.measure`.
    seconds: total training time of all runs; None if a run did not log it.
    seeds: number of seeds.
    year: number of days in a year, such as 252.
  """

  dates: np.ndarray
  fold: np.ndarray
  returns: np.ndarray
  daily: dict[str, np.ndarray]
  controls: dict[str, np.ndarray]
  measures: Sequence[Mapping[str, Any]]
  seconds: float | None
  seeds: int
  year: int


def join(folds: Mapping[int, Mapping[int, Outcome]]) -> Joined | None:
  """Joins the runs of a policy.

  Args:
    folds: results of runs, keyed by the fold's year, then by seed; at least one
      fold.

  Returns:
    The policy's results; None if a fold has no runs, or folds have runs with
    different seeds.

  Raises:
    ValueError: if held-out days of folds overlap or are not in order.
  """
  seeds = [*next(iter(folds.values()))]
  if not seeds or any({*runs} != {*seeds} for runs in folds.values()):
    return None
  every = [[runs[seed] for seed in seeds] for runs in folds.values()]
  first = [runs[0] for runs in every]

  def chain(values_of) -> np.ndarray:
    """Averages daily values over seeds, and chains them over folds, [S]."""
    return np.concatenate(
      [_mean([values_of(run) for run in runs]) for runs in every]
    )

  dates = np.concatenate([run.daily['date'].to_numpy() for run in first])
  late = np.flatnonzero(dates[1:] <= dates[:-1])
  if late.size:
    before, day = dates[late[0] : late[0] + 2].astype('datetime64[D]')
    raise ValueError(
      'years: found folds whose held-out days overlap or are not in order '
      f'({day} follows {before}), expected folds in order; some were made '
      'earlier, with other years or data settings: use another --workdir'
    )
  return Joined(
    dates,
    np.repeat([*folds], [len(run.daily) for run in first]),
    chain(lambda run: run.returns),
    {
      name: chain(functools.partial(_measured, name))
      for name in first[0].measures['daily']
    },
    {
      name: chain(functools.partial(_control, name))
      for name in first[0].profits
      if name != first[0].policy
    },
    [run.measures for runs in every for run in runs],
    _total([run.facts.get('seconds') for runs in every for run in runs]),
    len(seeds),
    first[0].year,
  )


def _total(seconds: Sequence[float | None]) -> float | None:
  """Returns the sum, or None if a value is unknown."""
  known = [x for x in seconds if x is not None]
  return sum(known) if len(known) == len(seconds) else None


def _mean(seeds: Sequence[np.ndarray]) -> np.ndarray:
  """Averages daily values over seeds.

  If a seed has no value (NaN) on a day, it counts as 0 there, because its
  scores order nothing. On days on which no seed has a value, the mean is NaN.

  Args:
    seeds: the daily values of each seed, on the same days.
  """
  values = np.array(seeds)
  is_known = np.isfinite(values).any(axis=0)
  return np.where(is_known, np.nan_to_num(values).mean(axis=0), np.nan)


def _measured(name: str, run: Outcome) -> np.ndarray:
  return np.array(run.measures['daily'][name], float)


def _control(name: str, run: Outcome) -> np.ndarray:
  return run.daily[name].to_numpy(float)


def report(name: str, joined: Mapping[str, Joined]) -> dict[str, Any]:
  """Returns a policy's results, ready for JSON.

  Args:
    name: the policy's name.
    joined: results of all policies on the same days, by name.

  Returns:
    `order`: the `DailyMean` of each measure in `cross_section.Daily`;
    `by_year`: the `DailyMean` of the rank IC in each fold, by its year;
    `order_against`: the `DailyMean` of the rank IC less another policy's, by
    that policy's name;
    `account`: yearly `growth`; `exposure`, `turnover` and number of `stocks`
    that could be bought, means over runs; `capacity`, see `_capacity`;
    `against`: the policy's returns less those of each control and each other
    policy, by name, see `_difference`;
    `attribution`: see `attribution.attribute`, None if all returns are 0;
    `seeds` and `days`: their numbers; `minutes`: total time of training,
    None if unknown.
  """
  one = joined[name]
  horizon = one.measures[0]['horizon']
  others = {n: other for n, other in joined.items() if n != name}
  years = len(one.returns) / one.year

  def mean_of(values: np.ndarray) -> dict[str, Any]:
    return _plain(regression.daily_mean(values, horizon))

  def measured(field: str) -> float:
    return float(np.mean([found[field] for found in one.measures]))

  beside = {
    **controls_of(one),
    **{n: other.returns for n, other in others.items()},
  }
  held = {n: one.daily[n] for n in _PORTFOLIOS}
  return {
    'order': {field: mean_of(one.daily[field]) for field in Daily._fields},
    'by_year': {
      str(year): mean_of(one.daily['ic'][one.fold == year])
      for year in dict.fromkeys(one.fold.tolist())
    },
    'order_against': {
      n: mean_of(one.daily['ic'] - other.daily['ic'])
      for n, other in others.items()
    },
    'account': {
      'growth': float(np.prod(1.0 + one.returns) ** (1.0 / years) - 1.0),
      'exposure': measured('exposure'),
      'turnover': measured('turnover'),
      'stocks': measured('stocks'),
      'capacity': _capacity(one),
    },
    'against': {
      n: _difference(one.returns - returns, one.year)
      for n, returns in beside.items()
    },
    'attribution': _attribution(one.returns, held, one.year),
    'seeds': one.seeds,
    'days': len(one.returns),
    'minutes': one.seconds and round(one.seconds / 60.0, 1),
  }


def _capacity(one: Joined) -> float | None:
  """Returns the least `Capacity.account` of all runs; None if all are NaN."""
  found = [run['capacity']['account'] for run in one.measures]
  return min((x for x in found if x is not None), default=None)


def controls_of(one: Joined) -> dict[str, np.ndarray]:
  """Returns daily returns of all controls of a policy, by name.

  These include matched random entry and `EQUAL`.
  """
  exposure = float(np.mean([found['exposure'] for found in one.measures]))
  held = at_exposure(one.controls['buy_and_hold'], exposure)
  return {MATCHED: one.daily[MATCHED], EQUAL: held, **one.controls}


def excess(one: Joined) -> pd.DataFrame:
  """Returns the cumulative excess over matched random entry, with an interval.

  Returns:
    A row per day: `date`; `excess`, the sum up to that day of the policy's
    daily returns less those of matched random entry; and `low` and `high`, the
    95 % interval of this sum.
  """
  daily = one.returns - one.daily[MATCHED]
  error = regression.daily_mean(daily).error
  count = np.arange(1, len(daily) + 1)
  total = np.cumsum(daily)
  # From the error of the mean of all days to that of the sum of `count` days.
  width = 1.96 * error * np.sqrt(count * len(daily))
  return pd.DataFrame(
    {
      'date': one.dates,
      'excess': total,
      'low': total - width,
      'high': total + width,
    }
  )


def _difference(daily: np.ndarray, year: int) -> dict[str, Any]:
  """Estimates the yearly mean of daily differences, and tests whether it is 0.

  Args:
    daily: the differences, float [S].
    year: number of days in a year, such as 252.

  Returns:
    The `mean` times `year`, its standard `error` and 95 % interval, `low` to
    `high`; `t`, `p` and `detectable` (also times `year`), see `DailyMean`;
    ready for JSON.
  """
  found = regression.daily_mean(daily)
  mean, error = year * found.mean, year * found.error
  return metrics.for_json(
    {
      'mean': mean,
      'error': error,
      'low': mean - 1.96 * error,
      'high': mean + 1.96 * error,
      't': found.t,
      'p': found.p,
      'detectable': year * found.detectable,
    }
  )


def _attribution(
  returns: np.ndarray, held: Mapping[str, np.ndarray], year: int
) -> dict[str, Any] | None:
  """Returns `attribution.attribute` for JSON; None if all returns are 0."""
  if not returns.any():
    return None
  found = attribution.attribute(returns, held, year)
  parts = {'betas': found.betas, 'contributions': found.contributions}
  numbers = {n: x for n, x in found._asdict().items() if n not in parts}
  return {
    **metrics.for_json(numbers),
    **{n: metrics.for_json(part) for n, part in parts.items()},
  }


def _plain(found: DailyMean) -> dict[str, Any]:
  return metrics.for_json(found._asdict())

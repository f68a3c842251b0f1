"""Pools the results of runs of one configuration with several seeds."""

import math
import types
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from eigen3.evaluation import bootstrap, paired, profiles, statistics
from eigen3.evaluation.statistics import DRAWS, Estimate
from eigen3.types import TRADING_DAYS_A_YEAR


class Outcome(NamedTuple):
  """The results of one run on its held-out days.

  Attributes:
    policy: name of the policy.
    daily: one row per day: `date`, and the daily returns of the policy and the
      controls, in columns by name.
    profits: profits of the policy and the controls, divided by initial cash, by
      name.
    facts: numbers about the training, by name.
    commit: commit of the code, '' if unknown.
    year: number of the panel's days per year.
    measures: see `measures.measure`; empty if they were not requested.
  """

  policy: str
  daily: pd.DataFrame
  profits: Mapping[str, float]
  facts: Mapping[str, Any]
  commit: str = ''
  year: int = TRADING_DAYS_A_YEAR
  measures: Mapping[str, Any] = types.MappingProxyType({})

  @property
  def returns(self) -> np.ndarray:
    """Returns the policy's returns on the S held-out days, float [S]."""
    return self.daily[self.policy].to_numpy(float)

  @property
  def profit(self) -> float:
    """Returns the policy's profit, divided by initial cash."""
    return self.profits[self.policy]


def chained(outcomes: Sequence[Outcome]) -> Outcome:
  """Joins runs on successive held-out periods; averages profits and facts.

  Commits and measures are dropped.

  If the joined days are bootstrapped, blocks may span one run's last day and
  the next run's first, even if these are years apart. There are only a few such
  pairs among hundreds of days.
  """
  first = outcomes[0]

  def mean(field: str) -> dict[str, float]:
    rows = [getattr(outcome, field) for outcome in outcomes]
    return {name: float(np.mean([r[name] for r in rows])) for name in rows[0]}

  return Outcome(
    first.policy,
    pd.concat([outcome.daily for outcome in outcomes], ignore_index=True),
    mean('profits'),
    mean('facts'),
    year=first.year,
  )


def share(
  ours: np.ndarray, theirs: np.ndarray, seed: int, repeats: int = DRAWS
) -> Estimate:
  """Estimates a policy's profit as a share of another's, over all seeds.

  The share is the ratio of the sums over seeds, not the mean of the ratios: a
  single seed with which the other policy earns almost nothing would dominate
  that mean. The 95 % interval is from a bootstrap over seeds.

  Args:
    ours: the policy's profits, float [K], one for each of K seeds.
    theirs: the other policy's profits with the same seeds, float [K].
    seed: random seed of the draws.
    repeats: number of draws of seeds.

  Returns:
    The share and its interval; all NaN if the sum of the other policy's profits
    is not above 0, either over the K seeds or in more than 2.5 % of the draws.
  """
  rng = np.random.default_rng(seed)
  drawn = rng.integers(len(ours), size=(repeats, len(ours)))
  with np.errstate(divide='ignore', invalid='ignore'):
    shares = ours[drawn].sum(axis=1) / theirs[drawn].sum(axis=1)
  shares[theirs[drawn].sum(axis=1) <= 0.0] = np.nan
  if theirs.sum() <= 0.0 or np.isnan(shares).mean() > 0.025:
    return Estimate(np.nan, np.nan, np.nan)
  low, high = np.nanquantile(shares, [0.025, 0.975])
  return Estimate(float(ours.sum() / theirs.sum()), float(low), float(high))


def against(
  ours: Sequence[Outcome],
  theirs: Sequence[np.ndarray],
  seed: int,
  repeats: int = 10_000,
  draws: int = DRAWS,
) -> dict[str, Any]:
  """Compares a policy's daily returns with another's, pooled over seeds.

  Args:
    ours: K runs of the policy, one per seed.
    theirs: the other policy's daily returns with the same seeds on the same
      days, K arrays of S days.
    seed: random seed of the draws.
    repeats: number of draws of days.
    draws: number of draws of seeds.

  Returns:
    The fields of `bootstrap.PairedDifference` and, with at least two seeds:
    `seeds`, Student's interval of the mean of `by_seed`; `improvement` and
    `detectable`, see the functions of these names in `paired`. The p-value is
    not corrected for the number of comparisons.

  Raises:
    ValueError: numbers of days differ, or a return is not finite.
  """
  found = bootstrap.paired_difference(
    np.stack([outcome.returns for outcome in ours]),
    np.stack(theirs),
    seed,
    repeats=repeats,
    year=ours[0].year,
  )
  fields = {**found._asdict(), 'by_seed': found.by_seed.tolist()}
  if len(ours) > 1:
    fields['seeds'] = statistics.mean_interval(found.by_seed)._asdict()
    better = paired.improvement(found.by_seed[:, None], seed, draws)
    fields['improvement'] = better._asdict()
    fields['detectable'] = paired.detectable(found.by_seed)
  return fields


def pool(
  outcomes: Sequence[Outcome],
  others: Mapping[str, Sequence[Outcome]],
  seed: int,
  repeats: int = 10_000,
  draws: int = DRAWS,
) -> dict[str, Any]:
  """Returns the pooled report of one configuration, ready for JSON.

  Args:
    outcomes: K runs, one per seed.
    others: runs of other configurations with the same seeds and days, by name.
    seed: random seed of the draws.
    repeats: number of draws of days.
    draws: number of draws of seeds.

  Returns:
    `seeds`, the number of seeds; `profit`, the policy's profit: `values`, one
    per seed, their `mean` and interquartile mean `iqm`, with intervals, but
    `mean` without one for a single seed; `solved`, see the function of this
    name; `profits`, the mean profit of each control and other configuration;
    `shares`, the policy's profit as a share of each of these, see `share`;
    `against`, the comparison with each, see the function of this name; `facts`,
    means over runs. Numbers that are not finite are None.

  Raises:
    ValueError: the days of a run differ from those of the first run, or a
      return or one of the policy's profits is not finite.
  """
  first = outcomes[0]
  _check_days(outcomes, others)
  values = np.array([outcome.profit for outcome in outcomes])
  profits, compared = _beside(outcomes, others)
  return _plain(
    {
      'seeds': len(outcomes),
      'profit': _profit(values, seed, draws),
      'solved': solved(outcomes),
      'profits': {name: float(x.mean()) for name, x in profits.items()},
      'shares': {
        name: share(values, x, seed, draws)._asdict()
        for name, x in profits.items()
      },
      'against': {
        name: against(outcomes, theirs, seed, repeats, draws)
        for name, theirs in compared.items()
      },
      'facts': {
        name: float(np.mean([outcome.facts[name] for outcome in outcomes]))
        for name in first.facts
      },
    }
  )


def solved(outcomes: Sequence[Outcome]) -> dict[str, Any] | None:
  """Counts markets on which at least half of a yardstick's profit is earned.

  Args:
    outcomes: runs of one configuration, each on a market of its own.

  Returns:
    None without a usable yardstick, see `profiles.scores`; else `of`, the
    yardstick's name; `count`, the number of markets solved; `size`, the number
    of markets on which the yardstick made a profit; `share`, `count` divided by
    `size`, with its interval; and `scores`, the policy's profit divided by the
    yardstick's, on each of the `size` markets.
  """
  profits = np.array([outcome.profit for outcome in outcomes])
  controls = {
    name: np.array([outcome.profits[name] for outcome in outcomes])
    for name in profiles.YARDSTICKS
    if name in outcomes[0].profits
  }
  found = profiles.scores(profits, controls)
  if found is None:
    return None
  count, size = found.solved, len(found.values)
  return {
    'of': found.yardstick,
    'count': count,
    'size': size,
    'share': profiles.share_above(count, size)._asdict(),
    'scores': found.values.tolist(),
  }


def _beside(
  outcomes: Sequence[Outcome], others: Mapping[str, Sequence[Outcome]]
) -> tuple[dict[str, np.ndarray], dict[str, list[np.ndarray]]]:
  """Returns the profits, and the daily returns, of controls and `others`.

  Both are by name, with one entry per seed.
  """
  first = outcomes[0]
  controls = [name for name in first.profits if name != first.policy]
  profits = {
    name: np.array([outcome.profits[name] for outcome in outcomes])
    for name in controls
  }
  returns = {
    name: [outcome.daily[name].to_numpy(float) for outcome in outcomes]
    for name in controls
  }
  for name, runs in others.items():
    profits[name] = np.array([outcome.profit for outcome in runs])
    returns[name] = [outcome.returns for outcome in runs]
  return profits, returns


def _check_days(
  outcomes: Sequence[Outcome], others: Mapping[str, Sequence[Outcome]]
) -> None:
  """Raises a ValueError unless all runs have the same days.

  Daily returns of different runs are compared row by row.
  """
  expected = outcomes[0].daily['date'].to_numpy()
  for name, runs in {outcomes[0].policy: outcomes, **others}.items():
    for outcome in runs:
      found = outcome.daily['date'].to_numpy()
      if not np.array_equal(found, expected):
        row = None
        if _span(found) == _span(expected):
          row = int(np.argmax(found != expected))
        raise ValueError(
          f'{name}: found the days {_span(found, row)}, expected the days of '
          f'the first run of {outcomes[0].policy}, {_span(expected, row)}'
        )


def _span(dates: np.ndarray, row: int | None = None) -> str:
  days = np.datetime_as_string(dates, unit='D')
  also = '' if row is None else f', with {days[row]} as day {row + 1}'
  return f'{days[0]} to {days[-1]} ({len(days)} days){also}'


def _plain(tree: Any) -> Any:
  """Replaces numbers that are not finite with None, for JSON."""
  if isinstance(tree, dict):
    return {name: _plain(value) for name, value in tree.items()}
  if isinstance(tree, list):
    return [_plain(value) for value in tree]
  if isinstance(tree, float) and not math.isfinite(tree):
    return None
  return tree


def _profit(values: np.ndarray, seed: int, draws: int) -> dict[str, Any]:
  middle = statistics.interquartile_mean(values[:, None], seed, repeats=draws)
  fields: dict[str, Any] = {'values': values.tolist(), 'iqm': middle._asdict()}
  if len(values) > 1:
    fields['mean'] = statistics.mean_interval(values)._asdict()
  else:
    fields['mean'] = {'mean': float(values[0])}
  return fields

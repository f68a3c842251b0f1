"""Summarises how a population developed: scores, diversity and gains."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from eigen3.settings import require

MEMBER_COLUMNS = (
  'generation',
  'member',
  'origin',
  'parent',
  'fitness',
  'validation',
  'profit',
  'trades',
  'win_rate',
)


class Gain(NamedTuple):
  """By how much new members outscore their better parent on the same slices.

  Attributes:
    mean: mean over generations, in standard deviations of the members' scores.
    error: standard error of the mean; NaN for a single generation.
  """

  mean: float
  error: float


class Development(NamedTuple):
  """The development of a population, and the effects of selection and breeding.

  Attributes:
    generations: number of generations.
    first: mean validation score of the members in the first third of the
      generations; NaN if unknown.
    last: the same in the last third.
    error: standard error of `last` - `first`, from the variation between
      generations; NaN if a third has fewer than two generations.
    retest: mean retest correlation over generations; NaN if unknown.
    between: estimated standard deviation of the agents' true fitness; mean over
      generations; NaN if unknown.
    within: standard error of an agent's fitness; mean over agents and
      generations; NaN if unknown.
    distance: median distance between the members' policies, in the first and in
      the last generation; NaN if unknown.
    founders: number of founders that members descend from, in the first and in
      the last generation; None if unknown.
    alone_since: generation since which all members descend from a single
      founder; None if those of the last generation descend from several
      founders, or if unknown.
    gains: the `Gain` of offspring and of mutants, with the keys 'offspring' and
      'mutant', each only if known.
  """

  generations: int
  first: float
  last: float
  error: float
  retest: float
  between: float
  within: float
  distance: tuple[float, float]
  founders: tuple[int, int] | None
  alone_since: int | None
  gains: dict[str, Gain]


_STATISTICS: dict[str, Any] = {
  'best': 'max',
  'mean': 'mean',
  'median': 'median',
  'worst': 'min',
  # The deviation of this population, not an estimate for a larger one: 0 for
  # one member.
  'std': lambda scores: scores.std(ddof=0),
}


def scores(members: pd.DataFrame) -> pd.DataFrame:
  """Summarises fitness and validation scores of each generation.

  Args:
    members: one row per generation and member, with `MEMBER_COLUMNS`.

  Returns:
    One row per generation. Columns: `generation`, and `fitness_` and
    `validation_` followed by `best`, `mean`, `median`, `worst` and `std`; NaN
    if no member of the generation has the score.

  Raises:
    ValueError: `members` lacks a column or has no row.
  """
  require_columns('members', members, MEMBER_COLUMNS)
  groups = members.groupby('generation')
  return pd.DataFrame(
    {
      f'{score}_{name}': groups[score].agg(statistic)
      for score in ('fitness', 'validation')
      for name, statistic in _STATISTICS.items()
    }
  ).reset_index()


def development(generations: pd.DataFrame) -> Development:
  """Summarises how a population developed.

  Args:
    generations: one row per generation, as in `metrics.csv`.

  Raises:
    ValueError: there is no row, or no column `generation` or `validation_mean`.
  """
  require_columns('generations', generations, ('generation', 'validation_mean'))
  validation = generations['validation_mean'].dropna().to_numpy(float)
  third = max(1, len(validation) // 3)
  first, last = validation[:third], validation[-third:]
  error = np.nan
  if third > 1:
    error = np.sqrt((first.var(ddof=1) + last.var(ddof=1)) / third)
  founders = _column(generations, 'founders')
  alone = generations['generation'].iloc[
    len(generations) - _run_of_ones(founders) :
  ]
  return Development(
    generations=len(generations),
    first=float(np.mean(first)) if len(first) else np.nan,
    last=float(np.mean(last)) if len(last) else np.nan,
    error=float(error),
    retest=_mean(_column(generations, 'retest_correlation')),
    between=_mean(_column(generations, 'fitness_between')),
    within=_mean(_column(generations, 'fitness_error')),
    distance=_ends(_column(generations, 'distance_median')) or (np.nan,) * 2,
    founders=_ends(founders.astype(int)) if len(founders) else None,
    alone_since=int(alone.iloc[0]) if len(alone) else None,
    gains={
      name: Gain(_mean(gains), _error(gains))
      for name in ('offspring', 'mutant')
      if len(gains := _column(generations, f'{name}_gain'))
    },
  )


def _column(table: pd.DataFrame, name: str) -> np.ndarray:
  """Returns a column's known numbers; an empty array without the column."""
  return table[name].dropna().to_numpy(float) if name in table else np.zeros(0)


def _run_of_ones(values: np.ndarray) -> int:
  """Counts the consecutive ones at the end of `values`."""
  others = np.flatnonzero(values != 1)
  return len(values) - (others[-1] + 1 if len(others) else 0)


def _ends(values: np.ndarray) -> tuple[Any, Any] | None:
  return (values[0].item(), values[-1].item()) if len(values) else None


def _mean(values: np.ndarray) -> float:
  return float(values.mean()) if len(values) else np.nan


def _error(values: np.ndarray) -> float:
  if len(values) < 2:
    return np.nan
  return float(values.std(ddof=1) / np.sqrt(len(values)))


def best_first(members: pd.DataFrame, *scores: str) -> pd.DataFrame:
  """Sorts members by the columns `scores`, the highest first.

  Ties in the first score are broken by the next one, and so on, then by member
  number.
  """
  return members.sort_values(
    [*scores, 'member'], ascending=[*(False for _ in scores), True]
  )


def require_columns(
  name: str, table: pd.DataFrame, expected: Iterable[str]
) -> None:
  """Raises a ValueError if a table lacks an expected column or has no row."""
  found = list(table.columns)
  for column in expected:
    require(
      column in found, f'columns of {name}', found, f'a column {column!r}'
    )
  require(len(table) > 0, f'rows of {name}', len(table), 'at least 1')

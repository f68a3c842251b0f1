"""How the scores of a population moved, from its `members.csv`."""

from collections.abc import Iterable
from typing import Any

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

_STATISTICS: dict[str, Any] = {
  'best': 'max',
  'mean': 'mean',
  'median': 'median',
  'worst': 'min',
  # Of this population, not an estimate for a larger one: 0 for one member.
  'std': lambda scores: scores.std(ddof=0),
}


def scores(members: pd.DataFrame) -> pd.DataFrame:
  """The scores of each generation.

  Args:
    members: one row per generation and member.

  Returns:
    One row per generation: `generation`; for `fitness` and for `validation`
    their `_best`, `_mean`, `_median`, `_worst` and `_std`, NaN where no
    member has a score; and `validation_best_so_far`, NaN before the first.

  Raises:
    ValueError: `members` lacks a column or has no row.
  """
  require_columns('members', members, MEMBER_COLUMNS)
  groups = members.groupby('generation')
  table = pd.DataFrame(
    {
      f'{score}_{name}': groups[score].agg(statistic)
      for score in ('fitness', 'validation')
      for name, statistic in _STATISTICS.items()
    }
  )
  table['validation_best_so_far'] = table['validation_best'].cummax().ffill()
  return table.reset_index()


def best_first(members: pd.DataFrame, *scores: str) -> pd.DataFrame:
  """Sorted by the first score, then by the others, then by number."""
  return members.sort_values(
    [*scores, 'member'], ascending=[*(False for _ in scores), True]
  )


def require_columns(
  name: str, table: pd.DataFrame, expected: Iterable[str]
) -> None:
  """Refuses a table that lacks a column or has no row."""
  found = list(table.columns)
  for column in expected:
    require(column in found, name, found, f'a column {column!r}')
  require(len(table) > 0, name, 'no row', 'at least 1')

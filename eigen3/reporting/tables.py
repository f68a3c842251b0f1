"""Text tables of policies' results, population members, and attention."""

import math
from collections.abc import Container, Mapping, Sequence

import numpy as np
import pandas as pd

from eigen3.evaluation import importance, population
from eigen3.evaluation.judge import Results, mean_summary
from eigen3.reporting import drawing
from eigen3.settings import require

_NUMBERS = (
  ('profit', 'profit', '{:+.2%}'),
  ('max_drawdown', 'max drawdown', '{:.2%}'),
  ('sharpe', 'Sharpe', '{:.2f}'),
  ('trades', 'trades', '{:.0f}'),
  ('win_rate', 'win rate', '{:.0%}'),
  ('holding_days', 'days held', '{:.1f}'),
  ('exposure', 'exposure', '{:.0%}'),
  ('costs', 'costs', '{:.2%}'),
)
_MEMBERS = (
  ('member', 'member', '{:.0f}'),
  ('validation', 'validation', '{:+.4g}'),
  ('fitness', 'fitness', '{:+.4g}'),
  ('profit', 'profit', '{:+.2%}'),
  ('trades', 'trades', '{:.1f}'),
  ('win_rate', 'win rate', '{:.0%}'),
  ('origin', 'origin', '{}'),
  ('parent', 'parent', '{:.0f}'),
)
_NAMED = 5  # columns below a threshold that the text names, at most


def aligned(
  rows: Sequence[Sequence[str]], to_the_left: Container[int] = (0,)
) -> str:
  """Returns rows as lines of text, with aligned columns.

  Columns whose index is in `to_the_left` are left-aligned, the others
  right-aligned.
  """
  widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
  return '\n'.join(
    '  '.join(
      cell.ljust(width) if index in to_the_left else cell.rjust(width)
      for index, (cell, width) in enumerate(zip(row, widths, strict=True))
    ).rstrip()
    for row in rows
  )


def policies(results: Results) -> str:
  """Returns a text table of metrics: a line of titles, then one per policy.

  If a policy has several backtests, the mean of each metric is shown.
  """
  rows = [['', *(title for _, title, _ in _NUMBERS)]]
  for name, backtests in results.items():
    numbers = mean_summary(backtests)
    cells = [form.format(numbers[key]) for key, _, form in _NUMBERS]
    many = f' (mean of {len(backtests)})' if len(backtests) > 1 else ''
    rows.append([drawing.shown(name) + many, *cells])
  return aligned(rows)


def training_slices(training: Mapping[str, np.ndarray]) -> str:
  """Returns a text table of profits: a line of titles, then one per policy.

  It shows the mean, worst and best profit, and the number of slices.

  Args:
    training: profits on slices of the training days, keyed by policy name.
  """
  width = max(map(len, training))
  lines = [f'{"":{width}}     mean    worst     best   slices']
  lines += [
    f'{name:{width}} '
    + ' '.join(f'{f(x):+8.2%}' for f in (np.mean, np.min, np.max))
    + f' {len(x):8}'
    for name, x in training.items()
  ]
  return '\n'.join(lines)


def best_members(members: pd.DataFrame, generation: int, count: int = 5) -> str:
  """Returns a text table of a generation's best members by validation score.

  Ties are ordered by fitness, then by member number; members without a
  validation score come last.

  Args:
    members: one row per generation and member, with `MEMBER_COLUMNS` of
      eigen3/evaluation/population.py; a `parent` below 0 means none.
    generation: the generation to describe.
    count: how many members to show at most.

  Returns:
    A line of titles, then one for each member; '-' if a value is unknown or
    there is no parent.

  Raises:
    ValueError: if `members` has no row, lacks one of these columns, or has no
      row of `generation`.
  """
  population.require_columns('members', members, population.MEMBER_COLUMNS)
  chosen = members[members['generation'] == generation]
  found = f'{members["generation"].min()} to {members["generation"].max()}'
  expected = f'a generation in members, which has {found}'
  require(len(chosen) > 0, 'generation', generation, expected)
  best = population.best_first(chosen, 'validation', 'fitness').head(count)
  best = best.assign(parent=best['parent'].where(best['parent'] >= 0))
  table = pd.DataFrame(
    {
      title: [_cell(form, value) for value in best[name]]
      for name, title, form in _MEMBERS
    }
  )
  return table.to_string(index=False)


def columns_by_importance(
  mean: importance.Values,
  below: importance.Values,
  columns: Sequence[str],
  persistent: int,
) -> str:
  """Returns the columns with the most attention and those with little, as text.

  Arguments and errors are those of `importance.describe`.
  """
  found = importance.describe(mean, below, columns, persistent)
  shares = [share for _, share in found['top']]
  table = pd.DataFrame(
    {
      'rank': range(1, len(shares) + 1),
      'column': [name for name, _ in found['top']],
      'share': [f'{share:.2%}' for share in shares],
      'together': [f'{share:.2%}' for share in np.cumsum(shares)],
    }
  )
  lines = [
    f'Attention over {found["columns"]} columns: entropy '
    f'{found["entropy"]:.2f} nats ({found["entropy_share"]:.0%} of the '
    f'largest), that of {found["effective_columns"]:.1f} equal columns.',
    table.to_string(index=False),
  ]
  for threshold, low in found['below'].items():
    names = ', '.join(low['columns'][:_NAMED])
    more = ', ...' if low['count'] > _NAMED else ''
    lines.append(
      f'Columns under {100 * float(threshold):g} % for {persistent} or more '
      f'updates: {low["count"]}' + (f' ({names}{more})' if names else '')
    )
  return '\n'.join(lines)


def _cell(form: str, value) -> str:
  """Returns a value as text; '-' if it is missing."""
  if not isinstance(value, str) and (math.isnan(value) or form == '{}'):
    return '-'
  return form.format(value)

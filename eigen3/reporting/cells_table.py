"""Tables of the results of cells, one line per cell."""

import math
from collections.abc import Mapping
from typing import Any

from eigen3.evaluation import patience
from eigen3.reporting import tables

_AGAINST = ('random_entry', 'buy_and_hold', 'momentum')
EMPTY = '-'  # shown where a table has no value


def lines(results: Mapping[str, Mapping[str, Any]]) -> str:
  """Returns the tables of cells as text; see `groups` and `rows`."""
  parts = []
  for title, cells in groups(results).items():
    found = rows(cells)
    parts += [title] if title else []
    parts.append(tables.aligned(found, to_the_left=(0, len(found[0]) - 1)))
  return '\n'.join(parts)


def groups(
  results: Mapping[str, Mapping[str, Any]],
) -> dict[str, dict[str, Mapping[str, Any]]]:
  """Groups cells by the title of their table; '' is the table without title."""
  found: dict[str, dict[str, Mapping[str, Any]]] = {}
  for name, cell in results.items():
    found.setdefault(cell.get('group', ''), {})[name] = cell
  return found


def rows(results: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
  """Returns a table: a header row, then a row for each cell.

  Profits are divided by initial cash. Shown are their mean over seeds with
  Student's interval, and their interquartile mean (IQM) with a bootstrap
  interval. A market is solved if at least half of a reference policy's profit
  is earned, see `profiles.YARDSTICKS`. The columns `of informed` and
  `of momentum` show the cell's profit as a share of that control's profit. The
  columns `over ...` show the difference from that control in mean daily return,
  scaled to a year, followed by its p-value, which is not corrected for the
  number of comparisons.

  Args:
    results: for each cell, keyed by its name, the result of `pooled.pool` with
      these fields added: `missing`, seeds without a finished run;
      `not_compared`, names of the cells that were to be compared with this one
      but lack a seed of its finished runs; and optionally `goal`, a dict with
      the keys `words` (goal and verdict as text) and `met`, or an empty dict;
      and `group`, the title of the cell's table.
  """
  head = [
    '', 'seeds', 'profit', '95 %', 'IQM', '95 % of IQM', 'solved',
    'of informed', 'of momentum',
    *(f'over {name.replace("_", " ")}' for name in _AGAINST), 'goal',
  ]  # fmt: skip
  return [head, *(_row(name, cell) for name, cell in results.items())]


def comparisons(results: Mapping[str, Mapping[str, Any]]) -> str:
  """Returns a line for each comparison with a policy that `rows` leaves out.

  These are the policies of other cells, and the yardsticks of the market
  `patience`. A comparison with a cell that lacks seeds is listed as open.
  """
  said = []
  for name, cell in results.items():
    said += [
      f'{name} over {other}: {_difference(found)} a year, 95 % '
      f'{_interval(found)}{_over_seeds(found)}'
      f'{_of_yardstick(cell, other)}'
      for other, found in cell['against'].items()
      if other not in (*_AGAINST, 'informed')
    ]
    said += [
      f'{name} over {other}: open, seeds are missing'
      for other in cell['not_compared']
    ]
  return '\n'.join(said)


def _interval(found: Mapping[str, Any]) -> str:
  """Words an interval; `EMPTY` if there is none, as with few days or seeds."""
  if found.get('low') is None:
    return EMPTY
  return f'{found["low"]:+.1%} to {found["high"]:+.1%}'


def _of_yardstick(cell: Mapping[str, Any], name: str) -> str:
  """States the profit of a yardstick and the cell's share of this profit.

  Returns '' for policies that are not yardsticks of the market `patience`.
  """
  if name not in patience.NAMES:
    return ''
  return f'; {_share(cell["shares"][name])} of its {cell["profits"][name]:+.1%}'


def _row(name: str, cell: Mapping[str, Any]) -> list[str]:
  profit = cell['profit']
  mean = profit['mean']
  return [
    name,
    _seeds(cell),
    f'{mean["mean"]:+.1%}',
    _interval(mean),
    f'{profit["iqm"]["value"]:+.1%}',
    _interval(profit['iqm']),
    _solved(cell['solved']),
    *(_share(cell['shares'].get(x)) for x in ('informed', 'momentum')),
    *(_difference(cell['against'].get(x)) for x in _AGAINST),
    cell.get('goal', {}).get('words', ''),
  ]


def _over_seeds(found: Mapping[str, Any]) -> str:
  """States the share of markets on which a cell is better than another policy.

  Also states the smallest difference that a t-test over seeds would detect, see
  `paired.detectable`. Returns '' for a single seed, where neither is known.
  """
  if 'detectable' not in found:
    return ''
  return (
    f'; better on {found["improvement"]["value"]:.0%} of markets; detectable '
    f'effect {found["detectable"]:.1%}'
  )


def _solved(found: Mapping[str, Any] | None) -> str:
  return EMPTY if found is None else f'{found["count"]} of {found["size"]}'


def _seeds(cell: Mapping[str, Any]) -> str:
  lacking = len(cell['missing'])
  if not lacking:
    return str(cell['seeds'])
  return f'{cell["seeds"]} of {cell["seeds"] + lacking}'


def _share(found: Mapping[str, Any] | None) -> str:
  if found is None or not _is_known(found['value']):
    return EMPTY
  return f'{found["value"]:.0%}'


def _difference(found: Mapping[str, Any] | None) -> str:
  if found is None:
    return EMPTY
  p = f' p {found["p"]:.4f}' if _is_known(found['p']) else ''
  return f'{found["mean"]:+.1%}{p}'


def _is_known(value: float | None) -> bool:
  return value is not None and math.isfinite(value)

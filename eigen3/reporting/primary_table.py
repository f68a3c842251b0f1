"""The table of primary comparisons, and their hypotheses."""

from collections.abc import Mapping
from typing import Any

from eigen3.reporting import tables

_EMPTY = '-'
_WORDS = {True: 'met', False: 'not met', None: 'open'}


def rows(comparisons: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
  """Returns a table: a header row, then a row for each primary comparison.

  Numbers are shown only for comparisons whose runs are all finished.

  Args:
    comparisons: the result of `judge` of `experiments/ladder/primary.py`.
  """
  head = [
    '', 'markets', 'difference', '95 %', 'p', 'corrected p',
    'detectable effect',
    'IQM', '95 % of IQM', 'better on', 'its 95 %', 'solved',
  ]  # fmt: skip
  return [head, *(_row(name, found) for name, found in comparisons.items())]


def questions(comparisons: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
  """Returns each comparison's hypothesis and verdict as text, keyed by name."""
  return {
    name: f'{_asked(found)}: {_verdict(found)}'
    for name, found in comparisons.items()
  }


def naming(named: Mapping[str, Any]) -> str:
  """States which commit named the comparisons, and if all runs came later.

  Runs of this commit itself count as later. If there is no such commit, the
  text says that nothing shows that the comparisons were named before the runs.

  Args:
    named: the result of `named` of `experiments/ladder/primary.py`.
  """
  file, commit = named['file'], named['commit']
  if not commit:
    return (
      f'These are not the comparisons that {file} names in its last commit, '
      'so nothing shows that they were named before the runs.'
    )
  order = {
    True: 'all their runs are of this commit or a later one',
    False: 'NOT all their runs are of this commit or a later one',
    None: 'whether their runs came after it is not known',
  }[named['before']]
  return f'Named in {file}, commit {commit}; {order}.'


def lines(first: Mapping[str, Any]) -> str:
  """Returns the table, the hypotheses with verdicts, and the commit, as text.

  Args:
    first: has the keys `comparisons` (see `rows`) and `named` (see `naming`).
  """
  comparisons = first['comparisons']
  asked = [f'{k}: {v}' for k, v in questions(comparisons).items()]
  table = tables.aligned(rows(comparisons))
  return '\n'.join([table, *asked, naming(first['named'])])


def _row(name: str, found: Mapping[str, Any]) -> list[str]:
  if 'differences' not in found:
    return [name, *[_EMPTY] * 11]
  count = sum(map(len, found['differences']))
  return [
    name,
    str(count),
    f'{found["mean"]["mean"]:+.1%}',
    f'{found["mean"]["low"]:+.1%} to {found["mean"]["high"]:+.1%}',
    f'{found["p"]:.4f}',
    f'{found["corrected"]:.4f}',
    f'{found["detectable"]:.1%}',
    f'{found["iqm"]["value"]:+.1%}',
    f'{found["iqm"]["low"]:+.1%} to {found["iqm"]["high"]:+.1%}',
    f'{found["improvement"]["value"]:.0%}',
    f'{found["improvement"]["low"]:.0%} to {found["improvement"]["high"]:.0%}',
    _solved(found['solved']),
  ]


def _solved(found: Mapping[str, Mapping[str, Any]]) -> str:
  """States how many markets `ours` and `theirs` solve, and out of how many.

  These are sums over cells. The text is '-' if no cell has a yardstick.
  """
  known = {
    side: [solved for solved in cells.values() if solved]
    for side, cells in found.items()
  }
  ours, theirs = (
    sum(solved['count'] for solved in known[side]) for side in known
  )
  # Both sides have the same markets and yardsticks, and so the same size.
  size = sum(solved['size'] for solved in known['ours'])
  return f'{ours}, {theirs} of {size}' if size else _EMPTY


def _asked(found: Mapping[str, Any]) -> str:
  ours, theirs = (', '.join(found[side]) for side in ('ours', 'theirs'))
  unit = {'year': ' a year', 'profit': ' of initial cash'}[found['measure']]
  more = ' and as many markets solved' if found['as_many_solved'] else ''
  return (
    f'{ours} over {theirs}, above {found["margin"]:+.0%}{unit} '
    f'({found["alternative"]}){more}'
  )


def _verdict(found: Mapping[str, Any]) -> str:
  lacking = '; '.join(
    f'{cell} lacks seeds {", ".join(map(str, seeds))}'
    for cell, seeds in sorted(found['missing'].items())
  )
  return f'open: {lacking}' if lacking else _WORDS[found['met']]

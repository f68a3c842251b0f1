"""Results of many runs as an HTML page: one file that needs no network."""

import json
import pathlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from eigen3.reporting import (
  cells_picture,
  cells_table,
  pages,
  primary_picture,
  primary_table,
)
from eigen3.runs import run_directory

_TEMPLATE = pathlib.Path(__file__).with_suffix('.html')


def write(
  path: pathlib.Path,
  title: str,
  results: Mapping[str, Mapping[str, Any]],
  asked: Mapping[str, Any],
  said: Sequence[str],
  pictures: Mapping[str, str],
  remark: str,
  commits: Collection[str],
  first: Mapping[str, Any] | None = None,
) -> None:
  """Writes an HTML page with the results of the runs in a folder.

  Args:
    path: of the HTML file, directly in that folder, from which settings and
      versions are read.
    title: of the page.
    results: results of each cell (a program with settings, run with one or more
      seeds), keyed by the cell's name, as for `cells_table.rows`.
    asked: settings by which runs are pooled and judged; see the function
      `asked` of `experiments/jobs/record.py`.
    said: lines of text to show below the tables.
    pictures: further SVG elements, keyed by title.
    remark: caveats for every reader.
    commits: Git commits of the runs' code; '' for an unknown one.
    first: primary comparisons, as for `primary_table.lines`; None if there are
      none.
  """
  workdir = path.parent
  content = {
    'title': title,
    'remark': remark,
    'first': first and _primary(first),
    'verdict': _verdict(results, first),
    'tables': [
      _table(name, cells) for name, cells in cells_table.groups(results).items()
    ],
    'said': said,
    'comparisons': cells_table.comparisons(results).splitlines(),
    'pictures': {**cells_picture.elements(results), **pictures},
    'asked': asked,
    'about': run_directory.read_about(workdir),
    'commits': sorted(commit or 'unknown' for commit in commits),
    'settings': json.dumps(run_directory.read_config(workdir), indent=2),
  }
  pages.write(path, _TEMPLATE, content)


def _table(
  title: str, cells: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
  head, *rows = cells_table.rows(cells)
  # The last column holds the goals; other columns are shown unless empty.
  shown = [
    place
    for place in range(len(head) - 1)
    if any(row[place] != cells_table.EMPTY for row in rows)
  ]
  return {
    'title': title or 'Results',
    'head': [head[place] for place in shown],
    'rows': [[row[place] for place in shown] for row in rows],
    'goals': [
      {'name': row[0], 'words': row[-1], 'met': cell['goal']['met']}
      for row, cell in zip(rows, cells.values(), strict=True)
      if row[-1]
    ],
  }


def _primary(first: Mapping[str, Any]) -> dict[str, Any]:
  """Returns the values that the template shows of `first`; see `write`."""
  comparisons = first['comparisons']
  head, *rows = primary_table.rows(comparisons)
  return {
    'head': head,
    'rows': rows,
    'asked': [
      {'name': name, 'words': words, 'met': comparisons[name]['met']}
      for name, words in primary_table.questions(comparisons).items()
    ],
    'naming': primary_table.naming(first['named']),
    'pictures': {
      what: picture
      for name, found in comparisons.items()
      if 'differences' in found
      for what, picture in primary_picture.elements(name, found).items()
    },
  }


def _verdict(
  results: Mapping[str, Mapping[str, Any]], first: Mapping[str, Any] | None
) -> str:
  """States how many primary comparisons and goals are met, not met or open.

  Returns '' if there are neither primary comparisons nor goals.
  """
  parts = []
  asked = {
    'primary comparison': [
      found['met'] for found in (first or {}).get('comparisons', {}).values()
    ],
    'goal': [
      cell['goal']['met'] for cell in results.values() if _has_goal(cell)
    ],
  }
  for what, met in asked.items():
    if met:
      counts = {
        'met': met.count(True),
        'not met': met.count(False),
        'open': met.count(None),
      }
      words = ', '.join(f'{n} {word}' for word, n in counts.items() if n)
      plural = 's' if len(met) > 1 else ''
      parts.append(f'{len(met)} {what}{plural}: {words}')
  return f'{"; ".join(parts)}.' if parts else ''


def _has_goal(cell: Mapping[str, Any]) -> bool:
  return bool(cell.get('goal', {}).get('words'))

"""Results of many runs as a page: one file that needs no network."""

import base64
import json
import pathlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from eigen3.reporting import cells_table, pages
from eigen3.runs import run_directory

_TEMPLATE = pathlib.Path(__file__).with_suffix('.html')


def write(
  path: pathlib.Path,
  title: str,
  told: Mapping[str, Mapping[str, Any]],
  asked: Mapping[str, Any],
  said: Sequence[str],
  pictures: Sequence[str],
  remark: str,
  commits: Collection[str],
) -> None:
  """Writes the page of a folder of runs.

  Args:
    path: of an HTML file in that folder.
    title: of the page.
    told: of cells, as for `cells_table.lines`.
    asked: what results depend on beside the runs.
    said: lines that stand below the table.
    pictures: PNG files of the folder.
    remark: what every reader must know.
    commits: of the code that runs were made by; '' where it is not known.
  """
  workdir = path.parent
  head, *rows = cells_table.rows(told)
  content = {
    'title': title,
    'remark': remark,
    'head': head,
    'rows': [
      {'cells': row, 'met': cell.get('goal', {}).get('met')}
      for row, cell in zip(rows, told.values(), strict=True)
    ],
    'said': said,
    'comparisons': cells_table.comparisons(told).splitlines(),
    'pictures': [
      {
        'name': name,
        'data': base64.b64encode((workdir / name).read_bytes()).decode(),
      }
      for name in pictures
    ],
    'asked': asked,
    'about': run_directory.read_about(workdir),
    'commits': sorted(commit or 'unknown' for commit in commits),
    'settings': json.dumps(run_directory.read_config(workdir), indent=2),
  }
  pages.write(path, _TEMPLATE, content)

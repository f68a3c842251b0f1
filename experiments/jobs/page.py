"""Results of many runs as a page: one file that needs no network."""

import base64
import json
import pathlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from eigen3.data import templates
from eigen3.files import atomic_path
from eigen3.runs import run_directory
from experiments.jobs import table

_TEMPLATE = pathlib.Path(__file__).parent / 'page.html'


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
    told: of cells, as for `table.lines`.
    asked: what results depend on beside the runs.
    said: lines that stand below the table.
    pictures: PNG files of the folder.
    remark: what every reader must know.
    commits: of the code that runs were made by.
  """
  workdir = path.parent
  head, *rows = table.rows(told)
  about = json.loads((workdir / 'run.json').read_text(encoding='utf-8'))
  content = {
    'title': title,
    'remark': remark,
    'head': head,
    'rows': [
      {'cells': row, 'met': cell.get('goal', {}).get('met')}
      for row, cell in zip(rows, told.values(), strict=True)
    ],
    'said': said,
    'comparisons': table.comparisons(told).splitlines(),
    'pictures': [
      {
        'name': name,
        'data': base64.b64encode((workdir / name).read_bytes()).decode(),
      }
      for name in pictures
    ],
    'asked': asked,
    'about': about,
    'commits': sorted(commit or 'unknown' for commit in commits),
    'settings': json.dumps(run_directory.read_config(workdir), indent=2),
  }
  with atomic_path(path) as temporary:
    temporary.write_text(
      templates.render(_TEMPLATE, {}, content), encoding='utf-8'
    )

"""Writes a quality report as a self-contained HTML page, and as JSON."""

import base64
import io
import json
import os
import pathlib
from typing import Any

import numpy as np
from matplotlib import image as mpl_image

from eigen3.data import DataError, quality
from eigen3.data.findings import RULES
from eigen3.data.quality import ABSENT, COMPLETE, QualityReport
from eigen3.files import atomic_path
from eigen3.reporting import pages

_TEMPLATE = pathlib.Path(__file__).with_suffix('.html')

# Both are visible on black and on white.
_BLUE, _ORANGE = (74, 134, 197, 255), (240, 110, 30, 255)
# RGBA of the states of coverage: `ABSENT`, `COMPLETE`, `PARTIAL`, `INCOMPLETE`.
_COLOURS = np.array([(0, 0, 0, 0), _BLUE, _BLUE, _ORANGE], np.uint8)
_MOST_YEARS = 12  # labels below the picture
_SHOWN = 10  # most places listed per finding; the JSON file has all


def write(
  report: QualityReport, panel_path: str | os.PathLike
) -> tuple[pathlib.Path, pathlib.Path]:
  """Writes the report beside a panel, as JSON and as an HTML page.

  Returns:
    For `panel.parquet`, the paths `panel.quality.json` and
    `panel.quality.html` in the same folder.

  Raises:
    DataError: if a file cannot be written.
  """
  panel_path = pathlib.Path(panel_path)
  name = panel_path.name.removesuffix('.parquet')
  json_path = panel_path.with_name(f'{name}.quality.json')
  page_path = panel_path.with_name(f'{name}.quality.html')
  path = json_path
  try:
    with atomic_path(path) as temporary:
      text = json.dumps(quality.as_dict(report), indent=1, allow_nan=False)
      temporary.write_text(text, encoding='utf-8')
    path = page_path
    content = _content(report, panel_path.name, json_path.name)
    pages.write(path, _TEMPLATE, content, {'thousands': '{:,}'.format})
  except OSError as error:
    reason = error.strerror or error
    raise DataError(
      f'{path}: cannot be written ({reason}), expected a writable path'
    ) from error
  return json_path, page_path


def _content(
  report: QualityReport, panel_name: str, json_name: str
) -> dict[str, Any]:
  """Returns the template's variables."""
  drawn = _staircase(report.coverage)
  found = [c for c in report.columns if c.findings]
  found.sort(key=lambda column: -len(column.findings))
  return {
    'title': f'Data quality of {panel_name}',
    'report': report,
    'json_name': json_name,
    'rules': RULES,
    'totals': report.totals(),
    'found': found,
    'clean': [c for c in report.columns if not c.findings],
    'picture': _picture(report.coverage[drawn]) if len(drawn) else '',
    'height': min(18 * len(drawn), max(600, min(3 * len(drawn), 1600))),
    'drawn': [report.columns[index].name for index in drawn],
    'years': _years(report.coverage_days),
    'shown': _SHOWN,
  }


def _staircase(coverage: np.ndarray) -> np.ndarray:
  """Returns indices of the columns that are not `COMPLETE` in every bin.

  They are ordered by their first bin with a close, the earliest first. Ties are
  ordered by their last such bin, the latest first.

  Args:
    coverage: see `QualityReport`.
  """
  drawn = np.flatnonzero((coverage != COMPLETE).any(axis=1))
  is_there = coverage[drawn] != ABSENT
  begin = np.where(is_there.any(1), is_there.argmax(1), is_there.shape[1])
  end = is_there[:, ::-1].argmax(1)
  return drawn[np.lexsort((end, begin))]


def _picture(coverage: np.ndarray) -> str:
  """Returns the coverage [C, bins] as a PNG in base64, a pixel per entry."""
  buffer = io.BytesIO()
  mpl_image.imsave(buffer, _COLOURS[coverage], format='png')
  return base64.b64encode(buffer.getvalue()).decode()


def _years(days: tuple[str, ...]) -> list[tuple[str, float]]:
  """Returns the years to label below the coverage picture.

  Args:
    days: the first day of each bin of the picture.

  Returns:
    Pairs (year, where it starts in % of the picture's width).
  """
  years = [day[:4] for day in days]
  firsts = [
    i
    for i in range(1, int(0.95 * len(days)))  # room for the label
    if years[i] != years[i - 1]
  ]
  step = -(-len(firsts) // _MOST_YEARS) if firsts else 1
  return [(years[i], 100.0 * i / len(days)) for i in firsts[::step]]

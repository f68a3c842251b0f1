"""The page of a quality report: one file that needs nothing else."""

import base64
import io
import pathlib
from typing import Any

import numpy as np
from matplotlib import image as mpl_image

from eigen3.data import templates
from eigen3.data.findings import RULES

_TEMPLATE = pathlib.Path(__file__).parent / 'quality_page.html'

# What the coverage says of a column in a few days: no close, a close on each,
# listed only on some, or a day between the first close and the last without.
ABSENT, COMPLETE, PARTIAL, INCOMPLETE = range(4)
# Red, green, blue, alpha: both colours stand out on black and on white.
_BLUE, _ORANGE = (74, 134, 197, 255), (240, 110, 30, 255)
_COLOURS = np.array([(0, 0, 0, 0), _BLUE, _BLUE, _ORANGE], np.uint8)
_MOST_YEARS = 12  # labels below the picture
_SHOWN = 10  # places of a finding; the JSON has all


def render(report: Any, panel_name: str, json_name: str) -> str:
  """The page of a `QualityReport`, as text.

  Args:
    report: the report.
    panel_name: the panel's file, for the title.
    json_name: the file that has all that the page leaves out.
  """
  drawn = _staircase(report.coverage)
  found = [c for c in report.columns if c.findings]
  found.sort(key=lambda column: -len(column.findings))
  content = {
    'report': report,
    'panel_name': panel_name,
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
  return templates.render(_TEMPLATE, {'thousands': '{:,}'.format}, content)


def _staircase(coverage: np.ndarray) -> np.ndarray:
  """Columns that are not complete, by where they begin, then by their end."""
  drawn = np.flatnonzero((coverage != COMPLETE).any(axis=1))
  is_there = coverage[drawn] != ABSENT
  begin = np.where(is_there.any(1), is_there.argmax(1), is_there.shape[1])
  end = is_there[:, ::-1].argmax(1)
  return drawn[np.lexsort((end, begin))]


def _picture(coverage: np.ndarray) -> str:
  """The coverage [C, bins] as a PNG, a pixel a cell, in base64."""
  buffer = io.BytesIO()
  mpl_image.imsave(buffer, _COLOURS[coverage], format='png')
  return base64.b64encode(buffer.getvalue()).decode()


def _years(days: tuple[str, ...]) -> list[tuple[str, float]]:
  """(year, where it begins in % of the width) of some years."""
  years = [day[:4] for day in days]
  firsts = [
    i
    for i in range(1, int(0.95 * len(days)))  # room for the label
    if years[i] != years[i - 1]
  ]
  step = -(-len(firsts) // _MOST_YEARS) if firsts else 1
  return [(years[i], 100.0 * i / len(days)) for i in firsts[::step]]

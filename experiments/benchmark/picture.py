"""Draws a suite's results: times as bars, or as curves over a growing size."""

import os
from collections.abc import Mapping
from typing import Any

from eigen3.reporting import drawing
from experiments.benchmark import report

_OURS, _OTHERS = drawing.POPULATION, drawing.REFERENCE
_PROPORTIONAL = '#888888'
_WIDTH = 11.0  # inches
_BAR_HEIGHT = 0.34
_ABOVE_BARS = 0.95  # for the title and axis of a group of bars
_GROWTH_HEIGHT = 3.4
_PER_ROW = 4  # panels of growth


def draw_suite(
  path: os.PathLike | str, results: Mapping[str, Any], title: str
) -> None:
  """Draws a suite's groups: as bars or, if they have an axis, as curves.

  A group with an axis is left out if its `growth` is not known (see
  `report.compare`), and any other group if no case other than matrix products
  was timed.

  Args:
    path: the PNG file to write.
    results: contents of the suite's JSON file.
    title: the title of the whole picture.
  """
  grown = [g for g in results['groups'] if g.get('growth')]
  bars = [g for g in results['groups'] if not g['axis'] and _timed(g)]
  rows = -(-len(grown) // _PER_ROW)
  heights = [_ABOVE_BARS + _BAR_HEIGHT * len(_timed(g)) for g in bars]
  heights += [_GROWTH_HEIGHT] * rows
  height = sum(heights) + 0.8
  remark = _remark(results)
  with drawing.picture(path, height, title, remark, _WIDTH) as figure:
    if not heights:
      return
    grid = figure.add_gridspec(len(heights), _PER_ROW, height_ratios=heights)
    for row, group in enumerate(bars):
      _bars(figure.add_subplot(grid[row, :]), group)
    for index, group in enumerate(grown):
      row, column = divmod(index, _PER_ROW)
      _growth(figure.add_subplot(grid[len(bars) + row, column]), group)


def _timed(group: Mapping[str, Any]) -> list[Mapping[str, Any]]:
  """Returns the timed cases other than matrix products."""
  return [
    case
    for case in group['cases']
    if case['median_seconds'] and not case['is_product']
  ]


def _bars(axes, group: Mapping[str, Any]) -> None:
  """Draws each timed case's median as a bar, with a line from min to max."""
  cases = _timed(group)[::-1]
  medians = [case['median_seconds'] for case in cases]
  scale, unit = _unit(max(medians))
  below = [c['median_seconds'] - c['min_seconds'] for c in cases]
  above = [c['max_seconds'] - c['median_seconds'] for c in cases]
  axes.barh(
    [case['name'] for case in cases],
    [scale * x for x in medians],
    xerr=[[scale * x for x in below], [scale * x for x in above]],
    color=[_OTHERS if _is_yardstick(c, group) else _OURS for c in cases],
    error_kw={'linewidth': 1, 'ecolor': '#333333'},
    height=0.65,
  )
  for index, case in enumerate(cases):
    axes.annotate(
      _label(case, group),
      (scale * case['max_seconds'], index),
      xytext=(5, 0),
      textcoords='offset points',
      va='center',
      fontsize=8,
    )
  # Room for the text behind the longest bar.
  axes.set_xlim(0, 1.6 * scale * max(c['max_seconds'] for c in cases))
  drawing.name_axes(axes, group['name'])
  axes.set_xlabel(f'{unit}, less is better', fontsize=8)
  axes.tick_params(labelsize=8)
  axes.spines[['top', 'right']].set_visible(False)


def _is_yardstick(case: Mapping[str, Any], group: Mapping[str, Any]) -> bool:
  """Returns whether a case is another implementation or the group's reference.

  Other implementations are those from modules named `*_reference`.
  """
  foreign = '_reference:' in case['builder']
  return foreign or case['name'] == group['reference']


def _label(case: Mapping[str, Any], group: Mapping[str, Any]) -> str:
  words = [report.seconds_text(case['median_seconds'])]
  if case['rate']:
    words.append(f'{report.number_text(case["rate"])} {group["unit"]}/s')
  if case['name'] == group['reference']:
    words.append('reference')
  elif case['speedup']:
    words.append(f'{report.number_text(case["speedup"])} x as fast')
  if case['share_of_product']:
    words.append(f'{case["share_of_product"]:.0%} of product')
  if case['peak_bytes']:
    words.append(report.bytes_text(case['peak_bytes']))
  return '  ·  '.join(words)


def _growth(axes, group: Mapping[str, Any]) -> None:
  """Plots median time against size on logarithmic axes.

  A dashed line shows growth in proportion to size, from the first case on.
  """
  cases = _timed(group)
  sizes = [case['position'] for case in cases]
  medians = [case['median_seconds'] for case in cases]
  scale, unit = _unit(max(medians))
  measured = [scale * x for x in medians]
  axes.loglog(sizes, measured, 'o-', color=_OURS, label='measured')
  proportional = [scale * medians[0] * size / sizes[0] for size in sizes]
  axes.loglog(
    sizes, proportional, '--', color=_PROPORTIONAL, label='proportional'
  )
  axes.set_xticks(sizes, [f'{size:g}' for size in sizes])
  ticks = drawing.apart(measured, [*measured, *proportional])
  axes.set_yticks(ticks, [report.number_text(x) for x in ticks])
  axes.minorticks_off()
  axes.set_xlabel(group['axis'], fontsize=8)
  axes.set_ylabel(unit, fontsize=8)
  drawing.name_axes(
    axes, f'{group["name"]}\nexponent {group["growth"]["exponent"]:.2f}'
  )
  axes.tick_params(labelsize=8)
  drawing.lighten(axes)
  axes.legend(fontsize=7, frameon=False)


def _unit(seconds: float) -> tuple[float, str]:
  """Returns the factor from seconds to an axis's unit, and the unit's name.

  Args:
    seconds: the longest time on the axis.
  """
  return (1.0, 'seconds') if seconds >= 1 else (1e3, 'milliseconds')


def _remark(results: Mapping[str, Any]) -> str:
  machine, versions = results['machine'], results['versions']
  packages = ', '.join(
    f'{name} {versions[name]}' for name in ('jax', 'torch') if name in versions
  )
  return (
    f'{report.devices_of(results)}, {machine["cores"]} cores; {packages}; '
    'medians, lines from the fastest to the slowest run; memory is the peak of '
    "the case's process, without a GPU's"
  )

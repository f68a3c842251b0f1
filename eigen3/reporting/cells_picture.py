"""The picture of cells: their profits and excess returns over random entry."""

import os
from collections.abc import Mapping
from typing import Any

from eigen3.reporting import drawing, svg

_ROW, _PAGE_ROW = 0.34, 0.26  # inches, in the picture and on a page
_NAME_WIDTH = 24  # letters
_AGENT = '#1b4f9c'
_UNSURE = '#9aa7bd'
_SURE = 0.01  # p below which a difference has a colour


def draw_cells(
  path: os.PathLike | str,
  results: Mapping[str, Mapping[str, Any]],
  title: str,
  remark: str,
) -> None:
  """Draws two panels with a row for each cell.

  The left panel shows the cell's profit with each seed, the mean of these
  profits with its 95 % interval, and the mean profit of each control. The right
  panel shows the cell's excess return over random entry: the mean difference in
  daily return, scaled to a year, with its 95 % interval.

  Args:
    path: of a PNG file.
    results: for each cell, keyed by its name, the result of `pooled.pool`; at
      least one.
    title: of the whole picture.
    remark: text below the picture.
  """
  height = 2.2 + _ROW * len(results)
  with drawing.picture(path, height, title, remark) as figure:
    profits, differences = figure.subplots(1, 2, sharey=True)
    _draw_profits(profits, results)
    _draw_differences(differences, results)
    _name_rows(profits, results)
    # One legend entry for each label: the rows use the same labels.
    labels = dict(
      zip(*reversed(profits.get_legend_handles_labels()), strict=True)
    )
    drawing.legend_beside(differences, [*labels.values()], [*labels])


def elements(results: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
  """Returns the panels of `draw_cells` as SVG for an HTML page, keyed by title.

  Args:
    results: as in `draw_cells`.
  """
  found = {}
  for what, draw in (
    ('Profit on held-out days', _draw_profits),
    ('Excess return over random entry', _draw_differences),
  ):
    figure, axes = svg.new(1.6 + _PAGE_ROW * len(results))
    draw(axes, results)
    _name_rows(axes, results)
    svg.name_axes(axes, axes.get_title(loc='left'))
    if axes.get_legend_handles_labels()[1]:
      svg.legend_below(axes, columns=3)
    found[what] = svg.element(figure, what)
  return found


def _draw_profits(axes, results: Mapping[str, Mapping[str, Any]]) -> None:
  for row, cell in enumerate(results.values()):
    _profits(axes, row, cell)
  drawing.name_axes(axes, 'Profit on held-out days')
  axes.set_xlabel('% of initial cash')
  _finish(axes)


def _draw_differences(axes, results: Mapping[str, Mapping[str, Any]]) -> None:
  for row, cell in enumerate(results.values()):
    _difference(axes, row, cell['against'].get('random_entry'))
  drawing.name_axes(axes, 'Excess return over random entry, a year')
  axes.set_xlabel('%, with 95 % interval; grey where p is at least 0.01')
  _finish(axes)


def _finish(axes) -> None:
  axes.axvline(0, color='black', linewidth=0.6)
  drawing.lighten(axes, grid='x')


def _name_rows(axes, results: Mapping[str, Mapping[str, Any]]) -> None:
  names = [drawing.shortened(name, _NAME_WIDTH) for name in results]
  axes.set_yticks(range(len(results)), names, fontsize=8, parse_math=False)
  axes.set_ylim(len(results) - 0.4, -0.6)


def _profits(axes, row: int, cell: Mapping[str, Any]) -> None:
  """Draws a cell's profit with each seed, the mean, and the controls' means.

  Unless there is only one seed, the cell's mean has an interval.
  """
  profit = cell['profit']
  for name, mean in cell['profits'].items():
    if name in drawing.CONTROLS:
      axes.plot(
        100 * mean, row, '|', color=drawing.CONTROLS[name], markersize=13,
        markeredgewidth=2, label=drawing.shown(name),
      )  # fmt: skip
  axes.plot(
    [100 * x for x in profit['values']], [row] * len(profit['values']), 'o',
    color=_AGENT, markersize=3, alpha=0.4, label='seeds',
  )  # fmt: skip
  mean = profit['mean']
  if 'low' in mean:
    axes.plot(
      [100 * mean['low'], 100 * mean['high']], [row, row], color=_AGENT,
      linewidth=1.5, label='95 % interval',
    )  # fmt: skip
  axes.plot(
    100 * mean['mean'], row, 'D', color=_AGENT, markersize=5, label='mean'
  )


def _difference(axes, row: int, found: Mapping[str, Any] | None) -> None:
  if found is None:
    return
  colour = _AGENT if (found['p'] or 1.0) < _SURE else _UNSURE
  if found['low'] is not None:
    ends = [100 * found['low'], 100 * found['high']]
    axes.plot(ends, [row, row], color=colour, linewidth=1.5)
  axes.plot(100 * found['mean'], row, 'D', color=colour, markersize=5)

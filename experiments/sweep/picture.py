"""Draws a sweep's objective against the trial number and each parameter."""

import os

import numpy as np
import pandas as pd
from matplotlib import ticker as mpl_ticker

from eigen3.reporting import drawing
from experiments.sweep.space import Choices, Range, Space

_BEST, _FAILED = '#d0021b', '#d0021b'
# Shapes differ as well, for readers to whom the colours look alike.
_STYLES = {
  'complete': {'color': drawing.POPULATION, 'marker': 'o', 's': 30},
  'pruned': {
    'facecolors': 'none',
    'edgecolors': drawing.REFERENCE,
    'marker': 'v',
    's': 30,
  },
  'running': {
    'facecolors': 'none',
    'edgecolors': '#888888',
    'marker': 's',
    's': 24,
  },
}
_IN_A_ROW = 3  # parameters
_SPREAD = 0.12  # of the points at one value of a choice, to either side
_MARGIN = 0.04  # share of a range, drawn beyond each of its ends
_LONGEST = 16  # letters of a value's name
_IN_LINE = 36  # letters that fit below one plot


def draw_sweep(
  path: os.PathLike | str,
  table: pd.DataFrame,
  space: Space,
  title: str,
  objective: str,
) -> None:
  """Draws all trials that have an objective or failed.

  Args:
    path: of the PNG file to write, 1200 pixels wide.
    table: see `table.make`.
    space: the search space.
    title: of the whole picture.
    objective: the objective's name.
  """
  rows = [['trials'] * _IN_A_ROW]
  fields = list(space)
  for first in range(0, len(fields), _IN_A_ROW):
    row = fields[first : first + _IN_A_ROW]
    rows.append(row + ['.'] * (_IN_A_ROW - len(row)))
  heights = [3.4] + [2.6] * (len(rows) - 1)
  remark = (
    'a pruned or running trial is shown with the value of its last step; '
    'each value is the mean over the seeds that had started'
  )
  with drawing.picture(path, sum(heights), title, remark) as figure:
    axes = figure.subplot_mosaic(
      rows,  # type: ignore[arg-type]
      empty_sentinel='.',
      height_ratios=heights,
    )
    valued = table.dropna(subset=['objective'])
    best = _best(valued)
    _by_trial(axes['trials'], table, valued, best, objective)
    for field, tried in space.items():
      _by_value(axes[field], valued, best, field, tried)
      axes[field].sharey(axes['trials'])
    for field in fields[::_IN_A_ROW]:
      axes[field].set_ylabel(objective, parse_math=False)


def _best(valued: pd.DataFrame) -> pd.DataFrame:
  """Returns the row of the best complete trial; no row if none is complete."""
  complete = valued[valued['state'] == 'complete']
  return complete.nlargest(1, 'objective')


def _by_trial(
  axes,
  table: pd.DataFrame,
  valued: pd.DataFrame,
  best: pd.DataFrame,
  objective: str,
) -> None:
  """Draws the objective against the trial's number.

  Also draws the best objective so far, each seed's objective if there are
  several seeds, and failed trials.
  """
  drawing.name_axes(axes, 'Trials')
  axes.set_ylabel(objective, parse_math=False)
  axes.set_xlabel('trial')
  axes.set_xlim(-0.5, max(len(table), 1) - 0.5)
  axes.xaxis.set_major_locator(
    mpl_ticker.MaxNLocator(12, integer=True, min_n_ticks=1)
  )
  complete = valued[valued['state'] == 'complete']
  if not complete.empty:
    steps = complete['objective'].cummax()
    axes.step(
      [*complete['number'], len(table) - 0.5],
      [*steps, steps.iloc[-1]],
      where='post',
      color=_BEST,
      linewidth=1.2,
      zorder=1.9,
      label='best so far',
    )
  seeds = [s for s in map(str, table) if s.startswith('objective_seed')]
  if len(seeds) > 1:
    for name in seeds:
      axes.scatter(
        complete['number'], complete[name], color='#888888', s=6, zorder=1.8,
        label='its seeds' if name == seeds[0] else None,
      )  # fmt: skip
  _points(axes, valued, valued['number'], best, best['number'])
  failed = table[table['state'] == 'failed']
  if not failed.empty:
    axes.scatter(
      failed['number'], [0.03] * len(failed), color=_FAILED, marker='x', s=30,
      transform=axes.get_xaxis_transform(), label='failed',
    )  # fmt: skip
  _finish(axes)
  if axes.get_legend_handles_labels()[1]:
    drawing.legend_beside(axes)


def _by_value(
  axes,
  valued: pd.DataFrame,
  best: pd.DataFrame,
  field: str,
  tried: Choices | Range,
) -> None:
  """Draws the objective against one parameter."""
  drawing.name_axes(axes, field)
  if isinstance(tried, Range):
    # All of the range, to show where nothing was tried.
    if tried.is_log:
      axes.set_xscale('log')
      margin = (tried.high / tried.low) ** _MARGIN
      axes.set_xlim(tried.low / margin, tried.high * margin)
    else:
      margin = (tried.high - tried.low) * _MARGIN
      axes.set_xlim(tried.low - margin, tried.high + margin)
    _points(axes, valued, valued[field], best, best[field])
  else:
    names = [str(value) for value in tried.values.values()]
    place = {name: index for index, name in enumerate(names)}

    def positions(rows: pd.DataFrame) -> pd.Series:
      # Points of equal values are spread.
      aside = np.linspace(-_SPREAD, _SPREAD, 5)[rows['number'] % 5]
      return rows[field].map(str).map(place) + aside

    _points(axes, valued, positions(valued), best, positions(best))
    ticks = [drawing.shortened(name, _LONGEST) for name in names]
    is_long = sum(map(len, ticks)) > _IN_LINE
    axes.set_xticks(
      range(len(names)),
      ticks,
      parse_math=False,
      rotation=25 if is_long else 0,
      horizontalalignment='right' if is_long else 'center',
    )
    axes.set_xlim(-0.5, len(names) - 0.5)
  _finish(axes)


def _points(axes, valued, x, best, x_best) -> None:
  """Draws a point for each trial whose state is in `_STYLES`, and the best one.

  Args:
    axes: the axes to draw on.
    valued: the rows of trials that have an objective.
    x: the horizontal positions of `valued`.
    best: see `_best`; drawn as a star.
    x_best: the horizontal position of `best`.
  """
  for state, style in _STYLES.items():
    rows = valued['state'] == state
    if rows.any():
      axes.scatter(
        x[rows], valued['objective'][rows], zorder=3, label=state, **style
      )
  axes.scatter(
    x_best, best['objective'], color=_BEST, marker='*', s=110, zorder=4,
    label='best' if len(best) else None,
  )  # fmt: skip


def _finish(axes) -> None:
  low, high = axes.get_ylim()
  if low < 0 < high:
    axes.axhline(0, color='black', linewidth=0.6)
  drawing.lighten(axes)
  axes.set_axisbelow(True)
  axes.tick_params(labelsize=8)

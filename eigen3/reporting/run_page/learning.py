"""Learning curves: the metrics of runs as pictures for a page."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from eigen3.reporting import drawing, svg
from eigen3.runs.logs import SCORE

_OF_VALIDATION = 'validation_'


class _Panel(NamedTuple):
  """A picture of one or two columns of the metrics.

  Attributes:
    title: the picture's title, with the unit if there is one.
    columns: legend labels ('' for none), keyed by the name of the column of the
      metrics that is drawn.
    scale: factor that values are multiplied by.
    logarithmic: whether the y axis is logarithmic if all values are above 0.
  """

  title: str
  columns: Mapping[str, str]
  scale: float = 1.0
  logarithmic: bool = False


_PANELS = (
  _Panel('Validation profit, % of initial cash', {SCORE: 'agent'}, scale=100.0),
  _Panel('Loss of the critics', {'critic_loss': ''}),
  _Panel('Loss of the actor', {'actor_loss': ''}),
  _Panel('Q, mean of a batch', {'q': ''}),
  _Panel(
    'Norms of gradients, before clipping',
    {'critic_gradient_norm': 'critics', 'actor_gradient_norm': 'actor'},
    logarithmic=True,
  ),
  _Panel('Exploration, deviation of the noise', {'noise_scale': ''}),
  _Panel(
    'Profit while exploring, % of initial cash',
    {'episode_profit': ''},
    scale=100.0,
  ),
  _Panel('Reward of an episode', {'episode_reward': ''}),
  _Panel(
    'Exposure on validation days, %', {f'{_OF_VALIDATION}exposure': ''}, 100.0
  ),
  _Panel(
    'Trades',
    {
      f'{_OF_VALIDATION}trades': 'validation days',
      'episode_trades': 'an episode',
    },
  ),
)
# Progress and speed, which are not learning curves.
_COUNTS = ('seconds', 'environment_steps', 'updates')


def pictures(
  runs: Mapping[str, pd.DataFrame],
  colours: Mapping[str, str],
  is_told: Callable[[str], bool],
) -> dict[str, str]:
  """Returns pictures of metrics that any run recorded, as SVG keyed by title.

  Columns without a panel in `_PANELS`, such as those of another algorithm, come
  last, each with its name as title. Of these, `_COUNTS`, columns that begin
  with 'validation_', and columns for which `is_told` returns True are left out.

  Args:
    runs: contents of `metrics.csv`, keyed by the run's name on the page; the
      first column is the x axis.
    colours: colours of runs and controls, keyed by name.
    is_told: returns whether another part of the page shows a column.
  """
  known = {column for panel in _PANELS for column in panel.columns}
  others = {
    column: None
    for table in runs.values()
    for column in table.columns[1:]
    if not column.startswith(_OF_VALIDATION)
    and column not in {*known, *_COUNTS}
    and not is_told(column)
  }
  added = [
    _Panel(column.replace('_', ' ').capitalize(), {column: ''})
    for column in others
  ]
  found = {}
  for panel in (*_PANELS, *added):
    if any(_known(t, c).any() for t in runs.values() for c in panel.columns):
      found[panel.title] = _picture(panel, runs, colours)
  return found


def _known(table: pd.DataFrame, column: str) -> np.ndarray:
  """Returns which of the R rows have a finite number in a column, bool [R]."""
  if column not in table:
    return np.zeros(len(table), bool)
  values = pd.to_numeric(table[column], errors='coerce').to_numpy(float)
  return np.isfinite(values)


def _picture(
  panel: _Panel,
  runs: Mapping[str, pd.DataFrame],
  colours: Mapping[str, str],
) -> str:
  figure, axes = svg.new(3.2 if SCORE in panel.columns else 2.6)
  lines, least = 0, np.inf
  for name, table in runs.items():
    for style, (column, called) in zip(
      ('-', ':'), panel.columns.items(), strict=False
    ):
      rows = _known(table, column)
      if not rows.any():
        continue
      values = panel.scale * table.loc[rows, column].to_numpy(float)
      least = min(least, values.min())
      axes.plot(
        table.loc[rows, table.columns[0]],
        values,
        color=colours.get(name),
        linestyle=style,
        linewidth=1.4,
        marker='o' if rows.sum() < 40 else None,
        markersize=2.5,
        label=_label(name, called, len(runs), len(panel.columns)),
      )
      lines += 1
  if SCORE in panel.columns:
    lines += _controls(axes, runs, colours)
  svg.name_axes(axes, panel.title)
  drawing.number_wholly(axes, next(iter(runs.values())).columns[0])
  if panel.logarithmic and least > 0:
    axes.set_yscale('log')
  else:
    axes.margins(y=0.08)
    axes.ticklabel_format(axis='y', useOffset=False)
  drawing.lighten(axes)
  if lines > 1:
    svg.legend_below(axes)
  return svg.element(figure, panel.title)


def _label(name: str, called: str, runs: int, columns: int) -> str | None:
  """Returns a line's label in the legend; None if no label is needed.

  Args:
    name: the run's name on the page.
    called: the column's label, '' for none.
    runs: number of runs on the page.
    columns: number of columns in the picture.
  """
  if runs == 1:
    return called or None
  return name if columns == 1 else f'{name}, {called}'


def _controls(
  axes, runs: Mapping[str, pd.DataFrame], colours: Mapping[str, str]
) -> int:
  """Draws the controls' validation profits, as recorded by the first run.

  Each is a horizontal line. Returns the number of lines.
  """
  table = next(iter(runs.values()))
  count = 0
  for name in drawing.CONTROLS:
    column = f'{_OF_VALIDATION}{name}'
    rows = _known(table, column)
    if rows.any():
      axes.axhline(
        100.0 * float(table.loc[rows, column].iloc[-1]),
        color=colours.get(name),
        linestyle='--',
        linewidth=1.0,
        label=drawing.shown(name),
      )
      count += 1
  return count

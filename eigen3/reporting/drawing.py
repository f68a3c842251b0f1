"""Elements common to all pictures: a figure and its file, colours, axes."""

import contextlib
import os
import textwrap
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from matplotlib import dates as mpl_dates
from matplotlib import figure as mpl_figure
from matplotlib import layout_engine as mpl_layout_engine
from matplotlib import ticker as mpl_ticker

from eigen3.evaluation.backtest import Backtest
from eigen3.evaluation.judge import Results
from eigen3.files import atomic_path

POPULATION = '#1b4f9c'
REFERENCE = '#c2570c'
CONTROLS = {
  'informed': '#2a7f3f',
  'ranker': '#b5a300',
  'momentum': '#c2570c',
  'buy_and_hold': '#7a5195',
  'random_entry': '#888888',
  # Yardsticks of the market `patience`.
  'greedy': '#d98c8c',
  'hurdle': '#b03a3a',
  'hurdle_informed': '#6e1f1f',
  'patient': '#56a36c',
  'patient_informed': '#1d5c33',
}
_AGENTS = (
  '#1b4f9c',
  '#17a2b8',
  '#e0a100',
  '#d0021b',
  '#5b8c00',
  '#0b3c5d',
  '#b56576',
  '#3d405b',
)
_REMARK_WIDTH = 140  # most characters per line of the remark
_NAME_WIDTH = 28  # most characters of a policy's name
_LEAST_STEP = 0.08  # between two labels, as a share of the axis's length


@contextlib.contextmanager
def picture(
  path: os.PathLike | str,
  height: float,
  title: str,
  remark: str = '',
  width: float = 10.0,
) -> Iterator[mpl_figure.Figure]:
  """Yields a figure to draw on, and writes it if the `with` block succeeds.

  Args:
    path: of a PNG file; written atomically.
    height: of the figure, in inches; an inch is 120 pixels.
    title: of the whole picture.
    remark: text below the picture, for caveats about the data.
    width: of the figure, in inches.

  Yields:
    The figure, without axes.
  """
  # Without pyplot there is no global state, and no display is needed.
  figure = mpl_figure.Figure(
    figsize=(width, height),
    layout=mpl_layout_engine.ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.06),
  )
  figure.suptitle(title, fontsize=12, parse_math=False)
  if remark:
    wrapped = '\n'.join(textwrap.wrap(remark, _REMARK_WIDTH))
    figure.supxlabel(wrapped, fontsize=8, color='#555555', parse_math=False)
  yield figure
  with atomic_path(path) as temporary:
    figure.savefig(temporary, format='png', dpi=120)


def colours(agents: Sequence[str]) -> dict[str, str]:
  """Returns the colours of `agents` and of all controls, keyed by name."""
  chosen = {name: _AGENTS[i % len(_AGENTS)] for i, name in enumerate(agents)}
  return CONTROLS | chosen


def shown(name: str) -> str:
  """Replaces underscores in a control's name with spaces; keeps other names."""
  return name.replace('_', ' ') if name in CONTROLS else name


def shortened(name: str, width: int = _NAME_WIDTH) -> str:
  """Shortens a name to at most `width` characters, with '…' in the middle."""
  if len(name) <= width:
    return name
  half = (width - 1) // 2
  return f'{name[:half]}…{name[-half:]}'


def equity(
  axes, results: Results, title: str, colours: Mapping[str, str]
) -> None:
  """Draws each policy's profit over time.

  For a policy with several backtests, draws the mean profit on each day, and
  the range from the 5th to the 95th percentile.
  """
  for name, backtests in results.items():
    colour = colours.get(name)
    curves = np.stack([_relative(b) for b in backtests])
    label = shortened(shown(name))
    if len(backtests) > 1:
      low, high = np.percentile(curves, [5, 95], axis=0)
      axes.fill_between(
        backtests[0].dates, low, high, color=colour, alpha=0.15, linewidth=0
      )
      label += f', mean and 90 % of {len(backtests)}'
    axes.plot(
      backtests[0].dates,
      curves.mean(axis=0),
      color=colour,
      linewidth=1.2 if name in CONTROLS else 2,
      linestyle='--' if name in CONTROLS else '-',
      label=label,
    )
  name_axes(axes, title)
  axes.set_ylabel('profit, % of initial cash')
  number_dates(axes)
  finish(axes)


def name_axes(axes, title: str) -> None:
  """Sets the title of axes, without parsing it as a formula."""
  axes.set_title(title, loc='left', fontsize=10, parse_math=False)


def finish(axes) -> None:
  """Adds a horizontal line at 0 and a legend; calls `lighten`."""
  axes.axhline(0, color='black', linewidth=0.6)
  lighten(axes)
  legend_beside(axes)


def lighten(axes, grid: str = 'both') -> None:
  """Adds a light grid, and hides the top and right borders.

  Args:
    axes: the axes to change.
    grid: the axis whose ticks get grid lines: 'x', 'y' or 'both'.
  """
  axes.grid(alpha=0.25, axis=grid)
  axes.set_axisbelow(True)
  axes.spines[['top', 'right']].set_visible(False)


def legend_beside(axes, *entries) -> None:
  """Adds a legend to the right of the axes.

  Args:
    axes: the axes to describe.
    *entries: handles and labels, as for `Axes.legend`; if there are none, the
      legend has all labelled artists.
  """
  legend = axes.legend(
    *entries,
    fontsize=8,
    frameon=False,
    loc='upper left',
    bbox_to_anchor=(1.0, 1.0),
  )
  for text in legend.get_texts():
    text.set_parse_math(False)  # names of folders may hold dollars


def number_dates(axes, most: int = 8, offset: bool = True) -> None:
  """Labels the x axis with a few dates in a concise format.

  Args:
    axes: with dates along x.
    most: the largest number of labels.
    offset: whether the part that the dates have in common, such as the year, is
      shown at the right end of the axis.
  """
  locator = mpl_dates.AutoDateLocator(minticks=2, maxticks=most)
  axes.xaxis.set_major_locator(locator)
  axes.xaxis.set_major_formatter(
    mpl_dates.ConciseDateFormatter(locator, show_offset=offset)
  )


def number_wholly(axes, unit: str) -> None:
  """Labels the x axis with `unit`, and its ticks with a few whole numbers."""
  axes.set_xlabel(unit)
  axes.xaxis.set_major_locator(
    mpl_ticker.MaxNLocator(7, integer=True, min_n_ticks=1, steps=[1, 2, 5, 10])
  )


def apart(values: Sequence[float], drawn: Sequence[float]) -> list[float]:
  """Selects values whose labels do not overlap on a log axis.

  Args:
    values: candidates for labels, above 0.
    drawn: all values that the axis shows, above 0.

  Returns:
    The selected values in ascending order; the smallest is always selected.
  """
  least = (max(drawn) / min(drawn)) ** _LEAST_STEP
  kept: list[float] = []
  for value in sorted(values):
    if not kept or value >= least * kept[-1]:
      kept.append(value)
  return kept


def _relative(backtest: Backtest) -> np.ndarray:
  initial = backtest.equity[-1] / (1.0 + backtest.summary['profit'])
  return 100.0 * (backtest.equity / initial - 1.0)

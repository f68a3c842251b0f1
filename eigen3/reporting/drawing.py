"""What all pictures have in common: a figure and its file, colours, axes."""

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
  # Of the market `patience`.
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
_REMARK_WIDTH = 140  # letters of a line below the picture
_NAME_WIDTH = 28  # letters of a policy's name
_LEAST_STEP = 0.08  # of an axis, between two numbers beside it


@contextlib.contextmanager
def picture(
  path: os.PathLike | str,
  height: float,
  title: str,
  remark: str = '',
  width: float = 10.0,
) -> Iterator[mpl_figure.Figure]:
  """A figure to draw on, written to a file when the block ends.

  Args:
    path: of a PNG file; written whole or not at all.
    height: of the figure, inches of 120 pixels.
    title: of the whole picture.
    remark: stands below it, for what every reader must know of the data.
    width: of the figure, inches.

  Yields:
    The figure, without axes.
  """
  # A figure of its own, not pyplot's: no global state, no display needed.
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
  """A colour for each agent, in turn, and those of the controls."""
  chosen = {name: _AGENTS[i % len(_AGENTS)] for i, name in enumerate(agents)}
  return CONTROLS | chosen


def shown(name: str) -> str:
  """A policy's name for readers; names of runs stay as they are."""
  return name.replace('_', ' ') if name in CONTROLS else name


def shortened(name: str, width: int = _NAME_WIDTH) -> str:
  """A name of at most so many letters; both ends of a long one are kept."""
  if len(name) <= width:
    return name
  half = (width - 1) // 2
  return f'{name[:half]}…{name[-half:]}'


def equity(
  axes, results: Results, title: str, colours: Mapping[str, str]
) -> None:
  """Profit over time; of many backtests their mean and the middle 90 %."""
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
  """The title of one of several axes, as it is written."""
  axes.set_title(title, loc='left', fontsize=10, parse_math=False)


def finish(axes) -> None:
  """A line at nothing, a light grid and the legend beside the axes."""
  axes.axhline(0, color='black', linewidth=0.6)
  lighten(axes)
  legend_beside(axes)


def lighten(axes, grid: str = 'both') -> None:
  """A light grid, of 'both' directions, 'x' or 'y', and no box around it."""
  axes.grid(alpha=0.25, axis=grid)
  axes.set_axisbelow(True)
  axes.spines[['top', 'right']].set_visible(False)


def legend_beside(axes, *entries) -> None:
  """The legend at the right of the axes, of what is in them or of `entries`."""
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
  """Dates that have room beside each other on the axis of days.

  Args:
    axes: with dates along x.
    most: of the dates.
    offset: whether what all have in common stands at the right end.
  """
  locator = mpl_dates.AutoDateLocator(minticks=2, maxticks=most)
  axes.xaxis.set_major_locator(locator)
  axes.xaxis.set_major_formatter(
    mpl_dates.ConciseDateFormatter(locator, show_offset=offset)
  )


def number_wholly(axes, unit: str) -> None:
  """Whole numbers, few enough to read, on the axis of what is counted."""
  axes.set_xlabel(unit)
  axes.xaxis.set_major_locator(
    mpl_ticker.MaxNLocator(7, integer=True, min_n_ticks=1, steps=[1, 2, 5, 10])
  )


def apart(values: Sequence[float], drawn: Sequence[float]) -> list[float]:
  """Those of some values that have room beside each other on a log axis.

  Args:
    values: to be written beside the axis, above 0.
    drawn: all that the axis shows.
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

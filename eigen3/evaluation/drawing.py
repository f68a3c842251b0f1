"""What the pictures of runs and populations have in common."""

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import figure as mpl_figure
from matplotlib import layout_engine as mpl_layout_engine
from matplotlib import ticker as mpl_ticker

from eigen3.evaluation.backtest import Backtest
from eigen3.evaluation.judge import Results

POPULATION = '#1b4f9c'
REFERENCE = '#c2570c'
CONTROLS = {
  'informed': '#2a7f3f',
  'ranker': '#b5a300',
  'momentum': '#c2570c',
  'buy_and_hold': '#7a5195',
  'random_entry': '#888888',
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


def new_figure(height: float, title: str) -> mpl_figure.Figure:
  """A figure of 1200 pixels' width and so many inches' height."""
  # A figure of its own, not pyplot's: no global state, no display needed.
  figure = mpl_figure.Figure(
    figsize=(10, height),
    layout=mpl_layout_engine.ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.06),
  )
  figure.suptitle(title, fontsize=12, parse_math=False)
  return figure


def remark(figure: mpl_figure.Figure, text: str) -> None:
  """What every reader must know of the data, below the picture."""
  wrapped = '\n'.join(textwrap.wrap(text, _REMARK_WIDTH))
  figure.supxlabel(wrapped, fontsize=8, color='#555555', parse_math=False)


def colours(agents: Sequence[str]) -> dict[str, str]:
  """A colour for each agent, in turn, and those of the controls."""
  chosen = {name: _AGENTS[i % len(_AGENTS)] for i, name in enumerate(agents)}
  return CONTROLS | chosen


def shown(name: str) -> str:
  """A policy's name for readers; names of runs stay as they are."""
  return name.replace('_', ' ') if name in CONTROLS else name


def equity(
  axes, results: Results, title: str, colours: Mapping[str, str]
) -> None:
  """Profit over time; of many backtests their mean and the middle 90 %."""
  for name, backtests in results.items():
    colour = colours.get(name)
    curves = np.stack([_relative(b) for b in backtests])
    label = shown(name)
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
  axes.set_title(title, loc='left', fontsize=10)
  axes.set_ylabel('profit, % of initial cash')
  finish(axes)


def finish(axes) -> None:
  """A line at nothing, a light grid and the legend beside the axes."""
  axes.axhline(0, color='black', linewidth=0.6)
  axes.grid(alpha=0.25)
  axes.spines[['top', 'right']].set_visible(False)
  legend = axes.legend(
    fontsize=8, frameon=False, loc='upper left', bbox_to_anchor=(1.0, 1.0)
  )
  for text in legend.get_texts():
    text.set_parse_math(False)  # names of folders may hold dollars


def number_generations(axes) -> None:
  """Whole numbers, few enough to read, on the axis of generations."""
  axes.set_xlabel('generation')
  axes.xaxis.set_major_locator(
    mpl_ticker.MaxNLocator(7, integer=True, min_n_ticks=1, steps=[1, 2, 5, 10])
  )


def _relative(backtest: Backtest) -> np.ndarray:
  initial = backtest.equity[-1] / (1.0 + backtest.summary['profit'])
  return 100.0 * (backtest.equity / initial - 1.0)

"""What a run leaves for its reader: a summary, the trades and a picture."""

import os
import textwrap

import numpy as np
import pandas as pd
from matplotlib import figure as mpl_figure

from eigen3.data import atomic_path
from eigen3.evaluation.backtest import Backtest
from eigen3.evaluation.judge import Results, mean_summary

_COLUMNS = (
  ('profit', 'profit', '{:+.2%}'),
  ('max_drawdown', 'max drawdown', '{:.2%}'),
  ('sharpe', 'Sharpe', '{:.2f}'),
  ('trades', 'trades', '{:.0f}'),
  ('win_rate', 'win rate', '{:.0%}'),
  ('holding_days', 'days held', '{:.1f}'),
  ('exposure', 'exposure', '{:.0%}'),
  ('costs', 'costs', '{:.2%}'),
)
_REMARK_WIDTH = 140  # letters of a line below the picture
_COLOURS = {
  'agent': '#1b4f9c',
  'informed': '#2a7f3f',
  'momentum': '#c2570c',
  'buy_and_hold': '#7a5195',
  'random_entry': '#888888',
}


def table(results: Results) -> str:
  """The numbers of all policies as text, one line each."""
  rows = [['', *(title for _, title, _ in _COLUMNS)]]
  for name, backtests in results.items():
    numbers = mean_summary(backtests)
    cells = [form.format(numbers[key]) for key, _, form in _COLUMNS]
    many = f' (mean of {len(backtests)})' if len(backtests) > 1 else ''
    rows.append([name.replace('_', ' ') + many, *cells])
  widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
  return '\n'.join(
    '  '.join(
      cell.ljust(width) if index == 0 else cell.rjust(width)
      for index, (cell, width) in enumerate(zip(row, widths, strict=True))
    )
    for row in rows
  )


def summary(validation: Results, holdout: Results) -> dict:
  """The numbers of all policies on both splits, for summary.json."""
  return {
    split: {name: mean_summary(tests) for name, tests in results.items()}
    for split, results in (('validation', validation), ('holdout', holdout))
  }


def write_trades(path: os.PathLike | str, trades: pd.DataFrame) -> None:
  """Writes the trades as CSV, whole or not at all."""
  with atomic_path(path) as temporary:
    trades.to_csv(temporary, index=False, float_format='%.10g')


def write_picture(
  path: os.PathLike | str,
  metrics: pd.DataFrame,
  validation: Results,
  holdout: Results,
  title: str,
  remark: str,
) -> None:
  """Draws the learning curve and the held-out equity against the controls.

  Args:
    path: of a PNG file.
    metrics: the run's metrics.csv; its first field counts.
    validation: controls on the validation days.
    holdout: agent and controls on the held-out days.
    title: of the whole picture.
    remark: stands below it, for what every reader must know of the data.
  """
  # A figure of its own, not pyplot's: no global state, no display needed.
  figure = mpl_figure.Figure(figsize=(10, 8), layout='constrained')
  figure.suptitle(title, fontsize=12)
  upper, lower = figure.subplots(2, 1)
  _learning_curve(upper, metrics, validation)
  _equity(lower, holdout)
  remark = '\n'.join(textwrap.wrap(remark, _REMARK_WIDTH))
  figure.supxlabel(remark, fontsize=8, color='#555555')
  with atomic_path(path) as temporary:
    figure.savefig(temporary, format='png', dpi=120)


def _learning_curve(axes, metrics: pd.DataFrame, validation: Results) -> None:
  scored = metrics.dropna(subset=['validation_profit'])
  axes.plot(
    scored[metrics.columns[0]],
    100 * scored['validation_profit'],
    color=_COLOURS['agent'],
    marker='o',
    markersize=3,
    label='agent',
  )
  for name, backtests in validation.items():
    axes.axhline(
      100 * mean_summary(backtests)['profit'],
      color=_COLOURS.get(name),
      linestyle='--',
      linewidth=1,
      label=name.replace('_', ' '),
    )
  axes.set_title('Validation days while training', loc='left', fontsize=10)
  axes.set_xlabel(metrics.columns[0])
  axes.set_ylabel('profit, % of initial cash')
  _finish(axes)


def _equity(axes, holdout: Results) -> None:
  for name, backtests in holdout.items():
    colour = _COLOURS.get(name)
    curves = np.stack([_relative(b) for b in backtests])
    label = name.replace('_', ' ')
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
      linewidth=2 if name == 'agent' else 1.2,
      label=label,
    )
  axes.set_title('Held-out days, net of costs', loc='left', fontsize=10)
  axes.set_ylabel('profit, % of initial cash')
  _finish(axes)


def _relative(backtest: Backtest) -> np.ndarray:
  initial = backtest.equity[-1] / (1.0 + backtest.summary['profit'])
  return 100.0 * (backtest.equity / initial - 1.0)


def _finish(axes) -> None:
  axes.axhline(0, color='black', linewidth=0.6)
  axes.grid(alpha=0.25)
  axes.spines[['top', 'right']].set_visible(False)
  axes.legend(
    fontsize=8, frameon=False, loc='upper left', bbox_to_anchor=(1.0, 1.0)
  )

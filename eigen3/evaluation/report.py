"""What a run leaves for its reader: a summary, the trades and a picture."""

import os
from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pandas as pd

from eigen3.evaluation import drawing, metrics
from eigen3.evaluation.judge import Results, mean_summary
from eigen3.files import atomic_path

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
_COLOURS = drawing.colours(['agent'])


def table(results: Results) -> str:
  """The numbers of all policies as text, one line each."""
  rows = [['', *(title for _, title, _ in _COLUMNS)]]
  for name, backtests in results.items():
    numbers = mean_summary(backtests)
    cells = [form.format(numbers[key]) for key, _, form in _COLUMNS]
    many = f' (mean of {len(backtests)})' if len(backtests) > 1 else ''
    rows.append([drawing.shown(name) + many, *cells])
  return aligned(rows)


def aligned(rows: Sequence[Sequence[str]], left: Collection[int] = (0,)) -> str:
  """Cells as text, below one another.

  Args:
    rows: all as long.
    left: columns that begin below one another; others end there.
  """
  widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
  return '\n'.join(
    '  '.join(
      cell.ljust(width) if index in left else cell.rjust(width)
      for index, (cell, width) in enumerate(zip(row, widths, strict=True))
    ).rstrip()
    for row in rows
  )


def summary(results: Results) -> dict[str, dict[str, float]]:
  """The numbers of all policies on the days of `results`, for JSON."""
  return {name: mean_summary(tests) for name, tests in results.items()}


def daily_returns(results: Mapping[str, Results]) -> pd.DataFrame:
  """What every day brought every policy.

  Args:
    results: by split.

  Returns:
    A row per split and day: `split`, `date` and, for each policy, the return
    since the day before; of many backtests their mean.
  """
  tables = []
  for split, policies in results.items():
    dates = next(iter(policies.values()))[0].dates
    columns = {
      name: np.mean([metrics.daily_returns(test) for test in tests], axis=0)
      for name, tests in policies.items()
    }
    tables.append(pd.DataFrame({'split': split, 'date': dates, **columns}))
  return pd.concat(tables, ignore_index=True)


def write_table(path: os.PathLike | str, rows: pd.DataFrame) -> None:
  """Writes rows, such as trades, as CSV, whole or not at all."""
  with atomic_path(path) as temporary:
    rows.to_csv(temporary, index=False, float_format='%.10g')


def write_picture(
  path: os.PathLike | str,
  metrics: pd.DataFrame,
  validation: Results,
  judged: Results,
  equity_title: str,
  title: str,
  remark: str,
) -> None:
  """Draws the learning curve, and equity against the controls.

  Args:
    path: of a PNG file.
    metrics: the run's metrics.csv; its first field counts.
    validation: controls on the validation days.
    judged: agent and controls on the days whose equity is drawn.
    equity_title: says which days.
    title: of the whole picture.
    remark: stands below it, for what every reader must know of the data.
  """
  figure = drawing.new_figure(8, title)
  upper, lower = figure.subplots(2, 1)
  _learning_curve(upper, metrics, validation)
  drawing.equity(lower, judged, equity_title, _COLOURS)
  drawing.remark(figure, remark)
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
  drawing.finish(axes)

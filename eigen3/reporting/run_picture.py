"""The picture of a run: its learning curve, and its champion's profit."""

import os

import pandas as pd

from eigen3.evaluation.judge import Results, mean_summary
from eigen3.reporting import drawing

_COLOURS = drawing.colours(['agent'])


def draw_run(
  path: os.PathLike | str,
  metrics: pd.DataFrame,
  validation: Results,
  judged: Results,
  equity_title: str,
  title: str,
  remark: str,
) -> None:
  """Draws a run's learning curve, and the policies' profit over time.

  The learning curve is the validation profit during training; the controls'
  validation profits are drawn as horizontal lines.

  Args:
    path: path of a PNG file.
    metrics: the table in the run's metrics.csv; its first column is the x axis
      of the learning curve.
    validation: backtests of the controls on the validation days.
    judged: backtests of the champion ('agent') and of the controls, whose
      profit over time is drawn.
    equity_title: title of the lower part, which shows profit over time.
    title: title of the whole picture.
    remark: text below the picture, for caveats about the data.
  """
  with drawing.picture(path, 8, title, remark) as figure:
    upper, lower = figure.subplots(2, 1)
    _learning_curve(upper, metrics, validation)
    drawing.equity(lower, judged, equity_title, _COLOURS)


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
      label=drawing.shown(name),
    )
  drawing.name_axes(axes, 'Validation days while training')
  drawing.number_wholly(axes, metrics.columns[0])
  axes.set_ylabel('profit, % of initial cash')
  drawing.finish(axes)

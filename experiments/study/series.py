"""Compares daily returns of policies on the held-out days of all folds."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from eigen3.evaluation import contenders
from eigen3.reporting import drawing, svg
from experiments.study.joined import Joined

_MOST_DATES = 6  # labels that fit on the axis


def daily(found: Mapping[str, Joined]) -> pd.DataFrame:
  """Returns the table of daily returns, averaged over seeds.

  Args:
    found: results by program, on the same days.

  Returns:
    A row per day: `date`, and the returns of each program and each control, in
    columns with their names. The controls are those of the first program's
    runs.
  """
  first = next(iter(found.values()))
  ours = {name: one.returns for name, one in found.items()}
  return pd.DataFrame({'date': first.dates, **ours, **first.controls})


def contest(
  table: pd.DataFrame, programs: Sequence[str], seed: int, repeats: int
) -> dict[str, dict[str, float]]:
  """Tests which policy may be the best, and which controls are beaten.

  Args:
    table: see `daily`.
    programs: the columns of trained policies; all other columns except `date`
      are controls.
    seed: random seed of the bootstrap.
    repeats: number of bootstrap draws.

  Returns:
    By policy: `best`, its p-value in the model confidence set (see
    `contenders.confidence_set`), and for a control also `beaten`, the p-value
    of the hypothesis that no program is better than this control (see
    `contenders.superior_ability`).

  Raises:
    ValueError: if `table` is empty or a return is not finite.
  """
  returns = table.drop(columns='date')
  best = contenders.confidence_set(returns.to_numpy(), seed, repeats)
  p_values = {
    str(name): {'best': float(p)}
    for name, p in zip(returns.columns, best, strict=True)
  }
  ours = returns[[*programs]].to_numpy()
  for name in returns.columns.drop([*programs]):
    p_values[name]['beaten'] = contenders.superior_ability(
      ours, returns[name].to_numpy(), seed, repeats
    )
  return p_values


def contest_lines(p_values: Mapping[str, Mapping[str, float]]) -> list[str]:
  """Returns the results of `contest` as two lines of text."""
  order = sorted(p_values, key=lambda name: -p_values[name]['best'])
  best = ', '.join(
    f'{drawing.shown(name)} {p_values[name]["best"]:.3f}' for name in order
  )
  beaten = ', '.join(
    f'{drawing.shown(name)} {found["beaten"]:.3f}'
    for name, found in p_values.items()
    if 'beaten' in found
  )
  return [
    f'may be the best of all, p of the model confidence set: {best}',
    f'no program is better than, p of superior predictive ability: {beaten}',
  ]


def element(table: pd.DataFrame) -> str:
  """Draws the cumulative return of each policy; returns the picture as SVG.

  A vertical line marks each gap of more than 30 days in the dates.

  Args:
    table: see `daily`.
  """
  return svg.of_axes('daily', 3.6, lambda axes: _draw(axes, table))


def _draw(axes, table: pd.DataFrame) -> None:
  days = np.arange(len(table))
  policies = table.columns.drop('date')
  controls = {*drawing.CONTROLS} - {'ranker'}
  colours = drawing.colours([x for x in policies if x not in controls])
  for name in policies:
    is_control = name in controls
    axes.plot(
      days, 100 * (np.cumprod(1.0 + table[name]) - 1.0),
      color=colours[name], linewidth=1.2 if is_control else 2,
      linestyle='--' if is_control else '-', label=drawing.shown(name),
    )  # fmt: skip
  # Successive folds may be years apart.
  apart = table['date'].diff() > pd.Timedelta(days=30)
  begins = [0, *np.flatnonzero(apart)]
  for day in begins[1:]:
    axes.axvline(day, color='black', linewidth=0.6, linestyle=':')
  named = begins[:: -(-len(begins) // _MOST_DATES)]
  axes.set_xticks(
    named, [f'{table["date"][day]:%Y-%m}' for day in named], fontsize=8
  )
  drawing.name_axes(axes, 'Held-out days, one after another, mean of seeds')
  axes.set_ylabel('% of initial cash')
  drawing.finish(axes)

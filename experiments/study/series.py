"""Daily returns on the held-out days of all folds."""

import os
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from eigen3.evaluation import contenders
from eigen3.evaluation.pooled import Outcome
from eigen3.reporting import drawing, svg

_MOST_DATES = 6  # that do not overlap


def daily(runs: Mapping[str, Sequence[Outcome]]) -> pd.DataFrame:
  """Returns daily returns, averaged over seeds.

  Args:
    runs: of each program, on the same days.

  Returns:
    A row a day: `date`, the return of each program, and that of each control,
    from the first program's runs.
  """
  first = next(iter(runs.values()))
  table = {'date': first[0].daily['date']}
  for name, outcomes in runs.items():
    table[name] = np.mean([outcome.returns for outcome in outcomes], axis=0)
  for name in first[0].daily.columns.drop(['date', first[0].policy]):
    table[name] = np.mean(
      [outcome.daily[name].to_numpy(float) for outcome in first], axis=0
    )
  return pd.DataFrame(table)


def contest(
  table: pd.DataFrame, programs: Sequence[str], seed: int, repeats: int
) -> dict[str, dict[str, float]]:
  """Tests which policy may be the best, and which controls are beaten.

  Args:
    table: see `daily`.
    programs: those that were trained; other columns are controls.
    seed: of the resamples.
    repeats: number of resamples.

  Returns:
    By policy `best`, its p-value in the model confidence set (see
    `contenders.confidence_set`), and for controls `beaten`, the p-value of no
    program being better than the control (see `contenders.superior_ability`).
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
  """Returns the results of `contest` as text."""
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


def draw_series(
  path: os.PathLike | str, table: pd.DataFrame, title: str, remark: str
) -> None:
  """Draws cumulative returns, with a line between folds that are apart.

  Args:
    path: of a PNG file.
    table: see `daily`.
    title: of the whole picture.
    remark: text below it.
  """
  with drawing.picture(path, 5, title, remark) as figure:
    _draw(figure.subplots(), table)


def element(table: pd.DataFrame) -> str:
  """Returns the same as SVG for a page; see `draw_series`."""
  return svg.of_axes('daily', 3.6, lambda axes: _draw(axes, table))


def _draw(axes, table: pd.DataFrame) -> None:
  days = np.arange(len(table))
  policies = table.columns.drop('date')
  colours = drawing.colours([x for x in policies if x not in drawing.CONTROLS])
  for name in policies:
    is_control = name in drawing.CONTROLS
    axes.plot(
      days, 100 * (np.cumprod(1.0 + table[name]) - 1.0),
      color=colours[name], linewidth=1.2 if is_control else 2,
      linestyle='--' if is_control else '-', label=drawing.shown(name),
    )  # fmt: skip
  # Folds may be years apart.
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

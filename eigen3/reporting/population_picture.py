"""Pictures of the evolution of a population."""

import functools
import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from eigen3.evaluation.population import best_first, require_columns, scores
from eigen3.reporting import drawing, svg
from eigen3.reporting.drawing import POPULATION

GENERATION_COLUMNS = (
  'generation',
  'seconds',
  'replay_size',
  'replay_capacity',
  'champion_score',
  'champion_generation',
  'mutation_rate',
  'mutation_std',
  'spread',
)
# Recorded if all agents play the same slices; only drawn if present.
SELECTION_COLUMNS = (
  'retest_correlation',
  'fitness_between',
  'fitness_error',
  'distance_median',
  'distance_nearest',
  'redundant',
  'founders',
  'champion_founder',
  'offspring_gain',
  'mutant_gain',
)
HYPERPARAMETER = 'hyper_'  # prefix of the columns of hyperparameters

_CHAMPION = '#d0021b'
# Markers differ as well, for readers who cannot distinguish the colours.
_ORIGINS = {
  'initial': ('#888888', 'o'),
  'elite': ('#e0a100', 's'),
  'offspring': ('#2a7f3f', '^'),
  'mutant': ('#c2570c', 'D'),
  'sample': ('#7a5195', 'v'),
  'copy': ('#17a2b8', 'P'),
}
# Units of scores that are profits, and of other scores.
_UNITS = {True: 'share of initial cash', False: 'sum of rewards'}
_IN_A_ROW = 3  # panels of hyperparameters
_PAGE_HEIGHT = 2.9  # of a panel on a page, inches
_OF_THE_MACHINE = ('seconds', 'replay')  # panels that a page leaves out
# The y axis of a score extends beyond the quartiles of the best scores by at
# most this many times their interquartile range or median absolute value,
# whichever is larger. Learning curves stay within that; a penalty of thousands
# does not.
_REACH = 20


def draw_population(
  path: os.PathLike | str,
  members: pd.DataFrame,
  generations: pd.DataFrame,
  title: str,
  remark: str,
  profits: tuple[bool, bool] = (True, True),
) -> None:
  """Draws the development of a population over its generations.

  Args:
    path: of a PNG file, 1200 pixels wide.
    members: one row per generation and member, with the `MEMBER_COLUMNS` of
      `evaluation.population`; columns that begin with 'hyper_' are drawn too.
    generations: one row per generation, with `GENERATION_COLUMNS`. The effects
      of selection are drawn if this table also has all `SELECTION_COLUMNS`, and
      `members` has 'fitness_error' and, in each row, 'founder'.
    title: of the whole picture.
    remark: text below the picture, for caveats about the data.
    profits: two flags, for fitness and for validation scores: True for profits,
      as shares of the initial cash; False for sums of rewards.

  Raises:
    ValueError: if a table lacks a required column or has no row.
  """
  panels = _panels(members, generations, profits)
  rows: list[Any] = _rows(panels)
  height = round(2.4 * len(rows), 1)
  with drawing.picture(path, height, title, remark) as figure:
    axes: dict[str, Any] = {}
    # Each row has its own layout, so that a wide label narrows only its row.
    parts: Any = figure.subfigures(len(rows))
    for part, row in zip(parts, rows, strict=True):
      axes |= part.subplot_mosaic([row], empty_sentinel='.')
    for name, draw in panels.items():
      draw(axes[name])


def elements(
  members: pd.DataFrame,
  generations: pd.DataFrame,
  profits: tuple[bool, bool] = (True, True),
) -> dict[str, str]:
  """Returns the panels that a page shows, as SVG keyed by name.

  The panels `seconds` and `replay` are left out, as are hyperparameters that
  never vary. Arguments and errors are as for `draw_population`, but
  `GENERATION_COLUMNS` may be missing: their values count as unknown.
  """
  generations = generations.reindex(
    columns=[*dict.fromkeys([*generations.columns, *GENERATION_COLUMNS])]
  )  # not every strategy mutates
  panels = _panels(members, generations, profits)
  return {
    name: svg.of_axes(f'population {name}', _PAGE_HEIGHT, draw)
    for name, draw in panels.items()
    if name not in _OF_THE_MACHINE
    and (not name.startswith(HYPERPARAMETER) or members[name].nunique() > 1)
  }


def _panels(
  members: pd.DataFrame,
  generations: pd.DataFrame,
  profits: tuple[bool, bool],
) -> dict[str, Callable[[Any], None]]:
  """Returns functions that each draw a panel on given axes, by panel name."""
  require_columns('generations', generations, GENERATION_COLUMNS)
  table = scores(members)
  found: dict[str, Callable[[Any], None]] = {
    score: functools.partial(
      _score, table, members, generations, score, _UNITS[is_profit]
    )
    for score, is_profit in zip(('fitness', 'validation'), profits, strict=True)
  }
  if _knows_selection(members, generations):
    found['founders'] = lambda axes: _founders(axes, members, generations)
    found['retest'] = lambda axes: _retest(axes, generations)
    found['gains'] = lambda axes: _gains(axes, generations)
    found['distances'] = lambda axes: _distances(axes, generations)
  found['spread'] = lambda axes: _spread(axes, generations)
  for name in ('rate', 'std'):
    found[name] = functools.partial(
      _mutation, generations=generations, name=name
    )
  found['seconds'] = lambda axes: _seconds(axes, generations)
  found['replay'] = lambda axes: _replay(axes, generations)
  for name in members.columns:
    if name.startswith(HYPERPARAMETER):
      found[name] = functools.partial(
        _hyperparameter, members=members, name=name
      )
  return {
    name: functools.partial(_finished, draw, table['generation'])
    for name, draw in found.items()
  }


def _score(table, members, generations, score: str, unit: str, axes) -> None:
  """Draws the members' `score`, which is 'fitness' or 'validation'.

  Adds the standard error of each generation's best fitness if the effects of
  selection were recorded, and the champion's score to validation scores.
  """
  _scores(axes, table, members, score, unit)
  if score == 'fitness':
    _leave_out_the_far(axes, table, score)
    if _knows_selection(members, generations):
      _errors(axes, members)
    return
  _champion(axes, generations)
  _leave_out_the_far(axes, table, score, generations['champion_score'])


def _finished(draw: Callable[[Any], None], generation: pd.Series, axes) -> None:
  draw(axes)
  _finish(axes, generation)


def _knows_selection(members: pd.DataFrame, generations: pd.DataFrame) -> bool:
  """Returns whether the effects of selection were recorded."""
  known = {'founder', 'fitness_error'}.issubset(members) and all(
    name in generations for name in SELECTION_COLUMNS
  )
  return known and bool(members['founder'].notna().all())


def _rows(panels: Mapping[str, Any]) -> list[list[str]]:
  """Returns the layout: rows of 6 places, each a panel's name or '.' (empty).

  A panel's name is repeated for all places that the panel spans.
  """
  of_selection = [
    ['founders'] * 6,
    ['retest'] * 2 + ['gains'] * 2 + ['distances'] * 2,
  ]
  rows = [
    ['fitness'] * 6,
    ['validation'] * 6,
    *(of_selection if 'retest' in panels else ()),
    ['spread'] * 2 + ['rate'] * 2 + ['std'] * 2,
    ['seconds'] * 3 + ['replay'] * 3,
  ]
  names = [name for name in panels if name.startswith(HYPERPARAMETER)]
  for first in range(0, len(names), _IN_A_ROW):
    row = [name for name in names[first : first + _IN_A_ROW] for _ in range(2)]
    rows.append(row + ['.'] * (6 - len(row)))
  return rows


def _scores(
  axes, table: pd.DataFrame, members: pd.DataFrame, score: str, unit: str
) -> None:
  """Draws members' scores; marks the origin of the best in each generation."""
  drawing.name_axes(axes, score.capitalize())
  axes.set_ylabel(f'{score},\n{unit}')
  table = table.dropna(subset=[f'{score}_best'])
  if table.empty:
    _say(axes, f'no {score} was measured')
    return
  generation = table['generation']
  _band(axes, generation, table[f'{score}_worst'], table[f'{score}_best'])
  for name, style in (('best', '-'), ('median', '--')):
    axes.plot(
      generation,
      table[f'{score}_{name}'],
      color=POPULATION,
      linestyle=style,
      linewidth=1.5,
      marker='.',
      label=name,
    )
  best = best_first(members.dropna(subset=[score]), score)
  best = best.drop_duplicates('generation')
  for origin, rows in best.groupby('origin'):
    colour, marker = _ORIGINS.get(str(origin), ('black', 'x'))
    axes.scatter(
      rows['generation'],
      rows[score],
      color=colour,
      marker=marker,
      s=28,
      zorder=3,
      label=f'best is {origin}',
    )


def _champion(axes, generations: pd.DataFrame) -> None:
  """Draws the champion's validation score, with a star at each new champion."""
  if generations['champion_score'].isna().all():
    return
  axes.plot(
    generations['generation'],
    generations['champion_score'],
    color=_CHAMPION,
    linewidth=1.5,
    drawstyle='steps-post',
    zorder=1.9,  # below the curve of the best, with which it often coincides
    label='champion',
  )
  new = generations[
    generations['champion_generation'] == generations['generation']
  ]
  axes.scatter(
    new['generation'],
    new['champion_score'],
    color=_CHAMPION,
    marker='*',
    s=80,
    zorder=4,
    label='new champion',
  )


def _leave_out_the_far(
  axes, table: pd.DataFrame, score: str, champion: pd.Series | tuple = ()
) -> None:
  """Limits the y axis if an outlier would flatten all the curves.

  The title then states the most extreme score that is not shown.
  """
  names = [f'{score}_{name}' for name in ('best', 'median', 'worst')]
  scores = np.append(table[names].to_numpy(float), np.asarray(champion, float))
  scores = scores[np.isfinite(scores)]
  best = table[f'{score}_best'].dropna()
  if best.empty:
    return
  first, third = np.percentile(best, [25, 75])
  size = float(np.median(np.abs(best)))
  reach = _REACH * (max(third - first, size) or np.ptp(best))
  is_near = (scores >= first - reach) & (scores <= third + reach)
  if reach == 0 or is_near.all():
    return
  near, far = scores[is_near], scores[~is_near]
  margin, furthest = 0.05 * np.ptp(near), far[np.abs(far).argmax()]
  axes.set_ylim(near.min() - margin, near.max() + margin)
  rounded = f'{float(f"{furthest:.2g}"):,g}'
  drawing.name_axes(
    axes, f'{score.capitalize()} (beyond the axis: as far as {rounded})'
  )


def _errors(axes, members: pd.DataFrame) -> None:
  """Draws one standard error around the best fitness of each generation."""
  best = best_first(members.dropna(subset=['fitness']), 'fitness')
  best = best.drop_duplicates('generation').dropna(subset=['fitness_error'])
  axes.errorbar(
    best['generation'],
    best['fitness'],
    yerr=best['fitness_error'],
    color=POPULATION,
    linestyle='none',
    linewidth=1,
    capsize=2,
    label='standard error',
  )


def _founders(axes, members: pd.DataFrame, generations: pd.DataFrame) -> None:
  """Draws founders' shares of members; marks the founder of the last champion.

  A founder's share counts the members that descend from it.
  """
  counts = members.groupby(['generation', 'founder']).size().unstack()
  shares = 100 * counts.fillna(0).div(counts.sum(axis=1), axis=0)
  # The founder with the most members is at the bottom; neighbours differ in
  # shade.
  order = shares.iloc[::-1].sum().sort_values(ascending=False, kind='stable')
  champion = generations['champion_founder'].iloc[-1]
  bottom = np.zeros(len(shares))
  for place, founder in enumerate(order.index):
    is_champion_s = founder == champion
    axes.bar(
      shares.index,
      shares[founder],
      bottom=bottom,
      width=0.9,
      color=_CHAMPION if is_champion_s else POPULATION,
      alpha=0.9 if is_champion_s else (0.65, 0.35)[place % 2],
      label='of the champion' if is_champion_s else None,
    )
    bottom += shares[founder].to_numpy()
  alone = counts.index[counts.notna().sum(axis=1) == 1]
  words = f'all of one since generation {alone[0]}' if len(alone) else ''
  last = int(counts.iloc[-1].notna().sum())
  words = words or f'{last} of {counts.shape[1]} are left'
  drawing.name_axes(
    axes, f'Members by the first agent that they descend from ({words})'
  )
  axes.set_ylabel('share of members, %')
  axes.set_ylim(0, 100)


def _retest(axes, generations: pd.DataFrame) -> None:
  values = generations['retest_correlation']
  mean = f' (mean {values.mean():.2f})' if values.notna().any() else ''
  drawing.name_axes(axes, f'Is fitness luck?{mean}')
  axes.set_ylabel('expected correlation\nwith a repeat')
  if values.isna().all():
    _say(axes, 'one slice shows nothing')
    return
  _line(axes, generations, values)
  axes.axhline(1.0, color='black', linewidth=0.6)
  axes.set_ylim(min(-0.2, values.min()), 1.05)


def _gains(axes, generations: pd.DataFrame) -> None:
  drawing.name_axes(axes, 'Newborn against better parent')
  axes.set_ylabel('score, in deviations\nof the population')
  found = False
  for name, origin in (
    ('offspring_gain', 'offspring'),
    ('mutant_gain', 'mutant'),
  ):
    rows = generations.dropna(subset=[name])
    if rows.empty:
      continue
    found = True
    colour, marker = _ORIGINS[origin]
    axes.plot(
      rows['generation'],
      rows[name],
      color=colour,
      marker=marker,
      markersize=3,
      linewidth=1,
    )
    axes.text(
      0.02,
      {'offspring': 0.92, 'mutant': 0.82}[origin],
      f'{origin}: mean {rows[name].mean():+.2f}',
      color=colour,
      fontsize=8,
      transform=axes.transAxes,
    )
  if not found:
    _say(axes, 'no parent played beside its newborn')
  else:
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, -1), max(high + 0.4 * (high - low), 1))


def _distances(axes, generations: pd.DataFrame) -> None:
  left_out = int(generations['redundant'].sum())
  drawing.name_axes(axes, f'Distance of policies ({left_out} left out)')
  axes.set_ylabel('RMS of actions,\nunit space')
  for name, style in (('median', '-'), ('nearest', ':')):
    axes.plot(
      generations['generation'],
      generations[f'distance_{name}'].clip(lower=1e-6),
      color=POPULATION,
      linestyle=style,
      marker='o',
      markersize=3,
    )
  axes.set_yscale('log')


def _spread(axes, generations: pd.DataFrame) -> None:
  drawing.name_axes(axes, 'Spread of the population')
  axes.set_ylabel('RMS distance to mean,\n% of RMS of the mean')
  _line(axes, generations, 100 * generations['spread'])
  axes.set_ylim(bottom=0)


def _mutation(axes, generations: pd.DataFrame, name: str) -> None:
  drawing.name_axes(axes, f'Mutation {name}')
  axes.set_ylabel({'rate': 'share of parameters', 'std': 'size of noise'}[name])
  values = generations[f'mutation_{name}']
  if values.isna().all():
    _say(axes, 'no mutation')
    return
  _line(axes, generations, values)
  axes.set_ylim(bottom=0)


def _seconds(axes, generations: pd.DataFrame) -> None:
  drawing.name_axes(axes, 'Time of a generation')
  axes.set_ylabel('wall time, s')
  axes.bar(generations['generation'], generations['seconds'], color=POPULATION)


def _replay(axes, generations: pd.DataFrame) -> None:
  drawing.name_axes(axes, 'Replay')
  capacity = generations['replay_capacity']
  axes.set_ylabel(f'filled, % of {capacity.max():,.0f}\ntransitions')
  fill = 100 * generations['replay_size'] / capacity
  axes.bar(generations['generation'], fill, color=POPULATION)
  axes.set_ylim(0, 105)


def _hyperparameter(axes, members: pd.DataFrame, name: str) -> None:
  title = name.removeprefix(HYPERPARAMETER).replace('_', ' ').capitalize()
  drawing.name_axes(axes, title)
  axes.set_ylabel('median, all members')
  groups = members.groupby('generation')[name]
  values = groups.agg(['min', 'median', 'max']).dropna()
  if values.empty:
    _say(axes, 'no value')
    return
  _band(axes, values.index, values['min'], values['max'])
  _line(axes, values.reset_index(), values['median'])


def _line(axes, table: pd.DataFrame, values: pd.Series) -> None:
  """Draws a curve; its markers show even a single generation."""
  axes.plot(
    table['generation'],
    values,
    color=POPULATION,
    marker='o',
    markersize=3,
  )


def _band(axes, generation, low: pd.Series, high: pd.Series) -> None:
  """Fills the area between the lowest and the highest value of members."""
  x, lowest, highest = (np.asarray(v, float) for v in (generation, low, high))
  if len(x) == 1:  # wide enough to be seen
    x = np.concatenate([x - 0.2, x + 0.2])
    lowest, highest = lowest.repeat(2), highest.repeat(2)
  axes.fill_between(
    x,
    lowest,
    highest,
    color=POPULATION,
    alpha=0.15,
    linewidth=0,
    label='all members',
  )


def _say(axes, words: str) -> None:
  axes.text(
    0.5,
    0.5,
    words,
    transform=axes.transAxes,
    horizontalalignment='center',
    color='#555555',
  )


def _finish(axes, generation: pd.Series) -> None:
  drawing.number_wholly(axes, 'generation')
  axes.set_xlim(generation.min() - 0.5, generation.max() + 0.5)
  low, high = axes.get_ylim()
  if low < 0 < high:
    axes.axhline(0, color='black', linewidth=0.6)
  drawing.lighten(axes)
  if len(axes.get_legend_handles_labels()[1]) > 1:
    drawing.legend_beside(axes)

"""What the evolution of a population leaves for its reader."""

import math
import os
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colors as mpl_colors
from matplotlib import figure as mpl_figure
from matplotlib import layout_engine as mpl_layout_engine
from matplotlib import ticker as mpl_ticker

from eigen3.data import atomic_path
from eigen3.evaluation import importance_report
from eigen3.settings import require

MEMBER_COLUMNS = (
  'generation',
  'member',
  'origin',
  'parent',
  'fitness',
  'validation',
  'profit',
  'trades',
  'win_rate',
)
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
HYPERPARAMETER = 'hyper_'  # how columns of hyperparameters begin

_STATISTICS: dict[str, Any] = {
  'best': 'max',
  'mean': 'mean',
  'median': 'median',
  'worst': 'min',
  # Of this population, not an estimate for a larger one: 0 for one member.
  'std': lambda scores: scores.std(ddof=0),
}
_TABLE = (
  ('member', 'member', '{:.0f}'),
  ('validation', 'validation', '{:+.4g}'),
  ('fitness', 'fitness', '{:+.4g}'),
  ('profit', 'profit', '{:+.2%}'),
  ('trades', 'trades', '{:.1f}'),
  ('win_rate', 'win rate', '{:.0%}'),
  ('origin', 'origin', '{}'),
  ('parent', 'parent', '{:.0f}'),
)
_POPULATION = '#1b4f9c'
_CHAMPION = '#d0021b'
_REFERENCE = '#c2570c'
# Markers differ as well, for readers to whom the colours look alike.
_ORIGINS = {
  'initial': ('#888888', 'o'),
  'elite': ('#e0a100', 's'),
  'offspring': ('#2a7f3f', '^'),
  'mutant': ('#c2570c', 'D'),
  'sample': ('#7a5195', 'v'),
  'copy': ('#17a2b8', 'P'),
}
_REMARK_WIDTH = 140  # letters of a line below the picture
_NAME_WIDTH = 24  # letters of a column's name beside a bar
_IN_A_ROW = 3  # hyperparameters
# How many times the middle half of the curves an axis reaches beyond it: far
# more than any curve of learning, far less than a penalty of thousands.
_REACH = 20


def summarise(members: pd.DataFrame) -> pd.DataFrame:
  """The scores of each generation.

  Args:
    members: one row per generation and member.

  Returns:
    One row per generation: `generation`; for `fitness` and for `validation`
    their `_best`, `_mean`, `_median`, `_worst` and `_std`, NaN where no
    member has a score; and `validation_best_so_far`, NaN before the first.

  Raises:
    ValueError: `members` lacks a column or has no row.
  """
  _require_columns('members', members, MEMBER_COLUMNS)
  groups = members.groupby('generation')
  table = pd.DataFrame(
    {
      f'{score}_{name}': groups[score].agg(statistic)
      for score in ('fitness', 'validation')
      for name, statistic in _STATISTICS.items()
    }
  )
  table['validation_best_so_far'] = table['validation_best'].cummax().ffill()
  return table.reset_index()


def top_table(members: pd.DataFrame, generation: int, count: int = 5) -> str:
  """The members of a generation that validate best, as aligned text.

  Equals are ordered by fitness, then by number; those without a validation
  come last. A parent under 0 is none.

  Args:
    members: one row per generation and member.
    generation: which.
    count: how many to tell of.

  Returns:
    A line of titles and one for each member; '-' stands for what is unknown.

  Raises:
    ValueError: `members` lacks a column, or the generation.
  """
  _require_columns('members', members, MEMBER_COLUMNS)
  chosen = members[members['generation'] == generation]
  found = f'{members["generation"].min()} to {members["generation"].max()}'
  require(len(chosen) > 0, 'generation', generation, f'one of {found}')
  best = _best_first(chosen, 'validation', 'fitness').head(count)
  best = best.assign(parent=best['parent'].where(best['parent'] >= 0))
  table = pd.DataFrame(
    {
      title: [_cell(form, value) for value in best[name]]
      for name, title, form in _TABLE
    }
  )
  return table.to_string(index=False)


def write_picture(
  path: os.PathLike | str,
  members: pd.DataFrame,
  generations: pd.DataFrame,
  title: str,
  remark: str,
  unit: str = 'share of initial cash',
) -> None:
  """Draws how a population became what it is.

  Args:
    path: of a PNG file, 1200 pixels wide.
    members: one row per generation and member; columns that begin with
      'hyper_' are drawn too.
    generations: one row per generation.
    title: of the whole picture.
    remark: stands below it, for what every reader must know of the data.
    unit: of fitness and validation.

  Raises:
    ValueError: a table lacks a column or has no row.
  """
  _require_columns('generations', generations, GENERATION_COLUMNS)
  table = summarise(members)
  names = [n for n in members.columns if n.startswith(HYPERPARAMETER)]
  rows: list[Any] = _rows(names)
  figure = _figure(2.4 * len(rows), title)
  axes = figure.subplot_mosaic(rows, empty_sentinel='.')
  _scores(axes['fitness'], table, members, 'fitness', unit)
  _champion(axes['fitness'], generations)
  _scores(axes['validation'], table, members, 'validation', unit)
  _best_so_far(axes['validation'], table)
  for score in ('fitness', 'validation'):
    champion = generations['champion_score']
    _leave_out_the_far(axes[score], table, score, champion)
  _spread(axes['spread'], generations)
  for name in ('rate', 'std'):
    _mutation(axes[name], generations, name)
  _seconds(axes['seconds'], generations)
  _replay(axes['replay'], generations)
  for name in names:
    _hyperparameter(axes[name], members, name)
  for one in axes.values():
    _finish(one, table['generation'])
  remark = '\n'.join(textwrap.wrap(remark, _REMARK_WIDTH))
  figure.supxlabel(remark, fontsize=8, color='#555555', parse_math=False)
  with atomic_path(path) as temporary:
    figure.savefig(temporary, format='png', dpi=120)


def write_importance_picture(
  path: os.PathLike | str,
  mean: importance_report.Values,
  history: importance_report.Values,
  columns: Sequence[str],
  title: str,
) -> None:
  """Draws which columns were attended to, and since when.

  Args:
    path: of a PNG file, 1200 pixels wide.
    mean: float [C], shares of attention; sums to 1.
    history: float [G, C], attention of each generation, of any sum; rows that
      are all 0 or not finite are left blank.
    columns: names [C].
    title: of the picture.

  Raises:
    ValueError: `mean` are not shares, sizes differ or there is no generation.
  """
  shares = importance_report.checked_shares(mean, columns)
  history = np.asarray(history, np.float64)
  require(
    history.ndim == 2 and len(history) > 0 and history.shape[1] == len(shares),
    'history',
    history.shape,
    f'generations of {len(shares)} columns',
  )
  top = importance_report.ranking(shares)[: importance_report.TOP]
  history = _shares_of(history)
  height = 0.25 * max(len(top), 8)  # of the bars, inches
  figure = _figure(4 + height, title)
  axes = figure.subplot_mosaic(
    [['bars', 'moves'], ['entropy', 'entropy']],
    width_ratios=[2, 3],
    height_ratios=[1 + height, 2],
  )
  _bars(axes['bars'], shares[top], [columns[i] for i in top], len(shares))
  _moves(axes['moves'], history[:, top])
  _entropy(axes['entropy'], history)
  with atomic_path(path) as temporary:
    figure.savefig(temporary, format='png', dpi=120)


def _figure(height: float, title: str) -> mpl_figure.Figure:
  """A figure of 1200 pixels' width and so many inches' height."""
  # A figure of its own, not pyplot's: no global state, no display needed.
  figure = mpl_figure.Figure(
    figsize=(10, height),
    layout=mpl_layout_engine.ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.06),
  )
  figure.suptitle(title, fontsize=12, parse_math=False)
  return figure


def _require_columns(
  name: str, table: pd.DataFrame, expected: Iterable[str]
) -> None:
  """Refuses a table that lacks a column or has no row."""
  found = list(table.columns)
  for column in expected:
    require(column in found, name, found, f'a column {column!r}')
  require(len(table) > 0, name, 'no row', 'at least 1')


def _best_first(members: pd.DataFrame, *scores: str) -> pd.DataFrame:
  """Sorted by the first score, then by the others, then by number."""
  return members.sort_values(
    [*scores, 'member'], ascending=[*(False for _ in scores), True]
  )


def _cell(form: str, value) -> str:
  """A value as text; '-' where there is none."""
  if not isinstance(value, str) and (math.isnan(value) or form == '{}'):
    return '-'
  return form.format(value)


def _rows(names: Sequence[str]) -> list[list[str]]:
  """The picture's panels, from the top; a name repeats over its width."""
  rows = [
    ['fitness'] * 6,
    ['validation'] * 6,
    ['spread'] * 2 + ['rate'] * 2 + ['std'] * 2,
    ['seconds'] * 3 + ['replay'] * 3,
  ]
  for first in range(0, len(names), _IN_A_ROW):
    row = [name for name in names[first : first + _IN_A_ROW] for _ in range(2)]
    rows.append(row + ['.'] * (6 - len(row)))
  return rows


def _scores(
  axes, table: pd.DataFrame, members: pd.DataFrame, score: str, unit: str
) -> None:
  """The population's scores, and where the best of each came from."""
  axes.set_title(score.capitalize(), loc='left', fontsize=10)
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
      color=_POPULATION,
      linestyle=style,
      linewidth=1.5,
      marker='.',
      label=name,
    )
  best = _best_first(members.dropna(subset=[score]), score)
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
  """The champion's validation score, with a star where it came up."""
  if generations['champion_score'].isna().all():
    return
  axes.plot(
    generations['generation'],
    generations['champion_score'],
    color=_CHAMPION,
    linewidth=1.5,
    drawstyle='steps-post',
    label="champion's validation",
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


def _best_so_far(axes, table: pd.DataFrame) -> None:
  if table['validation_best_so_far'].isna().all():
    return
  axes.plot(
    table['generation'],
    table['validation_best_so_far'],
    color=_CHAMPION,
    linewidth=1.5,
    zorder=1.9,  # it runs along the best
    drawstyle='steps-post',
    label='best so far',
  )


def _leave_out_the_far(
  axes, table: pd.DataFrame, score: str, champion: pd.Series
) -> None:
  """Ends the axis where one bad member would flatten all the curves."""
  names = [f'{score}_{name}' for name in ('best', 'median', 'worst')]
  scores = np.append(table[names].to_numpy(float), champion.to_numpy(float))
  scores = scores[np.isfinite(scores)]
  best = table[f'{score}_best'].dropna()
  if best.empty:
    return
  first, third = np.percentile(best, [25, 75])
  reach = _REACH * ((third - first) or np.ptp(best))
  is_near = (scores >= first - reach) & (scores <= third + reach)
  if reach == 0 or is_near.all():
    return
  near, far = scores[is_near], scores[~is_near]
  margin, furthest = 0.05 * np.ptp(near), far[np.abs(far).argmax()]
  axes.set_ylim(near.min() - margin, near.max() + margin)
  axes.set_title(
    f'{score.capitalize()} (beyond the axis: as far as {furthest:,.6g})',
    loc='left',
    fontsize=10,
  )


def _spread(axes, generations: pd.DataFrame) -> None:
  axes.set_title('Spread of the population', loc='left', fontsize=10)
  axes.set_ylabel('RMS distance to mean,\n% of RMS of the mean')
  _line(axes, generations, 100 * generations['spread'])
  axes.set_ylim(bottom=0)


def _mutation(axes, generations: pd.DataFrame, name: str) -> None:
  axes.set_title(f'Mutation {name}', loc='left', fontsize=10)
  axes.set_ylabel({'rate': 'share of parameters', 'std': 'size of noise'}[name])
  values = generations[f'mutation_{name}']
  if values.isna().all():
    _say(axes, 'no mutation')
    return
  _line(axes, generations, values)
  axes.set_ylim(bottom=0)


def _seconds(axes, generations: pd.DataFrame) -> None:
  axes.set_title('Time of a generation', loc='left', fontsize=10)
  axes.set_ylabel('wall time, s')
  axes.bar(generations['generation'], generations['seconds'], color=_POPULATION)


def _replay(axes, generations: pd.DataFrame) -> None:
  axes.set_title('Replay', loc='left', fontsize=10)
  capacity = generations['replay_capacity']
  axes.set_ylabel(f'filled, % of {capacity.max():,.0f}\ntransitions')
  fill = 100 * generations['replay_size'] / capacity
  axes.bar(generations['generation'], fill, color=_POPULATION)
  axes.set_ylim(0, 105)


def _hyperparameter(axes, members: pd.DataFrame, name: str) -> None:
  title = name.removeprefix(HYPERPARAMETER).replace('_', ' ').capitalize()
  axes.set_title(title, loc='left', fontsize=10, parse_math=False)
  axes.set_ylabel('median, all members')
  groups = members.groupby('generation')[name]
  values = groups.agg(['min', 'median', 'max']).dropna()
  if values.empty:
    _say(axes, 'no value')
    return
  _band(axes, values.index, values['min'], values['max'])
  _line(axes, values.reset_index(), values['median'])


def _line(axes, table: pd.DataFrame, values: pd.Series) -> None:
  """A curve over generations, with markers that show a single one too."""
  axes.plot(
    table['generation'], values, color=_POPULATION, marker='o', markersize=3
  )


def _band(axes, generation, low: pd.Series, high: pd.Series) -> None:
  """What lies between the worst and the best member."""
  x, lowest, highest = (np.asarray(v, float) for v in (generation, low, high))
  if len(x) == 1:  # as wide as can be seen
    x = np.concatenate([x - 0.2, x + 0.2])
    lowest, highest = lowest.repeat(2), highest.repeat(2)
  axes.fill_between(
    x,
    lowest,
    highest,
    color=_POPULATION,
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
  _number_generations(axes)
  axes.set_xlim(generation.min() - 0.5, generation.max() + 0.5)
  low, high = axes.get_ylim()
  if low < 0 < high:
    axes.axhline(0, color='black', linewidth=0.6)
  axes.grid(alpha=0.25)
  axes.set_axisbelow(True)
  axes.spines[['top', 'right']].set_visible(False)
  if len(axes.get_legend_handles_labels()[1]) > 1:
    axes.legend(
      fontsize=8, frameon=False, loc='upper left', bbox_to_anchor=(1.0, 1.0)
    )


def _number_generations(axes) -> None:
  axes.set_xlabel('generation')
  axes.xaxis.set_major_locator(
    mpl_ticker.MaxNLocator(7, integer=True, min_n_ticks=1, steps=[1, 2, 5, 10])
  )


def _shares_of(history: np.ndarray) -> np.ndarray:
  """Rows [G, C] that sum to 1, or are NaN where nothing was attended to."""
  total = history.sum(axis=1, keepdims=True)
  usable = np.isfinite(total) & (total > 0)
  return np.where(usable, history, np.nan) / np.where(usable, total, 1.0)


def _bars(
  axes, shares: np.ndarray, names: Sequence[str], num_columns: int
) -> None:
  """The most important columns, from the top."""
  axes.set_title('Most important columns', loc='left', fontsize=10)
  bars = axes.barh(np.arange(len(shares)), 100 * shares, color=_POPULATION)
  paper = {'facecolor': 'white', 'edgecolor': 'none', 'pad': 0.5}
  axes.bar_label(bars, fmt='%.2f', fontsize=8, padding=3, bbox=paper, zorder=3)
  axes.axvline(
    100 / num_columns, color=_REFERENCE, linestyle='--', linewidth=1.5
  )
  axes.set_xlabel(f'share of attention, %\n(dashed: 1 of {num_columns})')
  axes.set_xlim(0, 115 * max(shares[0], 1 / num_columns))
  # As one writes them: a name may have what would be taken for a formula.
  axes.set_yticks(
    np.arange(len(names)),
    [_shortened(name) for name in names],
    fontsize=8,
    parse_math=False,
  )
  axes.set_ylim(len(shares) - 0.5, -0.5)
  axes.set_ylabel('column')
  axes.spines[['top', 'right']].set_visible(False)


def _shortened(name: str) -> str:
  """A name with its middle left out where it is long: both ends tell."""
  if len(name) <= _NAME_WIDTH:
    return name
  half = (_NAME_WIDTH - 1) // 2
  return f'{name[:half]}…{name[-half:]}'


def _moves(axes, history: np.ndarray) -> None:
  """Shares [G, n] of the columns beside the bars, in the bars' order."""
  axes.set_title('Their share in each generation', loc='left', fontsize=10)
  num_generations, count = history.shape
  largest = 100 * max(np.nan_to_num(history).max(), 1e-6)
  image = axes.imshow(
    100 * history.T,
    aspect='auto',
    interpolation='nearest',
    cmap='viridis',
    extent=(0.5, num_generations + 0.5, count - 0.5, -0.5),
    # By the root: columns of a tenth of the largest share stay apart.
    norm=mpl_colors.PowerNorm(0.5, 0, largest),
  )
  axes.set_yticks([])
  _number_generations(axes)
  axes.figure.colorbar(image, ax=axes, label='share of attention, %')


def _entropy(axes, history: np.ndarray) -> None:
  axes.set_title('Entropy of the attention', loc='left', fontsize=10)
  num_generations, num_columns = history.shape
  axes.plot(
    np.arange(1, num_generations + 1),
    importance_report.entropy(history),
    color=_POPULATION,
    marker='o',
    markersize=3,
  )
  axes.axhline(
    np.log(num_columns),
    color=_REFERENCE,
    linestyle='--',
    linewidth=1.5,
    zorder=1.9,  # below the curve
  )
  axes.set_ylabel(f'nats (dashed: all\n{num_columns} columns alike)')
  _number_generations(axes)
  axes.set_xlim(0.5, num_generations + 0.5)
  axes.set_ylim(bottom=-0.1)  # not a hair's breadth at full height
  axes.grid(alpha=0.25)
  axes.spines[['top', 'right']].set_visible(False)

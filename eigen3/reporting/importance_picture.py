"""Pictures of agents' attention to columns."""

import os
from collections.abc import Sequence

import numpy as np
from matplotlib import colors as mpl_colors

from eigen3.evaluation import importance
from eigen3.reporting import drawing, svg
from eigen3.reporting.drawing import POPULATION, REFERENCE
from eigen3.settings import require

# Most characters of a column's name: in the PNG picture, on a page.
_NAME_WIDTH, _PAGE_NAME_WIDTH = 24, 16


def draw_importance(
  path: os.PathLike | str,
  mean: importance.Values,
  history: importance.Values,
  columns: Sequence[str],
  title: str,
) -> None:
  """Draws mean attention to columns, and attention in each generation.

  Only the `importance.TOP` columns with the highest mean attention are drawn. A
  panel below shows the entropy of the attention to all columns in each
  generation.

  Args:
    path: of a PNG file, 1200 pixels wide.
    mean: float [C], each column's mean share of attention; sums to 1.
    history: float [G, C], attention in each of G generations; rows may have any
      sum. Rows that are all 0 or hold a number that is not finite are left
      blank.
    columns: names of the C columns.
    title: of the picture.

  Raises:
    ValueError: if `mean` has an entry that is negative or NaN, or does not sum
      to 1; the shape of `mean` or `history` does not fit the number of columns;
      or there is no generation.
  """
  shares = importance.checked_shares(mean, columns)
  history = np.asarray(history, np.float64)
  require(
    history.ndim == 2 and len(history) > 0 and history.shape[1] == len(shares),
    'shape of history',
    history.shape,
    f'(G, {len(shares)}) with G at least 1: a row per generation, a value per '
    'column',
  )
  top = importance.ranking(shares)[: importance.TOP]
  history = _shares_of(history)
  height = 0.25 * max(len(top), 8)  # of the bars, inches
  with drawing.picture(path, 4 + height, title) as figure:
    axes = figure.subplot_mosaic(
      [['bars', 'moves'], ['entropy', 'entropy']],
      width_ratios=[2, 3],
      height_ratios=[1 + height, 2],
    )
    _bars(axes['bars'], shares[top], [columns[i] for i in top], len(shares))
    _moves(axes['moves'], history[:, top])
    _entropy(axes['entropy'], history)


def elements(
  history: importance.Values, columns: Sequence[str]
) -> dict[str, str]:
  """Returns two pictures, 'attention' and 'entropy', as SVG keyed by name.

  'attention' shows the shares, in each generation, of the `importance.TOP`
  columns with the most attention in the last one. 'entropy' shows the entropy
  of the attention to all columns in each generation. Arguments are as for
  `draw_importance`, but are not checked.
  """
  history = _shares_of(np.asarray(history, np.float64))
  mean = np.nan_to_num(history[-1])
  top = importance.ranking(mean)[: importance.TOP]
  names = [drawing.shortened(columns[i], _PAGE_NAME_WIDTH) for i in top]

  def moves(axes) -> None:
    _moves(axes, history[:, top], names)
    drawing.name_axes(axes, 'Attention in each generation')

  height = 1.2 + 0.18 * len(top)
  return {
    'attention': svg.of_axes('attention moves', height, moves),
    'entropy': svg.of_axes(
      'attention entropy', 2.6, lambda axes: _entropy(axes, history)
    ),
  }


def _shares_of(history: np.ndarray) -> np.ndarray:
  """Normalises each row of `history`, [G, C], to sum to 1.

  Rows that are all 0 or hold a number that is not finite become NaN.
  """
  total = history.sum(axis=1, keepdims=True)
  usable = np.isfinite(total) & (total > 0)
  return np.where(usable, history, np.nan) / np.where(usable, total, 1.0)


def _bars(
  axes, shares: np.ndarray, names: Sequence[str], num_columns: int
) -> None:
  """Draws columns' shares as bars, in the given order from the top.

  A dashed line marks the equal share, 1 / `num_columns`.
  """
  drawing.name_axes(axes, 'Most important columns')
  bars = axes.barh(np.arange(len(shares)), 100 * shares, color=POPULATION)
  paper = {'facecolor': 'white', 'edgecolor': 'none', 'pad': 0.5}
  axes.bar_label(bars, fmt='%.2f', fontsize=8, padding=3, bbox=paper, zorder=3)
  axes.axvline(
    100 / num_columns, color=REFERENCE, linestyle='--', linewidth=1.5
  )
  axes.set_xlabel(f'share of attention, %\n(dashed: 1 of {num_columns})')
  axes.set_xlim(0, 115 * max(shares[0], 1 / num_columns))
  # A name may contain a dollar sign, which would begin a formula.
  axes.set_yticks(
    np.arange(len(names)),
    [drawing.shortened(name, _NAME_WIDTH) for name in names],
    fontsize=8,
    parse_math=False,
  )
  axes.set_ylim(len(shares) - 0.5, -0.5)
  axes.set_ylabel('column')
  axes.spines[['top', 'right']].set_visible(False)


def _moves(axes, history: np.ndarray, names: Sequence[str] = ()) -> None:
  """Draws n columns' shares in G generations, [G, n], as a heat map.

  The rows of the heat map are labelled with `names` if these are given.
  """
  drawing.name_axes(axes, 'Their share in each generation')
  num_generations, count = history.shape
  known = history[np.isfinite(history)]
  least, largest = np.percentile(known, [0, 100]) if known.size else (0, 1)
  image = axes.imshow(
    100 * history.T,
    aspect='auto',
    interpolation='nearest',
    cmap='viridis',
    extent=(0.5, num_generations + 0.5, count - 0.5, -0.5),
    # The colour scale starts at the smallest share, because shares are often
    # close together. It follows the square root, so that shares of about a
    # tenth of the largest can still be told apart.
    norm=mpl_colors.PowerNorm(0.5, 100 * least, 100 * max(largest, 1e-8)),
  )
  axes.set_yticks(range(len(names)), names, parse_math=False)
  drawing.number_wholly(axes, 'generation')
  axes.figure.colorbar(image, ax=axes, label='share of attention, %')


def _entropy(axes, history: np.ndarray) -> None:
  num_generations, num_columns = history.shape
  nats, most = importance.entropy(history), float(np.log(num_columns))
  last = ''
  if np.isfinite(nats[-1]):
    last = f', at the end that of {np.exp(nats[-1]):.1f} equal columns'
  drawing.name_axes(axes, f'Entropy of the attention{last}')
  axes.plot(
    np.arange(1, num_generations + 1),
    nats,
    color=POPULATION,
    marker='o',
    markersize=3,
  )
  axes.axhline(
    most,
    color=REFERENCE,
    linestyle='--',
    linewidth=1.5,
    zorder=1.9,  # below the curve
  )
  axes.set_ylabel(f'nats (dashed: all\n{num_columns} columns alike)')
  drawing.number_wholly(axes, 'generation')
  axes.set_xlim(0.5, num_generations + 0.5)
  # Starts at 0, so that small changes do not look large.
  axes.set_ylim(-0.1, 1.2 * most + 0.1)
  drawing.lighten(axes)

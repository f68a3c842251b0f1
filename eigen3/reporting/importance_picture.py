"""The picture of what agents look at: columns by attention."""

import os
from collections.abc import Sequence

import numpy as np
from matplotlib import colors as mpl_colors

from eigen3.evaluation import importance
from eigen3.reporting import drawing
from eigen3.reporting.drawing import POPULATION, REFERENCE
from eigen3.settings import require

_NAME_WIDTH = 24  # letters of a column's name beside a bar


def draw_importance(
  path: os.PathLike | str,
  mean: importance.Values,
  history: importance.Values,
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
  shares = importance.checked_shares(mean, columns)
  history = np.asarray(history, np.float64)
  require(
    history.ndim == 2 and len(history) > 0 and history.shape[1] == len(shares),
    'history',
    history.shape,
    f'generations of {len(shares)} columns',
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


def _shares_of(history: np.ndarray) -> np.ndarray:
  """Rows [G, C] that sum to 1, or are NaN where nothing was attended to."""
  total = history.sum(axis=1, keepdims=True)
  usable = np.isfinite(total) & (total > 0)
  return np.where(usable, history, np.nan) / np.where(usable, total, 1.0)


def _bars(
  axes, shares: np.ndarray, names: Sequence[str], num_columns: int
) -> None:
  """The most important columns, from the top."""
  drawing.name_axes(axes, 'Most important columns')
  bars = axes.barh(np.arange(len(shares)), 100 * shares, color=POPULATION)
  paper = {'facecolor': 'white', 'edgecolor': 'none', 'pad': 0.5}
  axes.bar_label(bars, fmt='%.2f', fontsize=8, padding=3, bbox=paper, zorder=3)
  axes.axvline(
    100 / num_columns, color=REFERENCE, linestyle='--', linewidth=1.5
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
  drawing.name_axes(axes, 'Their share in each generation')
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
  drawing.number_generations(axes)
  axes.figure.colorbar(image, ax=axes, label='share of attention, %')


def _entropy(axes, history: np.ndarray) -> None:
  drawing.name_axes(axes, 'Entropy of the attention')
  num_generations, num_columns = history.shape
  axes.plot(
    np.arange(1, num_generations + 1),
    importance.entropy(history),
    color=POPULATION,
    marker='o',
    markersize=3,
  )
  axes.axhline(
    np.log(num_columns),
    color=REFERENCE,
    linestyle='--',
    linewidth=1.5,
    zorder=1.9,  # below the curve
  )
  axes.set_ylabel(f'nats (dashed: all\n{num_columns} columns alike)')
  drawing.number_generations(axes)
  axes.set_xlim(0.5, num_generations + 0.5)
  axes.set_ylim(bottom=-0.1)  # not a hair's breadth at full height
  drawing.lighten(axes)

"""The picture that compares policies on the same days."""

import os
from collections.abc import Mapping

import numpy as np

from eigen3.evaluation.comparison import Comparison
from eigen3.reporting import drawing


def draw_comparison(
  path: os.PathLike | str,
  comparison: Comparison,
  title: str,
  remark: str,
) -> None:
  """Draws the profits of policies on all splits of the panel.

  A plot for the validation days and, if there are results on them, one for the
  held-out days show the profit of each policy and control over time. The last
  plot shows each policy's profits on slices of the training days, one dot per
  slice, and their mean; it has no controls.

  Args:
    path: of a PNG file.
    comparison: the results to draw.
    title: of the whole picture.
    remark: text below the picture.
  """
  splits = [('Validation days', comparison.validation)]
  if comparison.holdout is not None:
    splits.append(('Held-out days', comparison.holdout))
  height = 3.6 * len(splits) + 2.8
  with drawing.picture(path, height, title, remark) as figure:
    panels = figure.subplots(
      len(splits) + 1, 1, height_ratios=[3.6] * len(splits) + [2.4]
    )
    colours = drawing.colours([*comparison.training])
    for axes, (name, results) in zip(panels, splits, strict=False):
      drawing.equity(axes, results, f'{name}, net of costs', colours)
    _slices(panels[-1], comparison.training, colours)


def _slices(axes, training: Mapping[str, np.ndarray], colours) -> None:
  for row, (name, profits) in enumerate(training.items()):
    axes.plot(
      100 * profits,
      np.full(len(profits), row),
      'o',
      color=colours[name],
      markersize=4,
      alpha=0.5,
    )
    axes.plot(100 * profits.mean(), row, '|', color=colours[name], ms=16, mew=2)
  names = [drawing.shortened(name) for name in training]
  axes.set_yticks(range(len(training)), names, parse_math=False)
  axes.invert_yaxis()
  axes.axvline(0, color='black', linewidth=0.6)
  drawing.name_axes(axes, 'Slices of the training days, and their mean')
  axes.set_xlabel('profit, % of initial cash')
  drawing.lighten(axes)

"""Pictures of a primary comparison: differences, performance profiles."""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from eigen3.evaluation import profiles
from eigen3.reporting import drawing, svg

_OURS, _THEIRS = '#1b4f9c', '#c2570c'
_THRESHOLDS = np.linspace(-0.5, 1.5, 201)
_WIDTH = 4.6  # inches; text stays readable on a phone


def file_of(name: str) -> str:
  """Returns the file name of a comparison's picture."""
  return f'primary_{name}.png'


def draw_comparison(
  path: os.PathLike | str, name: str, found: Mapping[str, Any]
) -> None:
  """Draws a comparison whose runs are all finished.

  Each cell of `ours` is paired with one of `theirs`. The upper panel has a row
  for each pair, with a dot for each market: what the cell of `ours` earns less
  what that of `theirs` earns, in %. The row below the pairs shows the mean over
  all dots with its 95 % interval. A dotted vertical line marks the margin if it
  is not 0. For each pair with a yardstick, a lower panel shows the performance
  profile of each cell: for each fraction of the yardstick's profit, the share
  of markets on which the cell earns at least that fraction, with pointwise 95 %
  intervals.

  Args:
    path: of a PNG file.
    name: of the comparison.
    found: this comparison's entry in the result of `judge` of
      `experiments/ladder/primary.py`.
  """
  pairs = _pairs(found)
  heights = [_height(found), *[2.6] * len(pairs)]
  with drawing.picture(path, 1 + sum(heights), name, width=_WIDTH) as figure:
    axes = figure.subplots(len(heights), height_ratios=heights, squeeze=False)
    _differences(axes[0, 0], found)
    for panel, pair in zip(axes[1:, 0], pairs, strict=True):
      _profiles(panel, pair)


def elements(name: str, found: Mapping[str, Any]) -> dict[str, str]:
  """Returns the panels of `draw_comparison` as SVG, keyed by description."""
  figure, axes = svg.new(0.3 + _height(found))
  _differences(axes, found)
  svg.name_axes(axes, f'{name}: differences, a dot a market')
  shown = {
    f'{name}: differences': svg.element(figure, f'differences of {name}')
  }
  for pair in _pairs(found):
    figure, axes = svg.new(2.8)
    _profiles(axes, pair)
    svg.name_axes(axes, f'{name}: performance profiles')
    svg.legend_below(axes)
    what = f'{name}: profiles of {", ".join(pair)}'
    shown[what] = svg.element(figure, what)
  return shown


def _pairs(found: Mapping[str, Any]) -> list[dict[str, Mapping[str, Any]]]:
  """Returns `pooled.solved` by cell, for each pair that has a yardstick."""
  solved = found['solved']
  pairs = [
    {ours: solved['ours'][ours], theirs: solved['theirs'][theirs]}
    for ours, theirs in zip(found['ours'], found['theirs'], strict=True)
  ]
  return [pair for pair in pairs if all(pair.values())]


def _height(found: Mapping[str, Any]) -> float:
  """Returns the height of the panel of differences, in inches."""
  return 1.0 + 0.25 * len(found['ours'])


def _differences(axes, found: Mapping[str, Any]) -> None:
  columns = 100 * np.asarray(found['differences']).T
  for row, values in enumerate(columns):
    axes.plot(
      values, [row] * len(values), 'o', color=_OURS, markersize=3.5, alpha=0.45
    )
  mean, last = found['mean'], len(columns)
  axes.plot([100 * mean['low'], 100 * mean['high']], [last, last], color=_OURS)
  axes.plot(100 * mean['mean'], last, 'D', color=_OURS, markersize=5)
  axes.axvline(0, color='black', linewidth=0.6)
  if found['margin']:
    axes.axvline(100 * found['margin'], color='black', linestyle=':')
  axes.set_yticks(range(last + 1), [*found['ours'], 'mean, 95 %'], fontsize=8)
  axes.set_ylim(last + 0.6, -0.6)
  year = ' a year' if found['measure'] == 'year' else ''
  axes.set_xlabel(f'more than {", ".join(found["theirs"])}, %{year}')
  drawing.lighten(axes, grid='x')


def _profiles(axes, pair: Mapping[str, Mapping[str, Any]]) -> None:
  for (name, solved), colour in zip(
    pair.items(), (_OURS, _THEIRS), strict=True
  ):
    found = profiles.profile(np.asarray(solved['scores']), _THRESHOLDS)
    middle, low, high = 100 * np.array(found).T
    axes.fill_between(
      100 * _THRESHOLDS, low, high, color=colour, alpha=0.13, linewidth=0
    )
    axes.plot(100 * _THRESHOLDS, middle, color=colour, label=name)
  axes.axvline(
    100 * profiles.SOLVED, color='black', linewidth=0.8, linestyle=':'
  )
  (yardstick,) = {solved['of'] for solved in pair.values()}
  axes.set_xlabel(f'% of {drawing.shown(yardstick)} profit; dotted: solved')
  axes.set_ylabel('% of markets that reach it')
  axes.set_ylim(-3, 103)
  axes.legend(fontsize=8, frameon=False, loc='lower left')
  drawing.lighten(axes)

"""Policies side by side on the same days: ranked, averaged, drawn."""

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from eigen3.environment import rollout
from eigen3.environment.rollout import Acts
from eigen3.evaluation import drawing
from eigen3.evaluation.backtest import Backtest
from eigen3.evaluation.judge import Judge, Results, mean_summary
from eigen3.evaluation.training_slices import TrainingSlices
from eigen3.files import atomic_path

COMMITTEE = 'committee'


class Policy(NamedTuple):
  """What decides.

  Attributes:
    name: in tables.
    actions: days int [S] to what it does on them.
    digest: of all that decides.
  """

  name: str
  actions: Callable[[np.ndarray], Acts]
  digest: str


class Comparison(NamedTuple):
  """How policies fared.

  Attributes:
    validation: their backtests and the controls', the best policy first.
    training: profits of each one's training slices, float [K].
    holdout: as `validation`, in the same order, or None while these days are
      closed.
  """

  validation: Results
  training: Mapping[str, np.ndarray]
  holdout: Results | None = None


def committee(policies: Sequence[Policy]) -> Policy:
  """The policy whose actions are the mean of the members'."""

  def actions(days: np.ndarray) -> Acts:
    return rollout.mean_of([p.actions(days) for p in policies])

  digest = hashlib.sha256('\n'.join(p.digest for p in policies).encode())
  return Policy(COMMITTEE, actions, digest.hexdigest())


def ranked(
  policies: Sequence[Policy], judge: Judge, by: str
) -> tuple[list[Policy], Results]:
  """Policies and their backtests, the best first; equals keep their order.

  Args:
    policies: to be judged.
    judge: of the days that rank, which must not be held-out ones.
    by: a number of a backtest's summary.
  """
  results = judged(policies, judge)
  order = sorted(policies, key=lambda p: -results[p.name][0].summary[by])
  return order, {p.name: results[p.name] for p in order}


def judged(
  policies: Sequence[Policy], judge: Judge
) -> dict[str, list[Backtest]]:
  """Each policy's backtest."""
  return {p.name: [judge.backtest(p.actions(judge.days))] for p in policies}


def training_profits(
  policies: Sequence[Policy], slices: TrainingSlices
) -> dict[str, np.ndarray]:
  """Each policy's profits on the training slices, float [K]."""
  return {p.name: slices.profits(p.actions(slices.days)) for p in policies}


def rows(comparison: Comparison) -> pd.DataFrame:
  """All numbers, a row per policy or control and split."""
  found = []
  for split in ('validation', 'holdout'):
    results = getattr(comparison, split) or {}
    for name, backtests in results.items():
      found.append({'split': split, 'name': name, **mean_summary(backtests)})
  for name, profits in comparison.training.items():
    found.append(
      {'split': 'training', 'name': name, 'profit': float(profits.mean())}
    )
  return pd.DataFrame(found)


def training_table(training: Mapping[str, np.ndarray]) -> str:
  """Mean and range of the slices' profits, a line each."""
  width = max(map(len, training))
  lines = [f'{"":{width}}     mean    worst     best   slices']
  lines += [
    f'{name:{width}} '
    + ' '.join(f'{f(x):+8.2%}' for f in (np.mean, np.min, np.max))
    + f' {len(x):8}'
    for name, x in training.items()
  ]
  return '\n'.join(lines)


def write_picture(
  path: os.PathLike | str,
  comparison: Comparison,
  title: str,
  remark: str,
) -> None:
  """Draws equity on validation and held-out days, and the training slices.

  Args:
    path: of a PNG file.
    comparison: what to draw.
    title: of the whole picture.
    remark: stands below it.
  """
  splits = [('Validation days', comparison.validation)]
  if comparison.holdout is not None:
    splits.append(('Held-out days', comparison.holdout))
  figure = drawing.new_figure(3.6 * len(splits) + 2.8, title)
  panels = figure.subplots(
    len(splits) + 1, 1, height_ratios=[3.6] * len(splits) + [2.4]
  )
  colours = drawing.colours([*comparison.training])
  for axes, (name, results) in zip(panels, splits, strict=False):
    drawing.equity(axes, results, f'{name}, net of costs', colours)
  _slices(panels[-1], comparison.training, colours)
  drawing.remark(figure, remark)
  with atomic_path(path) as temporary:
    figure.savefig(temporary, format='png', dpi=120)


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
  axes.set_yticks(range(len(training)), list(training), parse_math=False)
  axes.invert_yaxis()
  axes.axvline(0, color='black', linewidth=0.6)
  axes.set_title(
    'Slices of the training days, and their mean', loc='left', fontsize=10
  )
  axes.set_xlabel('profit, % of initial cash')
  axes.grid(alpha=0.25)
  axes.spines[['top', 'right']].set_visible(False)

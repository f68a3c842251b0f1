"""Estimates whether a sweep's best trial is better than the rest, or lucky."""

import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from optuna.trial import FrozenTrial, TrialState

from eigen3.evaluation.overfitting import backtest_overfitting
from eigen3.evaluation.population import require_columns
from eigen3.runs import logs

BLOCKS = 16  # number of blocks that the validation days are cut into


def measure(
  runs: pathlib.Path, trials: Sequence[FrozenTrial], seeds: Sequence[int]
) -> dict[str, Any]:
  """Estimates the probability of backtest overfitting among trials.

  A trial's daily return on the validation days is the mean over its seeds'
  champions. The champions were also chosen on the validation days, which
  favours all trials alike: the estimate only covers luck in the choice among
  trials.

  Args:
    runs: folder of all runs.
    trials: the sweep's trials; only complete ones with daily returns of every
      seed are used.
    seeds: the seeds that every trial was run with.

  Returns:
    `trials`, the number of trials used; `days`, the number of days on which all
    of them were evaluated; `blocks`, the number of blocks that the days are cut
    into; and with at least 2 trials and 2 days per block, `probability` and
    `loss`, see `overfitting.Overfitting`.

  Raises:
    ValueError: if a run's `daily.csv` is damaged or lacks a column.
  """
  complete = [t.number for t in trials if t.state == TrialState.COMPLETE]
  series = {
    number: returns
    for number in complete
    if (returns := _returns(runs / str(number), seeds)) is not None
  }
  together = pd.DataFrame(series).dropna()
  found: dict[str, Any] = {
    'trials': together.shape[1],
    'days': len(together),
    'blocks': BLOCKS,
  }
  if len(series) > 1 and len(together) >= 2 * BLOCKS:
    choice = backtest_overfitting(together.to_numpy(np.float64), BLOCKS)
    found |= {'probability': choice.probability, 'loss': choice.loss}
  return found


def describe(found: dict[str, Any]) -> str:
  """Returns the findings of `measure` as a line to print."""
  of = f'{found["trials"]} trials on {found["days"]} validation days'
  if 'probability' not in found:
    return f'probability of backtest overfitting: not enough data, {of}'
  return (
    f'probability of backtest overfitting: {found["probability"]:.0%} (the '
    'best trial on one half of the days is no better than the median on the '
    f'other half); it loses money on the other half in {found["loss"]:.0%} of '
    f'the divisions ({of})'
  )


def _returns(folder: pathlib.Path, seeds: Sequence[int]) -> pd.Series | None:
  """Returns a trial's daily validation returns, averaged over its seeds.

  The index is the date; the mean is NaN on a date that a seed lacks. Returns
  None if a seed's run has no `daily.csv`.

  Raises:
    ValueError: if a `daily.csv` is damaged or lacks a column.
  """
  found = []
  for seed in seeds:
    path = folder / f'seed{seed}' / 'daily.csv'
    if not path.exists():
      return None
    days = logs.read(path)
    require_columns(str(path), days, ('split', 'date', 'agent'))
    days = days.set_index('date')
    found.append(days.loc[days['split'] == 'validation', 'agent'])
  return pd.concat(found, axis=1).mean(axis=1, skipna=False)

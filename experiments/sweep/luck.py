"""Whether the best of a sweep's trials is better than the others, or lucky."""

import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from optuna.trial import FrozenTrial, TrialState

from eigen3.evaluation.overfitting import backtest_overfitting

BLOCKS = 16  # that the validation days are cut into


def measure(
  runs: pathlib.Path, trials: Sequence[FrozenTrial], seeds: Sequence[int]
) -> dict[str, Any]:
  """The probability of backtest overfitting of the choice among trials.

  A trial's return of a day is the mean over its seeds' champions. These were
  chosen on the same days, which flatters all trials: what is told is the luck
  of the choice among them alone.

  Args:
    runs: folder of all runs.
    trials: of the sweep; those that went to their end count.
    seeds: that every setting is run with.

  Returns:
    `trials`, `days` that all of them were judged on and `blocks`; and where
    these are enough, `probability` and `loss`, see `Overfitting`.
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


def told(found: dict[str, Any]) -> str:
  """What `measure` found, as a line to print."""
  of = f'{found["trials"]} trials on {found["days"]} validation days'
  if 'probability' not in found:
    return f'probability of backtest overfitting: too little, {of}'
  return (
    f'probability of backtest overfitting: {found["probability"]:.0%}, the '
    'best on half of the days being no better than the median on the others; '
    f'it lost there in {found["loss"]:.0%} ({of})'
  )


def _returns(folder: pathlib.Path, seeds: Sequence[int]) -> pd.Series | None:
  """Mean daily returns over the seeds by date; None without all of them."""
  found = []
  for seed in seeds:
    path = folder / f'seed{seed}' / 'daily.csv'
    if not path.exists():
      return None
    days = pd.read_csv(path, index_col='date')
    found.append(days.loc[days['split'] == 'validation', 'agent'])
  return pd.concat(found, axis=1).mean(axis=1, skipna=False)

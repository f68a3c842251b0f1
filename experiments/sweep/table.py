"""Makes a sweep's table, a row for each trial, and lists the best trials."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from optuna.trial import FrozenTrial, TrialState

from experiments.sweep import job
from experiments.sweep.space import Space, values_of

STATES = {
  TrialState.COMPLETE: 'complete',
  TrialState.PRUNED: 'pruned',
  TrialState.FAIL: 'failed',
  TrialState.RUNNING: 'running',
  TrialState.WAITING: 'waiting',
}


def make(
  trials: Sequence[FrozenTrial], space: Space, seeds: Sequence[int]
) -> pd.DataFrame:
  """Returns a table of the trials.

  Args:
    trials: of the sweep.
    space: the search space of the sweep.
    seeds: the seeds that each trial is run with.

  Returns:
    A row for each trial: `number`; `state`, a value of `STATES`; a column with
    the value of each tried field; `objective`, the mean of the seeds' best
    values, or the last value reported if the trial is not complete; `steps`,
    the last step with a reported value, counted through all runs; for each seed
    s `objective_seed<s>`, its best value, and `best_step_seed<s>`, the first
    step of the seed's run that reached this value; `seconds` of training;
    `folder`, relative to the sweep's folder; and the `reason` of a stop or
    failure. Unknown values are empty, such as `seconds` and the seeds' values
    before the trial has ended.
  """
  rows = [_row(trial, space, seeds) for trial in trials]
  # A column in which all values are None would have the dtype object.
  return pd.DataFrame(rows).astype({'objective': float})


def top(table: pd.DataFrame, space: Space, count: int = 10) -> str:
  """Returns the `count` best trials as text, complete ones first.

  Trials without an objective are left out.
  """
  best = table.dropna(subset=['objective']).assign(
    is_partial=lambda t: t['state'] != 'complete'
  )
  best = best.sort_values(
    ['is_partial', 'objective', 'number'], ascending=[True, False, True]
  ).head(count)
  if best.empty:
    return 'no trial has a value yet'
  fields = ['number', 'state', 'objective', *space, 'steps', 'seconds']
  short = {
    **{field: field.rpartition('.')[2] for field in space},
    'number': 'trial',
  }
  names = [short.get(field, field) for field in fields]
  if len(set(names)) < len(names):  # two fields have the same short name
    names = fields
  shown = best[fields].set_axis(names, axis=1)
  forms = {'objective': '{:+.4g}', 'seconds': '{:.0f}', 'steps': '{:.0f}'}
  return shown.to_string(
    index=False,
    formatters={n: (lambda x, f=f: f.format(x)) for n, f in forms.items()},
    float_format='{:.4g}'.format,
  )


def _row(
  trial: FrozenTrial, space: Space, seeds: Sequence[int]
) -> Mapping[str, Any]:
  values = values_of(space, trial.params)
  runs = {run['seed']: run for run in trial.user_attrs.get(job.RUNS, ())}
  reported = trial.intermediate_values
  steps = max(reported, default=0)
  row = {
    'number': trial.number,
    'state': STATES[trial.state],
    **{field: values.get(field) for field in space},
    'objective': trial.value
    if trial.value is not None
    else reported.get(steps),
    'steps': steps,
  }
  for seed in seeds:
    run = runs.get(seed, {})
    row[f'objective_seed{seed}'] = run.get('objective')
    row[f'best_step_seed{seed}'] = run.get('step')
  seconds = sum(run['seconds'] for run in runs.values())
  return {
    **row,
    'seconds': round(seconds, 1) if runs else None,
    'folder': f'runs/{trial.number}',
    'reason': _reason(trial),
  }


def _reason(trial: FrozenTrial) -> str:
  if trial.state == TrialState.PRUNED:
    return f'stopped after step {trial.user_attrs[job.STOPPED]}'
  return trial.user_attrs.get(job.FAILURE, '')

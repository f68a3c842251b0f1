"""Reads the Sharpe ratios of all policies tried before one was chosen.

Every policy that a run validated is a trial, with its Sharpe ratio in the run's
logs: `members.csv` for all agents of a population in all generations,
`metrics.csv` for every validation of a single agent. A resumed run truncates
its log to its checkpoint and repeats the rest bit for bit, so that no trial is
lost or counted twice.

In the folders of sweeps, ladders and studies, runs of the supervised ranker are
skipped: they log no Sharpe ratios, and no agent is chosen from them.
"""

import os
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from eigen3.runs import logs, run_directory
from eigen3.settings import require
from eigen3.types import TRADING_DAYS_A_YEAR

# The settings that, with the data, determine the validation days.
_SPLIT = ('validation_days', 'holdout_days', 'embargo_days')
RUNS = 'runs'  # the subfolder of the runs of a sweep, ladder or study


def read(paths: Sequence[os.PathLike | str]) -> np.ndarray:
  """Returns the daily Sharpe ratios of all n trials, float64 [n].

  Args:
    paths: folders of runs, sweeps, ladders and studies: all that was tried
      before a champion was chosen, including the champion's own run.

  Raises:
    ValueError: if a folder holds no run, a run's data or validation days differ
      from those of the first run, a file is damaged, or a log lacks a column.
  """
  runs = find(paths)
  _check_alike(runs)
  return np.concatenate([sharpe_ratios(run) for run in runs])


def find(paths: Sequence[os.PathLike | str]) -> list[pathlib.Path]:
  """Returns the absolute paths of the folders of runs, each once.

  The folder of a sweep, ladder or study is replaced by the folders of its runs
  that have a log, except runs of the ranker; a folder without such runs stays.

  Raises:
    ValueError: if a folder holds neither a run nor a sweep, ladder or study, or
      settings are damaged.
  """
  found: dict[pathlib.Path, None] = {}
  for path in map(pathlib.Path, paths):
    run_directory.read_config(path)  # checks that it holds a run
    files = sorted((path / RUNS).rglob('config.json'))
    runs = [
      file.parent
      for file in files
      if _has_log(file.parent)
      and 'ranker' not in run_directory.read_config(file.parent)
    ]
    found.update(dict.fromkeys(run.resolve() for run in runs or [path]))
  return list(found)


def _has_log(run: pathlib.Path) -> bool:
  return any((run / name).exists() for name in (logs.METRICS, logs.MEMBERS))


def sharpe_ratios(workdir: os.PathLike | str) -> np.ndarray:
  """Returns the daily Sharpe ratios of all n policies that a run validated.

  The ratios are from all validation days or, for a population whose setting
  `learner.validation_play` is 'slices', from the validation slices. A ratio
  that is not finite counts as 0.

  Returns:
    float64 [n], not annualised; empty if the run has no log yet.

  Raises:
    ValueError: if the log is damaged, or lacks a column because another
      version of Eigen3 wrote it.
  """
  workdir = pathlib.Path(workdir)
  path, column, unit = workdir / logs.METRICS, logs.SHARPE, 1.0
  if (workdir / logs.MEMBERS).exists():
    path, column = workdir / logs.MEMBERS, logs.DAILY_SHARPE
  else:
    unit = np.sqrt(_days_a_year(workdir))
  if not path.exists():
    return np.zeros(0)  # the run ended before its first validation
  table = logs.read(path)
  for name in (column, logs.SCORE):
    require(name in table, f'{path}: columns', [*table], f'{name} among them')
  found = table[column][table[logs.SCORE].notna()].to_numpy(np.float64) / unit
  return np.where(np.isfinite(found), found, 0.0)


def _days_a_year(workdir: pathlib.Path) -> int:
  """Returns the days per year for annualising Sharpe ratios; 252 if unknown."""
  try:
    data = run_directory.read_about(workdir)['data']
    return int(data.get('days_a_year', TRADING_DAYS_A_YEAR))
  except (OSError, ValueError, KeyError, TypeError, AttributeError):
    return TRADING_DAYS_A_YEAR


def _check_alike(runs: Sequence[pathlib.Path]) -> None:
  """Raises a ValueError if runs differ in data or validation days."""
  first = _days_of(runs[0])
  for run in runs[1:]:
    for name, value in _days_of(run).items():
      require(
        value == first[name],
        f'{run}: {name}',
        value,
        f'{first[name]!r}, as in {runs[0]}',
      )


def _days_of(workdir: pathlib.Path) -> dict[str, Any]:
  """Returns what determines a run's validation days: its data and split.

  Raises:
    ValueError: if the run's settings or description cannot be read.
  """
  try:
    settings = run_directory.read_config(workdir)['data']
    about = run_directory.read_about(workdir)['data']
    return {'data': about['hash'], **{name: settings[name] for name in _SPLIT}}
  except (OSError, ValueError, KeyError, TypeError) as error:
    raise ValueError(
      f'{workdir}: found no readable description of its data and splits '
      f'({error!r}), expected config.json and run.json as the run wrote them'
    ) from error

r"""Searches settings of td3 or erl for the best objective.

eigen3 sweep --config=td3/small --workdir=sweeps/first \
  [--config.method=grid] [--resume]

Every run is its own process; several run in parallel, and none opens the
held-out days. --resume continues a sweep, or helps with one in progress, also
from another machine that shares the folder: each process takes trials that no
other process is running.
"""

from experiments import mains

if __name__ == '__main__':
  mains.start('sweep')  # reads flags before slow imports

import contextlib
import json
import os
import pathlib
import shlex
import sys
from collections.abc import Mapping, Sequence

import ml_collections
import optuna
import pandas as pd
from absl import flags, logging
from ml_collections import config_flags
from optuna.trial import TrialState

from eigen3.data import MarketPanel
from eigen3.files import write_json, write_table
from eigen3.runs import run_directory
from eigen3.runs.trials import RUNS
from eigen3.settings import (
  AT_LEAST_ONE,
  COUNT,
  SEED,
  SEEDS,
  TEXT,
  check,
  one_of,
  require,
  whole,
)
from experiments import backend, checks, panels, saved_runs
from experiments.configs import sweep
from experiments.jobs import scheduler
from experiments.options import sweep as options
from experiments.sweep import luck, picture, runs, space, study, table, trials
from experiments.sweep.job import STEPS, Plan

_JOURNAL = 'journal.log'
_TABLE, _PICTURE = 'results.csv', 'results.png'
_LUCK = 'overfitting.json'
# Settings that a resumed sweep may change: its length and speed.
_MAY_CHANGE = ('jobs', 'num_trials')


def main(argv: Sequence[str]) -> int:
  """Runs or resumes a sweep; returns the exit status.

  The status is 130 if the sweep was stopped, 1 if a trial failed, else 0.
  """
  workdir = pathlib.Path(options.WORKDIR.value)
  if options.RESUME.value:
    run_directory.check_resumable(workdir)
  config = _settings(workdir)
  tried = _check(config)
  devices = flags.FLAGS.cpu_devices or max(1, backend.cores() // config.jobs)
  command = runs.make_command(config, devices)
  about = _about_data(config, workdir)
  if options.RESUME.value:
    _check_same(workdir, config, about)
  else:
    _check_new(workdir)
    run_directory.create(workdir, config, about)
  done, found = _sweep(config, workdir, tried, command)
  print(table.top(table.make(found, tried, config.seeds), tried))
  print(_luck(workdir, found, config))
  print(f'written: {workdir}/{_TABLE}, {_PICTURE}, {_LUCK}')
  if not done:
    logging.warning('stopped; add --resume to continue')
    return mains.STOPPED
  return _conclude(found, tried, command, config)


def _settings(workdir: pathlib.Path) -> ml_collections.ConfigDict:
  """Returns the sweep's settings, with an absolute path of the panel.

  The settings are those of --config or, with --resume and without --config,
  those that the sweep began with. In both cases flags such as --config.jobs
  change the settings.

  Raises:
    ValueError: if the settings or the panel of the sweep to resume cannot be
      found or read.
  """
  config, flag = options.CONFIG.value, flags.FLAGS['config']
  if options.RESUME.value and flag.using_default_value:
    stored = run_directory.read_config(workdir)
    try:
      preset = f'{stored["program"]}/{stored["settings"]["preset"]}'
    except (KeyError, TypeError) as error:
      raise ValueError(
        f"--workdir: found a config.json in {workdir} that is not a sweep's, "
        'expected the folder of a sweep to resume'
      ) from error
    config = saved_runs.updated(
      sweep.get_config(preset), stored, workdir, 'a sweep'
    )
    changes = config_flags.get_override_values(flag)
    config.update_from_flattened_dict(changes)
  data = config.settings.data
  panels.settle(
    data,
    workdir if options.RESUME.value else None,
    '--config.settings.data.panel',
  )
  return config


def _about_data(
  config: ml_collections.ConfigDict, workdir: pathlib.Path
) -> dict[str, str]:
  """Returns what `run.json` records about the data.

  This is the panel's hash and its path relative to `workdir`; nothing for an
  embedded market.
  """
  data = config.settings.data
  if not data.panel:
    return {}
  panel = MarketPanel.load(data.panel)
  return {'hash': panel.fingerprint} | panels.way_to(data, workdir)


def _sweep(
  config: ml_collections.ConfigDict,
  workdir: pathlib.Path,
  tried: space.Space,
  command: runs.Command,
) -> tuple[bool, list[optuna.trial.FrozenTrial]]:
  """Runs the trials, and writes the table and the picture of their results.

  Returns:
    Whether all trials of the sweep have ended, and the trials that have begun.
  """
  steps = _steps(config)
  with trials.entered(workdir / RUNS) as is_alone:
    studied = study.open_study(
      workdir / _JOURNAL, config, steps * len(config.seeds), is_alone
    )

  def report() -> pd.DataFrame:
    found = table.make(studied.get_trials(), tried, config.seeds)
    write_table(workdir / _TABLE, found)
    return found

  plan = Plan(
    folder=workdir / RUNS,
    seeds=config.seeds,
    steps=steps,
    objective=config.objective,
    command=command,
    environment=scheduler.environment_of(workdir, config.jobs),
    report=report,
  )
  total = config.num_trials
  if config.method == 'grid':
    total = len(space.grid(tried))
  work = trials.Trials(studied, tried, plan, config, total)
  scheduler.run(work, config.jobs)
  picture.draw_sweep(
    workdir / _PICTURE,
    report(),
    tried,
    f'Sweep of {config.program}, preset {config.settings.preset}: '
    f'{config.method}, pruner {config.pruner.name}',
    config.objective,
  )
  return work.is_done, studied.get_trials()


def _luck(
  workdir: pathlib.Path,
  found: Sequence[optuna.trial.FrozenTrial],
  config: ml_collections.ConfigDict,
) -> str:
  """Writes the results of `luck.measure`; returns them as text."""
  measured = luck.measure(workdir / RUNS, found, config.seeds)
  write_json(workdir / _LUCK, measured)
  return luck.describe(measured)


def _conclude(
  found: Sequence[optuna.trial.FrozenTrial],
  tried: space.Space,
  command: runs.Command,
  config: ml_collections.ConfigDict,
) -> int:
  """Prints how to train the best trial again, and how many trials failed.

  Returns:
    The exit status: 1 if a trial failed, else 0.
  """
  complete = [t for t in found if t.state == TrialState.COMPLETE]
  if complete:
    best = max(complete, key=lambda trial: trial.values[0])
    values = space.values_of(tried, best.params)
    again = command(values, config.seeds[0], pathlib.Path('runs/best'), False)
    unwanted = ('--holdout', '--nopage', '--cpu_devices')
    kept = [s for s in again[1:] if not s.startswith(unwanted)]
    print(f'to train trial {best.number} again, with its held-out days:')
    print(shlex.join(['python', *kept]))
    print('for its page, with all trials of this sweep:')
    print(
      'python -m experiments.report --run=runs/best '
      f'--searched={shlex.quote(options.WORKDIR.value)}'
    )
  failed = [t for t in found if t.state == TrialState.FAIL]
  if failed:
    print(
      f'error: {len(failed)} of {len(found)} trials failed: see the column '
      f'reason of {options.WORKDIR.value}/{_TABLE}',
      file=sys.stderr,
    )
  return 1 if failed else 0


def _check(config: ml_collections.ConfigDict) -> space.Space:
  """Checks all settings; returns the search space."""
  check(
    'sweep',
    config,
    {
      'program': one_of(*sweep.PROGRAMS),
      'method': one_of('grid', 'random', 'tpe'),
      'num_trials': AT_LEAST_ONE,
      'jobs': AT_LEAST_ONE,
      'seed': SEED,
      'seeds': SEEDS,
      'objective': TEXT,
    },
  )
  _check_settings(config)
  _check_pruner(config)
  tried = space.read(config)
  for field in STEPS:
    if field in tried:
      require(
        config.pruner.name == 'none',
        'pruner.name',
        config.pruner.name,
        f"'none' if {field} is tried, because other pruners need trials of "
        'equal length',
      )
  return tried


def _check_settings(config: ml_collections.ConfigDict) -> None:
  """Checks the training program's settings before any run starts.

  Raises:
    ValueError: if a setting is invalid; the message names the field.
  """
  settings = config.settings.copy_and_resolve_references().unlock()
  settings.seed = config.seeds[0]
  try:
    checks.check_fields(settings)
  except ValueError as error:
    raise ValueError(f'settings.{error}') from error


def _check_pruner(config: ml_collections.ConfigDict) -> None:
  """Checks the pruner's settings.

  If trials have fewer than `min_steps` steps, `min_steps` is lowered to their
  number of steps, unless a flag sets it.
  """
  check(
    'pruner',
    config.pruner,
    {
      'name': one_of('hyperband', 'successive_halving', 'median', 'none'),
      'min_steps': AT_LEAST_ONE,
      'reduction_factor': whole(2),
      'startup_trials': COUNT,
    },
  )
  steps = _steps(config) * len(config.seeds)
  asked = config_flags.get_override_values(flags.FLAGS['config'])
  if 'pruner.min_steps' not in asked:
    config.pruner.min_steps = min(config.pruner.min_steps, steps)
  require(
    config.pruner.name == 'none' or config.pruner.min_steps <= steps,
    'pruner.min_steps',
    config.pruner.min_steps,
    f'at least 1 and at most {steps}, the steps of a trial (steps of a run x '
    'seeds)',
  )


def _steps(config: ml_collections.ConfigDict) -> int:
  """Returns how many iterations or generations the settings give a run."""
  learner = config.settings.learner
  return learner.get('iterations', learner.get('generations'))


def _check_new(workdir: pathlib.Path) -> None:
  """Checks that a folder has no run, and no file that a sweep would overwrite.

  A folder with a sweep counts as one with a run.
  """
  run_directory.check_new(workdir)
  for name in (_JOURNAL, RUNS, _TABLE, _PICTURE, _LUCK):
    if os.path.lexists(workdir / name):
      raise ValueError(
        f'--workdir: found {name} in {workdir}, expected a folder without it: '
        'the sweep would overwrite it'
      )


def _check_same(
  workdir: pathlib.Path,
  config: ml_collections.ConfigDict,
  about: Mapping[str, str],
) -> None:
  """Checks that a sweep is resumed with the settings and data it began with.

  The settings in `_MAY_CHANGE` and the panel's path may differ.
  """
  config = config.copy_and_resolve_references()
  # Errors are reported by `check_same` below.
  with contextlib.suppress(OSError, ValueError):
    begun = json.loads((workdir / 'config.json').read_text(encoding='utf-8'))
    config.update({name: begun[name] for name in _MAY_CHANGE})
    if 'hash' in about:
      config.settings.data.panel = begun['settings']['data']['panel']
  run_directory.check_same(workdir, config)
  if 'hash' in about:
    field = '--config.settings.data.panel'
    run_directory.check_data(workdir, about, field)

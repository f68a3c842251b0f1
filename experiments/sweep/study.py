"""Asks Optuna which settings to try next, and which trials to stop early."""

import os
import pathlib

import ml_collections
import numpy as np
import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from experiments.sweep.space import Space, grid, suggest


def open_study(
  path: os.PathLike | str,
  config: ml_collections.ConfigDict,
  steps: int,
  is_alone: bool = True,
) -> optuna.Study:
  """Opens the Optuna study that a journal file holds.

  Args:
    path: of the journal; created if absent.
    config: of the sweep; `pruner` is read.
    steps: number of steps of a trial that is not stopped early.
    is_alone: whether no other process uses the journal; if so, what a process
      that was killed while writing left is removed.

  Raises:
    ValueError: if the journal is damaged.
  """
  optuna.logging.set_verbosity(optuna.logging.WARNING)
  path = pathlib.Path(path).absolute()
  if is_alone:
    _mend(path)
  pruner = _pruner(config.pruner, steps)
  try:
    return optuna.create_study(
      study_name='sweep',
      storage=JournalStorage(JournalFileBackend(str(path))),
      direction='maximize',
      pruner=pruner,
      load_if_exists=True,
    )
  except (KeyError, ValueError) as error:
    raise ValueError(
      f'{path}: found a journal that cannot be read ({error}), expected the '
      'journal of a sweep; restore it or use another --workdir'
    ) from error


def unfinished(study: optuna.Study) -> list[optuna.Trial]:
  """Returns the trials in Optuna's state RUNNING, in order of their numbers.

  The processes that run them may be gone.
  """
  left = study.get_trials(states=(TrialState.RUNNING,))
  return [optuna.Trial(study, trial._trial_id) for trial in left]


def next_trial(
  study: optuna.Study, config: ml_collections.ConfigDict, space: Space
) -> optuna.Trial:
  """Creates the next trial, with its parameters.

  With the method 'random', the parameters depend only on the seed and the
  trial's number, so stopping and resuming the sweep does not change them.

  Args:
    study: of the sweep.
    config: of the sweep; `method` and `seed` are read.
    space: the search space; for a grid its next combination is taken, otherwise
      parameters are drawn from it.
  """
  waiting = study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
  number = len(study.get_trials(deepcopy=False)) - len(waiting)
  if config.method == 'grid' and not waiting:
    study.enqueue_trial(grid(space)[number])
  seeds = np.random.SeedSequence([config.seed, number])
  seed = int(seeds.generate_state(1)[0])
  if config.method == 'tpe':
    study.sampler = optuna.samplers.TPESampler(seed=seed)
  else:
    study.sampler = optuna.samplers.RandomSampler(seed=seed)
  trial = study.ask()
  suggest(space, trial)
  return trial


def _pruner(
  config: ml_collections.ConfigDict, steps: int
) -> optuna.pruners.BasePruner:
  if config.name == 'hyperband':
    return optuna.pruners.HyperbandPruner(
      config.min_steps, steps, config.reduction_factor
    )
  if config.name == 'successive_halving':
    return optuna.pruners.SuccessiveHalvingPruner(
      config.min_steps, config.reduction_factor
    )
  if config.name == 'median':
    return optuna.pruners.MedianPruner(config.startup_trials, config.min_steps)
  return optuna.pruners.NopPruner()


def _mend(journal: pathlib.Path) -> None:
  """Removes the lock and the partial line that a killed writer may leave."""
  lock = journal.with_name(f'{journal.name}.lock')
  lock.unlink(missing_ok=True)
  if journal.exists():
    text = journal.read_bytes()
    os.truncate(journal, text.rfind(b'\n') + 1)

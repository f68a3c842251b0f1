"""Which settings are tried next, and which are stopped early: Optuna's part."""

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
  """The study that a journal tells of.

  Args:
    path: of the journal; an absent one is begun.
    config: of the sweep; `pruner` is read.
    steps: of a trial that runs to its end.
    is_alone: whether nobody else writes to it, so that what a process left
      that was killed while it wrote can be mended.

  Raises:
    ValueError: the journal is damaged.
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
      f'{path}: found a damaged file ({error}), expected the journal of a sweep'
    ) from error


def unfinished(study: optuna.Study) -> list[optuna.Trial]:
  """Trials that an earlier process left running, by number."""
  left = study.get_trials(states=(TrialState.RUNNING,))
  return [optuna.Trial(study, trial._trial_id) for trial in left]


def next_trial(
  study: optuna.Study, config: ml_collections.ConfigDict, space: Space
) -> optuna.Trial:
  """A new trial with its parameters.

  What a random search tries depends on the seed and the trial's number alone,
  so that it is the same however often the sweep is stopped.

  Args:
    study: that it is one of.
    config: of the sweep; `method` and `seed` are read.
    space: what is tried.
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
  """Removes what a process that was killed while it wrote may have left."""
  lock = journal.with_name(f'{journal.name}.lock')
  lock.unlink(missing_ok=True)
  if journal.exists():
    text = journal.read_bytes()
    os.truncate(journal, text.rfind(b'\n') + 1)

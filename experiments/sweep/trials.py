"""A sweep's trials, run by one or several processes."""

import contextlib
import pathlib
from collections.abc import Iterator

import ml_collections
import optuna
from optuna.trial import TrialState

from eigen3.runs import claims
from experiments.sweep import study as studies
from experiments.sweep.job import Job, Plan
from experiments.sweep.space import Space, suggest

_CLAIMS, _ASKING = 'claims', 'asking'
_ENDED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


class Trials:
  """The trials of a sweep, as the `Work` of `scheduler.run`.

  A process claims every trial that it runs. Trials in Optuna's state RUNNING
  without a valid claim were left by a process that is gone, and are continued
  first.
  """

  unit = 'trial'

  def __init__(
    self,
    study: optuna.Study,
    space: Space,
    plan: Plan,
    config: ml_collections.ConfigDict,
    total: int,
  ):
    """Prepares to take trials; starts none.

    Args:
      study: of the sweep.
      space: the search space.
      plan: common properties of the trials.
      config: of the sweep; `method` and `seed` are read.
      total: number of trials of the whole sweep.
    """
    self.total = total
    self._study = study
    self._space = space
    self._plan = plan
    self._config = config
    self._claims = plan.folder / _CLAIMS
    self._ours: set[int] = set()  # numbers of trials that this process took

  @property
  def is_done(self) -> bool:
    """Returns whether all trials have ended."""
    return self._count(*_ENDED) >= self.total

  def take(self) -> Job | None:
    """Starts or resumes a trial; returns its job.

    Returns None if all trials have ended or are run by some process.
    """
    # One process at a time asks Optuna, so that no trial is created twice.
    with claims.held(self._claims / _ASKING):
      found = self._left() or self._new()
    if found is None:
      return None
    trial, claim = found
    values = suggest(self._space, trial)
    self._ours.add(trial.number)
    job = Job(trial, values, self._plan, claim)
    self._plan.report()
    return job

  def waits(self) -> bool:
    """Returns whether trials that other processes began have not ended.

    If a process stops without ending its trial, this process continues it.
    """
    running = self._study.get_trials(False, (TrialState.RUNNING,))
    return any(trial.number not in self._ours for trial in running)

  def progress(self, running: int) -> tuple[int, str, str]:
    """Returns the number of ended trials, and the progress bar's texts.

    Args:
      running: number of trials that this process is running.

    Returns:
      The number, and the texts before and after the bar.
    """
    best = 'sweep'
    if self._count(TrialState.COMPLETE):
      best = f'best {self._study.best_value:+.4g}'
    return (
      self._count(*_ENDED),
      best,
      f'{running} running, {self._count(TrialState.PRUNED)} pruned, '
      f'{self._count(TrialState.FAIL)} failed',
    )

  def _left(self) -> tuple[optuna.Trial, claims.Claim] | None:
    """Returns a trial that another process left unfinished, and a claim on it.

    Returns None if there is no such trial.
    """
    for trial in studies.unfinished(self._study):
      if trial.number in self._ours:
        continue
      claim = claims.take(self._claims / str(trial.number))
      if claim is None:
        continue
      running = self._study.get_trials(False, (TrialState.RUNNING,))
      if trial.number in [x.number for x in running]:  # it has not ended since
        return trial, claim
      claim.release()
    return None

  def _new(self) -> tuple[optuna.Trial, claims.Claim] | None:
    if self._count(*_ENDED, TrialState.RUNNING) >= self.total:
      return None
    trial = studies.next_trial(self._study, self._config, self._space)
    claim = claims.take(self._claims / str(trial.number))
    return None if claim is None else (trial, claim)

  def _count(self, *states: TrialState) -> int:
    """Counts the trials in any of these states."""
    return len(self._study.get_trials(deepcopy=False, states=states))


@contextlib.contextmanager
def entered(runs: pathlib.Path) -> Iterator[bool]:
  """Keeps other processes from taking trials until the `with` block ends.

  Args:
    runs: the folder of all runs.

  Yields:
    Whether no process is running a trial of the sweep.
  """
  with claims.held(runs / _CLAIMS / _ASKING):
    others = {x.stem for x in (runs / _CLAIMS).iterdir()} - {_ASKING}
    yield not any(claims.holders_of(runs / _CLAIMS / x) for x in others)

"""Keeps several trials running until all are done or an interrupt comes."""

import time
from collections.abc import Callable
from typing import Any

import ml_collections
import optuna
import tqdm
from optuna.trial import TrialState

from eigen3.learner import guards
from experiments.sweep import study as studies
from experiments.sweep.job import Job, Plan
from experiments.sweep.space import Space, suggest

_POLL = 0.2  # seconds between two looks at the runs
_ENDED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


class Scheduler:
  """One process that asks Optuna for trials and runs a few at a time."""

  def __init__(
    self,
    study: optuna.Study,
    space: Space,
    plan: Plan,
    config: ml_collections.ConfigDict,
    num_trials: int,
    report: Callable[[], Any],
  ):
    """Prepares; nothing runs yet.

    Args:
      study: of the sweep; what it left running is taken up first.
      space: what is tried.
      plan: of its runs.
      config: of the sweep; `jobs`, `method` and `seed` are read.
      num_trials: that the study has in the end.
      report: called after a trial began or ended.
    """
    self._study = study
    self._space = space
    self._plan = plan
    self._config = config
    self._num_trials = num_trials
    self._report = report
    self._left = studies.unfinished(study)
    self._jobs: list[Job] = []

  def run(self) -> bool:
    """Runs trials; whether all are done.

    Ctrl-C has every run finish its iteration and save; a second one ends all
    at once. Both leave what can be resumed.
    """
    bar = tqdm.tqdm(
      total=self._num_trials, initial=self._count(*_ENDED), unit='trial',
      desc='sweep', dynamic_ncols=True,
    )  # fmt: skip
    try:
      with guards.Stop('iteration of each run') as stop, bar:
        while self._fill(stop.requested):
          self._show(bar)
          time.sleep(_POLL)
          self._poll(bar)
        self._show(bar)
    finally:
      for job in self._jobs:
        job.kill()
    return self._count(*_ENDED) >= self._num_trials

  def _fill(self, is_stopping: bool) -> bool:
    """Starts what there is room for; whether anything runs."""
    if is_stopping:
      for job in self._jobs:
        job.interrupt()
      return bool(self._jobs)
    while len(self._jobs) < self._config.jobs:
      trial = self._next()
      if trial is None:
        break
      values = suggest(self._space, trial)
      self._jobs.append(Job(trial, values, self._plan))
      self._report()
    return bool(self._jobs)

  def _next(self) -> optuna.Trial | None:
    if self._left:
      return self._left.pop(0)
    if self._count(*_ENDED, TrialState.RUNNING) >= self._num_trials:
      return None
    return studies.next_trial(self._study, self._config, self._space)

  def _poll(self, bar: tqdm.tqdm) -> None:
    for job in list(self._jobs):
      state = job.poll()
      if state != TrialState.RUNNING:
        self._jobs.remove(job)
      if state in _ENDED:
        bar.update()
        self._report()

  def _show(self, bar: tqdm.tqdm) -> None:
    """Counts, and the best value of a trial that went to its end."""
    if self._count(TrialState.COMPLETE):
      bar.set_description(f'best {self._study.best_value:+.4g}', refresh=False)
    words = (
      f'{len(self._jobs)} running, {self._count(TrialState.PRUNED)} pruned, '
      f'{self._count(TrialState.FAIL)} failed'
    )
    if bar.postfix != words:  # each time is a line where there is no terminal
      bar.set_postfix_str(words)

  def _count(self, *states: TrialState) -> int:
    """Trials in one of these states."""
    return len(self._study.get_trials(deepcopy=False, states=states))

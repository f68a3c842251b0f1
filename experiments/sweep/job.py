"""Runs a trial of a sweep, one seed after another."""

import functools
import pathlib
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import optuna
from optuna.trial import TrialState

from eigen3.runs.claims import Claim
from eigen3.runs.logs import METRICS
from experiments.jobs import scheduler
from experiments.sweep import runs

# Names of a trial's attributes in Optuna: the results of its runs, the step
# after which it was stopped, and why it failed.
RUNS, STOPPED, FAILURE = 'runs', 'stopped', 'failure'
# The fields that set the number of a run's steps.
STEPS = ('learner.iterations', 'learner.generations')


class Plan(NamedTuple):
  """Common properties of a sweep's trials.

  Attributes:
    folder: the folder of all runs.
    seeds: the seeds that every trial is run with.
    steps: number of iterations or generations of a run, unless the trial sets
      it.
    objective: the column of metrics.csv to maximise.
    command: makes the command line of a run.
    environment: environment variables of the runs, besides those of this
      process, which take precedence.
    report: called when a trial begins or ends.
  """

  folder: pathlib.Path
  seeds: Sequence[int]
  steps: int
  objective: str
  command: runs.Command
  environment: Mapping[str, str]
  report: Callable[[], Any]


class Job:
  """A trial and the process of its current run.

  A trial's steps are counted through all its runs: the second run's steps
  follow the first's. After any step the trial's value is the mean, over the
  seeds that have begun, of the objective's best value so far. The pruner
  therefore compares trials after the same number of steps of the same seeds.

  Attributes:
    trial: the trial in Optuna.
    state: the trial's state, see `_poll`.
  """

  def __init__(
    self,
    trial: optuna.Trial,
    values: Mapping[str, Any],
    plan: Plan,
    claim: Claim,
  ):
    """Starts a trial, or continues it where an earlier process left it.

    Args:
      trial: the trial, in Optuna's state RUNNING.
      values: the trial's settings, by field.
      plan: the sweep's plan.
      claim: this process's claim on the trial.
    """
    frozen = trial.study.get_trials(deepcopy=False)[trial.number]
    self.trial = trial
    self.state = TrialState.RUNNING
    self._values = values
    self._plan = plan
    self._claim = claim
    self._steps = max(
      (values[f] for f in values if f in STEPS), default=plan.steps
    )
    self._reported = max(frozen.intermediate_values, default=-1)
    self._is_stopped = STOPPED in trial.user_attrs
    self._finished: list[dict[str, Any]] = []
    self._is_interrupted = False
    self._process: scheduler.Run | None = None
    self._size = 0  # bytes of metrics.csv when last read
    self._start()

  def poll(self) -> bool:
    """Advances the trial; returns whether it is still running.

    When the trial has ended or was interrupted, its claim is released.
    """
    self.state = self._poll()
    if self.state == TrialState.RUNNING:
      return True
    self._claim.release()
    return False

  def _poll(self) -> TrialState:
    """Advances the trial; returns its state.

    WAITING means that the trial was interrupted and can be resumed; in Optuna
    its state is still RUNNING.
    """
    # In this order, so that the final metrics are read after the process ended.
    status = 0 if self._process is None else self._process.poll()
    metrics = self._run / METRICS
    size = metrics.stat().st_size if metrics.exists() else 0
    if status is None and size == self._size:
      return TrialState.RUNNING
    self._size = size
    progress = runs.read_progress(metrics, self._plan.objective)
    if not self._is_stopped:
      self._report(progress)
    if status is None:
      return TrialState.RUNNING
    process, self._process = self._process, None
    if self._is_stopped:
      return self._end(TrialState.PRUNED, progress)
    if status == 0:
      return self._next(progress)
    reason = process.failure() if process is not None else ''
    return self._fail(reason, progress) if reason else TrialState.WAITING

  def interrupt(self) -> None:
    """Asks the run to save and exit; repeating this has no effect."""
    self._is_interrupted = True
    if self._process is not None:
      self._process.interrupt()

  def kill(self) -> None:
    """Kills the run, and releases the claim."""
    if self._process is not None:
      self._process.kill()
    self._claim.release()

  @property
  def _seed(self) -> int:
    return self._plan.seeds[len(self._finished)]

  @property
  def _run(self) -> pathlib.Path:
    return self._plan.folder / str(self.trial.number) / f'seed{self._seed}'

  def _start(self) -> None:
    """Starts the current seed's run, or resumes it if it has begun.

    Starts nothing if the trial was pruned or the run has finished.
    """
    if self._is_stopped or (self._run / scheduler.FINISHED).exists():
      return  # the process that did this was gone before it could record it
    command = functools.partial(
      self._plan.command, self._values, self._seed, self._run
    )
    self._process = scheduler.Run(
      self._run, command, self._plan.environment, self._claim
    )

  def _report(self, progress: runs.Progress) -> None:
    """Reports new values to Optuna; interrupts the run if they are too low.

    The pruner decides this.
    """
    before = [run['objective'] for run in self._finished]
    begin = len(before) * self._steps
    total = len(self._plan.seeds) * self._steps
    for run_step, best in progress.best:
      step = begin + run_step
      if step <= self._reported:
        continue
      self.trial.report(statistics.fmean([*before, best]), step)
      self._reported = step
      if step < total and self.trial.should_prune():
        self.trial.set_user_attr(STOPPED, step)
        self._is_stopped = True
        if self._process is not None:
          self._process.interrupt()
        return

  def _next(self, progress: runs.Progress) -> TrialState:
    """Starts the next seed's run or ends the trial; returns the trial's state.

    After `interrupt` no further run is started, and the state is WAITING.
    """
    if not progress.best:
      return self._fail(
        f'found no finite value of {self._plan.objective} in {METRICS}, '
        'expected at least one',
        progress,
      )
    if len(self._finished) + 1 == len(self._plan.seeds):
      return self._end(TrialState.COMPLETE, progress)
    self._finished.append(self._result(progress))
    if self._is_interrupted:
      return TrialState.WAITING
    self._start()
    return TrialState.RUNNING

  def _fail(self, reason: str, progress: runs.Progress) -> TrialState:
    self.trial.set_user_attr(FAILURE, reason)
    return self._end(TrialState.FAIL, progress)

  def _end(self, state: TrialState, progress: runs.Progress) -> TrialState:
    """Reports the trial's results and its end to Optuna; returns `state`."""
    results = [*self._finished, self._result(progress)]
    self.trial.set_user_attr(RUNS, results)
    value = None
    if state == TrialState.COMPLETE:
      value = statistics.fmean(run['objective'] for run in results)
    self.trial.study.tell(self.trial, value, state)
    self._plan.report()
    return state

  def _result(self, progress: runs.Progress) -> dict[str, Any]:
    """Returns the result of the current seed's run."""
    best = progress.best[-1][1] if progress.best else None
    return {
      'seed': self._seed,
      'objective': best,
      # The first step with the best value.
      'step': next((n for n, value in progress.best if value == best), None),
      'seconds': progress.seconds,
    }

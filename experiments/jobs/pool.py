"""Executes runs in parallel, none in two processes at once; keeps records."""

import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import tqdm

from eigen3.runs.claims import Claim
from experiments.jobs import scheduler
from experiments.jobs.archive import Archive


class Task(NamedTuple):
  """A run to do.

  Attributes:
    name: the run's name in messages.
    key: key of the run's record.
    run: the run's folder.
    command: `(resume) -> command line`.
    describe: returns the record of the finished run.
    can_resume: whether the run can be resumed; otherwise it starts from
      scratch.
    after: keys of the records that must exist before the run starts.
  """

  name: str
  key: str
  run: pathlib.Path
  command: Callable[[bool], Sequence[str]]
  describe: Callable[[], Mapping[str, Any]]
  can_resume: bool = True
  after: Sequence[str] = ()

  @property
  def is_done(self) -> bool:
    """Returns whether the run is finished."""
    return (self.run / scheduler.FINISHED).exists()

  @property
  def reason(self) -> str:
    """Returns why the run failed the last time, '' if it did not."""
    return reason_of(self.run)


def reason_of(run: pathlib.Path) -> str:
  """Returns why a run failed the last time, '' if it did not."""
  path = _note_of(run)
  return path.read_text(encoding='utf-8') if path.exists() else ''


def run_all(
  tasks: Sequence[Task],
  at_once: int,
  environment: Mapping[str, str],
  archive: Archive,
  report: Callable[[], Any],
) -> bool:
  """Runs all tasks in order; returns whether each is recorded or has failed.

  Recorded tasks are skipped. Tasks that another process has claimed are waited
  for, and taken over if that process leaves them unfinished; see
  `scheduler.run`. A failed run does not stop the other runs; the next call
  tries it again.

  Args:
    tasks: the runs.
    at_once: how many run in parallel.
    environment: environment variables of the runs, besides those of this
      process, which take precedence.
    archive: holds the records.
    report: called after the end of each run.
  """
  work = _Cells(tasks, environment, archive, report)
  scheduler.run(work, at_once)
  return all(archive.has(task.key) or task.reason for task in tasks)


class _Cells:
  """Implements `scheduler.Work` for tasks; those with a record are skipped."""

  unit = 'run'

  def __init__(self, tasks, environment, archive, report):
    self.total = len(tasks)
    self._environment = environment
    self._archive = archive
    self._report = report
    self._left = [task for task in tasks if not archive.has(task.key)]
    self._running: set[str] = set()  # keys
    # Times of earlier failures. A run that fails later, here or in another
    # process, is not retried.
    self._failed = {task: _noted(task.run) for task in self._left}
    self._done = self.total - len(self._left)

  def take(self) -> '_Job | None':
    """Starts the first task that is free, or returns None if none is."""
    for task in [*self._left]:
      if self._is_settled(task) or not self._can_begin(task):
        continue
      claim = self._archive.claim(task.key)
      if claim is None:
        continue
      if self._is_settled(task):  # by another process before the claim
        claim.release()
        continue
      self._left.remove(task)
      _note_of(task.run).unlink(missing_ok=True)
      self._running.add(task.key)
      if not task.is_done:
        return _Job(task, claim, self._environment, self._end)
      self._end(task, claim)  # the run outlived the program that began it
    return None

  def waits(self) -> bool:
    """Returns whether tasks remain that this process has not started."""
    return bool(self._left)

  def progress(self, running: int) -> tuple[int, str, str]:
    """Returns the number of recorded runs, and the bar's prefix and postfix."""
    return self._done, '', f'{running} running'

  def _can_begin(self, task: Task) -> bool:
    """Returns whether all records in `task.after` exist.

    If a record is missing that no open or running task will make, drops the
    task as failed.
    """
    lacking = [key for key in task.after if not self._archive.has(key)]
    open_keys = self._running | {other.key for other in self._left}
    if all(key in open_keys for key in lacking):
      return not lacking
    self._left.remove(task)
    reason = (
      'found no record of a run that this run starts from or averages, '
      'expected that run to be finished first'
    )
    task.run.parent.mkdir(parents=True, exist_ok=True)
    _note_of(task.run).write_text(reason, encoding='utf-8')
    self._report()
    return False

  def _is_settled(self, task: Task) -> bool:
    """Returns whether a task ended in another process; if so, drops it."""
    recorded = self._archive.has(task.key)
    settled = recorded or _noted(task.run) not in (None, self._failed[task])
    if settled:
      self._left.remove(task)
      self._done += recorded
    return settled

  def _end(self, task: Task, claim: Claim, reason: str = '') -> None:
    """Stores the record of a run or why it failed, and releases its claim."""
    self._running.discard(task.key)
    if task.is_done:
      self._archive.write(task.key, task.name, task.describe())
      self._done += 1
    elif reason:
      _note_of(task.run).write_text(reason, encoding='utf-8')
      tqdm.tqdm.write(f'{task.name} failed: {reason}')
    claim.release()
    self._report()


class _Job:
  """A task in progress."""

  def __init__(self, task, claim, environment, end):
    self._end = lambda reason: end(task, claim, reason)
    self._claim = claim
    self._run = scheduler.Run(
      task.run, task.command, environment, claim, task.can_resume
    )

  def poll(self) -> bool:
    """Returns whether the run goes on; stores its record or failure if not."""
    if self._run.poll() is None:
      return True
    self._end(self._run.failure())
    return False

  def interrupt(self) -> None:
    """Asks the run to save and exit."""
    self._run.interrupt()

  def kill(self) -> None:
    """Kills the run and releases its claim."""
    self._run.kill()
    self._claim.release()


def _note_of(run: pathlib.Path) -> pathlib.Path:
  return run.with_name(f'{run.name}.failed')


def _noted(run: pathlib.Path) -> int | None:
  """Returns when a run last failed, in nanoseconds; None if it did not."""
  try:
    return _note_of(run).stat().st_mtime_ns
  except FileNotFoundError:
    return None

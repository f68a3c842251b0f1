"""Executes runs in parallel and keeps records of them.

Several processes may share the work; only one at a time executes a given run.
"""

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
    """Returns why the run last failed; '' if its last attempt did not fail."""
    return reason_of(self.run)


def reason_of(run: pathlib.Path) -> str:
  """Returns why a run last failed; '' if its last attempt did not fail."""
  path = _note_of(run)
  return path.read_text(encoding='utf-8') if path.exists() else ''


def run_all(
  tasks: Sequence[Task],
  at_once: int,
  environment: Mapping[str, str],
  archive: Archive,
  report: Callable[[], Any],
) -> bool:
  """Runs all tasks, and starts them in the given order where possible.

  Tasks whose runs have records are skipped. Tasks that another process has
  claimed are waited for, and taken over if that process leaves them unfinished;
  see `scheduler.run`. A failed run does not stop the other runs; the next call
  tries it again.

  Args:
    tasks: the runs.
    at_once: how many run in parallel.
    environment: environment variables of the runs, besides those of this
      process, which take precedence.
    archive: holds the records.
    report: called after the end of each run, and for each task that is dropped
      because it can no longer start.

  Returns:
    Whether each task is recorded or has failed.

  Raises:
    ValueError: if a run would start from scratch in a folder where an earlier
      one is still at work, or a file of a finished run is damaged.
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
    """Starts the first task that can start, and returns its job.

    Returns None if no task can start. A run that is finished but has no record
    is recorded, not started.
    """
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
    """Returns the number of recorded runs, and the progress bar's texts."""
    return self._done, '', f'{running} running'

  def _can_begin(self, task: Task) -> bool:
    """Returns whether all records with the keys `task.after` exist.

    If one is missing that no waiting or running task will make, drops `task` as
    failed.
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
    """Returns whether a waiting task is settled; if so, drops it.

    It is settled if its run was recorded, or has failed since this program
    began, in another process or as another task with the same key.
    """
    recorded = self._archive.has(task.key)
    settled = recorded or _noted(task.run) not in (None, self._failed[task])
    if settled:
      self._left.remove(task)
      self._done += recorded
    return settled

  def _end(self, task: Task, claim: Claim, reason: str = '') -> None:
    """Stores an ended run's record, or why it failed; releases the claim.

    Nothing is stored about a run that was interrupted.
    """
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
    """Returns whether the run goes on; if not, stores its record or failure."""
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
  """Returns when the note of a run's failure was written; None if absent.

  The time is in nanoseconds since 1970.
  """
  try:
    return _note_of(run).stat().st_mtime_ns
  except FileNotFoundError:
    return None

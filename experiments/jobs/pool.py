"""Runs that are each recorded once, by whoever comes to them first."""

import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import tqdm

from eigen3.runs.claims import Claim
from experiments.jobs import scheduler
from experiments.jobs.archive import Archive


class Task(NamedTuple):
  """A run that has to be done.

  Attributes:
    name: in messages.
    key: of its record.
    run: its folder.
    command: of whether it goes on where it has begun.
    describe: its record, after it went to its end.
    can_resume: else it begins anew.
  """

  name: str
  key: str
  run: pathlib.Path
  command: Callable[[bool], Sequence[str]]
  describe: Callable[[], Mapping[str, Any]]
  can_resume: bool = True

  @property
  def is_done(self) -> bool:
    """Whether the run went to its end."""
    return (self.run / scheduler.FINISHED).exists()

  @property
  def reason(self) -> str:
    """Why it failed the last time, '' if it did not."""
    return reason_of(self.run)


def reason_of(run: pathlib.Path) -> str:
  """Why a run failed the last time, '' if it did not."""
  path = _note_of(run)
  return path.read_text(encoding='utf-8') if path.exists() else ''


def run_all(
  tasks: Sequence[Task],
  at_once: int,
  environment: Mapping[str, str],
  archive: Archive,
  report: Callable[[], Any],
) -> bool:
  """Has all runs recorded, in order; whether all are, or have failed.

  What is recorded, or claimed by another process, is left alone; see
  `scheduler.run`. A run that fails does not keep others from being run, and is
  tried again the next time.

  Args:
    tasks: the runs.
    at_once: how many run at the same time.
    environment: variables of their processes beside this one's.
    archive: of the records.
    report: called after one has ended.
  """
  work = _Cells(tasks, environment, archive, report)
  scheduler.run(work, at_once)
  return all(archive.has(task.key) or task.reason for task in tasks)


class _Cells:
  """Tasks that are not recorded yet."""

  unit = 'run'

  def __init__(self, tasks, environment, archive, report):
    self.total = len(tasks)
    self._environment = environment
    self._archive = archive
    self._report = report
    self._left = [task for task in tasks if not archive.has(task.key)]
    # Of earlier times; what fails while this process works is not tried again.
    self._failed = {task: _noted(task.run) for task in self._left}
    self._done = self.total - len(self._left)

  def take(self) -> '_Job | None':
    """Begins the first run that is neither recorded nor claimed."""
    for task in [*self._left]:
      if self._is_settled(task):
        continue
      claim = self._archive.claim(task.key)
      if claim is None:
        continue
      if self._is_settled(task):  # between the two looks
        claim.release()
        continue
      self._left.remove(task)
      _note_of(task.run).unlink(missing_ok=True)
      if not task.is_done:
        return _Job(task, claim, self._environment, self._end)
      self._end(task, claim)  # when nobody was there to see it
    return None

  def waits(self) -> bool:
    """Whether others have claimed what is left."""
    return bool(self._left)

  def progress(self, running: int) -> tuple[int, str, str]:
    """Runs that are recorded."""
    return self._done, '', f'{running} running'

  def _is_settled(self, task: Task) -> bool:
    """Takes a task out that another process has recorded, or failed at."""
    recorded = self._archive.has(task.key)
    settled = recorded or _noted(task.run) not in (None, self._failed[task])
    if settled:
      self._left.remove(task)
      self._done += recorded
    return settled

  def _end(self, task: Task, claim: Claim, reason: str = '') -> None:
    """Keeps what a run came to, and lets go of it."""
    if task.is_done:
      self._archive.write(task.key, task.name, task.describe())
      self._done += 1
    elif reason:
      _note_of(task.run).write_text(reason, encoding='utf-8')
      tqdm.tqdm.write(f'{task.name} failed: {reason}')
    claim.release()
    self._report()


class _Job:
  """A task that is being run."""

  def __init__(self, task, claim, environment, end):
    self._end = lambda reason: end(task, claim, reason)
    self._claim = claim
    self._run = scheduler.Run(
      task.run, task.command, environment, claim, task.can_resume
    )

  def poll(self) -> bool:
    """Whether it still runs; else it is recorded, or why not is noted."""
    if self._run.poll() is None:
      return True
    self._end(self._run.failure())
    return False

  def interrupt(self) -> None:
    """Asks the run to save and leave."""
    self._run.interrupt()

  def kill(self) -> None:
    """Ends the run at once."""
    self._run.kill()
    self._claim.release()


def _note_of(run: pathlib.Path) -> pathlib.Path:
  return run.with_name(f'{run.name}.failed')


def _noted(run: pathlib.Path) -> int | None:
  """When a run failed the last time."""
  try:
    return _note_of(run).stat().st_mtime_ns
  except FileNotFoundError:
    return None

"""Keeps several runs going until all are done or an interrupt comes."""

import pathlib
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import tqdm

from eigen3.learner import guards
from eigen3.runs.lock import Lock
from experiments.jobs import process

_POLL = 0.2  # seconds between two looks at the runs


class Task(NamedTuple):
  """A run that has to be done.

  Attributes:
    name: in messages.
    run: its folder.
    command: of whether it goes on where it has begun.
    can_resume: else it begins anew.
  """

  name: str
  run: pathlib.Path
  command: Callable[[bool], Sequence[str]]
  can_resume: bool = True

  @property
  def is_done(self) -> bool:
    """Whether the run went to its end."""
    return (self.run / process.FINISHED).exists()

  @property
  def reason(self) -> str:
    """Why it failed the last time, '' if it did not."""
    path = _reason_of(self.run)
    return path.read_text(encoding='utf-8') if path.exists() else ''


def run_all(
  tasks: Sequence[Task],
  jobs: int,
  environment: Mapping[str, str],
  lock: Lock,
  report: Callable[[], Any],
) -> bool:
  """Runs what is not done yet, in order; whether all are done or have failed.

  Ctrl-C has every run finish its iteration and save; a second one ends all at
  once. Both, and a kill, leave what can be gone on with. A run that fails does
  not keep others from being run, and is tried again the next time.

  Args:
    tasks: of which those that are done are left alone.
    jobs: how many run at once.
    environment: variables of their processes beside this one's.
    lock: that they hold.
    report: called after one has ended.
  """
  left = [task for task in tasks if not task.is_done]
  running: dict[Task, subprocess.Popen] = {}
  bar = tqdm.tqdm(
    total=len(tasks), initial=len(tasks) - len(left), unit='run',
    dynamic_ncols=True,
  )  # fmt: skip
  try:
    with guards.Stop('iteration of each run') as stop, bar:
      asked = False
      while running or (left and not stop.requested):
        while left and len(running) < jobs and not stop.requested:
          task = left.pop(0)
          _reason_of(task.run).unlink(missing_ok=True)
          running[task] = process.begin(
            task.run, task.command, environment, lock, task.can_resume
          )
        if stop.requested and not asked:
          asked = True
          for started in running.values():
            # Once: for a run a second signal means at once, unsaved.
            started.send_signal(signal.SIGTERM)
        time.sleep(_POLL)
        for task in _ended(running):
          bar.update(task.is_done)
          report()
      return all(task.is_done or task.reason for task in tasks)
  finally:
    for started in running.values():
      started.kill()
      started.wait()


def _ended(running: dict[Task, subprocess.Popen]) -> list[Task]:
  """Takes out the runs that have ended, and notes why where they failed."""
  ended = [
    task for task, started in running.items() if started.poll() is not None
  ]
  for task in ended:
    status = running.pop(task).returncode
    if status not in (0, *process.INTERRUPTED):
      reason = process.failure(status, process.log_of(task.run))
      _reason_of(task.run).write_text(reason, encoding='utf-8')
      tqdm.tqdm.write(f'{task.name} failed: {reason}')
  return ended


def _reason_of(run: pathlib.Path) -> pathlib.Path:
  return run.with_name(f'{run.name}.failed')

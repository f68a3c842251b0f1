"""Runs in processes of their own, a few at once, until nothing is left to do.

Ladders, studies and sweeps are different `Work` for one `run`.
"""

import contextlib
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import tqdm

from eigen3.learner import guards
from eigen3.runs import ledger, lock, run_directory
from eigen3.runs.claims import Claim

# Exit statuses of a run that somebody stopped and that can go on.
INTERRUPTED = (130, -signal.SIGINT, -signal.SIGTERM)
# What a run that went to its end has left.
FINISHED = 'summary.json'
_POLL = 0.2  # seconds between two looks at the runs
_LOOK = 1.0  # and between two at what others have left


class Job(Protocol):
  """Something that is being done."""

  def poll(self) -> bool:
    """Goes on with it; whether it still runs."""

  def interrupt(self) -> None:
    """Asks it to save and leave; a second time changes nothing."""

  def kill(self) -> None:
    """Ends it at once."""


class Work(Protocol):
  """All that has to be done, by this process and maybe by others."""

  unit: str
  total: int

  def take(self) -> Job | None:
    """Begins the next job; None if there is nothing that nobody does."""

  def waits(self) -> bool:
    """Whether others do something that might be left to this process yet."""

  def progress(self, running: int) -> tuple[int, str, str]:
    """How many are done, and words before and after the bar."""


def run(work: Work, at_once: int) -> None:
  """Does what there is to do, and waits for what others do.

  Ctrl-C has every run finish its iteration and save; a second one ends all at
  once. Both, and a kill, leave what can be gone on with.

  Args:
    work: to be done.
    at_once: how many jobs of it run at the same time.
  """
  running: list[Job] = []
  bar = tqdm.tqdm(total=work.total, unit=work.unit, dynamic_ncols=True)
  look, said = 0.0, None
  try:
    with guards.Stop('iteration of each run') as stop, bar:
      while True:
        if stop.requested:
          for job in running:
            job.interrupt()
        elif len(running) < at_once and time.monotonic() >= look:
          while len(running) < at_once and (begun := work.take()) is not None:
            running.append(begun)
          look = time.monotonic() + _LOOK
        if (told := work.progress(len(running))) != said:
          said = told  # each time is a line where there is no terminal
          bar.n = told[0]
          bar.set_description_str(told[1], refresh=False)
          bar.set_postfix_str(told[2])
        if not running and (stop.requested or not work.waits()):
          return
        time.sleep(_POLL)
        left = [job for job in running if job.poll()]
        if len(left) < len(running):
          look = 0.0
        running = left
  finally:
    for job in running:
      job.kill()


class Run:
  """A run in a process of its own, under a claim."""

  def __init__(
    self,
    folder: pathlib.Path,
    command: Callable[[bool], Sequence[str]],
    environment: Mapping[str, str],
    claim: Claim,
    can_resume: bool = True,
  ):
    """Starts a run, or goes on with it where it has begun.

    Args:
      folder: of the run.
      command: of whether it goes on.
      environment: variables beside this process's.
      claim: that it holds, too: it may outlive this process.
      can_resume: else a run that has begun begins anew.
    """
    self._claim = claim
    self._log = log_of(folder)
    self._is_interrupted = self._is_lost = False
    begun = can_resume and run_directory.holds_run(folder)
    if not begun:
      _clear(folder)
      folder.parent.mkdir(parents=True, exist_ok=True)
    with self._log.open('ab') as output:
      self._process = subprocess.Popen(
        command(begun),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        env={**environment, **os.environ},
        start_new_session=True,  # out of reach of Ctrl-C on this terminal
      )
    claim.add(self._process.pid)

  def poll(self) -> int | None:
    """The exit status of a run that has ended."""
    if not self._is_lost and not self._claim.keep():
      self._is_lost = True
      self.kill()  # another does it now
    return self._process.poll()

  def interrupt(self) -> None:
    """Asks once: for a run a second signal means at once, unsaved."""
    if not self._is_interrupted:
      self._is_interrupted = True
      # What a run does on SIGINT, too, but a shell's background jobs inherit
      # that they ignore SIGINT.
      self._process.send_signal(signal.SIGTERM)

  def kill(self) -> None:
    """Ends the run at once."""
    self._process.kill()
    self._process.wait()

  def failure(self) -> str:
    """Why a run that has ended failed, in one line; '' if it did not."""
    status = self._process.returncode
    if self._is_lost or status == 0 or status in INTERRUPTED:
      return ''
    return failure_of(status, self._log)


def failure_of(status: int, log: pathlib.Path) -> str:
  """Why a run with this exit status failed: the last line that it wrote."""
  text = log.read_text(encoding='utf-8', errors='replace')
  # A progress bar ends its lines by going back to their beginning.
  lines = [s.strip() for s in re.split(r'[\r\n]+', text) if s.strip()]
  last = lines[-1].removeprefix('error: ') if lines else 'wrote nothing'
  if status > 0:
    return last
  hint = ', mostly a full memory' if status == -signal.SIGKILL else ''
  return f'ended by {signal.Signals(-status).name}{hint}; {last}'


def environment_of(workdir: pathlib.Path, at_once: int) -> Mapping[str, str]:
  """Variables of runs that share a machine and what they compiled.

  Args:
    workdir: of the program that starts them.
    at_once: how many run at the same time.
  """
  return {
    # Other seeds of a setting, and what is resumed, need no compilation.
    'JAX_COMPILATION_CACHE_DIR': str(workdir.absolute() / 'compiled'),
    # Of a GPU's memory, which a program takes all of where it is alone.
    'XLA_PYTHON_CLIENT_MEM_FRACTION': f'{0.75 / at_once:.3f}',
  }


def log_of(folder: pathlib.Path) -> pathlib.Path:
  """Where a run's output goes, beside its folder."""
  return folder.with_name(f'{folder.name}.log')


def _clear(folder: pathlib.Path) -> None:
  """Removes what a run left that cannot be resumed.

  All but the list of its openings of the held-out days: were another policy
  judged on them now, that would be a second time.

  Raises:
    ValueError: a run that outlived its program is still at work there.
  """
  if not folder.exists():
    return
  with contextlib.closing(lock.Lock(folder)):
    for path in folder.iterdir():
      if path.is_dir():
        shutil.rmtree(path)
      elif path.name not in (ledger.FILE, lock.FILE):
        path.unlink()

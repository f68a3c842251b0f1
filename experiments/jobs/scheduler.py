"""Runs jobs in their own processes, a few in parallel, until all are done.

`run` runs a `Work`: `jobs.pool` implements it for ladders and studies, and
`sweep.trials` for sweeps.
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

# Exit statuses of a run that was stopped and can be resumed.
INTERRUPTED = (130, -signal.SIGINT, -signal.SIGTERM)
# The file whose existence shows that a run is finished.
FINISHED = 'summary.json'
_POLL = 0.2  # seconds between polls of the runs
_LOOK = 1.0  # seconds between attempts to start jobs


class Job(Protocol):
  """A job in progress."""

  def poll(self) -> bool:
    """Advances the job; returns whether it still runs."""

  def interrupt(self) -> None:
    """Asks the job to save and exit; repeating this has no effect."""

  def kill(self) -> None:
    """Kills the job."""


class Work(Protocol):
  """All jobs to do, by this process and possibly by others.

  Attributes:
    unit: what the progress bar calls a job.
    total: number of all jobs.
  """

  unit: str
  total: int

  def take(self) -> Job | None:
    """Starts and returns the next job; returns None if none can start now."""

  def waits(self) -> bool:
    """Returns whether jobs remain that `take` may return later.

    For example, another process runs them and may leave them unfinished.
    """

  def progress(self, running: int) -> tuple[int, str, str]:
    """Returns the number of finished jobs, and the progress bar's texts.

    Args:
      running: number of jobs that this process is running.

    Returns:
      The number, and the texts before and after the bar.
    """


def run(work: Work, at_once: int) -> None:
  """Runs all jobs, and waits for those of other processes.

  After Ctrl-C or SIGTERM, no further job starts, and this process's running
  jobs finish their iterations and save. A second signal kills these jobs and
  raises KeyboardInterrupt. After either signal, or if this process is killed, a
  new call resumes the work.

  Args:
    work: the jobs to do.
    at_once: how many jobs run in parallel.
  """
  running: list[Job] = []
  bar = tqdm.tqdm(total=work.total, unit=work.unit, dynamic_ncols=True)
  look, shown = 0.0, None
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
        if (status := work.progress(len(running))) != shown:
          shown = status  # without a terminal every update is a new line
          bar.n = status[0]
          bar.set_description_str(status[1], refresh=False)
          bar.set_postfix_str(status[2])
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
  """A run in its own process, under a claim."""

  def __init__(
    self,
    folder: pathlib.Path,
    command: Callable[[bool], Sequence[str]],
    environment: Mapping[str, str],
    claim: Claim,
    can_resume: bool = True,
  ):
    """Starts a run, or resumes one that has begun.

    Args:
      folder: the run's folder.
      command: `(resume) -> command line`.
      environment: environment variables to add; if this process has a variable
        of the same name, its value is used.
      claim: this process's claim on the run. The run's process becomes another
        holder, because it may outlive this process.
      can_resume: whether the run can be resumed; otherwise it starts from
        scratch.

    Raises:
      ValueError: if the run starts from scratch, but an earlier one is still at
        work in the folder.
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
        start_new_session=True,  # this terminal's Ctrl-C does not reach it
      )
    claim.add(self._process.pid)

  def poll(self) -> int | None:
    """Returns the exit status, or None while the run goes on.

    A run whose claim is lost (see `Claim.keep`) is killed.
    """
    if not self._is_lost and not self._claim.keep():
      self._is_lost = True
      self.kill()
    return self._process.poll()

  def interrupt(self) -> None:
    """Asks the run to save and exit; repeating this has no effect.

    A second signal would stop the run without saving, so only one is sent.
    """
    if not self._is_interrupted:
      self._is_interrupted = True
      # Not SIGINT, although a run treats both alike: a shell's background jobs
      # and their child processes inherit that SIGINT is ignored.
      self._process.send_signal(signal.SIGTERM)

  def kill(self) -> None:
    """Kills the run."""
    self._process.kill()
    self._process.wait()

  def failure(self) -> str:
    """Returns in one line why the ended run failed, '' if it did not.

    A run that was interrupted, or whose claim was lost, has not failed.
    """
    status = self._process.returncode
    if self._is_lost or status == 0 or status in INTERRUPTED:
      return ''
    return failure_of(status, self._log)


def failure_of(status: int, log: pathlib.Path) -> str:
  """Returns why a run failed: its last line of output, and any fatal signal."""
  text = log.read_text(encoding='utf-8', errors='replace')
  # A progress bar ends its lines with a carriage return.
  lines = [s.strip() for s in re.split(r'[\r\n]+', text) if s.strip()]
  last = lines[-1].removeprefix('error: ') if lines else 'wrote nothing'
  if status > 0:
    return last
  hint = (
    ', usually because memory was full' if status == -signal.SIGKILL else ''
  )
  return f'ended by {signal.Signals(-status).name}{hint}; {last}'


def environment_of(workdir: pathlib.Path, at_once: int) -> Mapping[str, str]:
  """Returns environment variables for runs that share a machine and a cache.

  Args:
    workdir: folder of the ladder, study or sweep.
    at_once: how many run in parallel.
  """
  return {
    # Runs that differ only in their seed, and resumed runs, compile nothing.
    'JAX_COMPILATION_CACHE_DIR': str(workdir.absolute() / 'compiled'),
    # Share of a GPU's memory; by default one run would take most of it.
    'XLA_PYTHON_CLIENT_MEM_FRACTION': f'{0.75 / at_once:.3f}',
  }


def log_of(folder: pathlib.Path) -> pathlib.Path:
  """Returns the path of a run's log, which is next to the run's folder."""
  return folder.with_name(f'{folder.name}.log')


def _clear(folder: pathlib.Path) -> None:
  """Removes the files of an earlier run that cannot be resumed.

  The list of openings of the held-out days is kept: to evaluate another policy
  on these days now would be a second opening.

  Raises:
    ValueError: if the earlier run is still at work there, because it outlived
      the program that started it.
  """
  if not folder.exists():
    return
  with contextlib.closing(lock.Lock(folder)):
    for path in folder.iterdir():
      if path.is_dir():
        shutil.rmtree(path)
      elif path.name not in (ledger.FILE, lock.FILE):
        path.unlink()

"""A run in a process of its own: how it starts, goes on and fails."""

import os
import pathlib
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence

from eigen3.runs import ledger, run_directory
from eigen3.runs.lock import Lock

# Exit statuses of a run that somebody stopped and that can go on.
INTERRUPTED = (130, -signal.SIGINT, -signal.SIGTERM)
# What a run that went to its end has left.
FINISHED = 'summary.json'


def environment_of(workdir: pathlib.Path, jobs: int) -> Mapping[str, str]:
  """Variables of runs that share a machine and what they compiled.

  Args:
    workdir: of the program that starts them.
    jobs: how many run at once.
  """
  return {
    # Other seeds of a setting, and what is resumed, need no compilation.
    'JAX_COMPILATION_CACHE_DIR': str(workdir.absolute() / 'compiled'),
    # Of a GPU's memory, which a program takes all of where it is alone.
    'XLA_PYTHON_CLIENT_MEM_FRACTION': f'{0.75 / jobs:.3f}',
  }


def log_of(run: pathlib.Path) -> pathlib.Path:
  """Where a run's output goes, beside its folder."""
  return run.with_name(f'{run.name}.log')


def begin(
  run: pathlib.Path,
  command: Callable[[bool], Sequence[str]],
  environment: Mapping[str, str],
  lock: Lock,
  can_resume: bool = True,
) -> subprocess.Popen:
  """Starts a run, or goes on with it where it has begun.

  Args:
    run: its folder.
    command: of whether it goes on.
    environment: variables beside this process's.
    lock: that it holds.
    can_resume: else a run that has begun begins anew.
  """
  begun = can_resume and run_directory.holds_run(run)
  if not begun:
    _clear(run)
    run.parent.mkdir(parents=True, exist_ok=True)
  process = start(command(begun), log_of(run), environment, lock.fileno())
  lock.add(process.pid)
  return process


def _clear(run: pathlib.Path) -> None:
  """Removes what a run left that cannot be resumed.

  All but the list of its openings of the held-out days: were another policy
  judged on them now, that would be a second time.
  """
  for path in run.iterdir() if run.exists() else ():
    if path.is_dir():
      shutil.rmtree(path)
    elif path.name != ledger.FILE:
      path.unlink()


def start(
  command: Sequence[str],
  log: pathlib.Path,
  environment: Mapping[str, str],
  kept: int,
) -> subprocess.Popen:
  """Starts a run that Ctrl-C on this program's terminal does not reach.

  Args:
    command: of the run.
    log: that its output is added to.
    environment: variables beside this process's.
    kept: a file descriptor that it inherits, to hold what is locked.
  """
  with log.open('ab') as output:
    return subprocess.Popen(
      command,
      stdin=subprocess.DEVNULL,
      stdout=output,
      stderr=subprocess.STDOUT,
      env={**environment, **os.environ},
      pass_fds=(kept,),
      start_new_session=True,
    )


def failure(status: int, log: pathlib.Path) -> str:
  """Why a run failed, in one line: the last that it wrote."""
  text = log.read_text(encoding='utf-8', errors='replace')
  # A progress bar ends its lines by going back to their beginning.
  lines = [s.strip() for s in re.split(r'[\r\n]+', text) if s.strip()]
  last = lines[-1].removeprefix('error: ') if lines else 'wrote nothing'
  if status >= 0:
    return last
  hint = ', mostly a full memory' if status == -signal.SIGKILL else ''
  return f'ended by {signal.Signals(-status).name}{hint}; {last}'

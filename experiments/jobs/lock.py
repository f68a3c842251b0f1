"""Who works in a folder of many runs: a program and its runs, nobody else."""

import fcntl
import os
import pathlib


class Lock:
  """A file that stays locked until the last process that holds it ends.

  The lock goes with the open file, which the program's runs inherit. So one
  that outlives a killed program keeps the next from writing over what it
  writes.
  """

  def __init__(self, workdir: os.PathLike | str):
    """Locks a folder.

    Raises:
      ValueError: a process that works there still holds the lock.
    """
    self._file = (pathlib.Path(workdir) / 'lock').open('a+')
    try:
      fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
      self._file.seek(0)
      holders = [s for s in self._file.read().split() if _is_alive(int(s))]
      self._file.close()
      raise ValueError(
        f'--workdir: found a program or its runs still at work in {workdir} '
        f'(processes {", ".join(holders)}), expected none: let them end or '
        'end them first'
      ) from error
    self._file.truncate(0)
    self.add(os.getpid())

  def fileno(self) -> int:
    """The descriptor that a run inherits."""
    return self._file.fileno()

  def add(self, process: int) -> None:
    """Notes the number of a process that holds the lock."""
    self._file.write(f'{process}\n')
    self._file.flush()

  def close(self) -> None:
    """Lets go; runs that are still there do not."""
    self._file.close()


def _is_alive(process: int) -> bool:
  try:
    os.kill(process, 0)
  except ProcessLookupError:
    return False
  except PermissionError:  # of another user
    return True
  return True

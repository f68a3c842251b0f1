"""One process at a time works in a folder, with the processes it starts."""

import contextlib
import datetime
import errno
import fcntl
import json
import os
import pathlib
import platform
from collections.abc import Iterator
from typing import Any

from absl import logging

from eigen3 import parallel
from eigen3.files import naming

FILE = 'lock'


class Lock:
  """A file that stays locked until the last process that holds it ends.

  The lock belongs to the open file, which a program's runs inherit. So one
  that outlives a killed program keeps the next from writing over what it
  writes, and nothing is left locked by processes that are gone.
  """

  def __init__(self, folder: os.PathLike | str):
    """Locks a folder.

    Args:
      folder: must exist.

    Raises:
      ValueError: another process holds the lock, naming it.
    """
    self._path = pathlib.Path(folder) / FILE
    self._holders: list[int] = []
    while True:
      self._file = self._path.open('a+', encoding='utf-8')
      self._take(folder)
      if self._is_in_place():
        break
      self._file.close()  # of a file that its last holder has removed
    try:
      with naming(self._path):
        self._file.truncate(0)
        self.add(os.getpid())
    except OSError:
      self._path.unlink(missing_ok=True)
      raise

  def fileno(self) -> int:
    """The descriptor that a run inherits."""
    return self._file.fileno()

  def add(self, process: int) -> None:
    """Notes the number of a process of this host that holds the lock."""
    self._holders.append(process)
    now = datetime.datetime.now().astimezone().isoformat(timespec='seconds')
    holder = {'host': platform.node(), 'process': process, 'since': now}
    self._file.write(json.dumps(holder) + '\n')
    self._file.flush()

  def close(self) -> None:
    """Lets go; the file stays while a noted process is still there."""
    others = [x for x in self._holders if x != os.getpid()]
    if self._is_in_place() and not any(is_alive(x) for x in others):
      self._path.unlink()
    self._file.close()

  def _take(self, folder: os.PathLike | str) -> None:
    try:
      fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
      self._file.close()
      holders = '; '.join(
        f'process {x["process"]} on {x["host"]} since {x["since"]}'
        for x in holders_of(folder)
      )
      raise ValueError(
        f'{folder}: found it in use by {holders or "a process"}, expected no '
        'process at work there: let it end, or end it first'
      ) from error
    except OSError as error:
      if error.errno not in (errno.ENOLCK, errno.EOPNOTSUPP):
        raise
      logging.warning(
        '%s: this file system has no locks: a second process in this folder '
        'would not be noticed', folder
      )  # fmt: skip

  def _is_in_place(self) -> bool:
    """Whether the open file is the one that others would find."""
    try:
      return os.path.samestat(os.fstat(self.fileno()), os.stat(self._path))
    except FileNotFoundError:
      return False


@contextlib.contextmanager
def locked(folder: os.PathLike | str) -> Iterator[None]:
  """Locks a folder for all processes of a distributed run, which share it.

  Raises:
    ValueError: somebody else works there; raised in every process.
  """
  lock, reason = None, ''
  if parallel.is_first_process():
    try:
      lock = Lock(folder)
    except ValueError as error:
      reason = str(error)
  if parallel.agree(bool(reason)):
    raise ValueError(reason or f'{folder}: found it in use')
  try:
    yield
  finally:
    if lock is not None:
      lock.close()


def holders_of(folder: os.PathLike | str) -> list[dict[str, Any]]:
  """The `host`, `process` and `since` of each that may still be at work."""
  try:
    content = (pathlib.Path(folder) / FILE).read_bytes()
  except FileNotFoundError:
    return []
  noted = []
  for line in content.splitlines():
    with contextlib.suppress(ValueError):  # of a line that is being written
      noted.append(json.loads(line))
  here = platform.node()
  return [
    x
    for x in noted
    if _is_holder(x) and (x['host'] != here or is_alive(x['process']))
  ]


def _is_holder(noted: Any) -> bool:
  """Whether a line has what `Lock.add` writes."""
  return (
    isinstance(noted, dict)
    and {'host', 'process', 'since'} <= noted.keys()
    and isinstance(noted['process'], int)
  )


def is_alive(process: int) -> bool:
  """Whether there is a process of this host with a number."""
  try:
    os.kill(process, 0)
  except (ProcessLookupError, OverflowError):
    return False
  except PermissionError:  # of another user
    return True
  return True

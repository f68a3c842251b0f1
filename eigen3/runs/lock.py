"""Locks a folder so that only one run or program works in it at a time."""

import contextlib
import errno
import fcntl
import os
import pathlib
from collections.abc import Iterator
from typing import Any

from absl import logging

from eigen3 import parallel
from eigen3.files import naming
from eigen3.runs import holders

FILE = 'lock'


class Lock:
  """A lock on a folder, held until `close` or until this process ends.

  It is a lock on an open file, so a killed process leaves nothing locked. The
  file's text names the holder, for the messages of other processes. On a file
  system without locks, nothing is locked, and a warning is logged.
  """

  def __init__(self, folder: os.PathLike | str):
    """Locks a folder.

    Args:
      folder: the folder, which must exist.

    Raises:
      OSError: if the lock file cannot be opened, locked or written.
      ValueError: if the lock is held already; the message names the holder.
    """
    self._path = pathlib.Path(folder) / FILE
    while True:
      self._file = self._path.open('a+', encoding='utf-8')
      self._take(folder)
      if self._is_in_place():
        break
      self._file.close()  # a file that the previous holder has removed
    try:
      with naming(self._path):
        self._file.truncate(0)
        self._file.write(holders.line_of(os.getpid()))
        self._file.flush()
    except OSError:
      self._path.unlink(missing_ok=True)
      raise

  def close(self) -> None:
    """Releases the lock and removes its file."""
    if self._is_in_place():
      self._path.unlink()
    self._file.close()

  def _take(self, folder: os.PathLike | str) -> None:
    try:
      fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
      self._file.close()
      names = holders.names(holders_of(folder)) or 'a process'
      raise ValueError(
        f'{folder}: found it in use by {names}, expected no process at work '
        'there: wait for it to end, or stop it first'
      ) from error
    except OSError as error:
      if error.errno not in (errno.ENOLCK, errno.EOPNOTSUPP):
        raise
      logging.warning(
        '%s: this file system has no locks, so a second process in this folder '
        'is not detected', folder
      )  # fmt: skip

  def _is_in_place(self) -> bool:
    """Returns whether the path still leads to the file that is open here."""
    try:
      return os.path.samestat(
        os.fstat(self._file.fileno()), os.stat(self._path)
      )
    except FileNotFoundError:
      return False


@contextlib.contextmanager
def locked(folder: os.PathLike | str) -> Iterator[None]:
  """Locks a folder for the `with` block, for all processes of one run together.

  All of the run's processes must call this function; the first holds the lock.

  Raises:
    ValueError: if another program uses the folder; raised in every process.
  """
  lock, reason = None, ''
  if parallel.is_first_process():
    try:
      lock = Lock(folder)
    except ValueError as error:
      reason = str(error)
  if parallel.agree(bool(reason)):
    raise ValueError(
      reason
      or f'{folder}: found it in use by another process, expected no process '
      'at work there'
    )
  try:
    yield
  finally:
    if lock is not None:
      lock.close()


def holders_of(folder: os.PathLike | str) -> list[dict[str, Any]]:
  """Returns notes on processes that may hold a folder's lock.

  They are dicts as in `holders.read`. Processes that are known to have ended
  are left out.
  """
  try:
    found = holders.read(pathlib.Path(folder) / FILE)
  except FileNotFoundError:
    return []
  return [x for x in found if not holders.is_gone(x)]

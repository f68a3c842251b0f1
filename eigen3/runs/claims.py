"""Divides work among processes or machines that share a folder.

A claim on NAME is a file NAME.0 that only one process can create. Its holders
are that process and those that it adds, such as a run that it starts. If all
holders are gone, the next process that claims NAME creates NAME.1, and so on:
the claim with the highest number is valid. No process removes the valid claim
of another, so if two processes find the same holders gone, only one can take
over.

Whether a holder on the same machine is gone is looked up among the machine's
processes. A claim is renewed every `BEAT` seconds (`Claim.keep`), which sets
its file's modification time; holders on other machines count as gone `STALE`
seconds after the last renewal. Therefore the clocks of machines that share a
folder may differ by a few minutes at most. A run that outlives the program that
started it still counts as a holder on its own machine, but other machines may
take the claim over; the lock of the run's folder keeps them from writing there.
"""

import contextlib
import os
import pathlib
import time
from collections.abc import Iterator
from typing import Any

from absl import logging

from eigen3.files import naming
from eigen3.runs import holders

BEAT = 60.0  # seconds
STALE = 600.0  # seconds
_PATIENCE = 0.05  # seconds between two attempts
_WARN_AFTER = 5.0  # seconds of waiting


class Claim:
  """A claim, valid until it is released or all its holders count as gone."""

  def __init__(self, path: pathlib.Path):
    """Turns an empty file that this process has just created into a claim."""
    self._path = path
    self._beat = time.monotonic()
    self.add(os.getpid())

  def add(self, process: int) -> None:
    """Adds a process of this machine, given by its PID, as a holder."""
    with naming(self._path), self._path.open('a', encoding='utf-8') as file:
      file.write(holders.line_of(process))

  def keep(self) -> bool:
    """Renews the claim; returns False if it is lost.

    A claim is lost if another process has taken it over or removed its file.
    The process that took the claim must call this method at least every `BEAT`
    seconds, and no more once it has returned False. A call within `BEAT`
    seconds of the last attempt does nothing and returns True.
    """
    if time.monotonic() - self._beat < BEAT:
      return True
    self._beat = time.monotonic()
    with contextlib.suppress(FileNotFoundError):
      os.utime(self._path)
      return _files(self._path.with_suffix(''))[-1] == self._path
    return False

  def release(self) -> None:
    """Releases the claim."""
    self._path.unlink(missing_ok=True)


def take(name: os.PathLike | str) -> Claim | None:
  """Claims a name; returns None if a process already holds or is claiming it.

  Args:
    name: the path that is claimed; its parent folder is created if absent.
  """
  name = pathlib.Path(name)
  name.parent.mkdir(parents=True, exist_ok=True)
  before = _files(name)
  if any(map(_is_held, before)):
    return None
  number = 1 + int(before[-1].suffix[1:]) if before else 0
  path = name.with_name(f'{name.name}.{number}')
  try:
    path.touch(exist_ok=False)
  except FileExistsError:
    return None
  # Another process may be taking over from the same lost holder.
  if any(_is_held(other) for other in _files(name) if other != path):
    path.unlink(missing_ok=True)
    return None
  try:
    claim = Claim(path)
  except OSError:  # such as on a full disk; an empty claim would be valid
    path.unlink(missing_ok=True)
    raise
  for gone in before:
    gone.unlink(missing_ok=True)
  return claim


@contextlib.contextmanager
def held(name: os.PathLike | str) -> Iterator[None]:
  """Claims a name for the `with` block, as soon as no other process holds it.

  The claim is not renewed, so the block must end within `STALE` seconds.
  """
  warn_at = time.monotonic() + _WARN_AFTER
  while (claim := take(name)) is None:
    if time.monotonic() > warn_at:
      warn_at = float('inf')
      names = holders.names(holders_of(name)) or 'a process'
      logging.warning('%s: waiting for %s', name, names)
    time.sleep(_PATIENCE)
  try:
    yield
  finally:
    claim.release()


def holders_of(name: os.PathLike | str) -> list[dict[str, Any]]:
  """Returns notes on processes that may hold a claim on `name`.

  They are dicts as in `holders.read`. Processes that are known to have ended
  are left out.
  """
  found = []
  for file in _files(pathlib.Path(name)):
    # The claim may be released in the meantime.
    with contextlib.suppress(FileNotFoundError):
      if _is_held(file):
        found += holders.read(file)
  return [x for x in found if not holders.is_gone(x)]


def _files(name: pathlib.Path) -> list[pathlib.Path]:
  """Returns the files of all claims on a name, sorted by their numbers."""
  found = [
    path
    for path in name.parent.glob(f'{name.name}.*')
    if path.suffix[1:].isdigit() and path.stem == name.name
  ]
  return sorted(found, key=lambda path: int(path.suffix[1:]))


def _is_held(path: pathlib.Path) -> bool:
  try:
    age = time.time() - path.stat().st_mtime
    found = holders.read(path)
  except FileNotFoundError:
    return False
  here = [x for x in found if holders.is_of_here(x)]
  if here:
    return not all(map(holders.is_gone, here))
  return age < STALE

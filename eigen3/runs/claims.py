"""Who does what, where several processes or machines share a folder.

A claim on NAME is a file NAME.0 that only one can make. Where its holder is
gone, the next makes NAME.1, and so on: the last number holds. Nobody ever
removes what is another's and in force, so two that find the same holder gone
cannot both follow him.

Of this machine it is known whether a process is there. Another machine touches
its claims every `BEAT` seconds, and is taken for gone after `STALE` seconds;
clocks of machines that share a folder must agree to a few minutes. A run that
outlives the program that started it keeps its claim on its own machine only;
that nobody writes where it writes is seen to by the lock of its folder.
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
STALE = 600.0
_PATIENCE = 0.05  # seconds between two tries
_WARN_AFTER = 5.0  # of waiting, for whom


class Claim:
  """Held until it is released, or all processes that it names are gone."""

  def __init__(self, path: pathlib.Path):
    """Of a file that this process has just made, and is empty."""
    self._path = path
    self._beat = time.monotonic()
    self.add(os.getpid())

  def add(self, process: int) -> None:
    """Names a process of this machine that holds the claim, too."""
    with naming(self._path), self._path.open('a', encoding='utf-8') as file:
      file.write(holders.line_of(process))

  def keep(self) -> bool:
    """Shows that the holder is there; False if another has followed him.

    To be called often; most calls do nothing.
    """
    if time.monotonic() - self._beat < BEAT:
      return True
    self._beat = time.monotonic()
    with contextlib.suppress(FileNotFoundError):
      os.utime(self._path)
      return _files(self._path.with_suffix(''))[-1] == self._path
    return False

  def release(self) -> None:
    """Lets the next one have it."""
    self._path.unlink(missing_ok=True)


def take(name: os.PathLike | str) -> Claim | None:
  """Claims a name; None where it is held.

  Args:
    name: a path; the folder that it is in is made.
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
  # Whoever was gone may have made way for others since.
  if any(_is_held(other) for other in _files(name) if other != path):
    path.unlink(missing_ok=True)
    return None
  try:
    claim = Claim(path)
  except OSError:  # of a full disk; an empty claim would be in force
    path.unlink(missing_ok=True)
    raise
  for gone in before:
    gone.unlink(missing_ok=True)
  return claim


@contextlib.contextmanager
def held(name: os.PathLike | str) -> Iterator[None]:
  """Holds a name for a short while, after waiting for whoever has it."""
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
  """The notes of all that may hold a name; see `holders`."""
  files = [file for file in _files(pathlib.Path(name)) if _is_held(file)]
  found = [holder for file in files for holder in holders.read(file)]
  return [x for x in found if not holders.is_gone(x)]


def _files(name: pathlib.Path) -> list[pathlib.Path]:
  """All claims on a name, the last one last."""
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

"""Notes that name the holders of a lock or claim: a line of JSON a process.

A process is identified by its number and its start time, both relative to the
machine's last boot, so that a reused number does not match.
"""

import contextlib
import datetime
import functools
import json
import os
import pathlib
import platform
from typing import Any

_FIELDS = {'host': str, 'machine': str, 'process': int, 'began': str}


def line_of(process: int) -> str:
  """Returns the note that names a process of this machine, a line of JSON."""
  now = datetime.datetime.now().astimezone().isoformat(timespec='seconds')
  holder = {
    'host': platform.node(),
    'machine': _machine(),
    'process': process,
    'began': _began(process),
    'since': now,
  }
  return json.dumps(holder) + '\n'


def read(path: pathlib.Path) -> list[dict[str, Any]]:
  """Returns the notes in a file; other lines are skipped.

  Each has the host's name, `machine` (see `_machine`), the process's number,
  `began` (its start, as /proc counts) and `since`, the time of the note.

  Raises:
    FileNotFoundError: if there is no file.
  """
  found = []
  for line in path.read_bytes().splitlines():
    with contextlib.suppress(ValueError):
      holder = json.loads(line)
      if _is_note(holder):
        found.append(holder)
  return found


def is_of_here(holder: dict[str, Any]) -> bool:
  """Returns whether a note is of this machine, so that it can be checked."""
  return holder['machine'] == _machine()


def is_gone(holder: dict[str, Any]) -> bool:
  """Returns whether a process is known to have ended."""
  return is_of_here(holder) and not _is_alive(
    holder['process'], holder['began']
  )


def names(found: list[dict[str, Any]]) -> str:
  """Returns the holders' names for a message."""
  return '; '.join(
    f'process {x["process"]} on {x["host"]} since {x["since"]}' for x in found
  )


def _is_note(found: Any) -> bool:
  return (
    isinstance(found, dict)
    and 'since' in found
    and all(isinstance(found.get(x), kind) for x, kind in _FIELDS.items())
  )


def _is_alive(process: int, began: str) -> bool:
  try:
    os.kill(process, 0)
  except (ProcessLookupError, OverflowError):
    return False
  except PermissionError:  # of another user
    pass
  return _began(process) == began


def _began(process: int) -> str:
  """Returns a process's start time, '' without /proc."""
  with contextlib.suppress(OSError, IndexError):
    status = pathlib.Path(f'/proc/{process}/stat').read_text()
    # The name before the last parenthesis may hold anything.
    return status.rpartition(')')[2].split()[19]
  return ''


@functools.cache
def _machine() -> str:
  """Identifies a machine since its last boot, for numbers of processes.

  Containers have their own numbers, and may share the name of their host.
  """
  parts = [platform.node()]
  with contextlib.suppress(OSError):  # where there is no /proc
    boot = pathlib.Path('/proc/sys/kernel/random/boot_id')
    parts += [boot.read_text().strip(), os.readlink('/proc/self/ns/pid')]
  return ' '.join(parts)

"""Notes of who holds something: a line of JSON for each process.

A process is named by its number and by when it began, both of a machine since
its last start, so that a number that was given again names nobody.
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
  """The note of a process of this machine."""
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
  """Returns the notes in a file; lines that are no note are left out.

  Each has the host's name, `machine` (see `_machine`), the process's number,
  `began` (its start, as /proc counts) and `since`, when it wrote the note.

  Raises:
    FileNotFoundError: there is no file.
  """
  found = []
  for line in path.read_bytes().splitlines():
    with contextlib.suppress(ValueError):
      holder = json.loads(line)
      if _is_note(holder):
        found.append(holder)
  return found


def is_of_here(holder: dict[str, Any]) -> bool:
  """Whether a note is of this machine, where its process can be looked up."""
  return holder['machine'] == _machine()


def is_gone(holder: dict[str, Any]) -> bool:
  """Whether a process is known to have ended."""
  return is_of_here(holder) and not _is_alive(
    holder['process'], holder['began']
  )


def names(found: list[dict[str, Any]]) -> str:
  """Who they are, for a message."""
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
  """When a process began, '' where there is no /proc to tell."""
  with contextlib.suppress(OSError, IndexError):
    status = pathlib.Path(f'/proc/{process}/stat').read_text()
    # The name before the last parenthesis may hold anything.
    return status.rpartition(')')[2].split()[19]
  return ''


@functools.cache
def _machine() -> str:
  """What numbers of processes are of: a machine since its last start.

  Containers have numbers of their own, and may have the name of their host.
  """
  parts = [platform.node()]
  with contextlib.suppress(OSError):  # where there is no /proc
    boot = pathlib.Path('/proc/sys/kernel/random/boot_id')
    parts += [boot.read_text().strip(), os.readlink('/proc/self/ns/pid')]
  return ' '.join(parts)

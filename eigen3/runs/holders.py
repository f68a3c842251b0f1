"""Notes that name the holders of a lock or claim, one JSON line per process.

A process is identified by its number (PID), its start time, and its machine,
boot and container, so that another process with a reused number does not match.
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
  """Returns the note on a process of this machine, as a line of JSON.

  Args:
    process: the process's PID.
  """
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

  Each note has `host`, the host's name; `machine`, see `_machine`; `process`,
  the PID; `began`, the start of the process in clock ticks since boot, as text
  ('' without /proc); and `since`, the time when the note was written.

  Raises:
    FileNotFoundError: if the file does not exist.
  """
  found = []
  for line in path.read_bytes().splitlines():
    with contextlib.suppress(ValueError):
      holder = json.loads(line)
      if _is_note(holder):
        found.append(holder)
  return found


def is_of_here(holder: dict[str, Any]) -> bool:
  """Returns whether a holder belongs to this machine, boot and container.

  Only then can it be checked whether the process still runs.

  Args:
    holder: a note returned by `read`.
  """
  return holder['machine'] == _machine()


def is_gone(holder: dict[str, Any]) -> bool:
  """Returns whether a holder is known to have ended; False if unknown."""
  return is_of_here(holder) and not _is_alive(
    holder['process'], holder['began']
  )


def names(found: list[dict[str, Any]]) -> str:
  """Describes holders for a message; returns '' if there are none."""
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
  except PermissionError:  # a process of another user
    pass
  return _began(process) == began


def _began(process: int) -> str:
  """Returns `began` of a process, see `read`; '' if it is not in /proc."""
  with contextlib.suppress(OSError, IndexError):
    status = pathlib.Path(f'/proc/{process}/stat').read_text()
    # The name before the last parenthesis may hold anything.
    return status.rpartition(')')[2].split()[19]
  return ''


@functools.cache
def _machine() -> str:
  """Returns a text that identifies the PID namespace of this process.

  The text differs between machines, after a reboot, and between containers,
  which have their own PIDs but may share a host name. Without /proc it is only
  the host name.
  """
  parts = [platform.node()]
  with contextlib.suppress(OSError):  # where there is no /proc
    boot = pathlib.Path('/proc/sys/kernel/random/boot_id')
    parts += [boot.read_text().strip(), os.readlink('/proc/self/ns/pid')]
  return ' '.join(parts)

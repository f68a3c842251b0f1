"""Where compiled programs are kept; imports nothing that JAX needs."""

import contextlib
import hashlib
import os
import pathlib
import platform
import zlib

_CHECKED = 'checked'  # younger than all entries that were looked at
_ZLIB = b'\x78'  # how what zlib wrote begins


def folder(name: str, parent: str | None = None) -> str:
  """A folder for what was compiled on this kind of processor.

  JAX finds a program by what it is and by its own version, but not by the
  processor that it was compiled for, so each kind has a folder of its own.

  Args:
    name: of the folder, where `parent` is None.
    parent: by default eigen3/NAME in the user's cache folder.
  """
  if parent is None:
    home = os.environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache')
    parent = os.path.join(home, 'eigen3', name)
  return os.path.join(os.path.expanduser(parent), _processor())


def remove_damaged(folder: str) -> None:
  """Removes entries that a kill or a full disk cut short.

  JAX warns of one at every start, compiles again and never replaces it. Only
  entries that are younger than the last look are read. What zlib did not write
  (JAX prefers zstandard where that is installed) is left alone.
  """
  place = pathlib.Path(folder)
  with contextlib.suppress(OSError):  # another process may be cleaning, too
    mark = place / _CHECKED
    seen = mark.stat().st_mtime if mark.exists() else 0.0
    mark.touch()
    for entry in place.glob('*-cache'):
      if entry.stat().st_mtime >= seen and not _is_whole(entry):
        entry.unlink(missing_ok=True)


def _is_whole(entry: pathlib.Path) -> bool:
  content = entry.read_bytes()
  if content and not content.startswith(_ZLIB):
    return True
  try:
    zlib.decompress(content)
  except zlib.error:
    return False
  return True


def _processor() -> str:
  """A short name of what the processor can do."""
  features = platform.machine() + platform.processor()
  with contextlib.suppress(OSError), open('/proc/cpuinfo') as file:
    features += next((s for s in file if s.startswith(('flags', 'Feat'))), '')
  return hashlib.sha256(features.encode()).hexdigest()[:8]

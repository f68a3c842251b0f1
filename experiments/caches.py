"""Manages folders of compiled programs, without importing JAX."""

import contextlib
import hashlib
import os
import pathlib
import platform
import zlib

_CHECKED = 'checked'  # a file; its modification time is that of the last check
_ZLIB = b'\x78'  # the first byte of zlib's output


def folder(name: str, parent: str | None = None) -> str:
  """Returns the folder of programs compiled for this kind of processor.

  The key under which JAX caches a program includes JAX's version but not the
  processor, so each kind of processor has its own folder.

  Args:
    name: name of the cache, used only if `parent` is None.
    parent: the folder that contains those of all kinds of processors; by
      default eigen3/NAME in the user's cache folder.
  """
  if parent is None:
    home = os.environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache')
    parent = os.path.join(home, 'eigen3', name)
  return os.path.join(os.path.expanduser(parent), _processor())


def remove_damaged(folder: str) -> None:
  """Removes cache entries that were truncated by a kill or a full disk.

  Otherwise, whenever a program needs such an entry, JAX would warn, compile
  again and not replace the entry. Only entries that are newer than the last
  check are read. Entries that zlib did not compress (JAX prefers zstandard if
  that is installed) are not checked.
  """
  place = pathlib.Path(folder)
  with contextlib.suppress(OSError):  # another process may be removing them
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
  """Returns a short hash of the processor's type and features."""
  features = platform.machine() + platform.processor()
  with contextlib.suppress(OSError), open('/proc/cpuinfo') as file:
    features += next((s for s in file if s.startswith(('flags', 'Feat'))), '')
  return hashlib.sha256(features.encode()).hexdigest()[:8]

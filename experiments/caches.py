"""Where compiled programs are kept; imports nothing that JAX needs."""

import contextlib
import hashlib
import os
import platform


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


def _processor() -> str:
  """A short name of what the processor can do."""
  features = platform.machine() + platform.processor()
  with contextlib.suppress(OSError), open('/proc/cpuinfo') as file:
    features += next((s for s in file if s.startswith(('flags', 'Feat'))), '')
  return hashlib.sha256(features.encode()).hexdigest()[:8]

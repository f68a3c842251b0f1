"""Describes a benchmark's run: machine, load, versions, commit, flags."""

import contextlib
import importlib.metadata
import os
import pathlib
import platform
from collections.abc import Mapping
from typing import Any

from eigen3.runs import run_directory
from experiments import backend

_PACKAGES = ('jax', 'jaxlib', 'dm-haiku', 'optax', 'numpy', 'torch')
# Environment variables that affect the speed or memory of cases.
_VARIABLES = (
  'XLA_FLAGS',
  'OMP_NUM_THREADS',
  'MKL_NUM_THREADS',
  'MALLOC_ARENA_MAX',
)


def surroundings(flags: Mapping[str, Any]) -> dict[str, Any]:
  """Returns the given flags, the commit, machine and versions, for JSON."""
  return {
    'flags': dict(flags),
    'commit': run_directory.commit(),
    'machine': {
      'processor': _processor(),
      'cores': backend.cores(),
      'memory_bytes': _memory_bytes(),
      'platform': platform.platform(),
      'variables': {
        name: os.environ[name] for name in _VARIABLES if name in os.environ
      },
    },
    'versions': {'python': platform.python_version(), **_versions()},
  }


def load() -> list[float] | None:
  """Returns load averages over 1, 5 and 15 minutes; None if unavailable."""
  with contextlib.suppress(OSError, AttributeError):
    return list(os.getloadavg())
  return None


def _versions() -> dict[str, str]:
  found = {}
  for name in _PACKAGES:
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
      found[name] = importlib.metadata.version(name)
  return found


def _processor() -> str:
  """Returns the processor's model, or else its architecture; '' if unknown."""
  with contextlib.suppress(OSError):
    text = pathlib.Path('/proc/cpuinfo').read_text(encoding='utf-8')
    for line in text.splitlines():
      if line.startswith('model name'):
        return line.partition(':')[2].strip()
  return platform.processor()


def _memory_bytes() -> int | None:
  with contextlib.suppress(OSError, ValueError, AttributeError):
    return os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')
  return None

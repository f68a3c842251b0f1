"""Memory that this process holds, in bytes, and on what device."""

import contextlib
import ctypes
import gc
import pathlib
import resource
import sys
from typing import Any

_STATUS = pathlib.Path('/proc/self/status')


def resident_bytes() -> int:
  """What is held now; the peak so far where the system does not tell."""
  return _status('VmRSS') or _largest()


def peak_bytes() -> int:
  """The most that was held at any time.

  Linux's getrusage counts what the parent held when it started this process
  as this process's own; the kernel's status file does not.
  """
  return _status('VmHWM') or _largest()


def device_peak_bytes() -> int | None:
  """The most that was held of an accelerator, by its own statistics."""
  if torch := _torch_on_gpu():
    return torch.cuda.max_memory_allocated()
  if jax := sys.modules.get('jax'):
    stats = jax.devices()[0].memory_stats() or {}
    return stats.get('peak_bytes_in_use')
  return None


def device_kind() -> str:
  """What JAX, or else PyTorch, computes on; '' if neither does."""
  if torch := _torch_on_gpu():
    return torch.cuda.get_device_name()
  if 'torch' in sys.modules:
    return 'cpu'
  if jax := sys.modules.get('jax'):
    return jax.devices()[0].device_kind
  return ''


def _torch_on_gpu() -> Any:
  """PyTorch where it computes on a GPU, else None.

  Asked first: what a case of PyTorch reads of the project imports JAX, too,
  and to ask JAX for its devices takes most of a GPU's memory.
  """
  torch = sys.modules.get('torch')
  return torch if torch is not None and torch.cuda.is_available() else None


def release() -> None:
  """Returns freed memory to the system, where the C library can."""
  gc.collect()
  with contextlib.suppress(OSError, AttributeError):
    ctypes.CDLL(None).malloc_trim(0)


def _status(field: str) -> int:
  """A field of the status file in bytes, or 0."""
  with contextlib.suppress(OSError):
    for line in _STATUS.read_text(encoding='utf-8').splitlines():
      if line.startswith(f'{field}:'):
        return int(line.split()[1]) * 1024
  return 0


def _largest() -> int:
  unit = 1 if sys.platform == 'darwin' else 1024
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit

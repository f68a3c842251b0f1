"""Measures this process's memory in bytes, and names the kind of its device."""

import contextlib
import ctypes
import gc
import pathlib
import resource
import sys
from typing import Any

_STATUS = pathlib.Path('/proc/self/status')


def resident_bytes() -> int:
  """Returns the resident memory, or its peak where only that is reported."""
  return _status('VmRSS') or _largest()


def peak_bytes() -> int:
  """Returns the peak resident memory.

  On Linux this is read from the kernel's status file: getrusage, which is used
  elsewhere, would include the parent's memory at the start of this process.
  """
  return _status('VmHWM') or _largest()


def device_peak_bytes() -> int | None:
  """Returns the first accelerator's peak memory; None if unknown or on a CPU.

  PyTorch reports the peak if it computes on a GPU, otherwise JAX does.
  """
  if torch := _torch_on_gpu():
    return torch.cuda.max_memory_allocated()
  if jax := sys.modules.get('jax'):
    stats = jax.devices()[0].memory_stats() or {}
    return stats.get('peak_bytes_in_use')
  return None


def device_kind() -> str:
  """Returns the kind of device that PyTorch or else JAX computes on.

  It is '' if neither is imported.
  """
  if torch := _torch_on_gpu():
    return torch.cuda.get_device_name()
  if 'torch' in sys.modules:
    return 'cpu'
  if jax := sys.modules.get('jax'):
    return jax.devices()[0].device_kind
  return ''


def _torch_on_gpu() -> Any:
  """Returns the module torch if it is imported and finds a GPU, else None.

  Callers ask PyTorch before JAX: cases in PyTorch also import JAX, by importing
  parts of the project, and asking JAX for its devices would make it allocate
  most of a GPU's memory.
  """
  torch = sys.modules.get('torch')
  return torch if torch is not None and torch.cuda.is_available() else None


def release() -> None:
  """Collects garbage, and returns freed memory to the system if possible."""
  gc.collect()
  with contextlib.suppress(OSError, AttributeError):
    ctypes.CDLL(None).malloc_trim(0)


def _status(field: str) -> int:
  """Returns a field of the status file in bytes; 0 if it is not available."""
  with contextlib.suppress(OSError):
    for line in _STATUS.read_text(encoding='utf-8').splitlines():
      if line.startswith(f'{field}:'):
        return int(line.split()[1]) * 1024
  return 0


def _largest() -> int:
  unit = 1 if sys.platform == 'darwin' else 1024
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit

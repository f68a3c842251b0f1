"""Sets JAX up for programs: devices, compilation cache, error messages."""

import atexit
import contextlib
import os
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

import jax
from absl import logging

from eigen3 import parallel
from experiments import caches
from experiments.command_line import MOST_DEVICES, STOPPED, one_line

_ADVICE = 'to need less, lower '
# Settings that need less memory if lowered; lowering the first costs the least
# time.
_MEMORY = (
  'networks.sequence_block',
  'agent.acting_chunk',
  'agent.batch_size',
  'ranker.batch_size',
)
_PATIENCE = 5.0  # seconds that a failed first process waits for the others


def split_cpu(num_devices: int) -> None:
  """Splits the CPU into devices; call it before JAX's first computation.

  The small matrix products of a recurrent loop use only one core of a device,
  so with one device for each core all cores are used. If `num_devices` is 0,
  there is a device for each core, at most `MOST_DEVICES`, unless the
  environment variable JAX_NUM_CPU_DEVICES sets another number.
  """
  if not num_devices and 'JAX_NUM_CPU_DEVICES' in os.environ:
    return
  devices = num_devices or min(cores(), MOST_DEVICES)
  jax.config.update('jax_num_cpu_devices', devices)


def keep_compiled(folder: str | None) -> None:
  """Lets JAX cache compiled programs on disk.

  The environment variable JAX_COMPILATION_CACHE_DIR takes precedence. If the
  folder cannot be made, a warning is logged and nothing is cached.

  Args:
    folder: the value of --compilation_cache: 'none' for no cache, None for the
      default folder.
  """
  if folder == 'none' or 'JAX_COMPILATION_CACHE_DIR' in os.environ:
    return
  place = caches.folder('compiled', folder)
  try:
    os.makedirs(place, exist_ok=True)
  except OSError as error:
    logging.warning(
      '--compilation_cache: %s; nothing is cached', one_line(error)
    )
    return
  caches.remove_damaged(place)
  jax.config.update('jax_compilation_cache_dir', place)
  jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.5)


def about_compiling() -> str:
  """Returns a message about the time that the first compilation takes."""
  folder = jax.config.values['jax_compilation_cache_dir']
  later = f', or seconds if {folder} holds the programs' if folder else ''
  # By preset: on two cores 15 s for small, and about 50 s for a population of
  # smoke; on an H200 65 s for full (docs/performance.md).
  return f'compiling first: up to a minute{later}'


def cores() -> int:
  """Returns the number of cores that this process may use."""
  if hasattr(os, 'sched_getaffinity'):
    return len(os.sched_getaffinity(0))
  return os.cpu_count() or 1


@contextlib.contextmanager
def advising_on_memory(in_use: Mapping[str, Any]) -> Iterator[None]:
  """Adds advice on saving memory to JAX's errors: which settings to lower.

  `reporting_errors` shows the advice only if memory was full.

  Args:
    in_use: values of settings, none of them 'auto', keyed by full name, such
      as 'agent.batch_size'. At least one setting must be in `_MEMORY`.
  """
  try:
    yield
  except jax.errors.JaxRuntimeError as error:
    first, *others = [
      f'{name} (now {in_use[name] or "0, all at once: set a number above 0"})'
      for name in _MEMORY
      if name in in_use
    ]
    keeps = in_use.get('networks.remat') is False
    more = ' and set networks.remat=True' if keeps else ''
    then = ' or '.join(others)
    error.add_note(f'{_ADVICE}{first}{more}; if that is too little, {then}')
    raise


@contextlib.contextmanager
def reporting_errors() -> Iterator[None]:
  """Turns an error of JAX that a user can fix into a one-line ValueError.

  If a run has several processes, JAX makes a failed process wait until the
  others end. Here a failed process exits at once; only the first one waits a
  few seconds before, so that the others can print their errors.
  """
  try:
    yield
  except BaseException as error:
    is_interrupt = isinstance(error, KeyboardInterrupt)
    _leave_without_others(STOPPED if is_interrupt else 1)
    reason = _reason(error)
    if reason:
      raise ValueError(reason) from error
    raise


def _reason(error: BaseException) -> str:
  """Returns the message for an error of JAX that a user can fix, else ''."""
  if isinstance(error, jax.errors.JaxRuntimeError):
    if 'RESOURCE_EXHAUSTED' in str(error):
      return _out_of_memory(error)
    if 'Gloo' in str(error):
      return (
        f'found that another process of this run has ended ({one_line(error)}),'
        ' expected all processes to run until the end'
      )
  return ''


def _leave_without_others(status: int) -> None:
  """Registers an exit handler that does not wait for the run's other processes.

  Exit handlers that were registered before are skipped. JAX's handler would
  wait for the other processes, which wait for this one; once this one is gone,
  they fail, too. All end as soon as the first process is gone, so the first one
  waits a few seconds, in which the others can print their errors. If JAX is not
  distributed, nothing is registered.

  Args:
    status: the exit status of this process.
  """
  if not jax.distributed.is_initialized():
    return

  def leave():
    sys.stdout.flush()
    sys.stderr.flush()
    with contextlib.suppress(KeyboardInterrupt):
      time.sleep(_PATIENCE if parallel.is_first_process() else 0)
    os._exit(status)

  atexit.register(leave)


def _out_of_memory(error: BaseException) -> str:
  """Returns a one-line message for an error that reports full memory.

  The message of the error itself can be pages long.
  """
  lines = str(error).splitlines()
  line = next(s for s in lines if 'RESOURCE_EXHAUSTED' in s)
  reason = line.partition('RESOURCE_EXHAUSTED')[2].strip(' :.')
  notes = [x for x in getattr(error, '__notes__', ()) if _ADVICE in x]
  advice = notes[0] if notes else f'{_ADVICE}{" or ".join(_MEMORY)}'
  return (
    f'found the memory of the device full ({reason}), expected settings that '
    f'fit; {advice}'
  )

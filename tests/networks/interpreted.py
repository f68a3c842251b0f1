"""Runs GPU kernels on a CPU by JAX's interpreter.

It runs a program's warpgroups as threads that wait for one another as on the
device. Its search for races does not see what products read, so threads are
held up at random: where a wait is missing, one comes too early and the results
are wrong. It is not public yet, so tests skip where it is not as they know it.
Kernels are not to be called under jit: there its threads wait for those of the
compiled program.
"""

import contextlib
import functools
import random
import time
from unittest import mock

import pytest

_PACKAGE = 'jax._src.pallas.mosaic_gpu.interpret'
_REASON = "this jax has no interpreter of Mosaic GPU's kernels that does all"
_HELD_UP = (
  'wgmma',
  'wgmma_accumulator_deref',
  'copy_smem_to_gmem',
  '_execute_device_local_memory_transfer',
  '_barrier_arrive',
  '_barrier_wait',
  '_get',
  '_swap',
)
_SHARE, _SECONDS = 0.25, 0.02  # of calls that are held up, and how long at most


@contextlib.contextmanager
def interpreted(seed=0):
  """Runs kernels in the interpreter; fails if it detects a race."""
  params, call, callbacks = map(
    _module, ('params', 'interpret_pallas_call', 'gpu_callbacks')
  )
  if not hasattr(params, 'force_gpu_interpret_mode'):
    pytest.skip(_REASON)
  call.reset_gpu_interpret_mode_state()
  given = params.InterpretGPUParams(detect_races=True)
  with contextlib.ExitStack() as stack:
    stack.enter_context(params.force_gpu_interpret_mode(given))
    rng = random.Random(seed)
    # Names differ between versions.
    for name in filter(functools.partial(hasattr, callbacks), _HELD_UP):
      held_up = _held_up(getattr(callbacks, name), rng)
      stack.enter_context(mock.patch.object(callbacks, name, held_up))
    yield
  assert not call.get_races().races_found


def _module(name):
  return pytest.importorskip(
    f'{_PACKAGE}.{name}', reason=_REASON, exc_type=ImportError
  )


def _held_up(function, rng):
  @functools.wraps(function)
  def wrapped(*arguments, **options):
    if rng.random() < _SHARE:
      time.sleep(rng.random() * _SECONDS)
    return function(*arguments, **options)

  return wrapped

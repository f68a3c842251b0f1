"""Kernels for a GPU, run on a CPU by JAX's interpreter of them.

It runs a program's warpgroups as threads that wait for one another as on the
device, and finds what one of them reads while another writes. It is not public
yet, so tests skip where it is not as they know it. Kernels are not to be
called under jit: there its threads wait for those of the compiled program.
"""

import contextlib

import pytest

_REASON = "this jax has no interpreter of Mosaic GPU's kernels that does all"


@contextlib.contextmanager
def interpreted():
  """Runs kernels so; fails where the interpreter saw a race."""
  package = 'jax._src.pallas.mosaic_gpu.interpret'
  params, call = (
    pytest.importorskip(
      f'{package}.{name}', reason=_REASON, exc_type=ImportError
    )
    for name in ('params', 'interpret_pallas_call')
  )
  if not hasattr(params, 'force_gpu_interpret_mode'):
    pytest.skip(_REASON)
  call.reset_gpu_interpret_mode_state()
  given = params.InterpretGPUParams(detect_races=True)
  with params.force_gpu_interpret_mode(given):
    yield
  assert not call.get_races().races_found

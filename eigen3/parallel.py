"""What depends on blocks and devices: padding, and options of the compiler.

Whatever spreads an axis over blocks or devices needs its size to be a
multiple. No other module asks what it runs on.
"""

import os

import jax
import jax.numpy as jnp

from eigen3.types import Array


def pad_to_multiple(
  x: Array, multiple: int, axis: int, value: float = 0
) -> Array:
  """`x` with `axis` extended by `value` to a multiple of `multiple`.

  Args:
    x: any array; returned as it is when its size already fits.
    multiple: positive block size.
    axis: the axis to extend, at its end.
    value: what the padding holds.

  Returns:
    The padded array.

  Raises:
    ValueError: if `multiple` is not positive.
  """
  missing = padding(x.shape[axis], multiple)
  if not missing:
    return x
  widths = [(0, 0)] * x.ndim
  widths[axis] = (0, missing)
  return jnp.pad(x, widths, constant_values=value)


def padding(size: int, multiple: int) -> int:
  """How many entries `size` lacks to be a multiple of `multiple`."""
  if multiple < 1:
    raise ValueError(f'multiple: found {multiple}, expected at least 1')
  return -size % multiple


def compiler_options() -> dict[str, int]:
  """Options of `jax.jit` for long programs of many small loops.

  On a CPU, LLVM's second level of optimisation compiles a training iteration
  sooner than the third, and the result ran faster side by side (README,
  measured results); forward passes alone did not gain. A level that XLA_FLAGS
  sets is left alone.
  """
  chosen = 'xla_backend_optimization_level' in os.environ.get('XLA_FLAGS', '')
  if jax.default_backend() != 'cpu' or chosen:
    return {}
  return {'xla_backend_optimization_level': 2}

"""Padding and masking of sizes that do not divide evenly.

Whatever spreads an axis over blocks or devices needs its size to be a
multiple; this module is the one place that pads and says which part is real.
It is also the home of device meshes, so that no other module knows devices.
"""

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


def padding_mask(size: int, multiple: int) -> Array:
  """bool [padded size], True where the entry is real and not padding."""
  return jnp.arange(size + padding(size, multiple)) < size


def compiler_options() -> dict[str, int]:
  """Options of `jax.jit` for long programs of many small loops.

  On a CPU, LLVM's second level of optimisation compiles them in two thirds of
  the third level's time, and what it makes was never slower.
  """
  if jax.default_backend() != 'cpu':
    return {}
  return {'xla_backend_optimization_level': 2}

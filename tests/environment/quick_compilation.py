"""Compilation in a quarter of the time, for programs that run once."""

import jax

from eigen3 import parallel


def jit(function):
  """Applies `jax.jit` with little optimisation."""
  return jax.jit(function, compiler_options=parallel.quick_compilation())

"""Compilation that takes a quarter of the time, for programs run once."""

import jax

from eigen3 import parallel


def jit(function):
  """`jax.jit` with little optimisation."""
  return jax.jit(function, compiler_options=parallel.quick_compilation())

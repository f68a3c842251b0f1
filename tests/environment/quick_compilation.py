"""Compilation that takes a quarter of the time, for programs run once."""

import functools

import jax

_OPTIONS = {
  'xla_backend_optimization_level': 0,
  'xla_cpu_use_fusion_emitters': False,
}


def jit(function):
  """`jax.jit` with little optimisation, where this XLA knows how."""
  return jax.jit(function, compiler_options=_known_options())


@functools.cache
def _known_options():
  try:
    jax.jit(lambda x: x + 1, compiler_options=_OPTIONS)(0)
  except Exception:  # an option that another version does not know
    return None
  return _OPTIONS

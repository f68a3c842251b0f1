"""Layers that all networks use, initialised as in PyTorch."""

import contextlib
import math
from typing import NamedTuple

import haiku as hk
import jax
import jax.numpy as jnp
import jmp

from eigen3 import settings
from eigen3.types import Array

_LAYER_NORM_EPSILON = 1e-5
# The dtype of parameters and statistics for each compute dtype.
WIDE = {
  'bfloat16': 'float32',
  'float16': 'float32',
  'float32': 'float32',
  'float64': 'float64',
}


class Affine(NamedTuple):
  """The parameters of an affine map from I inputs to O: w [I, O] and b [O]."""

  w: Array
  b: Array


def at_precision(precision: str) -> contextlib.AbstractContextManager:
  """Returns a context manager that sets the precision of matrix products.

  It applies to code traced within it. 'default' keeps JAX's current setting.
  """
  if precision == 'default':
    return contextlib.nullcontext()
  return jax.default_matmul_precision(precision)


def precision_policy(compute_dtype: str) -> jmp.Policy:
  """Returns the jmp policy, a set of dtypes, for `networks.compute_dtype`.

  bfloat16 and float16 apply only to the operands of matrix products and to the
  LSTM's gates, hidden states and, in some implementations, stored cell states.
  Parameters, statistics, current cell states and outputs stay float32. float32
  and float64 apply to everything.

  Raises:
    ValueError: for any other dtype, or for float64 if JAX has it disabled.
  """
  settings.require(
    compute_dtype in WIDE,
    'networks.compute_dtype',
    compute_dtype,
    f'one of {", ".join(WIDE)}',
  )
  settings.require(
    compute_dtype != 'float64' or jax.config.read('jax_enable_x64'),
    'networks.compute_dtype',
    compute_dtype,
    'float32, bfloat16 or float16, because JAX_ENABLE_X64 is not set and JAX '
    'would round float64 to float32',
  )
  return jmp.Policy(
    param_dtype=jnp.dtype(WIDE[compute_dtype]),
    compute_dtype=jnp.dtype(compute_dtype),
    output_dtype=jnp.dtype(WIDE[compute_dtype]),
  )


def uniform_initializer(fan_in: int) -> hk.initializers.Initializer:
  """Returns PyTorch's default initialiser: uniform in +-1/sqrt(fan_in)."""
  bound = 1.0 / math.sqrt(fan_in)
  return hk.initializers.RandomUniform(-bound, bound)


class Linear(hk.Module):
  """An affine map of the last axis; see `affine` for the dtypes."""

  def __init__(self, size: int, policy: jmp.Policy, name: str):
    super().__init__(name=name)
    self._size = size
    self._policy = policy

  def __call__(self, x: Array) -> Array:
    """Maps [..., I] to [..., size]."""
    parameters = affine_parameters(x.shape[-1], self._size, self._policy)
    return affine(x, parameters, self._policy)


class LayerNorm(hk.Module):
  """Layer normalisation over the last axis, with learned scale and offset."""

  def __init__(self, policy: jmp.Policy, name: str):
    super().__init__(name=name)
    self._policy = policy

  def __call__(self, x: Array) -> Array:
    """Maps [..., E] to [..., E], in the policy's output dtype."""
    size, dtype = x.shape[-1:], self._policy.param_dtype
    scale = hk.get_parameter('scale', size, dtype, jnp.ones)
    offset = hk.get_parameter('offset', size, dtype, jnp.zeros)
    x = x.astype(self._policy.output_dtype)
    mean = x.mean(-1, keepdims=True)
    variance = jnp.square(x - mean).mean(-1, keepdims=True)
    normal = (x - mean) * jax.lax.rsqrt(variance + _LAYER_NORM_EPSILON)
    return normal * scale + offset


def affine_parameters(inputs: int, outputs: int, policy: jmp.Policy) -> Affine:
  """Returns the current Haiku module's w [inputs, outputs] and b [outputs]."""
  init = uniform_initializer(inputs)
  dtype = policy.param_dtype
  w = hk.get_parameter('w', (inputs, outputs), dtype, init)
  b = hk.get_parameter('b', (outputs,), dtype, init)
  return Affine(w, b)


def affine(x: Array, parameters: Affine, policy: jmp.Policy) -> Array:
  """Returns `x @ w + b`: multiplies in compute_dtype, sums in output_dtype."""
  return product(x, parameters.w, policy) + parameters.b


def beside(x: Array, y: Array) -> Array:
  """Concatenates x [..., E] and y [..., E'] to [..., E + E'], in x's dtype."""
  return jnp.concatenate([x, y.astype(x.dtype)], -1)


def product(x: Array, w: Array, policy: jmp.Policy) -> Array:
  """Returns `x @ w`: multiplies in compute_dtype, sums in output_dtype."""
  x, w = policy.cast_to_compute((x, w))
  return jnp.matmul(x, w, preferred_element_type=policy.output_dtype)

"""Dropout whose draws belong to an example, not to its place in a batch.

A mask depends only on the key and on the example's identity, so chunking,
micro-batches and devices change speed and memory but never values.
"""

import math

import haiku as hk
import jax
import jax.numpy as jnp

from eigen3.types import Array, PRNGKey

# A draw is 16 bits: two masks' entries for one word of the generator.
_DRAWS = 1 << 16


def fold_in_each(key: PRNGKey, identities: Array) -> Array:
  """A key per identity: int [...] to keys [..., 2]."""
  fold = jax.random.fold_in
  for _ in range(identities.ndim):
    fold = jax.vmap(fold, in_axes=(None, 0))
  return fold(key, identities)


def keep_scale(key: PRNGKey, rate: float, shape: tuple[int, ...], dtype):
  """Inverted dropout's factors: 0 with probability `rate`, else 1 / (1 - rate).

  The rate is rounded to a multiple of 2^-16 and the scale follows it, so that
  the expectation is exactly 1.

  Args:
    key: consumed.
    rate: probability of a zero, in [0, 1).
    shape: of the result.
    dtype: of the result.

  Returns:
    An array of `shape` and `dtype`.
  """
  dropped = round(rate * _DRAWS)
  size = math.prod(shape)
  words = jax.random.bits(key, ((size + 1) // 2,), jnp.uint32)
  draws = jax.lax.bitcast_convert_type(words, jnp.uint16).reshape(-1)[:size]
  kept = draws.reshape(shape) >= dropped
  return jnp.where(kept, _DRAWS / (_DRAWS - dropped), 0.0).astype(dtype)


def dropout(x: Array, rate: float, is_training: bool, examples: Array) -> Array:
  """Drops entries of `x` [B, ...] while training; consumes one Haiku key.

  Args:
    x: activations, batch first.
    rate: probability of a zero, in [0, 1).
    is_training: otherwise `x` is returned as it is and no key is needed.
    examples: int32 [B], identities folded into the key.

  Returns:
    An array like `x`.
  """
  if not is_training or rate == 0.0:
    return x
  keys = fold_in_each(hk.next_rng_key(), examples)
  scale = jax.vmap(lambda key: keep_scale(key, rate, x.shape[1:], x.dtype))
  return x * scale(keys)

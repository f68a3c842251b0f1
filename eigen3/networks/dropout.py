"""Dropout whose masks do not depend on an example's place in a batch.

A mask depends only on the key and the example's identity, a number that the
caller gives. So splitting a batch into chunks or micro-batches, or among
devices, changes speed and memory but not the masks. JAX's generator derives a
key for each example. The many draws of each key are short hashes of a counter:
on a CPU they cost a fraction of JAX's own draws, and XLA can fuse them into the
multiplication by the mask.
"""

import math

import haiku as hk
import jax
import jax.numpy as jnp

from eigen3.types import Array, PRNGKey


def fold_in_each(key: PRNGKey, identities: Array) -> Array:
  """Returns a key for each identity: int [...] to keys [..., 2]."""
  fold = jax.random.fold_in
  for _ in range(identities.ndim):
    fold = jax.vmap(fold, in_axes=(None, 0))
  return fold(key, identities)


def keep_scale(
  keys: Array,
  rate: float,
  shape: tuple[int, ...],
  dtype,
  first: int | Array = 0,
) -> Array:
  """Draws inverted dropout factors: 0 with probability `rate`, else 1/(1-rate).

  Args:
    keys: uint32 [..., 2]; consumed.
    rate: probability of a zero, in [0, 1).
    shape: of the factors of one key.
    dtype: of the result.
    first: number of draws of each key to skip, so that a part of a larger shape
      gets the same draws as within the whole.

  Returns:
    [*shape, ...]; the keys' axes come last.
  """
  counter = jnp.arange(math.prod(shape), dtype=jnp.uint32).reshape(shape)
  counter += jnp.asarray(first, jnp.uint32)
  counter = jnp.expand_dims(counter, tuple(range(-keys.ndim + 1, 0)))
  draws = _mix(_mix(counter + keys[..., 0]) ^ keys[..., 1])
  kept = draws >= jnp.uint32(round(rate * 2**32))
  return jnp.where(kept, 1 / (1 - rate), 0.0).astype(dtype)


def dropout(x: Array, rate: float, is_training: bool, examples: Array) -> Array:
  """Drops entries of `x` [B, ...] while training; consumes one Haiku key.

  Args:
    x: activations, batch first.
    rate: probability of a zero, in [0, 1).
    is_training: if False, or if `rate` is 0, `x` is returned unchanged and no
      key is needed.
    examples: int32 [B], identities folded into the key.

  Returns:
    An array like `x`; the entries that are kept are divided by 1 - rate.
  """
  if not is_training or rate == 0.0:
    return x
  keys = fold_in_each(hk.next_rng_key(), examples)
  scale = jax.vmap(lambda key: keep_scale(key, rate, x.shape[1:], x.dtype))
  return x * scale(keys)


def _mix(word: Array) -> Array:
  """Applies MurmurHash3's finaliser (Appleby, 2011), a bijection of uint32."""
  word = (word ^ (word >> 16)) * jnp.uint32(0x85EBCA6B)
  word = (word ^ (word >> 13)) * jnp.uint32(0xC2B2AE35)
  return word ^ (word >> 16)

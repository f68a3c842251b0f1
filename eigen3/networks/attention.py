"""Attention over columns: one learned query, or every column asking."""

import functools
from collections.abc import Callable

import haiku as hk
import jax
import jax.numpy as jnp
import jmp
import ml_collections

from eigen3.networks import dropout, layers
from eigen3.types import Array

_SMALLEST_SUM = 1e-9  # of weights that are renormalised


class ColumnMean(hk.Module):
  """Mean over columns, in which each counts as much as was learnt of its place.

  All columns are encoded with the same weights, so nothing else tells one that
  matters to all, such as an index, from any other. It begins as a plain mean.
  """

  def __init__(
    self,
    config: ml_collections.ConfigDict,
    policy: jmp.Policy,
    name: str = 'column_mean',
  ):
    super().__init__(name=name)
    self._gain = config.column_gain
    self._policy = policy

  def __call__(self, features: Array) -> Array:
    """[B, C, E] to [B, E]."""
    if not self._gain:
      return features.mean(1)
    shape, dtype = features.shape[1:2], self._policy.param_dtype
    logits = hk.get_parameter('logits', shape, dtype, jnp.zeros)
    return column_mean(features, self._gain * logits)


class ContextNumbers(hk.Module):
  """A few numbers of every column that cannot be bought, by one shared map.

  A mean over columns has to find one that matters to all among many, while it
  is drowned by the others. Here each has inputs of its own to what comes next.
  Stocks have none: their order must not matter.
  """

  def __init__(
    self,
    config: ml_collections.ConfigDict,
    policy: jmp.Policy,
    investable: tuple[int, int],
    name: str = 'context_numbers',
  ):
    super().__init__(name=name)
    self._count = config.context_numbers
    self._policy = policy
    self._investable = investable

  def __call__(self, features: Array) -> Array:
    """[B, C, E] to [B, (C - N) * context_numbers]."""
    first, stop = self._investable
    others = jnp.concatenate([features[:, :first], features[:, stop:]], 1)
    if not self._count or not others.shape[1]:
      return jnp.zeros((len(features), 0), features.dtype)
    numbers = layers.Linear(self._count, self._policy, 'linear')(others)
    return numbers.reshape(len(features), -1)


def column_mean(features: Array, logits: Array) -> Array:
  """Mean of [B, C, E] over columns by the softmax of logits [C]: [B, E]."""
  weights = jax.nn.softmax(logits).astype(features.dtype)
  return jnp.einsum('c,bce->be', weights, features)


class CrossAttention(hk.Module):
  """One learned query over all columns, then layer norm; no residual.

  Beside what a column's features say, each head learns how much its place
  counts, as in `ColumnMean`.
  """

  def __init__(
    self,
    config: ml_collections.ConfigDict,
    policy: jmp.Policy,
    name: str = 'cross_attention',
  ):
    super().__init__(name=name)
    self._config = config
    self._policy = policy

  def __call__(
    self,
    features: Array,
    is_training: bool,
    examples: Array,
    return_weights: bool = False,
  ) -> tuple[Array, Array | None]:
    """Summarises the columns.

    Args:
      features: [B, C, E].
      is_training: drop attention weights.
      examples: int32 [B], identities that dropout's keys fold in.
      return_weights: also return how much each column is looked at.

    Returns:
      The context [B, 1, E], and the weights [B, C] or None. Weights are the
      heads' average; after dropout they are scaled to sum to 1 again.
    """
    batch, columns, width = features.shape
    init = hk.initializers.RandomNormal()
    dtype = self._policy.param_dtype
    query = hk.get_parameter('query', (1, 1, width), dtype, init)
    query = jnp.broadcast_to(query, (batch, 1, width))
    bias = None
    if self._config.column_gain:
      shape = (self._config.num_heads, 1, columns)
      bias = hk.get_parameter('column_bias', shape, dtype, jnp.zeros)
      bias = self._config.column_gain * bias
    context, weights = MultiHeadAttention(self._config, self._policy)(
      query, features, is_training, examples, return_weights, bias
    )
    return layers.LayerNorm(self._policy, 'layer_norm')(context), weights


class SelfAttention(hk.Module):
  """Every column over all columns, residual, then layer norm."""

  def __init__(
    self,
    config: ml_collections.ConfigDict,
    policy: jmp.Policy,
    name: str = 'self_attention',
  ):
    super().__init__(name=name)
    self._config = config
    self._policy = policy

  def __call__(
    self,
    features: Array,
    is_training: bool,
    examples: Array,
    return_weights: bool = False,
  ) -> tuple[Array, Array | None]:
    """Lets columns see each other.

    Args:
      features: [B, C, E].
      is_training: drop attention weights.
      examples: int32 [B], identities that dropout's keys fold in.
      return_weights: also return how much each column is looked at.

    Returns:
      [B, C, E], and the weights [B, C] or None: the average over heads and
      queries; after dropout they are scaled to sum to 1 again.
    """
    attended, weights = MultiHeadAttention(self._config, self._policy)(
      features, features, is_training, examples, return_weights
    )
    norm = layers.LayerNorm(self._policy, 'layer_norm')
    return norm(features + attended), weights


class MultiHeadAttention(hk.Module):
  """Scaled dot-product attention with several heads.

  Source: Vaswani et al. (2017), with the semantics of PyTorch's
  nn.MultiheadAttention: dropout acts on the weights, which are not
  renormalised before they meet the values.
  """

  def __init__(
    self,
    config: ml_collections.ConfigDict,
    policy: jmp.Policy,
    name: str = 'attention',
  ):
    super().__init__(name=name)
    self._config = config
    self._policy = policy

  def __call__(
    self,
    queries: Array,
    features: Array,
    is_training: bool,
    examples: Array,
    return_weights: bool,
    bias: Array | None = None,
  ) -> tuple[Array, Array | None]:
    """[B, Q, E] over [B, C, E]: attended [B, Q, E], weights [B, C] or None.

    `bias` [heads, Q, C] is added to the scores.

    Raises:
      ValueError: if the heads do not divide the width E.
    """
    heads, width = self._config.num_heads, features.shape[-1]
    if width % heads:
      raise ValueError(
        f'networks.num_heads: found {heads}, expected a divisor of the '
        f'feature width {width}'
      )
    names = ('query', 'key', 'value', 'output')
    parameters = {
      name: _projection(name, width, self._policy) for name in names
    }
    keys, rate = None, self._config.attention_dropout
    if is_training and rate:
      keys = dropout.fold_in_each(hk.next_rng_key(), examples)
    attend: Callable = functools.partial(
      _attend,
      rate=rate,
      heads=heads,
      policy=self._policy,
      return_weights=return_weights,
    )
    if self._config.remat:
      attend = jax.checkpoint(attend)
    return attend(parameters, queries, features, keys, bias)


def _projection(name: str, width: int, policy: jmp.Policy) -> layers.Affine:
  """The matrix [E, E] and bias [E] of one projection."""
  dtype = policy.param_dtype
  init = layers.uniform_initializer(width)
  w = hk.get_parameter(f'{name}_w', (width, width), dtype, init)
  b = hk.get_parameter(f'{name}_b', (width,), dtype, jnp.zeros)
  return layers.Affine(w, b)


def _attend(
  parameters: dict[str, layers.Affine],
  queries: Array,
  features: Array,
  keys: Array | None,
  bias: Array | None,
  *,
  rate: float,
  heads: int,
  policy: jmp.Policy,
  return_weights: bool,
) -> tuple[Array, Array | None]:
  """Attention on explicit parameters; see `MultiHeadAttention`."""

  def project(name, x):
    y = layers.affine(x, parameters[name], policy)
    return y.reshape(*x.shape[:-1], heads, -1)

  wide = policy.output_dtype
  query, key = project('query', queries), project('key', features)
  query = query / jnp.sqrt(query.shape[-1]).astype(wide)
  query, key, value = policy.cast_to_compute(
    (query, key, project('value', features))
  )
  scores = jnp.einsum(
    'bqhe,bche->bhqc', query, key, preferred_element_type=wide
  )
  if bias is not None:
    scores += bias
  weights = jax.nn.softmax(scores, -1)
  if keys is not None:
    draw = functools.partial(
      dropout.keep_scale, rate=rate, shape=weights.shape[1:], dtype=wide
    )
    weights = weights * jax.vmap(draw)(keys)
  # To 'bqhe' at once, XLA of jax 0.7 has no such product of bfloat16 on a CPU.
  attended = jnp.einsum(
    'bhqc,bche->bhqe',
    policy.cast_to_compute(weights),
    value,
    preferred_element_type=wide,
  )
  attended = attended.swapaxes(1, 2).reshape(*queries.shape)
  attended = layers.affine(attended, parameters['output'], policy)
  if not return_weights:
    return attended, None
  average = weights.mean((1, 2))
  if keys is not None:
    total = average.sum(-1, keepdims=True)
    average = average / jnp.maximum(total, _SMALLEST_SUM)
  return attended, average

"""Attention over columns, and simpler ways to combine columns.

E is the number of features of a column.
"""

import functools
from collections.abc import Callable

import haiku as hk
import jax
import jax.numpy as jnp
import jmp
import ml_collections

from eigen3.networks import dropout, layers
from eigen3.types import Array

_SMALLEST_SUM = 1e-9  # least divisor, in case dropout zeroes all weights


class ColumnMean(hk.Module):
  """A softmax-weighted mean over columns, with one learned logit per column.

  All columns are encoded with the same weights, so only the logits can single
  out a column that matters to all stocks, such as an index. They start at 0,
  which gives a plain mean. `column_gain` multiplies them; 0 turns them off.
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
    """Maps [B, C, E] to [B, E]."""
    if not self._gain:
      return features.mean(1)
    shape, dtype = features.shape[1:2], self._policy.param_dtype
    logits = hk.get_parameter('logits', shape, dtype, jnp.zeros)
    return column_mean(features, self._gain * logits)


class ContextNumbers(hk.Module):
  """Maps each context column to a few numbers with a shared linear layer.

  A mean over columns dilutes a column that matters to all stocks, such as an
  index. Here the numbers of each context column become separate inputs of the
  next layer. Investable columns get no numbers, because the result must not
  depend on the order of the stocks.
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
    """Maps [B, C, E] to [B, (C - N) * context_numbers]."""
    first, stop = self._investable
    others = jnp.concatenate([features[:, :first], features[:, stop:]], 1)
    if not self._count or not others.shape[1]:
      return jnp.zeros((len(features), 0), features.dtype)
    numbers = layers.Linear(self._count, self._policy, 'linear')(others)
    return numbers.reshape(len(features), -1)


def column_mean(features: Array, logits: Array) -> Array:
  """Averages [B, C, E] over C with weights softmax(logits [C]), to [B, E]."""
  weights = jax.nn.softmax(logits).astype(features.dtype)
  return jnp.einsum('c,bce->be', weights, features)


class CrossAttention(hk.Module):
  """Attention from one learned query to all columns, then layer norm.

  There is no residual connection. Unless `column_gain` is 0, each head also
  learns a bias for its score of each column, like the logits of `ColumnMean`.
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
    """Summarises all columns.

    Args:
      features: [B, C, E].
      is_training: whether to apply dropout to the attention weights.
      examples: int32 [B], identities folded into dropout's keys.
      return_weights: whether to also return the weight of each column.

    Returns:
      The context [B, 1, E], and the weights [B, C] or None, averaged over
      heads; after dropout they are scaled to sum to 1 again.
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
  """Self-attention over columns, a residual connection, then layer norm."""

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
    """Mixes the features of all columns.

    Args:
      features: [B, C, E].
      is_training: whether to apply dropout to the attention weights.
      examples: int32 [B], identities folded into dropout's keys.
      return_weights: whether to also return the weight of each column.

    Returns:
      The mixed features [B, C, E], and the weights [B, C] or None, averaged
      over heads and queries; after dropout they are scaled to sum to 1 again.
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
  renormalised before they multiply the values.
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
    """Attends from queries [B, Q, E] to features [B, C, E].

    `bias` [heads, Q, C] is added to the scores; for the other arguments see
    `CrossAttention`.

    Returns:
      Attended features [B, Q, E], and the weights [B, C] or None, averaged over
      heads and queries. With dropout, only these returned weights are scaled to
      sum to 1 again.

    Raises:
      ValueError: if the number of heads does not divide the width E.
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
  """Returns the matrix [E, E] and the bias [E] of one projection."""
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
  """Computes `MultiHeadAttention` with explicit parameters.

  `keys` are dropout's, [B, 2]; None for no dropout.
  """

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
  # Not 'bqhe' directly: XLA of jax 0.7 lacks that bfloat16 product on a CPU.
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

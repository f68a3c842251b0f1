"""The policy: a coefficient and a sale target for every investable stock."""

from typing import NamedTuple

import haiku as hk
import jax
import jax.numpy as jnp
import jmp
import ml_collections

from eigen3.networks import attention, dropout, layers
from eigen3.networks.feature_extractor import FeatureExtractor
from eigen3.types import Account, ActionSpec, Array, EnvironmentSpec


class Encoded(NamedTuple):
  """The features that a policy computes from a market window alone.

  Attributes:
    stocks: [B, N, 2H], features of the investable columns.
    context: [B, 1, 2H], a summary of all columns; wider if `ContextNumbers` are
      appended.
    attention: [B, C], the weight of each column in the summary; None unless
      requested.
  """

  stocks: Array
  context: Array
  attention: Array | None


class Actor(hk.Module):
  """Maps a market window to actions in the environment's units.

  Investable columns and a global context (cross-attention over all columns,
  and `ContextNumbers`) are processed separately, concatenated and read by two
  heads, one for coefficients and one for sale targets. `encode` does nearly all
  of the work; `decide` computes the actions from its result and the account.
  Source: Eigen2's actor, which lacks the context numbers, the learned biases of
  columns, the account and the bounded 'sigmoid' coefficient.
  """

  def __init__(
    self,
    config: ml_collections.ConfigDict,
    spec: EnvironmentSpec,
    policy: jmp.Policy,
    mesh: jax.sharding.Mesh | None = None,
    name: str = 'actor',
  ):
    super().__init__(name=name)
    self._config = config
    self._spec = spec
    self._policy = policy
    self._mesh = mesh
    self._activation = _coefficient_activation(config.actor, spec.action)

  def __call__(
    self,
    window: Array,
    is_training: bool,
    examples: Array,
    return_attention: bool = False,
    account: Account | None = None,
  ) -> tuple[Array, Array | None]:
    """Computes the actions for every example.

    Args:
      window: [B, D, C, F] features; NaN where there is no data.
      is_training: whether to use batch statistics and dropout.
      examples: int32 [B], identities folded into dropout's keys.
      return_attention: whether to also return the weight of each column.
      account: leaves [B, ...], or [B, M, ...] for M accounts per window; None
        if the policy does not observe the account.

    Returns:
      Actions (coefficient, sale target in %), [B, N, 2], or [B, M, N, 2] for M
      accounts; and attention [B, C] or None. Stocks without data get finite
      actions, too: the environment decides which stocks can be bought.
    """
    encoded = self.encode(window, is_training, examples, return_attention)
    actions = self.decide(encoded, account, is_training, examples)
    return actions, encoded.attention

  @hk.name_like('__call__')
  def of_features(
    self,
    features: Array,
    is_training: bool,
    examples: Array,
    account: Account | None = None,
  ) -> Array:
    """Returns `__call__`'s actions, given the extractor's output [B, C, 2H]."""
    encoded = self._summarise(features, is_training, examples, False)
    return self.decide(encoded, account, is_training, examples)

  @hk.name_like('__call__')
  def encode(
    self,
    window: Array,
    is_training: bool,
    examples: Array,
    return_attention: bool = False,
  ) -> Encoded:
    """Computes what does not depend on the account; see also `__call__`."""
    features = FeatureExtractor(self._config, self._policy, self._mesh)(
      window, is_training, examples
    )
    return self._summarise(features, is_training, examples, return_attention)

  @hk.transparent
  def _summarise(
    self,
    features: Array,
    is_training: bool,
    examples: Array,
    return_attention: bool,
  ) -> Encoded:
    context, weights = attention.CrossAttention(self._config, self._policy)(
      features, is_training, examples, return_attention
    )
    first, stop = self._spec.investable
    numbers = attention.ContextNumbers(
      self._config, self._policy, self._spec.investable
    )
    context = layers.beside(context, numbers(features)[:, None])
    return Encoded(features[:, first:stop], context, weights)

  @hk.name_like('__call__')
  def decide(
    self,
    encoded: Encoded,
    account: Account | None,
    is_training: bool,
    examples: Array,
  ) -> Array:
    """Returns actions [B, N, 2] for encoded windows with one account each.

    M accounts per window, leaves [B, M, ...], give actions [B, M, N, 2].
    `account` is None if the policy does not observe it.
    """
    stocks, context = encoded.stocks, encoded.context
    if account is not None:
      if account.whole.ndim == 3:
        count = account.whole.shape[1]
        stocks = jnp.repeat(stocks[:, None], count, 1)
        context = jnp.repeat(context[:, None], count, 1)
      stocks = layers.beside(stocks, account.stocks)
      context = layers.beside(context, account.whole[..., None, :])
    joined = self._join(stocks, context, is_training, examples)
    coefficient = self._head(joined, 'coefficient', is_training, examples)
    target = self._head(joined, 'sale_target', is_training, examples)
    low, high = self._spec.action.minimum[1], self._spec.action.maximum[1]
    target = low + (high - low) * jax.nn.sigmoid(target)
    return jnp.concatenate([self._activation(coefficient), target], -1)

  @hk.transparent
  def _join(
    self, stocks: Array, context: Array, is_training: bool, examples: Array
  ) -> Array:
    """Returns the input of both heads, [..., N, size].

    The size is `investable_sizes[1]` + `context_size`.
    """
    sizes, policy = self._config.actor, self._policy
    stock = layers.Linear(sizes.investable_sizes[0], policy, 'investable_1')(
      stocks
    )
    stock = jax.nn.relu(stock)
    stock = dropout.dropout(stock, sizes.dropout, is_training, examples)
    stock = layers.Linear(sizes.investable_sizes[1], policy, 'investable_2')(
      stock
    )
    context = layers.Linear(sizes.context_size, policy, 'context')(context)
    shape = (*stock.shape[:-1], sizes.context_size)
    context = jnp.broadcast_to(context, shape)
    return jax.nn.relu(jnp.concatenate([stock, context], -1))

  @hk.transparent
  def _head(
    self, joined: Array, name: str, is_training: bool, examples: Array
  ) -> Array:
    """Returns the output of one head before its activation, [..., N, 1]."""
    config = self._config.actor
    x = layers.Linear(config.head_size, self._policy, f'{name}_1')(joined)
    x = dropout.dropout(jax.nn.relu(x), config.dropout, is_training, examples)
    return layers.Linear(1, self._policy, f'{name}_2')(x)


def eigen2_coefficient(raw: Array) -> Array:
  """Returns Eigen2's coefficient: above 1.5 if raw > 0, else at most 0.05."""
  # The exponent is clipped at 0, below which the other branch is used.
  bought = jnp.exp(jnp.maximum(raw, 0.0) / 2) + 0.5
  return jnp.where(raw > 0, bought, 0.1 * jax.nn.sigmoid(2 * raw))


def _coefficient_activation(config: ml_collections.ConfigDict, box: ActionSpec):
  """Returns the activation that `coefficient_head` names."""
  low, high = box.minimum[0], box.maximum[0]
  if config.coefficient_head == 'eigen2':
    return eigen2_coefficient
  return lambda raw: low + (high - low) * jax.nn.sigmoid(raw)

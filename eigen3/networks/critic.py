"""Critics: action values from pooled features, or from scores of the stocks."""

from collections.abc import Mapping

import haiku as hk
import jax
import jax.numpy as jnp
import jmp
import ml_collections

from eigen3 import settings
from eigen3.networks import attention, dropout, layers
from eigen3.networks.feature_extractor import FeatureExtractor
from eigen3.types import Account, Array, EnvironmentSpec

_NEVER = -1e9  # a logit of probability 0; finite, for finite derivatives


class Critic(hk.Module):
  """Maps a market window, or its features, and an action to a value.

  `critic.pooling` selects how features and action are combined; see `Pooling`.
  """

  def __init__(
    self,
    config: ml_collections.ConfigDict,
    spec: EnvironmentSpec,
    policy: jmp.Policy,
    mesh: jax.sharding.Mesh | None = None,
    name: str = 'critic',
  ):
    super().__init__(name=name)
    self._pooling = find_pooling(config.critic.pooling)
    self._config = config
    self._spec = spec
    self._policy = policy
    self._mesh = mesh

  def __call__(
    self,
    window: Array,
    action: Array,
    is_training: bool,
    examples: Array,
    account: Account | None = None,
  ) -> Array:
    """Returns the value of each action.

    Args:
      window: [B, D, C, F] features; NaN where there is no data.
      action: [B, N, 2] in the action spec's unit space, or [B, M, N, 2]:
        M actions for each window, which is encoded once.
      is_training: whether batch statistics and dropout are used.
      examples: int32 [B], identities folded into dropout's keys.
      account: leaves [B, ...], or [B, M, ...] if each action has its own
        account; None if it is not observed.

    Returns:
      [B, 1], or [B, M, 1].
    """
    features = FeatureExtractor(self._config, self._policy, self._mesh)(
      window, is_training, examples
    )
    return self.of_features(features, action, is_training, examples, account)

  @hk.name_like('__call__')
  def of_features(
    self,
    features: Array,
    action: Array,
    is_training: bool,
    examples: Array,
    account: Account | None = None,
  ) -> Array:
    """Returns the same as `__call__`, given extracted features [B, C, 2H]."""
    if self._config.critic.self_attention:
      features, _ = attention.SelfAttention(self._config, self._policy)(
        features, is_training, examples
      )
    head = self._pooling(self._config, self._spec, self._policy)
    if action.ndim == 3:
      return head(features, action[:, None], is_training, examples, account)[
        :, 0
      ]
    if account is None or account.whole.ndim == 2:
      return head(features, action, is_training, examples, account)
    # One account for each action: each pair becomes an example.
    batch, count = action.shape[:2]
    account, action = jax.tree.map(
      lambda x: x.reshape(batch * count, *x.shape[2:]), (account, action)
    )
    values = head(
      jnp.repeat(features, count, 0),
      action[:, None],
      is_training,
      jnp.repeat(examples, count),
      account,
    )
    return values.reshape(batch, count, 1)


class DoubleCritic(hk.Module):
  """An ensemble of K = `critic.ensemble` critics.

  The critics share the extractor, unless `shared_extractor` is 'none'; they
  share no other parameters.
  """

  def __init__(
    self,
    config: ml_collections.ConfigDict,
    spec: EnvironmentSpec,
    policy: jmp.Policy,
    mesh: jax.sharding.Mesh | None = None,
    name: str = 'double_critic',
  ):
    super().__init__(name=name)
    self._arguments = (config, spec, policy, mesh)
    self._size = config.critic.ensemble
    self._is_shared = config.shared_extractor != 'none'

  def __call__(
    self,
    window: Array,
    action: Array,
    is_training: bool,
    examples: Array,
    account: Account | None = None,
  ) -> Array:
    """Returns the values of all critics, [B, K] or [B, M, K]; see `Critic`."""
    if self._is_shared:
      config, _, policy, mesh = self._arguments
      extractor = FeatureExtractor(config, policy, mesh)
      features = extractor(window, is_training, examples)
      return self.of_features(features, action, is_training, examples, account)
    values = [
      critic(window, action, is_training, examples, account)
      for critic in self._critics()
    ]
    return jnp.concatenate(values, -1)

  @hk.name_like('__call__')
  def of_features(
    self,
    features: Array,
    action: Array,
    is_training: bool,
    examples: Array,
    account: Account | None = None,
  ) -> Array:
    """Returns the same as `__call__`, given extracted features [B, C, 2H]."""
    values = [
      critic.of_features(features, action, is_training, examples, account)
      for critic in self._critics()
    ]
    return jnp.concatenate(values, -1)

  @hk.transparent
  def _critics(self) -> list[Critic]:
    return [
      Critic(*self._arguments, name=f'critic_{k}')
      for k in range(1, self._size + 1)
    ]


class Pooling(hk.Module):
  """Maps features and actions to values: the last part of a critic.

  The setting `networks.critic.pooling` names one of `POOLINGS`, or the import
  path of your own subclass, such as `my_poolings.MaxHead`.

  Attributes:
    networks_config: the section `networks`.
    config: the section `networks.critic`.
    spec: of the environment.
    policy: the dtypes for `layers`; see `layers.precision_policy`.
  """

  def __init__(
    self,
    config: ml_collections.ConfigDict,
    spec: EnvironmentSpec,
    policy: jmp.Policy,
    name: str | None = None,
  ):
    super().__init__(name=name)
    self.networks_config = config
    self.config = config.critic
    self.spec = spec
    self.policy = policy

  def __call__(
    self,
    features: Array,
    action: Array,
    is_training: bool,
    examples: Array,
    account: Account | None = None,
  ) -> Array:
    """Returns the value of each action of each example.

    Args:
      features: [B, C, 2H], 2H features of each column.
      action: [B, M, N, 2], M actions per example, in unit space.
      is_training: whether dropout is on.
      examples: int32 [B], identities folded into dropout's keys.
      account: leaves [B, ...], or None if it is not observed.

    Returns:
      [B, M, 1].
    """
    raise NotImplementedError(
      f'{type(self).__name__}: found no __call__, expected a subclass of '
      'Pooling that defines it'
    )


class MeanHead(Pooling):
  """An MLP on features averaged over columns and on the flattened action.

  Eigen2's critic has this head. If the account is observed, it is a further
  input.
  """

  def __call__(
    self,
    features: Array,
    action: Array,
    is_training: bool,
    examples: Array,
    account: Account | None = None,
  ) -> Array:
    """Maps features [B, C, 2H], actions [B, M, N, 2] to values [B, M, 1]."""
    batch, count = action.shape[:2]

    def of_each_action(x):
      x = x.reshape(batch, 1, -1)
      return jnp.broadcast_to(x, (batch, count, x.shape[-1]))

    x = of_each_action(features.mean(1))
    x = layers.beside(x, action.reshape(batch, count, -1))
    for seen in account or ():
      x = layers.beside(x, of_each_action(seen))
    for number, size in enumerate(self.config.sizes, 1):
      x = layers.Linear(size, self.policy, f'linear_{number}')(x)
      x = jax.nn.relu(x)
      x = dropout.dropout(x, self.config.dropout, is_training, examples)
    return layers.Linear(1, self.policy, 'value')(x)


class SlotHead(Pooling):
  """A sum of the stocks' scores, weighted by a softmax over coefficients.

  Each stock is scored from its own features, a global context and its own
  action; one more score stands for buying nothing. A stock's score is an offset
  plus a slope times the coefficient, both computed by the same layers: where
  the coefficient sets the size of a position, profit is proportional to the
  coefficient, and this need not be learnt from noisy returns. With
  `critic.dueling`, the score of buying nothing is added to all stocks' scores.
  The weights are a softmax over (coefficient - threshold) / temperature with a
  logit of 0 for no trade, so that the policy gradient flows through the choice
  of the stock. If several stocks can be bought per day, the softmax is over
  sets of stocks, and the weights sum to `max_entries_per_day` instead of 1 (see
  `slot_weights`). Apart from the logits or biases that the global context
  learns for each column, nothing depends on the order of the stocks.

  If the account is observed, the scores also depend on it, and the value has a
  further term: an estimate of the future reward of each open position and
  waiting order, times its weight in the account (see `Account`). This term does
  not depend on the action.
  """

  def __call__(
    self,
    features: Array,
    action: Array,
    is_training: bool,
    examples: Array,
    account: Account | None = None,
  ) -> Array:
    """Maps features [B, C, 2H], actions [B, M, N, 2] to values [B, M, 1]."""
    action = action.astype(features.dtype)
    context = self._context(features, is_training, examples)
    numbers = attention.ContextNumbers(
      self.networks_config, self.policy, self.spec.investable
    )
    context = layers.beside(context, numbers(features))
    first, stop = self.spec.investable
    stocks = features[:, first:stop]
    if account is not None:
      context = layers.beside(context, account.whole)
      stocks = layers.beside(stocks, account.stocks)
    coefficient = self.spec.action.from_unit(action)[..., 0]
    worth = self._scores(stocks, context, action, is_training, examples)
    scores = worth[..., 0] + coefficient * worth[..., 1]
    idle = layers.Linear(self.config.sizes[-1], self.policy, 'idle_1')(context)
    idle = jax.nn.relu(self._normal(idle, 'idle_norm'))
    idle = layers.Linear(1, self.policy, 'idle_2')(idle)
    weights = slot_weights(
      coefficient,
      self.spec.coefficient_threshold,
      self.config.slot_temperature,
      self.spec.max_entries_per_day,
    )
    idle = jnp.broadcast_to(idle[:, None], (*scores.shape[:2], 1))
    if self.config.dueling:
      scores += idle
    scores = jnp.concatenate([scores, idle], -1)
    value = (weights * scores).sum(-1, keepdims=True)
    if account is not None:
      held = self._held(features[:, first:stop], context, account)
      value += held[:, None]
    return value

  @hk.transparent
  def _context(
    self, features: Array, is_training: bool, examples: Array
  ) -> Array:
    """Returns the summary of all columns for the global context, [B, 2H]."""
    if self.config.slot_context == 'mean':
      return attention.ColumnMean(self.networks_config, self.policy)(features)
    cross = attention.CrossAttention(self.networks_config, self.policy)
    return cross(features, is_training, examples)[0][:, 0]

  @hk.transparent
  def _normal(self, x: Array, name: str) -> Array:
    """Applies layer norm if `critic.layer_norm` is set, else returns x."""
    if not self.config.layer_norm:
      return x
    return layers.LayerNorm(self.policy, name)(x)

  @hk.transparent
  def _held(self, stocks: Array, context: Array, account: Account) -> Array:
    """Estimates the total value of positions and waiting orders, [B, 1]."""
    seen = account.stocks.astype(stocks.dtype)
    size = self.config.sizes[-1]
    x = Joint(size, self.policy, 'held_1')(stocks, context, seen)
    x = jax.nn.relu(self._normal(x, 'held_norm'))
    worth = layers.Linear(1, self.policy, 'held_2')(x)
    return (seen[..., :1] * worth).sum(1)

  @hk.transparent
  def _scores(
    self,
    stocks: Array,
    context: Array,
    action: Array,
    is_training: bool,
    examples: Array,
  ) -> Array:
    """Returns each stock's score as offset and slope, [B, M, N, 2]."""
    sizes, rate = self.config.sizes, self.config.dropout
    x = Joint(sizes[0], self.policy, 'stock_1')(stocks, context, action)
    straight: Array | float = 0.0
    if self.config.linear_path:
      straight = Joint(2, self.policy, 'linear')(stocks, context, action)
    x = jax.nn.relu(self._normal(x, 'stock_norm_1'))
    x = dropout.dropout(x, rate, is_training, examples)
    for number, size in enumerate(sizes[1:], 2):
      x = layers.Linear(size, self.policy, f'stock_{number}')(x)
      x = self._normal(x, f'stock_norm_{number}')
      x = dropout.dropout(jax.nn.relu(x), rate, is_training, examples)
    return layers.Linear(2, self.policy, 'score')(x) + straight


# 'slot' combines each stock's features with its own action; 'mean' averages
# features over columns first, as Eigen2 does.
POOLINGS: Mapping[str, type[Pooling]] = {'slot': SlotHead, 'mean': MeanHead}


def find_pooling(name: str) -> type[Pooling]:
  """Returns the class that the setting `networks.critic.pooling` names.

  Args:
    name: a key of `POOLINGS`, or the import path of a subclass of `Pooling`.

  Raises:
    ValueError: if there is no such class.
  """
  return settings.named(
    'networks.critic.pooling',
    name,
    POOLINGS,
    lambda found: isinstance(found, type) and issubclass(found, Pooling),
    'a Pooling in Python, as in my_poolings.MaxHead',
  )


class Joint(hk.Module):
  """An affine map of (stock, context, action).

  It equals a linear layer on their concatenation, but multiplies the context
  only once instead of once for every stock.
  """

  def __init__(self, size: int, policy: jmp.Policy, name: str):
    super().__init__(name=name)
    self._size = size
    self._policy = policy

  def __call__(self, stocks: Array, context: Array, action: Array) -> Array:
    """Maps stocks, context and actions to [B, ..., N, size].

    Their shapes are [B, N, E], [B, E'] and [B, ..., N, A].
    """
    ends = (stocks.shape[-1], stocks.shape[-1] + context.shape[-1])
    inputs = ends[1] + action.shape[-1]
    w, b = layers.affine_parameters(inputs, self._size, self._policy)
    of_stock, of_context, of_action = jnp.split(w, ends)
    shared = layers.affine(context, layers.Affine(of_context, b), self._policy)
    of_market = layers.product(stocks, of_stock, self._policy) + shared[:, None]
    several = tuple(range(1, action.ndim - 2))
    return jnp.expand_dims(of_market, several) + layers.product(
      action, of_action, self._policy
    )


def slot_weights(
  coefficient: Array, threshold: float, temperature: float, count: int = 1
) -> Array:
  """Returns the weights of each stock and of no trade, [..., N + 1].

  The logit of a stock is (coefficient - threshold) / temperature, that of no
  trade is 0. If `count` is 1, the weights are the softmax of these logits. If
  several stocks can be bought, the softmax is over all sets of at most `count`
  stocks. The logit of a set is the sum of its stocks' logits, and a stock's
  weight is the total probability of the sets that contain it. The most likely
  set holds the stocks with the largest coefficients, as far as these reach the
  threshold.

  Args:
    coefficient: [..., N] in the environment's units.
    threshold: the coefficient at which a stock's logit is 0.
    temperature: in units of the coefficient; the smaller, the closer a
      stock's weight is to 1 if the most likely set contains it, else to 0.
    count: the most stocks that can be bought, at most N.

  Returns:
    Weights that sum to `count`. The last one is that of no trade: `count` less
    the expected number of stocks bought.
  """
  logits = (coefficient - threshold) / temperature
  if count > 1:
    exact = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    # The derivative of the log-sum-exp with respect to a stock's logit is the
    # probability that the stock is in the set.
    bought = jax.grad(lambda x: _log_sum_over_sets(x, count).sum())(exact)
    unused = count - bought.sum(-1, keepdims=True)
    return jnp.concatenate([bought, unused], -1).astype(logits.dtype)
  nothing = jnp.zeros_like(logits[..., :1])
  return jax.nn.softmax(jnp.concatenate([logits, nothing], -1), -1)


def _log_sum_over_sets(logits: Array, count: int) -> Array:
  """Returns the log-sum-exp, over sets of stocks, of a set's sum of logits.

  The sets are all those of at most `count` stocks, including the empty set. For
  each size of set, the sum of exponentials over all sets of that size is an
  elementary symmetric polynomial in the exponentials of the logits. The
  polynomials of a group of stocks follow from those of its two halves.

  Args:
    logits: [..., N].
    count: the largest size of a set, at least 1.

  Returns:
    [...].
  """
  # Log sums by size of set, [..., groups, sizes]; at first a group is a stock.
  groups = jnp.stack([jnp.zeros_like(logits), logits], -1)
  while groups.shape[-2] > 1:
    if groups.shape[-2] % 2:
      no_stock = jnp.full_like(groups[..., :1, :], _NEVER).at[..., 0].set(0.0)
      groups = jnp.concatenate([groups, no_stock], -2)
    one, other = groups[..., ::2, :], groups[..., 1::2, :]
    largest = groups.shape[-1] - 1
    sums = []
    for size in range(min(2 * largest, count) + 1):
      least, most = max(size - largest, 0), min(size, largest)
      of_one = one[..., least : most + 1]
      of_other = other[..., size - most : size - least + 1]
      sums.append(jax.nn.logsumexp(of_one + of_other[..., ::-1], axis=-1))
    groups = jnp.stack(sums, -1)
  return jax.nn.logsumexp(groups[..., 0, :], axis=-1)

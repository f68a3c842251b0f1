"""The ranker, a supervised control that predicts what each trade earns.

It is a feature extractor like the agent's, with a linear head. The head reads
each stock's extracted features, and a weighted mean of all columns' features.
It predicts the return, net of costs, of a trade that is decided today and held
until it reaches the largest sale target or the maximum holding, or the stock is
delisted. Under the reward `entry_excess`, or a reward of your own with
`Reward.of_orders`, it predicts how much more the reward pays for the trade than
for no trade. Reinforcement learning is only worth its cost if it does better
than the ranker.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import haiku as hk
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax

from eigen3 import parallel, settings, sizes
from eigen3.environment import Market, TradingEnvironment, prices, rewards
from eigen3.networks import column_mean
from eigen3.runs.logs import SCORE
from eigen3.types import Array, PRNGKey


class Weights(NamedTuple):
  """Learned parameters.

  Attributes:
    extractor: parameters of the feature extractor.
    w: float32 [4H], weights of the head.
    b: float32 [], bias of the head.
    logits: float32 [C]. The mean over columns has the weights
      softmax(gain * logits), where gain is the setting `networks.column_gain`.
  """

  extractor: hk.Params
  w: Array
  b: Array
  logits: Array


class RankerState(NamedTuple):
  """The state of training.

  Attributes:
    weights: current parameters.
    state: batch-norm statistics of the extractor.
    opt_state: state of the optimiser, AdamW.
    key: consumed by the next updates.
  """

  weights: Weights
  state: hk.State
  opt_state: optax.OptState
  key: PRNGKey


class Labels(NamedTuple):
  """The returns of trades that are decided on some days.

  Attributes:
    days: int32 [S], the S days at whose closes the trades are decided.
    returns: float32 [S, N], the return in %, net of costs, of a trade of each
      stock; with some reward functions a difference of rewards, see
      `rewards.worth`.
    known: bool [S, N], whether the trade could be made; if not, `returns` is 0
      and the loss ignores it.
  """

  days: Array
  returns: Array
  known: Array


class Fitted(NamedTuple):
  """A trained ranker.

  Attributes:
    weights: the best ones on the validation days, by `ranker.champion_by`.
    state: the batch-norm statistics that belong to `weights`.
    rows: metrics of each evaluation: update, training_loss, validation_loss,
      and validation_profit if that chooses the weights. Losses are mean squared
      errors divided by the variance of the training days' returns.
    updates: number of updates in all.
    best_update: number of updates after which the weights were best.
    windows: number of windows in the batches of all updates; the extractor made
      a forward and a backward pass for each.
  """

  weights: Weights
  state: hk.State
  rows: list[dict[str, float]]
  updates: int
  best_update: int
  windows: int


# Names of the metrics that may choose the weights.
_PROFIT, _LOSS = SCORE, 'validation_loss'
_EXPECTED = {
  'learning_rate': settings.POSITIVE,
  'weight_decay': settings.NOT_NEGATIVE,
  'batch_size': settings.AT_LEAST_ONE,
  'evaluate_every': settings.AT_LEAST_ONE,
  'patience': settings.AT_LEAST_ONE,
  'champion_by': settings.one_of(_PROFIT, _LOSS),
  'windows': settings.COUNT,
  'model': settings.one_of('extractor', 'ridge', 'boosting'),
  'stride': settings.AT_LEAST_ONE,
  'threshold': settings.one_of('validation', 'none'),
}


def check_settings(config: ml_collections.ConfigDict) -> None:
  """Checks the `ranker` section; a ValueError names the field."""
  settings.check('ranker', config, _EXPECTED)


def agent_windows(config: ml_collections.ConfigDict) -> int:
  """Returns the number of windows that train the extractors of a run's agents.

  A window counts once for each network that takes a gradient from it, as if
  each network had an extractor of its own: K critics in every update, the actor
  in every `policy_delay`-th update. Windows that are encoded without a
  gradient, by target networks or to act, do not count.

  Args:
    config: all settings of experiments.td3 or experiments.erl.
  """
  learner, agent = config.learner, config.agent
  if 'evolution' in config:
    learning = config.evolution.learners
    if config.evolution.members_learn:
      learning += config.evolution.population_size
    updates = learner.generations * learner.updates_per_generation * learning
  else:
    updates = learner.iterations * learner.updates_per_iteration
  critics = config.networks.critic.ensemble
  trained = updates * critics + updates // agent.policy_delay
  return trained * agent.batch_size


def labels_of(environment: TradingEnvironment) -> Labels:
  """Returns labels of the days whose trades end within the environment's days.

  The first of these days is `first_day`. A trade decided on the last of them
  ends before `stop`, even if it is the longest possible.

  Raises:
    ValueError: if there is no such day.
  """
  rules = environment.rules
  first = int(environment.first_day)
  # Trades end at most `longest_trade` days after the day of their decision.
  stop = int(environment.stop) - rules.longest_trade
  if stop <= first:
    raise ValueError(
      f'split too short: found {int(environment.stop) - first} days from day '
      f'{first} on, expected at least {rules.longest_trade + 1}: the '
      f'{rules.longest_trade} days of the longest possible trade, and one '
      'more; lower environment.max_holding_days or environment.delisting_days'
    )
  days = jnp.arange(first, stop, dtype=jnp.int32)
  returns, known = _trade_returns(environment, days)
  return Labels(days, returns, known)


def _deviation(known: np.ndarray) -> float:
  """Returns the standard deviation of `known`, the training days' returns.

  Raises:
    ValueError: if there are fewer than two different returns.
  """
  if len(known) < 2 or not known.std() > 0:
    found = f'{len(known) or "no"} trade with a known return'
    if len(known) > 1:
      found = f'the same return for all {len(known)} trades'
    raise ValueError(
      f'training days: found {found}, expected trades with at least 2 '
      'different returns to learn from'
    )
  return float(known.std())


class Ranker:
  """Trains the ranker with early stopping on validation loss, and predicts."""

  def __init__(
    self,
    feature_extractor: hk.TransformedWithState,
    environment: TradingEnvironment,
    validation: TradingEnvironment,
    market: Market,
    config: ml_collections.ConfigDict,
    mesh: jax.sharding.Mesh | None = None,
  ):
    """Binds the extractor to a market, and computes all labels.

    Args:
      feature_extractor: as in `Networks`.
      environment: environment of the training days.
      validation: environment of the validation days.
      market: the market that the extractor observes.
      config: all settings. Training takes at most `ranker.windows` windows, but
        at least one batch. If `ranker.windows` is 0, the limit is the number of
        windows that would train the agent that the other sections describe; see
        `agent_windows`.
      mesh: the mesh that the extractor was made with; None for one device.

    Raises:
      ValueError: if a setting is out of range, a split is too short, or the
        trades of the training days have fewer than two different returns.
    """
    check_settings(config.ranker)
    self._config = config.ranker
    self._extractor = feature_extractor
    self._investable = environment.spec.investable
    self._market = parallel.replicate(market, mesh)
    self._training = parallel.replicate(labels_of(environment), mesh)
    self._validation = parallel.replicate(labels_of(validation), mesh)
    self._mesh = mesh
    self._chunk = sizes.of_acting(config.agent.acting_chunk)
    self._column_gain = config.networks.column_gain
    known = np.asarray(self._training.returns)[np.asarray(self._training.known)]
    self._scale = _deviation(known)
    self._optimiser = optax.adamw(
      self._config.learning_rate, weight_decay=self._config.weight_decay
    )
    windows = self._config.windows or agent_windows(config)
    self._most_updates = max(windows // self._config.batch_size, 1)
    jit = functools.partial(jax.jit, out_shardings=parallel.everywhere(mesh))
    self._init = jit(self._pure_init)
    self._update = jit(
      self._pure_update,
      donate_argnums=0,
      compiler_options=parallel.compiler_options(),
    )
    self._loss_of = jit(self._pure_loss_of)
    self._predict = jit(self._pure_predict)

  def train(
    self,
    key: PRNGKey,
    profit: Callable[[RankerState], float],
    report: Callable[[dict[str, float]], Any] = dict,
  ) -> Fitted:
    """Trains until the validation loss stops falling or windows are used up.

    It stops after `ranker.patience` evaluations without a new lowest loss, or
    at the limit of windows (see `__init__`).

    Args:
      key: for initialisation and all updates.
      profit: returns the profit of trading with a state's weights on the
        validation days; only called if `ranker.champion_by` is
        'validation_profit'.
      report: called with each row of metrics.

    Raises:
      FloatingPointError: if a metric is not finite.
    """
    config = self._config
    state = self._init(parallel.replicate(key, self._mesh), self._market)
    rows: list[dict[str, float]] = []
    best, highest, best_update = state, -np.inf, 0
    updates, waited, lowest = 0, 0, np.inf
    while updates < self._most_updates and waited < config.patience:
      count = min(config.evaluate_every, self._most_updates - updates)
      state, training = self._update(
        state, self._market, self._training, np.zeros(count)
      )
      updates += count
      validation = self._loss_of(state, self._market, self._validation)
      row = {
        'update': updates,
        'training_loss': float(training),
        _LOSS: float(validation),
      }
      if config.champion_by == _PROFIT:
        row[_PROFIT] = profit(state)
      if not np.isfinite([*row.values()]).all():
        raise FloatingPointError(
          f'ranker: found the metrics {row}, expected finite numbers; a lower '
          'ranker.learning_rate may help'
        )
      rows.append(row)
      report(row)
      waited += 1
      if row[_LOSS] < lowest:
        lowest, waited = row[_LOSS], 0
      score = row.get(_PROFIT, -row[_LOSS])
      if score > highest:
        highest, best_update = score, updates
        best = jax.tree.map(jnp.copy, state)
    return Fitted(
      best.weights,
      best.state,
      rows,
      updates,
      best_update,
      updates * config.batch_size,
    )

  def predictions(self, fitted: Fitted, days) -> np.ndarray:
    """Predicts `Labels.returns` of a trade of each stock, float [M, N].

    Args:
      fitted: a trained ranker.
      days: int [M], the days at whose closes the trades are decided.
    """
    days = jnp.asarray(days, jnp.int32)
    return parallel.to_host(
      self._predict(fitted.weights, fitted.state, self._market, days)
    )

  def _pure_init(self, key, market) -> RankerState:
    key, key_extractor, key_head = jax.random.split(key, 3)
    window = market.window(jnp.int32(market.context_days - 1))[None]
    params, state = self._extractor.init(
      key_extractor, window, is_training=False
    )
    features, _ = self._extractor.apply(params, state, None, window)
    width = 2 * features.shape[-1]
    w = jax.random.normal(key_head, (width,)) / jnp.sqrt(width)
    logits = jnp.zeros(features.shape[1])
    weights = Weights(params, w, jnp.zeros(()), logits)
    return RankerState(weights, state, self._optimiser.init(weights), key)

  def _apply(self, weights, state, key, windows, is_training):
    """Returns scaled predictions [B, N], and the extractor's new state.

    A scaled prediction times `_scale` is in the unit of `Labels.returns`.
    """
    features, state = self._extractor.apply(
      weights.extractor, state, key, windows, is_training=is_training
    )
    first, stop = self._investable
    own = features[:, first:stop]
    context = column_mean(features, self._column_gain * weights.logits)
    context = jnp.broadcast_to(context[:, None], own.shape)
    joined = jnp.concatenate([own, context], axis=-1)
    return joined @ weights.w + weights.b, state

  def _pure_update(self, state, market, labels, counted):
    """Performs `len(counted)` updates; returns the new state and mean loss."""

    def loss(weights, network_state, batch, key):
      predicted, network_state = self._apply(
        weights, network_state, key, market.windows(batch.days), True
      )
      return self._mean_square(predicted, batch), network_state

    def update(state, _):
      key, key_batch, key_loss = jax.random.split(state.key, 3)
      chosen = jax.random.randint(
        key_batch, (self._config.batch_size,), 0, len(labels.days)
      )
      batch = jax.tree.map(lambda x: x[chosen], labels)
      (value, network_state), gradients = jax.value_and_grad(
        loss, has_aux=True
      )(state.weights, state.state, batch, key_loss)
      steps, opt_state = self._optimiser.update(
        gradients, state.opt_state, state.weights
      )
      weights = optax.apply_updates(state.weights, steps)
      return RankerState(weights, network_state, opt_state, key), value

    state, values = jax.lax.scan(update, state, counted)
    return state, values.mean()

  def _pure_loss_of(self, state, market, labels):
    predicted = self._in_chunks(state.weights, state.state, market, labels.days)
    return self._mean_square(predicted, labels)

  def _pure_predict(self, weights, state, market, days):
    return self._scale * self._in_chunks(weights, state, market, days)

  def _in_chunks(self, weights, state, market, days):
    def predict(days):
      windows = market.windows(days)
      return self._apply(weights, state, None, windows, False)[0]

    return parallel.in_chunks(predict, days, self._chunk)

  def _mean_square(self, predicted: Array, labels: Labels) -> Array:
    """Returns the mean squared error of scaled predictions for known trades.

    It is relative to the variance of the training days' returns, because labels
    are scaled, too; 0 if no trade is known.
    """
    error = jnp.where(
      labels.known, predicted - labels.returns / self._scale, 0.0
    )
    return jnp.sum(error**2) / jnp.maximum(labels.known.sum(), 1)


@jax.jit
def _trade_returns(
  environment: TradingEnvironment, days: Array
) -> tuple[Array, Array]:
  """Returns the `returns` and `known` of `Labels` for `days` [S]."""
  rules, table = environment.rules, environment.prices
  stocks = jnp.arange(table.shape[1], dtype=jnp.int32)
  target = jnp.full(1, rules.max_sale_target, table.dtype)

  def of_day(day):
    percent, filled = rewards.worth(environment, day, stocks, target)
    known = prices.quote(table, day, stocks).status == prices.PRICED
    known &= filled
    return jnp.where(known, percent, 0.0).astype(jnp.float32), known

  return jax.vmap(of_day)(days)

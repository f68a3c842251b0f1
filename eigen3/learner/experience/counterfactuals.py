"""Counterfactual orders: the rewards of orders that were not placed.

Prices do not react to orders, so with some reward functions the reward of any
order is known once the prices of the following days are known. An episode
contains only the rewards of orders that were placed. Counterfactual orders
cost little: most of the cost of learning from a transition is that of encoding
its window, and the encoding serves any number of orders. Supervised learning
always has the returns of all stocks; without them it is hard to learn to choose
among many stocks.
"""

import jax
import jax.numpy as jnp
import ml_collections

from eigen3 import settings
from eigen3.agent import replay
from eigen3.environment import Rules, TradingEnvironment, rewards
from eigen3.learner.experience import observations
from eigen3.types import Array, PRNGKey, Transition


def count_of(rules: Rules, config: ml_collections.ConfigDict) -> int:
  """Returns the number of counterfactual orders for each transition.

  It is the setting `learner.counterfactuals`, or 0 if orders cannot be drawn or
  valued one by one: if a stock that cannot be bought can block others
  (`entry_choice` is 'best'), or coefficients have no upper bound. It is also 0
  if an order is not valued by its reward on the same day alone (see
  `are_paid_at_once`), unless the account is observed: then each order is
  simulated for one day, which also gives the next account.

  Args:
    rules: rules of the environment.
    config: has `agent` and `learner`.

  Raises:
    ValueError: if `learner.counterfactuals` is out of range.
  """
  settings.check('learner', config.learner, _EXPECTED)
  known = rules.entry_choice == 'best_available' and rules.scaled_actions
  known &= rules.observe_account or are_paid_at_once(rules, config)
  return config.learner.counterfactuals if known else 0


def are_paid_at_once(rules: Rules, config: ml_collections.ConfigDict) -> bool:
  """Returns whether only the reward on the day of an order gives its value.

  That is the case if the reward has `of_orders` and the discount is 0.
  """
  is_known = rewards.find(rules.reward).of_orders is not None
  return is_known and not config.agent.gamma


def sample(
  environment: TradingEnvironment,
  ring: replay.ReplayState,
  key: PRNGKey,
  batch_size: int,
  count: int,
) -> Transition:
  """Samples transitions from replay and adds counterfactual orders; see `add`.

  Args:
    environment: the environment of the transitions.
    ring: the replay; holds at least one transition.
    key: consumed.
    batch_size: number of transitions.
    count: number of counterfactual orders for each transition.
  """
  key, key_more = jax.random.split(key)
  return add(environment, replay.sample(ring, key, batch_size), key_more, count)


def add(
  environment: TradingEnvironment, batch: Transition, key: PRNGKey, count: int
) -> Transition:
  """Adds `count` actions with counterfactual orders to each transition.

  Such an action gives `max_entries_per_day` stocks (1 by default) a coefficient
  of at least the threshold and a sale target, both drawn uniformly, and all
  other stocks the lowest coefficient. Stocks are drawn by stratified sampling:
  with one entry a day, N drawn actions order each of the N stocks once. The
  first of the added actions orders nothing if the batch has the environment's
  states, or if the reward has `of_nothing`. If the batch has states, each added
  counterfactual action is played for one step; otherwise the reward's
  `of_orders` and `of_nothing` give its reward.

  Args:
    environment: the environment of the transitions.
    batch: transitions [B], actions [B, N, 2] and rewards [B].
    key: consumed.
    count: number of actions to add; 0 leaves the batch as it is.

  Returns:
    The batch with actions [B, 1 + count, N, 2] and rewards [B, 1 + count]; the
    action that was played in the episode, and its reward, come first. With
    states, discounts are [B, 1 + count], and each next observation has
    1 + count accounts and masks of available stocks.
  """
  if not count:
    return batch
  if getattr(batch.s_tm1, 'state', ()):
    return _played(environment, batch, key, count)
  draw = jax.vmap(_orders, in_axes=(None, 0, 0, 0, None))
  keys = jax.random.split(key, len(batch.r_t))
  observed = batch.s_tm1
  could = observations.unpacked(observed, environment.spec.action.shape[0])
  actions, paid = draw(environment, keys, observed.day, could, count)
  return batch._replace(
    a_tm1=jnp.concatenate([batch.a_tm1[:, None], actions], 1),
    r_t=jnp.concatenate([batch.r_t[:, None], paid.astype(batch.r_t.dtype)], 1),
  )


def _played(
  environment: TradingEnvironment, batch: Transition, key: PRNGKey, count: int
) -> Transition:
  """Implements `add` for batches with states, by playing steps from them."""
  keys = jax.random.split(key, len(batch.r_t))
  draw = jax.vmap(_drawn, in_axes=(None, 0, None))
  orders, _, _ = draw(environment, keys, count - 1)
  idle = _idle(environment, orders.dtype)
  idle = jnp.broadcast_to(idle, (len(keys), 1, *idle.shape))
  actions = jnp.concatenate([idle, orders], 1)

  def play(state, actions):
    after, timesteps = jax.vmap(environment.step, (None, 0))(state, actions)
    available = jax.vmap(environment.available)(after)
    return timesteps, observations.packed(available)

  timesteps, available = jax.vmap(play)(batch.s_tm1.state, actions)

  def beside(done, others):
    return jnp.concatenate([done[:, None], others.astype(done.dtype)], 1)

  return batch._replace(
    a_tm1=beside(batch.a_tm1, actions),
    r_t=beside(batch.r_t, timesteps.reward),
    discount_t=beside(batch.discount_t, timesteps.discount),
    s_t=batch.s_t._replace(
      available=beside(batch.s_t.available, available),
      account=jax.tree.map(beside, batch.s_t.account, timesteps.account),
    ),
  )


def _orders(
  environment: TradingEnvironment,
  key: PRNGKey,
  day: Array,
  could: Array,
  count: int,
) -> tuple[Array, Array]:
  """Draws actions [count, N, 2] for a day; also returns their rewards [count].

  The first action orders nothing if the reward has `of_nothing`. `could` is
  bool [N], which stocks could be bought; an order for another stock gets the
  reward of an unused entry.
  """
  reward = environment.reward
  assert reward.of_orders is not None, 'see `count_of`'
  of_nothing = reward.of_nothing
  actions, stock, order = _drawn(environment, key, count - bool(of_nothing))
  paid = reward.of_orders(environment, day, stock, order[:, 0], order[:, 1])
  nothing = 0 if of_nothing is None else of_nothing(environment, day)
  paid = jnp.where(could[stock], paid, nothing)
  entries = environment.rules.max_entries_per_day
  if entries > 1:
    paid = jnp.sum(paid.reshape(-1, entries), axis=1)
  if of_nothing is None:
    return actions, paid
  idle = _idle(environment, actions.dtype)[None]
  of_idle = jnp.reshape(entries * nothing, 1)
  return jnp.concatenate([idle, actions]), jnp.concatenate([of_idle, paid])


def _idle(environment: TradingEnvironment, dtype: jnp.dtype) -> Array:
  """Returns the action [N, 2] that buys nothing."""
  spec = environment.spec.action
  return jnp.broadcast_to(jnp.asarray(spec.minimum, dtype), spec.shape)


def _drawn(
  environment: TradingEnvironment, key: PRNGKey, count: int
) -> tuple[Array, Array, Array]:
  """Draws actions; also returns the stocks and orders in them.

  Returns:
    Actions [count, N, 2], each with orders for M = `max_entries_per_day`
    stocks; the ordered stocks [count * M]; and the orders [count * M, 2], each
    a coefficient and a sale target.
  """
  spec = environment.spec
  num_stocks, entries = spec.action.shape[0], spec.max_entries_per_day
  key_stock, key_order = jax.random.split(key)
  # A stock from each of `count` strata of the stocks.
  place = jnp.arange(count) + jax.random.uniform(key_stock, (count,))
  stock = jnp.floor(place * num_stocks / count).astype(jnp.int32)
  stock = jnp.minimum(stock, num_stocks - 1)  # rounding may reach N
  rows = jnp.arange(count)
  if entries > 1:
    apart = num_stocks // entries * jnp.arange(entries)
    stock = ((stock[:, None] + apart) % num_stocks).ravel()
    rows = jnp.repeat(rows, entries)
  lowest = jnp.asarray(spec.action.minimum)
  highest = jnp.asarray(spec.action.maximum)
  least = lowest.at[0].set(spec.coefficient_threshold)
  order = jax.random.uniform(key_order, (count * entries, 2))
  order = least + (highest - least) * order
  actions = jnp.broadcast_to(lowest, (count, *spec.action.shape))
  return actions.at[rows, stock].set(order), stock, order


_EXPECTED = {'counterfactuals': settings.COUNT}

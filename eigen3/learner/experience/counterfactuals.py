"""What other orders of a day would have earned: more to learn from a window.

Prices do not react to orders, so under some rewards what any order earns is
known once the days after it are. An episode tells of the one stock that was
bought; to encode the window took nearly all of the work of learning from it,
and any number of orders can be judged by the same features. This is what a
supervised learner has all along, and how to choose among many stocks is hard to
learn without it.
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
  """How many to learn from beside each transition.

  None where it is not known what they would have brought: under a reward that
  is paid later, where a coefficient stands in the way of others or has no
  bounds, or where what they leave of the account counts.

  Args:
    rules: of the environment.
    config: has `agent` and `learner`.

  Raises:
    ValueError: the setting is out of range.
  """
  settings.check('learner', config.learner, _EXPECTED)
  known = (
    rewards.find(rules.reward).of_orders is not None
    and rules.entry_choice == 'best_available'
    and rules.scaled_actions
    and not config.agent.gamma
  )
  return config.learner.counterfactuals if known else 0


def sample(
  environment: TradingEnvironment,
  ring: replay.ReplayState,
  key: PRNGKey,
  batch_size: int,
  count: int,
) -> Transition:
  """Replayed transitions [batch_size], with orders of other stocks: see `add`.

  Args:
    environment: of the days that were lived through.
    ring: of experience; holds at least one transition.
    key: consumed.
    batch_size: of transitions.
    count: orders for each.
  """
  key, key_more = jax.random.split(key)
  return add(environment, replay.sample(ring, key, batch_size), key_more, count)


def add(
  environment: TradingEnvironment, batch: Transition, key: PRNGKey, count: int
) -> Transition:
  """Puts orders of other stocks beside what was done.

  Each is an action that gives one stock a coefficient of at least the
  threshold, and all others the lowest. Stocks are drawn evenly: with as many
  orders as stocks, each has one.

  Args:
    environment: of the days that the batch is of.
    batch: transitions [B], actions [B, N, 2] and rewards [B].
    key: consumed.
    count: orders for each transition; 0 leaves the batch as it is.

  Returns:
    The batch with actions [B, 1 + count, N, 2] and rewards [B, 1 + count],
    what was done first.
  """
  if not count:
    return batch
  draw = jax.vmap(_orders, in_axes=(None, 0, 0, 0, None))
  keys = jax.random.split(key, len(batch.r_t))
  observed = batch.s_tm1
  could = observations.unpacked(observed, environment.spec.action.shape[0])
  actions, paid = draw(environment, keys, observed.day, could, count)
  return batch._replace(
    a_tm1=jnp.concatenate([batch.a_tm1[:, None], actions], 1),
    r_t=jnp.concatenate([batch.r_t[:, None], paid.astype(batch.r_t.dtype)], 1),
  )


def _orders(
  environment: TradingEnvironment,
  key: PRNGKey,
  day: Array,
  could: Array,
  count: int,
) -> tuple[Array, Array]:
  """Actions [count, N, 2] of a day, and what they would have been paid."""
  spec = environment.spec
  num_stocks = spec.action.shape[0]
  key_stock, key_order = jax.random.split(key)
  # One from each of `count` strata of the stocks.
  place = jnp.arange(count) + jax.random.uniform(key_stock, (count,))
  stock = jnp.floor(place * num_stocks / count).astype(jnp.int32)
  stock = jnp.minimum(stock, num_stocks - 1)  # where rounding reached the end
  lowest = jnp.asarray(spec.action.minimum)
  highest = jnp.asarray(spec.action.maximum)
  least = lowest.at[0].set(spec.coefficient_threshold)
  order = jax.random.uniform(key_order, (count, 2))
  order = least + (highest - least) * order
  actions = jnp.broadcast_to(lowest, (count, *spec.action.shape))
  actions = actions.at[jnp.arange(count), stock].set(order)
  of_orders = environment.reward.of_orders
  assert of_orders is not None, 'see `count_of`'
  paid = of_orders(environment, day, stock, order[:, 0], order[:, 1])
  return actions, jnp.where(could[stock], paid, 0)


_EXPECTED = {'counterfactuals': settings.COUNT}

"""What an agent is told of its account, see `eigen3.types.Account`."""

import jax.numpy as jnp

from eigen3.environment import accounting
from eigen3.environment.accounting import EMPTY, Marked, Orders
from eigen3.environment.rules import Rules
from eigen3.types import Account, Array

# The least equity that shares are of, in initial cash: all may be lost.
_LEAST_EQUITY = 1e-6


def observe(
  rules: Rules, num_stocks: int, step: Array, marked: Marked
) -> Account:
  """The account as a policy sees it when it decides.

  Args:
    rules: of sizes, holdings and targets.
    num_stocks: N.
    step: int32 [], steps of the episode taken before.
    marked: the account at the close of the day.

  Returns:
    Leaves float32, whatever precision the account has: replay keeps them so,
    and a policy is to learn from what it acted on.
  """
  positions, quotes = marked.positions, marked.quotes
  held = positions.stock != EMPTY
  equity = jnp.maximum(marked.equity, _LEAST_EQUITY * rules.initial_cash)
  largest = rules.max_position_fraction * equity
  entry_price = jnp.where(held, positions.entry_price, 1)
  age = jnp.asarray(accounting.ages(rules))

  def percent_above_entry(price):
    return 100 * (price / entry_price - 1)

  of_slots = jnp.stack(
    [
      positions.shares * quotes.last_close / largest,
      age / rules.max_holding_days,
      percent_above_entry(quotes.last_close) / rules.max_sale_target,
      percent_above_entry(positions.target_price) / rules.max_sale_target,
      age >= rules.max_holding_days,
    ],
    axis=-1,
  )
  if marked.waiting is not None:
    of_orders = _of_orders(rules, marked.waiting, largest)
    of_slots = jnp.concatenate([of_slots, of_orders])
  # A stock is held or ordered once; what is out of range is dropped.
  place = jnp.where(marked.taken == EMPTY, num_stocks, marked.taken)
  stocks = jnp.zeros((num_stocks, of_slots.shape[-1]), of_slots.dtype)
  days_left = rules.num_steps - step
  whole = jnp.stack(
    [
      marked.cash / equity,
      jnp.minimum(days_left / rules.closing_days, 1),
    ]
  )
  return Account(
    stocks.at[place].set(of_slots, mode='drop').astype(jnp.float32),
    whole.astype(jnp.float32),
  )


def _of_orders(rules: Rules, waiting: Orders, largest: Array) -> Array:
  """What is seen of M orders that wait, [M, 5], as of positions."""
  weight = waiting.value / largest
  target = waiting.sale_target / rules.max_sale_target
  nothing = jnp.zeros_like(weight)
  return jnp.stack([weight, nothing, nothing, target, nothing], axis=-1)

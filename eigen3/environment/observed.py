"""Observations of the account, see `eigen3.types.Account`."""

import jax.numpy as jnp

from eigen3.environment import accounting
from eigen3.environment.accounting import EMPTY, Marked, Orders
from eigen3.environment.rules import Rules
from eigen3.types import Account, Array

# Smallest equity to divide by, in units of initial cash, in case all is lost.
_LEAST_EQUITY = 1e-6


def observe(
  rules: Rules, num_stocks: int, step: Array, marked: Marked
) -> Account:
  """Returns the account as the policy observes it at a decision.

  Args:
    rules: the trading rules.
    num_stocks: N.
    step: int32 [], number of earlier steps of the episode.
    marked: the account at the close of the day.

  Returns:
    The account, with float32 leaves whatever the precision of `marked`. Replay
    stores float32, so the policy learns from exactly what it acted on.
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
  # A stock is held or ordered at most once; indices out of range are dropped.
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
  """Returns waiting orders' features [M, 5], as in `Account.stocks`.

  `largest` is the value of the largest position allowed, float [].
  """
  weight = waiting.value / largest
  target = waiting.sale_target / rules.max_sale_target
  nothing = jnp.zeros_like(weight)
  return jnp.stack([weight, nothing, nothing, target, nothing], axis=-1)

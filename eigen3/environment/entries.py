"""Chooses the stocks to buy today and the size of each order."""

from typing import NamedTuple

import jax.numpy as jnp

from eigen3.environment import accounting, prices
from eigen3.environment.accounting import EMPTY, Orders
from eigen3.environment.rules import Entry, Rules
from eigen3.types import Array


class Entries(NamedTuple):
  """The day's M = `max_entries_per_day` decisions, largest coefficient first.

  Attributes:
    outcome: int32 [M], an `Entry`.
    stock: int32 [M], the stock considered, or EMPTY if its coefficient is below
      the threshold or trading is over.
    coefficient: float [M], -inf if no stock that can be bought is left.
    sale_target: float [M], % above the entry price, clipped to the range that
      the rules allow.
    value: float [M], cash the order may spend, costs included; 0 if it was not
      accepted.
  """

  outcome: Array
  stock: Array
  coefficient: Array
  sale_target: Array
  value: Array

  @property
  def accepted(self) -> Array:
    """Returns which orders were accepted, bool [M]."""
    return self.outcome == Entry.ACCEPTED


def choose(
  rules: Rules,
  table: Array,
  day: Array,
  trading: Array,
  action: Array,
  held: Array,
  cash: Array,
  equity: Array,
  num_waiting: Array | int = 0,
) -> Entries:
  """Decides a day's entries at the close, after the day's exits.

  Args:
    rules: rules of entries.
    table: float [T, N, 4], see `prices.price_table`.
    day: int32 [].
    trading: bool [], whether it is a trading day, not a settlement day.
    action: float [N, 2], coefficient and sale target in %.
    held: stocks held or ordered, see `Marked.taken`.
    cash: float [], the cash that waiting orders have not reserved.
    equity: float [], marked to market.
    num_waiting: int32 [] or int, the number of orders of earlier days that
      still wait.

  Returns:
    M decisions. Each order may spend at most the cash left by those before it.
    The last `num_waiting` of the M places belong to the waiting orders: nothing
    is accepted there.
  """
  coefficients = action[:, 0]
  if rules.entry_choice == 'best_available':
    buyable = _buyable(table, day, held)
    coefficients = jnp.where(buyable, coefficients, -jnp.inf)
  limit = equity * rules.max_position_fraction
  index = jnp.arange(coefficients.shape[0], dtype=jnp.int32)
  decisions = []
  for place in range(rules.max_entries_per_day):
    best = coefficients.max()
    # Ties go to the first. A NaN equals nothing and buys nothing.
    stock = jnp.where(coefficients == best, index, index[-1]).min()
    value = jnp.minimum(cash, limit * accounting.size(rules, best))
    is_held = (held == stock).any()
    status = prices.quote(table, day, stock).status
    is_free = place < rules.max_entries_per_day - num_waiting
    outcome = _outcome(rules, trading, is_free, best, status, is_held, value)
    accepted = outcome == Entry.ACCEPTED
    value = jnp.where(accepted, value, 0)
    cash = cash - value
    target = jnp.clip(
      action[stock, 1], rules.min_sale_target, rules.max_sale_target
    )
    looked_at = outcome > Entry.BELOW_THRESHOLD
    stock_or_empty = jnp.where(looked_at, stock, EMPTY)
    decisions.append(Entries(outcome, stock_or_empty, best, target, value))
    coefficients = jnp.where(index == stock, -jnp.inf, coefficients)
  return Entries(
    *(jnp.stack(fields) for fields in zip(*decisions, strict=True))
  )


def available(
  rules: Rules,
  table: Array,
  day: Array,
  trading: Array,
  held: Array,
  cash: Array,
) -> Array:
  """Returns which stocks' coefficients count today.

  With `entry_choice` 'best_available', these are the stocks that can be bought.
  With 'best', they are always all stocks, as in Eigen2: a stock that cannot be
  bought can still take the place of one that can.

  Args:
    rules: rules of entries.
    table: float [T, N, 4], see `prices.price_table`.
    day: int32 [].
    trading: bool [], whether it is a trading day and waiting orders leave a
      place for another order.
    held: stocks held or ordered, see `Marked.taken`.
    cash: float [], the cash that waiting orders have not reserved.

  Returns:
    bool [N].
  """
  if rules.entry_choice == 'best':
    return jnp.ones(table.shape[1], bool)
  buyable = _buyable(table, day, held) & trading
  if rules.enforce_cash:
    buyable &= (cash >= rules.min_position_value) & (cash > 0)
  return buyable


def as_orders(entries: Entries) -> Orders:
  """Converts entries to M orders, EMPTY where an entry was not accepted."""
  return Orders(
    stock=jnp.where(entries.accepted, entries.stock, EMPTY),
    value=entries.value,
    coefficient=entries.coefficient,
    sale_target=entries.sale_target,
  )


def _buyable(table: Array, day: Array, held: Array) -> Array:
  """Returns which stocks are PRICED and neither held nor ordered, bool [N]."""
  num_stocks = table.shape[1]
  stocks = jnp.arange(num_stocks, dtype=jnp.int32)
  priced = prices.quote(table, day, stocks).status == prices.PRICED
  slot = jnp.where(held == EMPTY, num_stocks, held)
  return priced.at[slot].set(False, mode='drop')


def _outcome(
  rules: Rules,
  trading: Array,
  is_free: Array | bool,
  coefficient: Array,
  status: Array,
  is_held: Array,
  value: Array,
) -> Array:
  """Returns an `Entry`, int32 []: ACCEPTED or the first obstacle.

  Obstacles that Eigen2 also has are checked in Eigen2's order.
  """
  outcome = jnp.full((), Entry.ACCEPTED, jnp.int32)
  if rules.enforce_cash:
    enough = (value >= rules.min_position_value) & (value > 0)
    outcome = jnp.where(enough, outcome, Entry.TOO_SMALL)
  outcome = jnp.where(status == prices.BARRED, Entry.NOT_MEMBER, outcome)
  unpriced = (status == prices.UNPRICED) | (status == prices.CLOSED)
  outcome = jnp.where(unpriced, Entry.NO_PRICE, outcome)
  outcome = jnp.where(is_held, Entry.HELD, outcome)
  outcome = jnp.where(status == prices.GONE, Entry.NO_DATA, outcome)
  outcome = jnp.where(is_free, outcome, Entry.WAITING)
  good = coefficient >= rules.coefficient_threshold
  outcome = jnp.where(good, outcome, Entry.BELOW_THRESHOLD)
  return jnp.where(trading, outcome, Entry.SETTLEMENT).astype(jnp.int32)

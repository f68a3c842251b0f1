"""Positions, orders and fills, and their effect on cash.

Open positions are held in S slots, M = `max_entries_per_day` of them for each
age in days: slot j holds a position bought j // M days ago. Thus no age is
stored, and a new position needs no search for a free slot. S is finite because
every position is closed at the age `Rules.oldest_age` at the latest.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from eigen3.environment.prices import CLOSED, GONE, Quote, has_price
from eigen3.environment.rules import Exit, Rules
from eigen3.types import Array

EMPTY = -1  # in place of a stock's index, if there is no position or order


class Orders(NamedTuple):
  """Accepted orders to buy that are not filled yet.

  They fill at the next open of their stocks' markets or, if the rules fill at
  the close, at the close of the day on which they were decided. Without a price
  then, an order lapses.

  Attributes:
    stock: int32 [M], EMPTY if there is no order.
    value: float [M], cash to spend, costs included.
    coefficient: float [M].
    sale_target: float [M], % above the entry price.
  """

  stock: Array
  value: Array
  coefficient: Array
  sale_target: Array


class Positions(NamedTuple):
  """Open positions, youngest first.

  Attributes:
    stock: int32 [S], EMPTY if the slot is free.
    shares: float [S], 0 if the slot is free.
    entry_price: float [S], before costs.
    target_price: float [S], the price that reaches the sale target.
    coefficient: float [S].
  """

  stock: Array
  shares: Array
  entry_price: Array
  target_price: Array
  coefficient: Array


class Closed(NamedTuple):
  """Positions closed today, slot by slot.

  Attributes:
    mask: bool [S], whether the slot's position was closed; where it was not,
      ignore the other fields.
    stock: int32 [S].
    entry_day: int32 [S].
    exit_day: int32 [S].
    entry_price: float [S].
    exit_price: float [S].
    shares: float [S].
    coefficient: float [S].
    reason: int32 [S], an `Exit`.
    net_profit: float [S], cash gained over the life of the trade, after the
      costs of both fills.
  """

  mask: Array
  stock: Array
  entry_day: Array
  exit_day: Array
  entry_price: Array
  exit_price: Array
  shares: Array
  coefficient: Array
  reason: Array
  net_profit: Array


class Marked(NamedTuple):
  """An account at the close of a day, before the day's decisions.

  Attributes:
    positions: those still held, S slots.
    quotes: the day's quotes, [S]: first of the stocks of the M orders decided
      earlier, filled today or not; then of the stocks of older positions,
      including those closed today.
    closed: the positions closed today, S slots.
    cash: float [].
    equity: float [], cash plus positions valued at their last closes.
    bought: float [], total value of the fills at the open, before costs.
    sold: float [], total value of the exits, before costs.
    was_active: bool [], whether any position was open during the day.
    waiting: M places for orders of earlier days whose stocks' markets have not
      opened yet; None unless `Rules.orders_wait`.
  """

  positions: Positions
  quotes: Quote
  closed: Closed
  cash: Array
  equity: Array
  bought: Array
  sold: Array
  was_active: Array
  waiting: Orders | None = None

  @property
  def taken(self) -> Array:
    """Returns the stocks held and, if orders can wait, those of waiting orders.

    The result, int32 [S] or [S + M], is EMPTY where a slot is free or no order
    waits.
    """
    if self.waiting is None:
      return self.positions.stock
    return jnp.concatenate([self.positions.stock, self.waiting.stock])

  @property
  def free_cash(self) -> Array:
    """Returns the cash that waiting orders have not reserved; float []."""
    claimed = 0 if self.waiting is None else self.waiting.value.sum()
    return self.cash - claimed

  @property
  def num_waiting(self) -> Array | int:
    """Returns the number of waiting orders; int32 [], or 0 if none can wait."""
    if self.waiting is None:
      return 0
    return (self.waiting.stock != EMPTY).sum(dtype=jnp.int32)


def num_slots(rules: Rules) -> int:
  """Returns S, the number of slots for ages 0 to `oldest_age`."""
  return (rules.oldest_age + 1) * rules.max_entries_per_day


def ages(rules: Rules) -> np.ndarray:
  """Returns the days since entry of the position in each slot, int32 [S]."""
  slots = np.arange(num_slots(rules), dtype=np.int32)
  return slots // rules.max_entries_per_day


def no_orders(rules: Rules, dtype: jnp.dtype) -> Orders:
  """Returns M empty orders."""
  zeros = jnp.zeros(rules.max_entries_per_day, dtype)
  return Orders(_empty(zeros), zeros, zeros, zeros)


def no_positions(rules: Rules, dtype: jnp.dtype) -> Positions:
  """Returns S free slots."""
  zeros = jnp.zeros(num_slots(rules), dtype)
  return Positions(_empty(zeros), zeros, zeros, zeros, zeros)


def fill(cost_rate: Array | float, orders: Orders, price: Array) -> Positions:
  """Fills each order at its stock's price.

  Args:
    cost_rate: costs of a fill as a share of its value.
    orders: M orders.
    price: float [M]; 0 leaves the order unfilled.

  Returns:
    M positions; a slot is free if there is no order or no price.
  """
  filled = (orders.stock != EMPTY) & (price > 0)
  paid = price * (1 + cost_rate)
  return Positions(
    stock=jnp.where(filled, orders.stock, EMPTY),
    shares=jnp.where(filled, orders.value / paid, 0),
    entry_price=price,
    target_price=price * (1 + orders.sale_target / 100),
    coefficient=orders.coefficient,
  )


def still_waiting(orders: Orders, status: Array) -> Orders:
  """Keeps the orders whose stock's market is closed today.

  Args:
    orders: M orders.
    status: float [M], today's status of the orders' stocks.

  Returns:
    M orders; for all that no longer wait, `stock` is EMPTY and `value` is 0.
  """
  waits = (orders.stock != EMPTY) & (status == CLOSED)
  return orders._replace(
    stock=jnp.where(waits, orders.stock, EMPTY),
    value=jnp.where(waits, orders.value, 0),
  )


def queue(orders: Orders, waiting: Orders | None) -> Orders:
  """Moves waiting orders to the last of the M places of the day's new orders.

  These places must be free. If `waiting` is None, the new orders are returned.
  """
  if waiting is None:
    return orders
  order = jnp.argsort(waiting.stock != EMPTY)
  waiting = jax.tree.map(lambda x: x[order], waiting)
  waits = waiting.stock != EMPTY
  return jax.tree.map(
    lambda old, new: jnp.where(waits, old, new), waiting, orders
  )


def pay(cash: Array, value: Array, stock: Array) -> Array:
  """Subtracts the values of filled orders from the cash, one by one.

  Args:
    cash: float [].
    value: float [M], values of the orders.
    stock: int32 [M or more]; among the first M, EMPTY marks an order that was
      not filled.

  Returns:
    The cash left, float []. If each value was limited to the cash left by the
    orders before it, the result is never negative: the orders were sized by the
    same subtractions in the same order, so rounding is the same. If some of the
    orders fill on a later day, rounding may make it slightly negative.
  """
  for order in range(value.shape[0]):
    cash = cash - jnp.where(stock[order] == EMPTY, 0, value[order])
  return cash


def put_youngest(positions: Positions, youngest: Positions) -> Positions:
  """Puts M new positions in the slots of age 0."""
  return jax.tree.map(
    lambda new, old: jnp.concatenate([new, old[new.shape[0] :]]),
    youngest,
    positions,
  )


def grow_older(positions: Positions, youngest: Positions) -> Positions:
  """Ages positions by a day: puts M new ones first, drops the last M slots.

  The dropped slots must be free.
  """
  return jax.tree.map(
    lambda new, old: jnp.concatenate([new, old[: -new.shape[0]]]),
    youngest,
    positions,
  )


def leave(
  rules: Rules,
  age: Array,
  today: Quote,
  entry_price: Array,
  target_price: Array,
) -> tuple[Array, Array]:
  """Returns why a position is closed on a day, if it is, and at what price.

  The first rule that applies decides:

  1. Only if orders fill at the open: sell at the open, if there is one and the
     maximum holding was reached on an earlier day.
  2. If the high reaches the sale target, sell at the target, or at a higher
     open if `Rules.target_fill` allows it.
  3. If the stock counts as gone or the position has the oldest age, sell at the
     delisting price.
  4. Only if orders fill at the close: sell at the close, if the maximum holding
     is reached. Without a close, keep the position or, if the delisting price
     is the entry price, sell at the entry price.

  The arguments broadcast.

  Args:
    rules: rules of exits.
    age: int32, days since the entry, which may be today.
    today: the stock's quote on the day.
    entry_price: float.
    target_price: float.

  Returns:
    int32 reasons (`Exit.NONE` if the position is kept) and float prices before
    costs, which mean nothing if the position is kept.
  """
  target_fill = target_price
  if rules.target_fill == 'limit_or_open':
    target_fill = jnp.maximum(target_price, today.open)
  gone_fill = delisting_price(rules, entry_price, today.last_close)
  gone = (today.status == GONE) | (age >= rules.oldest_age)
  priced = has_price(today.status)
  if rules.fills_at_open:
    at_open = (age > rules.max_holding_days) & (today.open > 0)
    at_close = jnp.zeros_like(gone)
  else:
    at_open = jnp.zeros_like(gone)
    # Without a close, Eigen2 exits at the entry price; we wait for a close.
    flatters = rules.delisting_price == 'entry_price'
    at_close = (age >= rules.max_holding_days) & (priced | flatters)
  close_fill = jnp.where(priced, today.last_close, entry_price)
  at_target = today.high >= target_price
  # Nested selects, first rule last; jnp.select is slower here.
  reason = jnp.where(at_close, Exit.MAX_HOLDING, Exit.NONE)
  reason = jnp.where(gone, Exit.DELISTED, reason)
  reason = jnp.where(at_target, Exit.TARGET, reason)
  reason = jnp.where(at_open, Exit.MAX_HOLDING, reason)
  price = jnp.where(gone, gone_fill, close_fill)
  price = jnp.where(at_target, target_fill, price)
  price = jnp.where(at_open, today.open, price)
  return reason.astype(jnp.int32), price


def delisting_price(rules: Rules, entry_price, last_close):
  """Returns the price at which a delisted share is sold, before costs."""
  if rules.delisting_price == 'entry_price':
    return entry_price
  return last_close * (1 + rules.delisting_return)


def close_positions(
  rules: Rules,
  cost_rate: Array | float,
  day: Array,
  positions: Positions,
  today: Quote,
) -> tuple[Positions, Closed]:
  """Closes positions as `leave` decides; returns those kept and those closed.

  The slots of closed positions are free in the first result.
  """
  age = jnp.asarray(ages(rules))
  reason, price = leave(
    rules, age, today, positions.entry_price, positions.target_price
  )
  mask = (positions.stock != EMPTY) & (reason != Exit.NONE)
  kept = positions._replace(
    stock=jnp.where(mask, EMPTY, positions.stock),
    shares=jnp.where(mask, 0, positions.shares),
  )
  closed = Closed(
    mask=mask,
    stock=positions.stock,
    entry_day=day - age,
    exit_day=jnp.broadcast_to(day, mask.shape),
    entry_price=positions.entry_price,
    exit_price=price,
    shares=positions.shares,
    coefficient=positions.coefficient,
    reason=reason,
    net_profit=positions.shares
    * (price * (1 - cost_rate) - positions.entry_price * (1 + cost_rate)),
  )
  return kept, closed


def size(rules: Rules, coefficient: Array) -> Array:
  """Returns a coefficient's position size, as a share of the largest size."""
  return jnp.clip(coefficient / rules.full_size_coefficient, 0, 1)


def _empty(like: Array) -> Array:
  return jnp.full(like.shape, EMPTY, jnp.int32)

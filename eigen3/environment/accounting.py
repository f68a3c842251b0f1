"""Positions, orders and what filling and leaving them does to the cash.

S slots hold the open positions, M a day of age: slot j holds what was bought
j // M days ago, so that an age is never stored, a new position never searches
for a place, and the maximum holding and delisting periods bound S.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from eigen3.environment.prices import CLOSED, GONE, Quote, has_price
from eigen3.environment.rules import Exit, Rules
from eigen3.types import Array

EMPTY = -1  # the stock of an empty slot


class Orders(NamedTuple):
  """Accepted entries that wait for the next open of the stock's market.

  Attributes:
    stock: int32 [M], EMPTY where there is none.
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
    stock: int32 [S], EMPTY where the slot is free.
    shares: float [S], 0 where the slot is free.
    entry_price: float [S].
    target_price: float [S].
    coefficient: float [S].
  """

  stock: Array
  shares: Array
  entry_price: Array
  target_price: Array
  coefficient: Array


class Closed(NamedTuple):
  """Positions that were left today, slot by slot.

  Attributes:
    mask: bool [S], whether the slot's position was left; else ignore the rest.
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
  """An account at the close of a day, before anything is decided then.

  Attributes:
    positions: that are still held, S slots.
    quotes: of the day, of the stocks that were held in the slots [S].
    closed: the positions left today, S slots.
    cash: float [].
    equity: float [], cash and positions at their last closes.
    bought: float [], value of the fills at the open, before costs.
    sold: float [], value of the exits, before costs.
    was_active: bool [], whether there was a position at any time of the day.
    waiting: M orders of earlier days whose market has not opened yet; None
      where markets have the same days (`Rules.orders_wait`).
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
    """Stocks that are held or ordered, EMPTY for none; int32 [S or more]."""
    if self.waiting is None:
      return self.positions.stock
    return jnp.concatenate([self.positions.stock, self.waiting.stock])

  @property
  def free_cash(self) -> Array:
    """Cash that no order has claimed; float []."""
    claimed = 0 if self.waiting is None else self.waiting.value.sum()
    return self.cash - claimed

  @property
  def num_waiting(self) -> Array | int:
    """Orders that wait; int32 []."""
    if self.waiting is None:
      return 0
    return (self.waiting.stock != EMPTY).sum(dtype=jnp.int32)


def num_slots(rules: Rules) -> int:
  """S; a position is left at the latest on the last day its slot exists."""
  return (rules.oldest_age + 1) * rules.max_entries_per_day


def ages(rules: Rules) -> np.ndarray:
  """int32 [S], days since the entry of the position in each slot."""
  slots = np.arange(num_slots(rules), dtype=np.int32)
  return slots // rules.max_entries_per_day


def no_orders(rules: Rules, dtype: jnp.dtype) -> Orders:
  """M empty orders."""
  zeros = jnp.zeros(rules.max_entries_per_day, dtype)
  return Orders(_empty(zeros), zeros, zeros, zeros)


def no_positions(rules: Rules, dtype: jnp.dtype) -> Positions:
  """S free slots."""
  zeros = jnp.zeros(num_slots(rules), dtype)
  return Positions(_empty(zeros), zeros, zeros, zeros, zeros)


def fill(cost_rate: Array | float, orders: Orders, price: Array) -> Positions:
  """Turns orders into positions at a price.

  Args:
    cost_rate: of a fill, as a share of its value.
    orders: [M].
    price: float [M]; 0 cancels the order.

  Returns:
    M positions, empty where there is no order or no price.
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
  """Of M orders those whose market is closed, by the status [M] of the day."""
  waits = (orders.stock != EMPTY) & (status == CLOSED)
  return orders._replace(
    stock=jnp.where(waits, orders.stock, EMPTY),
    value=jnp.where(waits, orders.value, 0),
  )


def queue(orders: Orders, waiting: Orders | None) -> Orders:
  """M orders of a day, of which the last places are free, and those waiting."""
  if waiting is None:
    return orders
  order = jnp.argsort(waiting.stock != EMPTY)
  waiting = jax.tree.map(lambda x: x[order], waiting)
  waits = waiting.stock != EMPTY
  return jax.tree.map(
    lambda old, new: jnp.where(waits, old, new), waiting, orders
  )


def pay(cash: Array, value: Array, stock: Array) -> Array:
  """Pays the filled orders, in their order.

  Args:
    cash: float [].
    value: float [M], of the orders.
    stock: int32 [M or more], EMPTY where an order was not filled.

  Returns:
    float [], never negative when every value was bounded by the cash that the
    orders before it left: the same differences round in the same way. Orders
    that others overtook may lack the last digits.
  """
  for order in range(value.shape[0]):
    cash = cash - jnp.where(stock[order] == EMPTY, 0, value[order])
  return cash


def put_youngest(positions: Positions, youngest: Positions) -> Positions:
  """Puts M positions in the slots of age 0."""
  return jax.tree.map(
    lambda new, old: jnp.concatenate([new, old[new.shape[0] :]]),
    youngest,
    positions,
  )


def grow_older(positions: Positions, youngest: Positions) -> Positions:
  """A day passes: M positions enter, the last M slots (always free) leave."""
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
  """Whether a position is left on a day, and at what price.

  In this order: at the open, when the maximum holding was reached at the
  close before (fills at the open only); at the target; by delisting; at the
  close of the day on which the maximum holding is reached (fills at the close
  only). The arguments broadcast.

  Args:
    rules: of fills and delisting.
    age: int32, days since the entry, which may be today.
    today: the stock's quote.
    entry_price: float.
    target_price: float.

  Returns:
    int32 reasons, `Exit.NONE` where the position is kept, and float prices.
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
    # Without a close, Eigen2 leaves at the entry price; we wait for one.
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
  """What a share that is gone brings, before costs; arrays of any kind."""
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
  """Leaves what is to be left today; returns what stays and what left."""
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
  """The share of the largest position that a coefficient asks for."""
  return jnp.clip(coefficient / rules.full_size_coefficient, 0, 1)


def _empty(like: Array) -> Array:
  return jnp.full(like.shape, EMPTY, jnp.int32)

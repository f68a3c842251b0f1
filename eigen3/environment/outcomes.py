"""Future outcomes of trades and positions, for rewards and labels.

Prices do not react to orders, so an outcome can be computed when the trade is
decided. Outcomes are training signals: no observation, action or fill may
depend on them.
"""

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

from eigen3.environment import accounting, prices
from eigen3.environment.accounting import Orders
from eigen3.environment.rules import Exit
from eigen3.types import Array

if TYPE_CHECKING:
  from eigen3.environment.trading import TradingEnvironment


def net_return(
  environment: 'TradingEnvironment',
  day: Array,
  stock: Array,
  sale_target: Array,
) -> tuple[Array, Array]:
  """Returns the net returns of trades decided on a day.

  The returns look ahead, but not to the environment's `stop` or later.

  Args:
    environment: gives prices, costs and the rules of fills and exits.
    day: int32 [], the day at whose close the trades are decided.
    stock: int32 [M].
    sale_target: float [M], %; [] or [1] if it is the same for all trades.

  Returns:
    float [M], the returns in % of what is paid, net of the costs of both fills;
    a trade not closed before `stop` is valued as if sold at the stock's last
    close before `stop`. bool [M], whether there is a price before `stop` that
    fills the order; else ignore the return.
  """
  rules, table = environment.rules, environment.prices
  stop, rate = environment.stop, environment.cost_rate
  entry_day, paid, filled = _fill(environment, day, stock)
  first_age = 0 if rules.fills_at_open else 1
  age = jnp.arange(first_age, rules.oldest_age + 1, dtype=jnp.int32)
  days = entry_day[..., None] + age
  path = prices.quote(table, jnp.minimum(days, stop - 1), stock[:, None])
  target = paid * (1 + sale_target / 100)
  reason, price = accounting.leave(
    rules, age, path, paid[:, None], target[:, None]
  )
  left = (reason != Exit.NONE) & (days < stop)
  first = jnp.min(jnp.where(left, age, rules.oldest_age + 1), axis=1)
  received = jnp.where(
    first > rules.oldest_age,
    path.last_close[:, -1],
    jnp.sum(jnp.where(age == first[:, None], price, 0), axis=1),
  )
  paid = jnp.where(filled, paid * (1 + rate), 1)
  return 100 * (received * (1 - rate) / paid - 1), filled


def mean_trade(
  environment: 'TradingEnvironment', day: Array, sale_target: Array
) -> Array:
  """Returns the mean net return of all possible trades of a day, per target.

  A trade is possible if its stock is in the universe, has a close on that day
  and a price at which the order is filled. Whether an account holds the stock
  does not matter. The mean looks ahead; see `net_return`.

  Args:
    environment: gives prices, costs and the rules of fills and exits.
    day: int32 [], the day at whose close the trades are decided.
    sale_target: float [M], %; the M targets, each used for all stocks.

  Returns:
    float [M], the mean for each target, in % of what is paid, net of the costs
    of both fills; 0 if no trade is possible.
  """
  return jax.vmap(lambda target: mean_of_target(environment, day, target)[0])(
    sale_target
  )


def mean_of_target(environment, day, sale_target) -> tuple[Array, Array]:
  """Returns `mean_trade` for one target, float [], and its number of trades.

  Args:
    environment: see `mean_trade`.
    day: see `mean_trade`.
    sale_target: float [], %.
  """
  table = environment.prices
  stock = jnp.arange(table.shape[1], dtype=jnp.int32)
  percent, filled = net_return(environment, day, stock, sale_target)
  filled &= prices.quote(table, day, stock).status == prices.PRICED
  count = filled.sum(dtype=jnp.int32)
  total = jnp.sum(jnp.where(filled, percent, 0))
  return total / jnp.maximum(count, 1), count


def gains_ahead(
  environment: 'TradingEnvironment', day: Array, orders: Orders
) -> Array:
  """Returns by how much M orders together change later equity, float [H].

  Args:
    environment: see `net_return`.
    day: int32 [], the day at whose close the orders are decided or, if they
      were decided earlier, still wait for their stocks' markets to open.
    orders: accepted orders, leaves [M].

  Returns:
    The equity with the orders less the equity without them, at the close of
    each of the H days after `day`; H as in `values_ahead`.
  """
  rate = environment.cost_rate
  entry_day, price, filled = _fill(environment, day, orders.stock)
  filled &= orders.stock != accounting.EMPTY
  price = jnp.where(filled, price, 1)
  shares = jnp.where(filled, orders.value / (price * (1 + rate)), 0)
  values = values_ahead(
    environment,
    day,
    jnp.broadcast_to(day - entry_day, price.shape),
    orders.stock,
    shares,
    price,
    price * (1 + orders.sale_target / 100),
  )
  paid = jnp.where(filled, orders.value, 0)
  ahead = day + 1 + jnp.arange(values.shape[1], dtype=jnp.int32)
  is_paid = ahead >= entry_day[..., None]
  return jnp.sum(jnp.where(is_paid, values - paid[:, None], 0), axis=0)


def values_ahead(
  environment: 'TradingEnvironment',
  day: Array,
  age: Array,
  stock: Array,
  shares: Array,
  entry_price: Array,
  target_price: Array,
) -> Array:
  """Returns the future values of positions, or their net proceeds once sold.

  The values look ahead, but not to the environment's `stop` or later: from then
  on prices are taken as constant, and nothing is sold.

  Args:
    environment: gives prices, costs and the rules of exits.
    day: int32 [].
    age: int32 [S], days from the entry to `day`, negative for a later entry.
      Ignore the values of days before the entry.
    stock: int32 [S].
    shares: float [S], 0 without a position.
    entry_price: float [S].
    target_price: float [S].

  Returns:
    float [S, H], at the closes of the H = `longest_trade` days after `day`. If
    the last of these days is before `stop`, all positions are closed by then.
  """
  rules, stop = environment.rules, environment.stop
  ahead = 1 + jnp.arange(rules.longest_trade, dtype=jnp.int32)
  days = day + ahead
  path = prices.quote(
    environment.prices, jnp.minimum(days, stop - 1), stock[:, None]
  )
  reason, price = accounting.leave(
    rules,
    age[:, None] + ahead,
    path,
    entry_price[:, None],
    target_price[:, None],
  )
  leaves = (reason != Exit.NONE) & (days < stop)
  left = jnp.cumsum(leaves, axis=1)
  first = leaves & (left == 1)
  brought = jnp.sum(jnp.where(first, price, 0), axis=1, keepdims=True)
  after_costs = (1 - environment.cost_rate) * brought
  return shares[:, None] * jnp.where(left > 0, after_costs, path.last_close)


def _day_of_fill(
  environment: 'TradingEnvironment', day: Array, stock: Array
) -> Array:
  """Returns the day after `day` on which each stock's market opens, int32 [M].

  If no order can wait, it is always the next day, int32 [].
  """
  rules = environment.rules
  if not rules.orders_wait:
    return day + 1
  most = rules.closed_days
  return day + 1 + prices.days_closed(environment.prices, day, stock, most)


def _fill(
  environment: 'TradingEnvironment', day: Array, stock: Array
) -> tuple[Array, Array, Array]:
  """Returns the fills of orders that are decided on a day.

  Returns:
    int32 [M], the day of the fill, or [] if it is the same for all orders;
    float [M], its price before costs; bool [M], whether there is such a price;
    an open on `stop` or later does not count.
  """
  table = environment.prices
  if environment.rules.fills_at_open:
    entry_day = _day_of_fill(environment, day, stock)
    price = prices.quote(table, entry_day, stock).open
    return entry_day, price, (price > 0) & (entry_day < environment.stop)
  price = prices.quote(table, day, stock).last_close
  return day, price, price > 0

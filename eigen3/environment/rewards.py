"""Rewards: what a step earns, as a function of what happened in it."""

from typing import NamedTuple, Protocol

import jax.numpy as jnp

from eigen3.environment import accounting, prices
from eigen3.environment.accounting import Closed
from eigen3.environment.entries import Entries
from eigen3.environment.rules import Exit, Rules
from eigen3.types import Array

# The least equity that has a log, in initial cash: all may be lost.
_LEAST_EQUITY = 1e-6


class Extras(NamedTuple):
  """What happened in a step, and the account at the close of its day.

  Attributes:
    equity: float [], cash and positions at their last closes.
    cash: float [].
    num_positions: int32 [], open ones.
    inactive: bool [], no position at the start nor at the end of the day.
    bought: float [], value of the day's entry fills, before costs.
    sold: float [], value of the day's exit fills, before costs.
    costs: float [], of the day's fills.
    entries: the day's M decisions.
    available: bool [N], what could be bought, see `entries.available`.
    closed: the positions left today, in S slots.
  """

  equity: Array
  cash: Array
  num_positions: Array
  inactive: Array
  bought: Array
  sold: Array
  costs: Array
  entries: Entries
  available: Array
  closed: Closed


class Reward(Protocol):
  """A reward, float [].

  Args:
    rules: of the environment.
    table: float [T, N, 4], see `prices.price_table`.
    day: int32 [], of the step.
    stop: int32 [], the first day that may not be looked at.
    extras: what the step did.
  """

  def __call__(
    self, rules: Rules, table: Array, day: Array, stop: Array, extras: Extras
  ) -> Array: ...


def eigen2_reward(
  rules: Rules, table: Array, day: Array, stop: Array, extras: Extras
) -> Array:
  """Coefficient x gain in %, paid at the exit, less the inaction penalty.

  The gain is of the price alone: Eigen2 knew no costs. Source: Eigen2.

  Args:
    rules: `loss_multiplier` and `inaction_penalty` are read.
    table: not looked at.
    day: not looked at.
    stop: not looked at.
    extras: the positions left today, and whether the day was inactive.

  Returns:
    float [], in % times coefficients, summed over the day's exits.
  """
  del table, day, stop
  closed = extras.closed
  gain = 100 * (closed.exit_price - closed.entry_price) / closed.entry_price
  gain = jnp.where(gain < 0, rules.loss_multiplier * gain, gain)
  reward = jnp.sum(jnp.where(closed.mask, closed.coefficient * gain, 0))
  return reward - jnp.where(extras.inactive, rules.inaction_penalty, 0)


def entry_reward(
  rules: Rules, table: Array, day: Array, stop: Array, extras: Extras
) -> Array:
  """The net return in % of today's entries, times their size, paid at once.

  Prices do not react to actions, so what a trade will earn can be computed
  when it is decided. A training signal: it looks ahead, up to `stop`, where a
  trade that is still open is valued at its last close as if it were sold. No
  observation, action or fill may see it.

  Args:
    rules: of fills, exits, costs and sizes.
    table: float [T, N, 4], see `prices.price_table`.
    day: int32 [], on whose close the entries were decided.
    stop: int32 [], the first day that may not be looked at.
    extras: the day's entries.

  Returns:
    float [], in % of the largest position, summed over the day's entries;
    0 for an order that was not accepted or that no open filled.
  """
  entries = extras.entries
  paid = order_reward(
    rules,
    table,
    day,
    stop,
    entries.stock,
    entries.coefficient,
    entries.sale_target,
  )
  return jnp.sum(jnp.where(entries.accepted, paid, 0))


def order_reward(
  rules: Rules,
  table: Array,
  day: Array,
  stop: Array,
  stock: Array,
  coefficient: Array,
  sale_target: Array,
) -> Array:
  """As `entry_reward`, of each of M accepted orders: float [M]."""
  percent, filled = net_return(rules, table, day, stop, stock, sale_target)
  size = accounting.size(rules, coefficient)
  return jnp.where(filled, size * percent, 0)


def net_return(
  rules: Rules,
  table: Array,
  day: Array,
  stop: Array,
  stock: Array,
  sale_target: Array,
) -> tuple[Array, Array]:
  """What trades decided today will bring; it looks ahead, up to `stop`.

  Args:
    rules: of fills, exits and costs.
    table: float [T, N, 4], see `prices.price_table`.
    day: int32 [], on whose close they are decided.
    stop: int32 [], the first day that may not be looked at.
    stock: int32 [M].
    sale_target: float [M], %.

  Returns:
    float [M], in % of what is paid, net of both costs; a trade that is open
    at `stop` is valued at its last close. bool [M], whether there is a price
    that fills the order; else ignore the return.
  """
  if rules.fills_at_open:
    paid = prices.quote(table, day + 1, stock).open
    filled = (paid > 0) & (day + 1 < stop)
    first_age = 0
  else:
    paid = prices.quote(table, day, stock).last_close
    filled = paid > 0
    first_age = 1
  age = jnp.arange(first_age, rules.oldest_age + 1, dtype=jnp.int32)
  days = day + 1 + age - first_age
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
  rate = rules.cost_rate
  paid = jnp.where(filled, paid * (1 + rate), 1)
  return 100 * (received * (1 - rate) / paid - 1), filled


def portfolio_reward(rules: Rules, before: Array, after: Array) -> Array:
  """The change of the account's log equity from one decision to the next.

  Both are of the close of a day, before anything is decided: what the decision
  between them costs and earns by the next close is in the second. Sums over an
  episode to the log of its growth.

  Args:
    rules: `portfolio_scale` is read.
    before: float [], equity when the action was decided.
    after: float [], equity when the next one is.

  Returns:
    float [], in units of log equity times the scale: with 100 in %.
  """
  least = jnp.asarray(_LEAST_EQUITY * rules.initial_cash, before.dtype)
  before, after = jnp.maximum(before, least), jnp.maximum(after, least)
  # The difference of two logs would lose most of its digits.
  return rules.portfolio_scale * jnp.log1p((after - before) / before)


# Rewards that can be told of a step alone, by name; see also the portfolio's.
OF_A_STEP: dict[str, Reward] = {'eigen2': eigen2_reward, 'entry': entry_reward}

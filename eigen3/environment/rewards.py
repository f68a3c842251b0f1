"""Reward functions, and the properties of rewards that other modules need.

The setting `environment.reward` is a name in `NAMED`, or the import path of a
reward of your own, such as `my_rewards.SHARPE`. The package itself need not
change.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from eigen3 import settings
from eigen3.environment import accounting, entries, outcomes
from eigen3.environment.accounting import Closed
from eigen3.environment.entries import Entries
from eigen3.environment.rules import Entry, Rules
from eigen3.types import Array

if TYPE_CHECKING:
  from eigen3.environment.trading import TradingEnvironment

# Smallest equity to take the log of, in units of initial cash, in case all is
# lost.
_LEAST_EQUITY = 1e-6
_NO_TRADE = -1.0  # below the growth of any possible trade


class Extras(NamedTuple):
  """The events of a step, and the account at the close of its day.

  Attributes:
    equity: float [], cash plus positions valued at their last closes.
    cash: float [].
    num_positions: int32 [], number of open positions.
    inactive: bool [], whether no position was open during the day or at its
      end, and no order waits.
    bought: float [], value of the day's entry fills, before costs.
    sold: float [], value of the day's exit fills, before costs.
    costs: float [], of the day's fills.
    entries: the day's M decisions.
    available: bool [N], see `entries.available`.
    closed: the positions closed today, in S slots.
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


@dataclasses.dataclass(frozen=True)
class Reward:
  """A reward, and what it requires of learners.

  Attributes:
    of_step: maps `(environment, state, next state, extras)` to float [], the
      reward of the step between two states of a `TradingEnvironment`.
    pays_later: whether an order also affects the rewards of later days.
      Learning then needs a discount above 0, and transitions of the settlement
      days.
    needs_account: whether only an agent that observes its account can predict
      the reward.
    known_on: for the proof of no look-ahead, maps `(rules, days, extras)` of E
      episodes of S steps, days int [E, S], to the first days on which the
      steps' rewards are known, int [E, S]; by default the days themselves.
    of_orders: maps `(environment, day, stock, coefficient, sale target)` of M
      orders to their rewards if they are accepted, float [M]. A learner can
      then learn from many orders a day. None if the reward depends on anything
      else.
    of_nothing: maps `(environment, day)` to the reward of an unused entry,
      float []. A day has `max_entries_per_day` entries, each a chance to buy;
      an unused one buys nothing. None means 0.
    prepare: maps an environment to data that the reward computes in advance
      from all days. It is called once; `environment.prepared` keeps the result.
      None if there are no such data.
  """

  of_step: Callable[..., Array]
  pays_later: bool = False
  needs_account: bool = False
  known_on: Callable[..., np.ndarray] = lambda rules, days, extras: days
  of_orders: Callable[..., Array] | None = None
  of_nothing: Callable[..., Array] | None = None
  prepare: Callable[['TradingEnvironment'], Any] | None = None


def _eigen2(environment, state, next_state, extras) -> Array:
  """Returns the sum over exits of coefficient x gain in %, less any penalty.

  The gain is that of the price: Eigen2 had no costs. Losses are multiplied by
  `loss_multiplier`. A day that `Extras` calls inactive has the penalty
  `inaction_penalty`. Source: Eigen2.
  """
  del state, next_state
  rules, closed = environment.rules, extras.closed
  gain = 100 * (closed.exit_price - closed.entry_price) / closed.entry_price
  gain = jnp.where(gain < 0, rules.loss_multiplier * gain, gain)
  reward = jnp.sum(jnp.where(closed.mask, closed.coefficient * gain, 0))
  return reward - jnp.where(extras.inactive, rules.inaction_penalty, 0)


def _entry(environment, state, next_state, extras) -> Array:
  """Returns the sum over the day's orders of net return in % x size.

  The size is a share of the full size. Prices do not react to actions, so the
  return of a trade can be computed when it is decided. This is a training
  signal that looks ahead, but not to the environment's `stop` or later; no
  observation, action or fill may depend on it. A trade not closed before `stop`
  is valued as if sold at the stock's last close before `stop`. An order that is
  not accepted or not filled adds 0.
  """
  del next_state
  chosen = extras.entries
  paid = _of_orders(
    environment,
    state.day,
    chosen.stock,
    chosen.coefficient,
    chosen.sale_target,
  )
  return jnp.sum(jnp.where(chosen.accepted, paid, 0))


def _of_orders(environment, day, stock, coefficient, sale_target) -> Array:
  """Returns the reward `entry` of each of M accepted orders, float [M]."""
  percent, filled = outcomes.net_return(environment, day, stock, sale_target)
  size = accounting.size(environment.rules, coefficient)
  return jnp.where(filled, size * percent, 0)


def _entry_excess(environment, state, next_state, extras) -> Array:
  """Returns the sum over the day's entries of the excess over a mean trade.

  A day has `max_entries_per_day` entries. One that is used for a trade of full
  size pays the trade's net return in % less the mean net return of all trades
  with the same sale target that could be made that day. This removes what all
  stocks have in common, and much of the noise with it. A smaller trade leaves
  part of its entry unused.

  If an unused entry paid 0, costs would cancel in the difference, and some
  stock would be worth buying every day: some trades beat the mean even when all
  of them lose. So an unused entry pays minus the net return of a mean trade
  with the highest target, or 0 if no trade was possible. With `market_timing`
  the mean is over the trades of the same day; at the highest target, rewards of
  any two actions then differ by as much as under `entry`. Without it, the mean
  is over all days, so that the reward does not favour buying on some days over
  others. In both cases the advantage of buying with the highest target over not
  buying, summed over all days, is the same as under `entry`.

  A sale target is judged by its effect on the stock's return less its effect on
  the mean return of all stocks. With `market_timing` the reward looks as far
  ahead as trades last, like `entry`; otherwise it uses all of the environment's
  days before `stop`.
  """
  del next_state
  chosen = extras.entries
  paid = _excess_of_orders(
    environment,
    state.day,
    chosen.stock,
    chosen.coefficient,
    chosen.sale_target,
  )
  nothing = _excess_of_nothing(environment, state.day)
  return jnp.sum(jnp.where(chosen.accepted, paid, nothing))


def _excess_of_orders(
  environment, day, stock, coefficient, sale_target
) -> Array:
  """Returns the reward `entry_excess` of each of M accepted orders, [M]."""
  percent, filled = outcomes.net_return(environment, day, stock, sale_target)
  excess = percent - outcomes.mean_trade(environment, day, sale_target)
  nothing = _excess_of_nothing(environment, day)
  size = accounting.size(environment.rules, coefficient)
  # A smaller position leaves part of an entry unused.
  paid = size * excess + (1 - size) * nothing
  return jnp.where(filled, paid, nothing)


def _excess_of_nothing(environment: 'TradingEnvironment', day: Array) -> Array:
  """Returns the reward `entry_excess` of an unused entry, float []."""
  rate, growth = environment.cost_rate, environment.prepared[day]
  percent = 100 * ((1 - rate) / (1 + rate) * growth - 1)
  return jnp.where(growth == _NO_TRADE, 0, -percent)


@jax.jit
def _mean_trades(environment: 'TradingEnvironment') -> Array:
  """Returns the growth factor of each day's mean trade before costs, [T].

  The trades have the highest sale target. With `market_timing`, the value is
  `_NO_TRADE` on days on which nothing could be bought. Without it, all T values
  are the same: the mean of the factors over all days that an episode can play
  and on which something could be bought; `_NO_TRADE` if there is no such day.
  """
  rules, table = environment.rules, environment.prices
  highest = jnp.asarray(rules.max_sale_target, table.dtype)
  days = jnp.arange(len(table), dtype=jnp.int32)
  free = environment.at_cost(0.0)
  means, counts = jax.lax.map(
    lambda day: outcomes.mean_of_target(free, day, highest), days
  )
  growth = 1 + means / 100
  if not rules.market_timing:
    counted = (days >= environment.first_day) & (days < environment.stop - 1)
    counted &= counts > 0
    total, counts = jnp.sum(jnp.where(counted, growth, 0)), counted.sum()
    growth = jnp.full_like(growth, total / jnp.maximum(counts, 1))
  return jnp.where(counts > 0, growth, _NO_TRADE)


def worth(
  environment: 'TradingEnvironment',
  day: Array,
  stock: Array,
  sale_target: Array,
) -> tuple[Array, Array]:
  """Returns full-size orders' rewards minus the reward of an unused entry.

  See `Reward.of_nothing`. Under `entry` the difference is the order's net
  return in %, which is also returned for rewards without `of_orders`.

  Args:
    environment: see `outcomes.net_return`.
    day: see `outcomes.net_return`.
    stock: see `outcomes.net_return`.
    sale_target: float [1], %, one for all orders.

  Returns:
    float [M], the differences, and bool [M], whether there is a price that
    fills the order; else ignore the difference.
  """
  percent, filled = outcomes.net_return(environment, day, stock, sale_target)
  reward = environment.reward
  if reward.of_orders is not None:
    full = jnp.full(1, environment.rules.full_size_coefficient, percent.dtype)
    percent = reward.of_orders(environment, day, stock, full, sale_target)
    if reward.of_nothing is not None:
      percent -= reward.of_nothing(environment, day)
  return percent, filled


def _when_closed(rules: Rules, days: np.ndarray, extras: Extras) -> np.ndarray:
  """Returns the day by which all trades ordered at a step are closed, [E, S].

  It is the step's own day if no order was accepted, and `longest_trade` days
  later if an order was not filled, or its trade not closed in the episode.
  """
  accepted = (extras.entries.outcome == Entry.ACCEPTED).sum(axis=-1)
  episode, step, slot = np.nonzero(extras.closed.mask)
  closed_at = (episode, step, slot)
  decided = (episode, _when_decided(rules, days, extras, closed_at))
  closed, last_exit = np.zeros_like(accepted), days.copy()
  np.add.at(closed, decided, 1)
  exit_day = np.asarray(extras.closed.exit_day)[closed_at]
  np.maximum.at(last_exit, decided, exit_day)
  return np.where(closed == accepted, last_exit, days + rules.longest_trade)


def _when_decided(rules: Rules, days: np.ndarray, extras: Extras, closed_at):
  """Returns the step on which each closed position was ordered, int [n].

  `closed_at` holds the n positions' episodes, steps of their exits, and slots,
  each int [n].
  """
  entry_day = np.asarray(extras.closed.entry_day)[closed_at]
  stock = np.asarray(extras.closed.stock)[closed_at]
  episode = closed_at[0]
  chosen = extras.entries
  ordered = (chosen.outcome == Entry.ACCEPTED)[episode] & (
    np.asarray(chosen.stock)[episode] == stock[:, None, None]
  )
  latest = entry_day - (1 if rules.fills_at_open else 0)
  before = ordered.any(axis=-1) & (days[episode] <= latest[:, None])
  return before.shape[1] - 1 - np.argmax(before[:, ::-1], axis=1)


def _when_excess_is_known(
  rules: Rules, days: np.ndarray, extras: Extras
) -> np.ndarray:
  """Returns the first days on which the rewards of `days` are known.

  With `market_timing`, that is when the longest possible trade has closed.
  Without it, rewards include a mean over all days of the environment, so they
  count as never known: the proof of no look-ahead does not compare them.
  """
  del extras
  if rules.market_timing:
    return days + rules.longest_trade
  return np.full_like(days, np.iinfo(days.dtype).max)


def _portfolio(environment, state, next_state, extras) -> Array:
  """Returns the scaled change of log equity from one decision to the next.

  Both equities are at a close, before that day's decision, so the second one
  includes the costs of the first decision and its gain by the next close. The
  sum over an episode is the log growth of equity times `portfolio_scale` (100
  gives %).
  """
  del extras
  rules = environment.rules
  before, after = environment.equity(state), environment.equity(next_state)
  least = jnp.asarray(_LEAST_EQUITY * rules.initial_cash, before.dtype)
  before, after = jnp.maximum(before, least), jnp.maximum(after, least)
  # The difference of two logs would lose most of its digits.
  return rules.portfolio_scale * jnp.log1p((after - before) / before)


def _shaped_portfolio(environment, state, next_state, extras) -> Array:
  """Returns the reward `portfolio` with potential-based shaping.

  The potential of a state is the discounted sum of the rewards `portfolio`
  until all positions, including those that waiting orders will open, are sold,
  if nothing more is ordered. It can be computed, because prices do not react to
  orders. Shaping adds the discounted potential of the next state and subtracts
  that of this state, which changes no optimal policy (Ng, Harada and Russell
  1999). What earlier orders contribute cancels, so the shaped reward is what
  the day's orders add to the discounted sum, 0 on days without an order. This
  is a training signal that looks ahead, like `entry`.
  """
  del next_state
  rules = environment.rules
  marked = environment.mark(state)
  positions, chosen = marked.positions, extras.entries
  held = marked.cash + jnp.sum(
    outcomes.values_ahead(
      environment,
      state.day,
      jnp.asarray(accounting.ages(rules)),
      positions.stock,
      positions.shares,
      positions.entry_price,
      positions.target_price,
    ),
    axis=0,
  )
  if marked.waiting is not None:
    held += outcomes.gains_ahead(environment, state.day, marked.waiting)
  gained = outcomes.gains_ahead(
    environment, state.day, entries.as_orders(chosen)
  )
  least = jnp.asarray(_LEAST_EQUITY * rules.initial_cash, held.dtype)
  held = jnp.maximum(held, least)
  grown = jnp.maximum(held + gained, least)
  # Sum of discount^(k-1) (d_k - d_(k-1)), by parts: d is the log of the ratio.
  discounts = rules.shaping_discount ** np.arange(len(gained))
  weights = discounts * (1.0 - rules.shaping_discount)
  weights[-1] = discounts[-1]
  added = jnp.log1p((grown - held) / held)
  return rules.portfolio_scale * (jnp.asarray(weights, added.dtype) @ added)


NAMED: Mapping[str, Reward] = {
  'eigen2': Reward(_eigen2, pays_later=True),
  'entry': Reward(_entry, known_on=_when_closed, of_orders=_of_orders),
  'entry_excess': Reward(
    _entry_excess,
    known_on=_when_excess_is_known,
    of_orders=_excess_of_orders,
    of_nothing=_excess_of_nothing,
    prepare=_mean_trades,
  ),
  'portfolio': Reward(
    _portfolio,
    pays_later=True,
    needs_account=True,
    known_on=lambda rules, days, extras: days + 1,
  ),
  'shaped_portfolio': Reward(
    _shaped_portfolio,
    pays_later=True,
    needs_account=True,
    known_on=lambda rules, days, extras: days + rules.longest_trade,
  ),
}


def find(name: str) -> Reward:
  """Returns the reward that the setting `environment.reward` names.

  Args:
    name: one of `NAMED`, or the import path of a `Reward`.

  Raises:
    ValueError: `name` does not name a `Reward`.
  """
  return settings.named(
    'environment.reward',
    name,
    NAMED,
    lambda found: isinstance(found, Reward),
    'a Reward in Python, as in my_rewards.MINE',
  )

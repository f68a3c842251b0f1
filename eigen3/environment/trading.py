"""The trading environment: pure `reset` and `step` over a market panel."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from eigen3 import settings
from eigen3.data.calendars import LONGEST_CLOSED
from eigen3.data.panel import MarketPanel
from eigen3.environment import accounting, entries, observed, prices, rewards
from eigen3.environment.accounting import EMPTY, Marked, Orders, Positions
from eigen3.environment.prices import Quote
from eigen3.environment.rewards import Extras, Reward
from eigen3.environment.rules import Rules
from eigen3.types import Account, Array, PRNGKey, TimeStep


class State(NamedTuple):
  """An episode between two steps.

  Attributes:
    day: int32 [], the day at whose close the next action is decided.
    step: int32 [], steps taken.
    cash: float [].
    equity: float [], at the close of the day before `day`; at the start of an
      episode, the initial cash.
    orders: M = `max_entries_per_day` orders that wait for the open of `day`, or
      of a later day if their market is closed.
    positions: S slots, see `accounting`.
    num_trades: int32 [], closed trades.
    num_wins: int32 [], closed trades that exited at the entry price or above.
    num_losses: int32 [], the other closed trades.
    days_without_positions: int32 [], number of steps that `Extras` calls
      inactive.
    cumulative_reward: float [].
  """

  day: Array
  step: Array
  cash: Array
  equity: Array
  orders: Orders
  positions: Positions
  num_trades: Array
  num_wins: Array
  num_losses: Array
  days_without_positions: Array
  cumulative_reward: Array


@jax.tree_util.register_pytree_node_class
class TradingEnvironment:
  """Buys and sells single stocks of a panel; a pytree.

  Pass it to jitted functions as an argument, never close over it: its prices
  would become a constant of the compiled program. The methods that take or
  return states work under `jax.jit` and `jax.vmap`. Episodes do not reset
  automatically.

  A step on day t fills waiting orders at the open, closes the positions that
  exit on t, then takes the action that was decided at the close of t. The
  action's orders fill at this close if `fill` is 'close', else they wait. The
  next observation is the day t + 1, an int32, and, if observed, the account at
  the close of t + 1.

  Attributes:
    prices: float [T, N, 4], see `prices.price_table`.
    first_day: int32 [], the earliest day an episode may start on.
    last_day: int32 [], the latest such day.
    stop: int32 [], the first day after those the environment may touch.
    prepared: what `Reward.prepare` returned, or None.
    rules: the trading rules; static.
    spec: the sizes and bounds that networks and agents need; static.
  """

  def __init__(
    self,
    panel: MarketPanel,
    config: Mapping[str, Any],
    days: tuple[int, int] | None = None,
    observed_features: Sequence[str] | None = None,
    of: str = '',
    discount: float = 0.0,
  ):
    """Packs the panel's prices, and prepares the reward.

    Args:
      panel: the market, of T days.
      config: the `environment` section.
      days: (start, stop) of the split that episodes may touch, by default all
        days. Windows may reach back to days before it.
      observed_features: names of the features that networks observe, for the
        spec; by default all features of the panel. Networks reject windows
        with another number of features.
      of: the setting that `days` come from, for error messages.
      discount: the agent's discount, for shaped rewards.

    Raises:
      ValueError: a setting is missing or out of range, or `days` are not in the
        panel or too few for the context and an episode.
    """
    rules = dataclasses.replace(
      Rules.from_config(config), shaping_discount=discount
    )
    if panel.markets:
      rules = dataclasses.replace(rules, closed_days=LONGEST_CLOSED)
    rewards.find(rules.reward)
    start, stop = days if days is not None else (0, panel.num_days)
    if not 0 <= start <= stop <= panel.num_days:
      raise ValueError(
        f'days: found ({start}, {stop}), expected (start, stop) with '
        f'0 <= start <= stop <= {panel.num_days}, the days of the panel'
      )
    if not 1 <= rules.max_entries_per_day <= panel.num_investable:
      raise ValueError(
        f'environment.max_entries_per_day: found {rules.max_entries_per_day}, '
        f'expected at most {panel.num_investable}, the number of investable '
        'columns'
      )
    first = max(start, rules.context_days - 1)
    last = stop - 1 - rules.num_steps
    if last < first:
      _raise_too_short(rules, start, stop, of)
    self.prices = jnp.asarray(prices.price_table(panel, rules), float)
    self.first_day = jnp.int32(first)
    self.last_day = jnp.int32(last)
    self.stop = jnp.int32(stop)
    self.rules = rules
    if observed_features is None:
      observed_features = panel.feature_names
    self.spec = rules.spec(
      panel.num_columns, len(observed_features), panel.investable
    )
    self._given_rate: Array | None = None
    self.prepared: Any = None
    if self.reward.prepare is not None:
      self.prepared = self.reward.prepare(self)

  def tree_flatten(self):
    """Returns the arrays, and the parts that are static when compiled."""
    days = (self.first_day, self.last_day, self.stop)
    arrays = (self.prices, *days, self.prepared, self._given_rate)
    return arrays, (self.rules, self.spec)

  @classmethod
  def tree_unflatten(cls, static, arrays) -> 'TradingEnvironment':
    """Inverts `tree_flatten`."""
    environment = object.__new__(cls)
    environment.rules, environment.spec = static
    (
      environment.prices,
      environment.first_day,
      environment.last_day,
      environment.stop,
      environment.prepared,
      environment._given_rate,
    ) = arrays
    return environment

  @property
  def num_steps(self) -> int:
    """Returns the number of an episode's trading and settlement days."""
    return self.rules.num_steps

  @property
  def reward(self) -> Reward:
    """Returns the reward that the rules name."""
    return rewards.find(self.rules.reward)

  @property
  def cost_rate(self) -> Array | float:
    """Returns the costs of a fill as a share of its value."""
    given = self._given_rate
    return self.rules.cost_rate if given is None else given

  def at_cost(self, cost_rate: float) -> 'TradingEnvironment':
    """Returns a copy with this cost rate; such copies share a compilation."""
    (*arrays, _), static = self.tree_flatten()
    rate = jnp.asarray(cost_rate, self.prices.dtype)
    return self.tree_unflatten(static, (*arrays, rate))

  def observing_account(self) -> 'TradingEnvironment':
    """Returns a copy whose time steps include the account."""
    arrays, (rules, spec) = self.tree_flatten()
    rules = dataclasses.replace(rules, observe_account=True)
    spec = dataclasses.replace(spec, observes_account=True)
    return self.tree_unflatten((rules, spec), arrays)

  def reset(self, key: PRNGKey) -> tuple[State, TimeStep]:
    """Starts an episode on a random day from `first_day` to `last_day`.

    The day is drawn uniformly. The key is consumed.
    """
    return self._start(
      jax.random.randint(key, (), self.first_day, self.last_day + 1, jnp.int32)
    )

  def reset_at(self, day: Array | int) -> tuple[State, TimeStep]:
    """Starts an episode at the close of `day`, int32 [].

    Raises:
      ValueError: if `day` is a Python or NumPy integer and no episode can start
        on it. Arrays are not checked; under `jax.jit`, pass an array.
    """
    if isinstance(day, (int, np.integer)):
      first, last = int(self.first_day), int(self.last_day)
      if not first <= day <= last:
        what = 'the days' if first < last else 'the only day'
        raise ValueError(
          f'day: found {day}, expected {settings.span(first, last)}, {what} on '
          'which an episode can start'
        )
    return self._start(jnp.asarray(day, jnp.int32))

  def step(self, state: State, action: Array) -> tuple[State, TimeStep]:
    """Plays the day `state.day`.

    Args:
      state: a state whose `step` is below `num_steps`.
      action: float [N, 2], coefficient and sale target in %, decided at the
        close of the day.

    Returns:
      The next state, and a time step with `Extras`.
    """
    chex.assert_shape(action, self.spec.action.shape)
    action = action.astype(self.prices.dtype)
    rules, day = self.rules, state.day
    marked = self.mark(state)
    positions, cash, equity = marked.positions, marked.cash, marked.equity
    bought = marked.bought
    trading = state.step < rules.trading_days
    could_buy = self._available(state, marked)
    chosen = entries.choose(
      rules,
      self.prices,
      day,
      trading,
      action,
      marked.taken,
      marked.free_cash,
      equity,
      marked.num_waiting,
    )
    orders = accounting.queue(entries.as_orders(chosen), marked.waiting)
    if not rules.fills_at_open:
      positions, cash, bought = self._fill_at_close(
        day, positions, orders, cash
      )
      # A purchase lowers the equity by its costs.
      equity = equity - self.cost_rate * bought
      orders = state.orders
    is_open = positions.stock != EMPTY
    flat = ~is_open.any() & (orders.stock == EMPTY).all()
    extras = Extras(
      equity=equity,
      cash=cash,
      num_positions=is_open.sum(dtype=jnp.int32),
      inactive=~marked.was_active & flat,
      bought=bought,
      sold=marked.sold,
      costs=self.cost_rate * (bought + marked.sold),
      entries=chosen,
      available=could_buy,
      closed=marked.closed,
    )
    return self._finish(state, positions, orders, flat, extras)

  def equity(self, state: State) -> Array:
    """Returns the equity at the close of `state.day`, before the decision."""
    return self.mark(state).equity

  def available(self, state: State) -> Array:
    """Returns which stocks' coefficients count; see `entries.available`."""
    return self._available(state, self.mark(state))

  def _available(self, state: State, marked: Marked) -> Array:
    return entries.available(
      self.rules,
      self.prices,
      state.day,
      (state.step < self.rules.trading_days)
      & (marked.num_waiting < self.rules.max_entries_per_day),
      marked.taken,
      marked.free_cash,
    )

  def mark(self, state: State) -> Marked:
    """Returns the account at the close of `state.day`, before the decision."""
    rules = self.rules
    positions, today = self._open(state)
    cash = accounting.pay(state.cash, state.orders.value, positions.stock)
    waiting = None
    if rules.orders_wait:
      status = today.status[: rules.max_entries_per_day]
      waiting = accounting.still_waiting(state.orders, status)
      cash = jnp.maximum(cash, 0) if rules.enforce_cash else cash
    was_active = (positions.stock != EMPTY).any()
    bought = _youngest_value(rules, positions)
    positions, closed = accounting.close_positions(
      rules, self.cost_rate, state.day, positions, today
    )
    sold = jnp.where(closed.mask, closed.shares * closed.exit_price, 0).sum()
    cash = cash + (1 - self.cost_rate) * sold
    equity = cash + (positions.shares * today.last_close).sum()
    return Marked(
      positions, today, closed, cash, equity, bought, sold, was_active, waiting
    )

  def _open(self, state: State) -> tuple[Positions, Quote]:
    """Ages the positions by a day and fills orders at the day's open.

    Returns:
      S positions; and the day's quotes, [S], of the stocks of the orders and of
      the aged positions.
    """
    rules, orders = self.rules, state.orders
    older = state.positions.stock[: -rules.max_entries_per_day]
    stock = jnp.concatenate([orders.stock, older])
    today = prices.quote(self.prices, state.day, stock)
    opens = today.open[: rules.max_entries_per_day]
    youngest = accounting.fill(self.cost_rate, orders, opens)
    return accounting.grow_older(state.positions, youngest), today

  def _fill_at_close(
    self, day: Array, positions: Positions, orders: Orders, cash: Array
  ) -> tuple[Positions, Array, Array]:
    """Fills the day's orders at its close.

    Returns:
      S positions, the cash left, and the value of the fills before costs.
    """
    close = prices.quote(self.prices, day, orders.stock).last_close
    youngest = accounting.fill(self.cost_rate, orders, close)
    cash = accounting.pay(cash, orders.value, youngest.stock)
    positions = accounting.put_youngest(positions, youngest)
    return positions, cash, _youngest_value(self.rules, positions)

  def _finish(
    self,
    state: State,
    positions: Positions,
    orders: Orders,
    flat: Array,
    extras: Extras,
  ) -> tuple[State, TimeStep]:
    """Updates the counters, advances the day and computes the reward.

    Args:
      state: the state before the step.
      positions: those at the end of the step.
      orders: those that wait for the next open.
      flat: bool [], whether there are no positions and no orders.
      extras: the events of the step.
    """
    closed = extras.closed
    won = closed.mask & (closed.exit_price >= closed.entry_price)
    num_trades = closed.mask.sum(dtype=jnp.int32)
    num_wins = won.sum(dtype=jnp.int32)
    next_state = State(
      day=state.day + 1,
      step=state.step + 1,
      cash=extras.cash,
      equity=extras.equity,
      orders=orders,
      positions=positions,
      num_trades=state.num_trades + num_trades,
      num_wins=state.num_wins + num_wins,
      num_losses=state.num_losses + num_trades - num_wins,
      days_without_positions=state.days_without_positions + extras.inactive,
      cumulative_reward=state.cumulative_reward,
    )
    reward = self.reward.of_step(self, state, next_state, extras)
    next_state = next_state._replace(
      cumulative_reward=state.cumulative_reward + reward
    )
    last = next_state.step >= self.num_steps
    discount = jnp.where(last & flat, 0, 1).astype(reward.dtype)
    return next_state, TimeStep(
      observation=next_state.day,
      reward=reward,
      discount=discount,
      last=last,
      extras=extras,
      account=self._account(next_state),
    )

  def _account(self, state: State) -> Account | None:
    """Returns the observed account at `state.day`; None if not observed."""
    if not self.rules.observe_account:
      return None
    num_stocks = self.prices.shape[1]
    return observed.observe(
      self.rules, num_stocks, state.step, self.mark(state)
    )

  def _start(self, day: Array) -> tuple[State, TimeStep]:
    dtype = self.prices.dtype
    cash = jnp.asarray(self.rules.initial_cash, dtype)
    nothing = jnp.zeros((), jnp.int32)
    state = State(
      day=day,
      step=nothing,
      cash=cash,
      equity=cash,
      orders=accounting.no_orders(self.rules, dtype),
      positions=accounting.no_positions(self.rules, dtype),
      num_trades=nothing,
      num_wins=nothing,
      num_losses=nothing,
      days_without_positions=nothing,
      cumulative_reward=jnp.zeros((), dtype),
    )
    return state, TimeStep(
      observation=day,
      reward=jnp.zeros((), dtype),
      discount=jnp.ones((), dtype),
      last=jnp.zeros((), bool),
      account=self._account(state),
    )


def _youngest_value(rules: Rules, positions: Positions) -> Array:
  """Returns the value of positions of age 0 at their entry prices; float []."""
  count = rules.max_entries_per_day
  return (positions.shares[:count] * positions.entry_price[:count]).sum()


def _raise_too_short(rules: Rules, start: int, stop: int, of: str):
  """Raises a ValueError that states the number of days found and required."""
  found = stop - start
  context = max(rules.context_days - start, 1)
  rest = ''
  if rules.context_days > context:
    rest = f'; the rest lies before day {start}'
  raise ValueError(
    f'panel too short: found {found} day{"s"[: found != 1]} from day {start} on'
    f'{of and f" ({of})"}, expected at least {context + rules.num_steps}: '
    f'{context} of context (environment.context_days is {rules.context_days}'
    f'{rest}) and {rules.num_steps} of an episode '
    f'(environment.trading_days {rules.trading_days} + '
    f'environment.settlement_days {rules.settlement_days})'
  )

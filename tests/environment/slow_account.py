"""The rules of trading, slow and obvious: the reference of the environment.

One market and one episode in float64, with loops and lists. It shares no code
with the environment and looks at prices only up to the day it plays.
"""

import dataclasses
import types

import numpy as np

OPEN, HIGH, CLOSE = 0, 1, 3
LONGEST_CLOSED = 30  # days, after which a market has ended


@dataclasses.dataclass
class Trade:
  """An order, then a position, then a result."""

  decided: int
  stock: int
  coefficient: float
  sale_target: float
  value: float
  entry_day: int = -1
  entry_price: float = 0.0
  target_price: float = 0.0
  shares: float = 0.0
  exit_day: int = -1
  exit_price: float = 0.0
  reason: str = ''
  net_profit: float = 0.0
  cancelled: bool = False


@dataclasses.dataclass
class Day:
  """Trades and positions of the account on a day."""

  cash: float = 0.0
  equity: float = 0.0
  num_positions: int = 0
  inactive: bool = False
  flat: bool = True
  bought: float = 0.0
  sold: float = 0.0
  available: list = dataclasses.field(default_factory=list)
  outcomes: list = dataclasses.field(default_factory=list)
  accepted: list = dataclasses.field(default_factory=list)
  closed: list = dataclasses.field(default_factory=list)
  eigen2_reward: float = 0.0
  entry_reward: float = 0.0
  marked: float = 0.0  # equity before anything is decided
  seen: list = dataclasses.field(default_factory=list)  # a row a stock
  seen_whole: tuple = ()


class SlowAccount:
  """Plays an episode day by day."""

  def __init__(self, panel, config, stop):
    first, last = panel.investable
    self.ohlc = panel.ohlc[:, first:last].astype(np.float64)
    is_price = np.isfinite(self.ohlc) & (self.ohlc > 0)
    self.prices = np.where(is_price, self.ohlc, None).tolist()
    self.features = panel.features[:, first:last]
    self.members = panel.members
    self.closes = panel.ohlc[..., 3]
    self.markets = panel.markets
    self.first = first
    self.config = types.SimpleNamespace(**config)  # faster access
    self.oldest_age = config.max_holding_days + config.delisting_days
    if self.markets:
      self.oldest_age += LONGEST_CLOSED
    self.stop = stop
    self.rate = (config.commission_bp + config.slippage_bp) / 10_000
    self.cash = config.initial_cash
    self.orders = []
    self.positions = []

  def play(self, start, actions):
    """Returns the episode's days, and those to the split's end, no entries."""
    self.start = start
    days = []
    for day in range(start, self.stop):
      step = day - start
      action = actions[step] if step < len(actions) else None
      days.append(self._play_day(day, action))
    self.days = days
    for today in days:
      today.entry_reward = sum(map(self._entry_reward, today.accepted))
    return days[: len(actions)]

  def alone(self, day, stock, sale_target):
    """Returns the return, %, of a full trade by an account with ample cash.

    None if the stock cannot be bought.
    """
    self.cash, self.orders, self.positions = 1e9, [], []
    action = np.zeros((self.ohlc.shape[1], 2))
    action[stock] = self.config.full_size_coefficient, sale_target
    (today,) = self.play(day, [action])
    bought = [trade for trade in today.accepted if trade.entry_day >= 0]
    return today.entry_reward if bought else None

  # Prices.

  def price(self, day, stock, kind):
    """Returns the price, or None if there is none."""
    return self.prices[day][stock][kind]

  def last_close(self, day, stock):
    while self.price(day, stock, CLOSE) is None:
      day -= 1
      if day < 0:
        return 0.0
    return self.price(day, stock, CLOSE)

  def is_gone(self, day, stock):
    """Returns whether it lacks prices on `delisting_days` market days."""
    missed = 0
    while day >= 0 and self._is_absent(day, stock):
      missed += self.is_open(day, stock)
      day -= 1
    return missed >= self.config.delisting_days

  def is_open(self, day, stock):
    """Returns whether any stock of its market trades, or the market ended."""
    if not self.markets:
      return True
    own = self.markets[self.first + stock]
    members = [c for c, market in enumerate(self.markets) if market == own]
    if len(members) == 1:
      return True
    for back in range(LONGEST_CLOSED + 1):
      if day - back < 0:
        return False
      if any(self.closes[day - back, c] > 0 for c in members):
        return back == 0
    return True

  def _is_absent(self, day, stock):
    if self.config.delisting_price == 'entry_price':
      cells = (self.ohlc[day, stock], self.features[day, stock])
      return all(np.isnan(cell).all() for cell in cells)
    return self.price(day, stock, CLOSE) is None

  # A day.

  def _play_day(self, day, action):
    today = Day()
    self._leave_at_open(day, today)
    self._fill_orders(day, today)
    was_active = bool(self.positions) or bool(today.closed)
    self._leave_at_target(day, today)
    self._leave_at_close(day, today)
    self._look(day, today)
    if action is not None:
      self._enter(day, action, today)
    today.cash = self.cash
    today.equity = self._equity(day)
    today.num_positions = len(self.positions)
    today.flat = not self.positions and not self.orders
    today.inactive = not was_active and today.flat
    today.eigen2_reward = self._eigen2_reward(today)
    return today

  def _leave_at_open(self, day, today):
    if self.config.fill != 'next_open':
      return
    for trade in list(self.positions):
      held_yesterday = (day - 1) - trade.entry_day
      price = self.price(day, trade.stock, OPEN)
      if held_yesterday >= self.config.max_holding_days and price:
        self._leave(trade, day, price, 'MAX_HOLDING', today)

  def _fill_orders(self, day, today):
    waiting = []
    for trade in self.orders:
      price = self.price(day, trade.stock, OPEN)
      if not self.is_open(day, trade.stock):
        waiting.append(trade)
      elif price is None:
        trade.cancelled = True
      else:
        self._buy(trade, day, price, today)
    self.orders = waiting

  def _leave_at_target(self, day, today):
    for trade in list(self.positions):
      high = self.price(day, trade.stock, HIGH)
      if high is None or high < trade.target_price:
        continue
      price = trade.target_price
      opening = self.price(day, trade.stock, OPEN)
      if self.config.target_fill == 'limit_or_open' and opening:
        price = max(price, opening)
      self._leave(trade, day, price, 'TARGET', today)

  def _leave_at_close(self, day, today):
    config = self.config
    flatters = config.delisting_price == 'entry_price'
    for trade in list(self.positions):
      held = day - trade.entry_day
      close = self.price(day, trade.stock, CLOSE)
      unsold = held >= self.oldest_age
      if self.is_gone(day, trade.stock) or unsold:
        price = trade.entry_price
        if not flatters:
          price = self.last_close(day, trade.stock)
          price *= 1 + config.delisting_return
        self._leave(trade, day, price, 'DELISTED', today)
      elif config.fill == 'close' and held >= config.max_holding_days:
        if close is not None:
          self._leave(trade, day, close, 'MAX_HOLDING', today)
        elif flatters:
          self._leave(trade, day, trade.entry_price, 'MAX_HOLDING', today)

  def _leave(self, trade, day, price, reason, today):
    trade.exit_day, trade.exit_price, trade.reason = day, price, reason
    value = trade.shares * price
    self.cash += value - value * self.rate
    cost = trade.shares * trade.entry_price * (1 + self.rate)
    trade.net_profit = value - value * self.rate - cost
    today.sold += value
    today.closed.append(trade)
    self.positions.remove(trade)

  def _buy(self, trade, day, price, today):
    trade.entry_day, trade.entry_price = day, price
    trade.target_price = price * (1 + trade.sale_target / 100)
    trade.shares = trade.value / (price * (1 + self.rate))
    self.cash -= trade.value
    today.bought += trade.shares * price
    self.positions.append(trade)

  def _equity(self, day):
    return self.cash + sum(
      trade.shares * self.last_close(day, trade.stock)
      for trade in self.positions
    )

  def _look(self, day, today):
    """Records what a policy observes of the account before its decision."""
    config = self.config
    today.marked = self._equity(day)
    today.seen = [[0.0] * 5 for _ in range(self.ohlc.shape[1])]
    for trade in self.positions:
      close = self.last_close(day, trade.stock)
      held = day - trade.entry_day
      today.seen[trade.stock] = [
        trade.shares * close / today.marked / config.max_position_fraction,
        held / config.max_holding_days,
        (close / trade.entry_price - 1) * 100 / config.max_sale_target,
        trade.sale_target / config.max_sale_target,
        float(held >= config.max_holding_days),
      ]
    for trade in self.orders:
      today.seen[trade.stock] = [
        trade.value / today.marked / config.max_position_fraction,
        0.0,
        0.0,
        trade.sale_target / config.max_sale_target,
        0.0,
      ]
    left = config.trading_days + config.settlement_days - (day - self.start)
    matters = config.max_holding_days + config.settlement_days
    today.seen_whole = (self.cash / today.marked, min(left / matters, 1))

  # Entries.

  def _enter(self, day, action, today):
    config = self.config
    equity = self._equity(day)
    uncommitted = self.cash - sum(trade.value for trade in self.orders)
    num_free = config.max_entries_per_day - len(self.orders)
    today.available = self._available(day, len(action))
    ranking = sorted(
      range(len(action)), key=lambda stock: (-action[stock, 0], stock)
    )
    if config.entry_choice == 'best_available':
      ranking = [
        stock
        for stock in ranking
        if not self._is_held(stock)
        and self.price(day, stock, CLOSE)
        and self._is_member(day, stock)
      ]
    for rank in range(config.max_entries_per_day):
      stock = ranking[rank] if rank < len(ranking) else None
      outcome, trade = self._decide(
        day, stock, action, equity, uncommitted, rank < num_free
      )
      today.outcomes.append((outcome, stock))
      if trade is None:
        continue
      uncommitted -= trade.value
      today.accepted.append(trade)
    for trade in today.accepted:
      if config.fill == 'close':
        self._buy(trade, day, self.price(day, trade.stock, CLOSE), today)
      else:
        self.orders.append(trade)

  def _available(self, day, num_stocks):
    config = self.config
    if config.entry_choice == 'best':
      return [True] * num_stocks
    cash = self.cash - sum(trade.value for trade in self.orders)
    rich = not config.enforce_cash or (
      cash > 0 and cash >= config.min_position_value
    )
    is_free = len(self.orders) < config.max_entries_per_day
    may_buy = rich and is_free and day - self.start < config.trading_days
    return [
      may_buy
      and not self._is_held(stock)
      and self.price(day, stock, CLOSE) is not None
      and self._is_member(day, stock)
      for stock in range(num_stocks)
    ]

  def _decide(self, day, stock, action, equity, cash, is_free):
    config = self.config
    if day - self.start >= config.trading_days:
      return 'SETTLEMENT', None
    if stock is None or action[stock, 0] < config.coefficient_threshold:
      return 'BELOW_THRESHOLD', None
    if not is_free:
      return 'WAITING', None
    if self.is_gone(day, stock):
      return 'NO_DATA', None
    if self._is_held(stock):
      return 'HELD', None
    if self.price(day, stock, CLOSE) is None:
      return 'NO_PRICE', None
    if not self._is_member(day, stock):
      return 'NOT_MEMBER', None
    coefficient = action[stock, 0]
    value = min(
      cash, equity * config.max_position_fraction * self._size(coefficient)
    )
    if config.enforce_cash and (
      value < config.min_position_value or value <= 0
    ):
      return 'TOO_SMALL', None
    lowest, highest = config.min_sale_target, config.max_sale_target
    sale_target = min(max(action[stock, 1], lowest), highest)
    trade = Trade(day, stock, coefficient, sale_target, value)
    return 'ACCEPTED', trade

  def _is_held(self, stock):
    taken = [*self.positions, *self.orders]
    return any(trade.stock == stock for trade in taken)

  def _is_member(self, day, stock):
    return self.members is None or bool(self.members[day, stock])

  def _size(self, coefficient):
    return min(coefficient / self.config.full_size_coefficient, 1.0)

  # Rewards.

  def _eigen2_reward(self, today):
    reward = 0.0
    for trade in today.closed:
      gain = (trade.exit_price - trade.entry_price) / trade.entry_price * 100
      if gain < 0:
        gain *= self.config.loss_multiplier
      reward += trade.coefficient * gain
    return reward - (self.config.inaction_penalty if today.inactive else 0)

  def _entry_reward(self, trade):
    """Returns the trade's realised return, known at the end of the split."""
    if trade.entry_day < 0:
      return 0.0
    price = trade.exit_price
    if trade.exit_day < 0:
      price = self.last_close(self.stop - 1, trade.stock)
    received = price * (1 - self.rate)
    spent = trade.entry_price * (1 + self.rate)
    return self._size(trade.coefficient) * 100 * (received / spent - 1)

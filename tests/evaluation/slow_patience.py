"""The yardsticks of the market `patience`, slow and obvious.

Observations, decisions and the account in plain loops over days and lists, in
float64. It shares the process's constants with the market, but no code with the
environment or with `eigen3.evaluation`.
"""

import functools
import itertools
import math
import types

from eigen3.data import synthetic_patience as process

OPEN, CLOSE = 0, 3
PHASES = range(process.NUM_PHASES)
POINTS = 20


def _points(low, high):
  return [low + (high - low) * (k + 0.5) / POINTS for k in range(POINTS)]


SHALLOW_SIZES, DEEP_SIZES = _points(*process.SHALLOW), _points(*process.DEEP)


class SlowMarket:
  """A market whose days before `start` are the past.

  Attributes:
    start: the first day that is played.
    stop: the day after the last.
    last_entry: the day after the last day of entries.
  """

  def __init__(self, market, config, start, stop):
    first, last = market.panel.investable
    self.prices = market.panel.ohlc[:stop, first:last].astype(float).tolist()
    self.herald = market.panel.ohlc[:stop, 1, CLOSE].astype(float).tolist()
    self.sizes = market.dips.sizes[:stop].tolist()
    self.phases = market.dips.phases[:stop].tolist()
    self.config = types.SimpleNamespace(**config)  # faster access
    self.start, self.stop = start, stop
    self.last_entry = stop - config.settlement_days

  @functools.cache  # noqa: B019, markets are few
  def known(self, informed):
    """Returns per day the expected recovery of each stock, and beliefs.

    A belief is a list of the probabilities of the phases.
    """
    if informed:
      beliefs = [[float(k == phase) for k in PHASES] for phase in self.phases]
      return self.sizes, beliefs
    # Falls of the first day are unknown.
    days_before = [self.prices[0], *self.prices[:-1]]
    falls = [*map(_falls, days_before, self.prices)]
    sizes = [[_expected_size(x, len(day)) for x in day] for day in falls]
    return sizes, _beliefs(self.herald, falls)

  def play_above(self, known, hurdle):
    """Buys the best stock with a net return above `hurdle`; see `play`."""

    def decide(day, held):
      return self._best(known[0][day], held, hurdle)

    return self.play(decide)

  def chosen_hurdle(self, known):
    """Returns the constant that earned the most before the first day."""
    cycle = cycle_of(self.config)
    days = range(self.start - cycle)
    nets = [[self.net(x) for x in known[0][day]] for day in days]
    best = sorted(max(net) for net in nets if max(net) > 0)
    found = [_quantile(best, k / 20) * (1 - 1e-6) for k in range(20)]
    return max([0.0, *found], key=lambda x: self._earned_before(nets, x))

  def play_patiently(self, known):
    """Buys if the net return exceeds the value of the slot; see `play`."""
    sizes, beliefs = known
    worth = worth_of_a_slot(
      self.config.max_holding_days,
      _rate(self.config),
      self.last_entry - self.start,
    )

    def decide(day, held):
      left = sorted([*held.values(), 0, 0])[-2:]
      if left[0] > 0:
        return None
      of_phases = worth[day - self.start]
      hurdle = sum(
        belief * of_phases[phase, tuple(left)]
        for phase, belief in enumerate(beliefs[day])
      )
      stock = self._best(sizes[day], held, 0.0)
      if stock is None or self._growth(sizes[day][stock]) <= hurdle:
        return None
      return stock

    return self.play(decide)

  def play(self, decide):
    """Returns equity at each close and trades (stock, entry day, exit day).

    `decide(day, held)` returns a stock or None; `held` has the days until the
    cash of each position is available for orders.
    """
    config, rate = self.config, _rate(self.config)
    cash, order, positions = config.initial_cash, None, []
    equities, trades = [], []
    for day in range(self.start, self.stop):
      prices = self.prices[day]
      for position in list(positions):
        stock, shares, entry_day = position
        if day - entry_day > config.max_holding_days:
          cash += shares * prices[stock][OPEN] * (1 - rate)
          positions.remove(position)
          trades.append((stock, entry_day, day))
      if order is not None:
        stock, value = order
        cash -= value
        shares = value / (prices[stock][OPEN] * (1 + rate))
        positions.append((stock, shares, day))
        order = None
      equity = cash
      for stock, shares, _ in positions:
        equity += shares * prices[stock][CLOSE]
      equities.append(equity)
      if day >= self.last_entry:
        continue
      held = {
        stock: cycle_of(config) - 1 - (day - entry_day)
        for stock, _, entry_day in positions
      }
      stock = decide(day, held)
      value = min(cash, equity * config.max_position_fraction)
      if stock is not None and value >= config.min_position_value:
        order = stock, value
    return equities, sorted(trades, key=lambda trade: trade[1])

  def net(self, size):
    """Returns the net return of a trade whose price rises by exp(size)."""
    rate = _rate(self.config)
    return math.exp(size) * (1 - rate) / (1 + rate) - 1

  def _growth(self, size):
    return math.log(1 + self.config.max_position_fraction * self.net(size))

  def _best(self, sizes, held, hurdle):
    """Returns the stock of the largest size not held, if above the hurdle."""
    free = [stock for stock in range(len(sizes)) if stock not in held]
    stock = max(free, key=sizes.__getitem__)
    return stock if self.net(sizes[stock]) > hurdle else None

  def _earned_before(self, nets, hurdle):
    cycle, fraction = cycle_of(self.config), self.config.max_position_fraction
    held, total = {}, 0.0
    for day, net in enumerate(nets):
      held = {stock: left - 1 for stock, left in held.items() if left > 1}
      if len(held) == 2:
        continue
      free = [stock for stock in range(len(net)) if stock not in held]
      stock = max(free, key=net.__getitem__)
      if net[stock] > hurdle:
        held[stock] = cycle
        paid = self.prices[day + 1][stock][OPEN]
        got = self.prices[day + cycle][stock][OPEN]
        total += math.log(1 + fraction * self.net(math.log(got / paid)))
    return total


def cycle_of(config):
  """Returns days from an order to its cash: next open to open of the exit."""
  return config.max_holding_days + 2


@functools.cache
def worth_of_a_slot(max_holding_days, rate, num_days):
  """Returns values by day, phase and days until both slots are free.

  The method is value iteration.
  """
  cycle = max_holding_days + 2
  states = [*itertools.combinations_with_replacement(range(cycle), 2)]
  growths = {phase: _growths(phase, rate) for phase in PHASES}
  value = {(phase, state): 0.0 for phase in PHASES for state in states}
  days = []
  for _ in range(num_days):
    ahead = {
      (phase, state): sum(
        chance * value[following, state]
        for following, chance in _following(phase)
      )
      for phase in PHASES
      for state in states
    }
    worth, value = {}, {}
    for phase in PHASES:
      chance = 1.0 if phase > process.WARNING_DAYS else process.DIP_CHANCE
      for first, second in states:
        waited = max(first - 1, 0), max(second - 1, 0)
        skip = ahead[phase, waited]
        value[phase, (first, second)] = skip
        if first == 0:
          loss = skip - ahead[phase, (waited[1], cycle - 1)]
          gains = [max(growth - loss, 0.0) for growth in growths[phase]]
          worth[phase, (first, second)] = loss
          value[phase, (first, second)] += chance * sum(gains) / POINTS
    days.append(worth)
  return days[::-1]


def _growths(phase, rate):
  sizes = DEEP_SIZES if phase > process.WARNING_DAYS else SHALLOW_SIZES
  nets = [math.exp(size) * (1 - rate) / (1 + rate) - 1 for size in sizes]
  return [math.log(1 + 0.5 * net) for net in nets]


def _following(phase):
  """Returns pairs of the next day's phase and its probability."""
  if phase == 0:
    chance = process.WARNING_CHANCE
    return [(0, 1 - chance), (1, chance)]
  return [((phase + 1) % process.NUM_PHASES, 1.0)]


def _rate(config):
  return (config.commission_bp + config.slippage_bp) / 10_000


def _falls(day_before, day):
  """Returns how much further each stock fell than the median."""
  falls = [
    math.log(before[CLOSE] / price[CLOSE])
    for before, price in zip(day_before, day, strict=True)
  ]
  return [fall - _quantile(sorted(falls), 0.5) for fall in falls]


def _expected_size(fall, num_stocks):
  if fall > (process.SHALLOW[1] + process.DEEP[0]) / 2:
    return fall
  deviation = process.STOCK_NOISE
  chance = process.DIP_CHANCE / num_stocks
  total = (1 - chance) * math.exp(-0.5 * (fall / deviation) ** 2)
  mean = 0.0
  for size in SHALLOW_SIZES:
    likely = math.exp(-0.5 * ((fall - size) / deviation) ** 2)
    total += chance / POINTS * likely
    mean += chance / POINTS * likely * size
  return mean / total if total else 0.0


def _beliefs(herald, falls):
  belief = [1 / len(PHASES)] * len(PHASES)
  beliefs = []
  for price, fallen in zip(herald, falls, strict=True):
    is_deep = max(fallen) > (process.SHALLOW[1] + process.DEEP[0]) / 2
    likely = [_likelihood(phase, price, is_deep) for phase in PHASES]
    ahead = [0.0] * len(PHASES)
    for phase in PHASES:
      for following, chance in _following(phase):
        ahead[following] += chance * belief[phase]
    joint = [x * y for x, y in zip(ahead, likely, strict=True)]
    belief = [x / sum(joint) for x in joint]
    beliefs.append(belief)
  return beliefs


def _likelihood(phase, price, is_deep):
  if (phase > process.WARNING_DAYS) != is_deep:
    return 1e-12
  level = process.RISE * min(phase, process.WARNING_DAYS) / process.WARNING_DAYS
  far = (math.log(price / process.QUIET) - level) / process.HERALD_NOISE
  return max(math.exp(-0.5 * far**2), 1e-12)


def _quantile(ordered, share):
  place = share * (len(ordered) - 1)
  low = int(place)
  high = min(low + 1, len(ordered) - 1)
  return ordered[low] + (place - low) * (ordered[high] - ordered[low])

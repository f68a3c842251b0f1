"""Yardsticks of the market `patience`: what waiting for better dips can earn.

Yardsticks are reference policies that know how the market is drawn (see
`eigen3.data.synthetic_patience`). Those whose names end in 'informed' also know
the size of each day's dip and the day's phase; the others infer both from the
closes up to that day. By default networks also observe closes only.

  greedy   buys if the expected return exceeds the costs. (The control
           'informed', which knows the dips, ignores costs.)
  hurdle   buys if the expected net return exceeds a constant: of at most 21
           candidates, the one that would have earned most on the days before
           the split.
  patient  buys if the expected net return exceeds the opportunity cost of the
           cash. This cost is computed by value iteration over the phase, the
           days until each slot is free and the remaining trading days.

A slot is room for one position of the largest size. A cycle is the number of
days from an order until the order's cash can be used again.
"""

import dataclasses
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from eigen3.data import MarketPanel
from eigen3.data import synthetic_patience as process
from eigen3.data.synthetic_patience import Dips
from eigen3.environment import Rules
from eigen3.environment.rollout import EncodedPolicy
from eigen3.evaluation.backtest import Backtest, Backtester
from eigen3.evaluation.controls import by_rank

NAMES = (
  'greedy',
  'hurdle',
  'patient',
  'hurdle_informed',
  'patient_informed',
)
# The most slots that value iteration can cover. If positions are so small that
# there are more slots, there is no patient yardstick.
MOST_SLOTS = 2
_QUANTILES = np.arange(20) / 20.0  # of daily best net returns, as hurdles
_POINTS = 20  # per range of dip sizes, to approximate an integral
_HERALD = 1  # column of the herald; see `eigen3.data.synthetic_patience`
# The smallest likelihood, so that no observation rules out all phases.
_UNLIKELY = 1e-12


class _Known(NamedTuple):
  """The information that a yardstick has.

  Attributes:
    net: float [T, N], expected return, net of costs, of a trade in each stock
      that is decided on each day.
    beliefs: float [T, K], probabilities of the market's K phases on each day.
  """

  net: np.ndarray
  beliefs: np.ndarray


class Yardsticks:
  """Backtests the yardsticks on one split."""

  def __init__(
    self, panel: MarketPanel, backtester: Backtester, rules: Rules, dips: Dips
  ):
    """Prepares the yardsticks.

    Args:
      panel: a panel of the market `patience`.
      backtester: the backtester of the split.
      rules: the trading rules of the backtester.
      dips: the market's hidden dips.
    """
    self._backtester, self._rules, self._dips = backtester, rules, dips
    first, stop = panel.investable
    self._ohlc = panel.ohlc[:, first:stop].astype(np.float64)
    self._herald = panel.ohlc[:, _HERALD, 3].astype(np.float64)

  def run(self) -> dict[str, Backtest]:
    """Returns each yardstick's backtest, by name.

    'patient' and 'patient_informed' are left out if there are more than
    `MOST_SLOTS` slots.
    """
    informed = _Known(
      net_of(self._rules, self._dips.sizes), np.eye(process.NUM_PHASES)[
        self._dips.phases
      ],
    )  # fmt: skip
    observed = self._observed()
    results = {
      'greedy': self._above(observed, 0.0),
      'hurdle': self._above(observed, self._hurdle(observed)),
      'hurdle_informed': self._above(informed, self._hurdle(informed)),
    }
    if num_slots(self._rules) <= MOST_SLOTS:
      table = hurdles(self._rules, self._dips.scale, self._trading_days)
      results['patient'] = self._patient(observed, table)
      results['patient_informed'] = self._patient(informed, table)
    return results

  @property
  def _trading_days(self) -> int:
    return len(self._backtester.days) - self._rules.settlement_days

  def _observed(self) -> _Known:
    scale = self._dips.scale
    close = np.log(self._ohlc[..., 3])
    falls = -np.diff(close, axis=0, prepend=close[:1])
    falls -= np.nanmedian(falls, axis=1, keepdims=True)
    falls = np.nan_to_num(falls, nan=0.0)
    net = net_of(self._rules, expected_sizes(falls, scale))
    return _Known(net, phase_beliefs(self._herald, falls, scale))

  def _above(self, known: _Known, hurdle: float) -> Backtest:
    """Backtests buying the stocks of highest `known.net` above a hurdle."""
    net = known.net[self._backtester.days]
    actions = by_rank(self._rules, net, net > hurdle)
    return self._backtester.run(jnp.asarray(actions), account_aware=True)

  def _hurdle(self, known: _Known) -> float:
    """Returns the hurdle that would have earned the most before the split.

    The candidates are 0 and quantiles of the positive daily best net returns.
    """
    days = max(self._backtester.days[0] - cycle_days(self._rules), 0)
    net = known.net[:days]
    growth = self._grown(days)
    best = net.max(axis=1)
    best = best[best > 0.0]
    found = np.quantile(best, _QUANTILES) if len(best) else []
    # A little below each quantile, so that a net return equal to it exceeds it.
    candidates = [0.0, *(np.asarray(found) * (1.0 - 1e-6))]
    earned = [self._replayed(net, growth, x) for x in candidates]
    return float(candidates[np.argmax(earned)])

  def _grown(self, days: int) -> np.ndarray:
    """Computes what trades decided on the panel's first days add to log equity.

    Args:
      days: the number of these days.

    Returns:
      float [days, N], for a trade of the largest size in each stock; 0 if a
      price is missing.
    """
    rules, cycle = self._rules, cycle_days(self._rules)
    place, wait = (0, 1) if rules.fills_at_open else (3, 0)
    paid = self._ohlc[wait : wait + days, :, place]
    got = self._ohlc[cycle : cycle + days, :, place]
    growth = growth_of(rules, net_of(rules, np.log(got / paid)))
    return np.nan_to_num(growth, nan=0.0)

  def _replayed(self, net, growth, hurdle: float) -> float:
    """Returns the sum of `growth` over the trades that a hurdle allows.

    If a slot is free, the day's trade is in the stock with the highest `net`
    among those that are not held, provided that this exceeds the hurdle.
    """
    total = 0.0
    held: dict[int, int] = {}  # by stock, the day when its cash is free
    for day in np.flatnonzero(net.max(axis=1) > hurdle).tolist():
      held = {stock: free for stock, free in held.items() if free > day}
      if len(held) == num_slots(self._rules):
        continue
      wanted = net[day].copy()
      wanted[[*held]] = -np.inf
      stock = int(wanted.argmax())
      if wanted[stock] > hurdle:
        held[stock] = day + cycle_days(self._rules)
        total += growth[day, stock]
    return total

  def _patient(self, known: _Known, table: np.ndarray) -> Backtest:
    """Backtests a policy that buys if the expected growth exceeds a hurdle.

    Growth is what a position adds to log equity. The hurdle depends on the day
    and the state of the slots: it is the mean over the phases of `table` (the
    result of `hurdles`), weighted by the phases' probabilities.
    """
    days, rules = self._backtester.days, self._rules
    net = known.net[days]
    # Nothing is bought on the settlement days.
    beliefs = known.beliefs[days][: self._trading_days]
    means = np.einsum('tk,tks->ts', beliefs, np.nan_to_num(table, posinf=1e9))
    rest = np.full((len(days) - len(means), means.shape[1]), 1e9)
    encoded = (
      by_rank(rules, net, net > 0.0),
      growth_of(rules, net).astype(np.float32),
      np.concatenate([means, rest]).astype(np.float32),
    )
    policy = EncodedPolicy(
      _Patient(rules), (), tuple(map(jnp.asarray, encoded))
    )
    return self._backtester.run(policy, account_aware=True)


@dataclasses.dataclass(frozen=True)
class _Patient:
  """A `Decide` that buys stocks whose expected growth exceeds a hurdle.

  The growth is what a position adds to log equity. The encoded market holds a
  hurdle for each state of the slots, see `hurdles`; the state, the number of
  days until each slot is free, is inferred from the account.
  """

  rules: Rules

  def __call__(self, parameters, encoded, account):
    del parameters
    actions, growth, of_states = encoded
    rules, cycle = self.rules, cycle_days(self.rules)
    weight, age = account.stocks[..., 0], account.stocks[..., 1]
    since = jnp.round(age * rules.max_holding_days) + rules.fills_at_open
    left = jnp.where(weight > 0.0, jnp.clip(cycle - since, 0, cycle - 1), 0.0)
    slots = num_slots(rules)
    longest = jnp.sort(left, axis=-1)[..., -slots:].astype(jnp.int32)
    state = (longest * cycle ** np.arange(slots)).sum(axis=-1)
    hurdle = jnp.take_along_axis(of_states, state[..., None], axis=-1)
    wanted = (growth > hurdle) & (growth > 0.0)
    coefficient = jnp.where(wanted, actions[..., 0], 0.0)
    return jnp.stack([coefficient, actions[..., 1]], axis=-1)


def cycle_days(rules: Rules) -> int:
  """Returns the number of days from an order until its cash is free again."""
  return rules.max_holding_days + 2 * rules.fills_at_open


def num_slots(rules: Rules) -> int:
  """Returns how many positions of the largest size fit into the equity."""
  return max(1, int(1.0 / rules.max_position_fraction + 1e-9))


def net_of(rules: Rules, size: np.ndarray) -> np.ndarray:
  """Computes net returns of trades whose log price changes by `size`."""
  rate = rules.cost_rate
  return np.exp(size) * (1.0 - rate) / (1.0 + rate) - 1.0


def growth_of(rules: Rules, net: np.ndarray) -> np.ndarray:
  """Returns what trades of the largest size add to log equity.

  `net` holds the trades' net returns; the result has the same shape.
  """
  return np.log1p(min(rules.max_position_fraction, 1.0) * net)


def hurdles(rules: Rules, scale: float, num_days: int) -> np.ndarray:
  """Computes the opportunity cost of one slot's cash, by value iteration.

  Args:
    rules: determine position sizes, the holding period and costs.
    scale: the factor by which the sizes of all dips were multiplied.
    num_days: number of trading days.

  Returns:
    float [num_days, K, states], for each day, each of the K phases and each
    state of the slots: by how much buying on this day lowers the expected
    growth of log equity from later trades; infinite if no slot is free. The
    index of a state is the sum of d_i * cycle**i, where d_i is the number of
    days until slot i is free, and `cycle` is `cycle_days`. The order of the
    slots does not matter.
  """
  slots, cycle = num_slots(rules), cycle_days(rules)
  places = cycle ** np.arange(slots)
  states = np.arange(cycle**slots)[:, None]
  left = np.sort(states // places % cycle, axis=-1)  # [states, slots]
  waited = np.maximum(left - 1, 0)
  taken = np.concatenate([waited[:, 1:], np.full_like(states, cycle - 1)], 1)
  skips, takes = waited @ places, taken @ places
  is_free = left[:, 0] == 0
  deep = process.is_deep(np.arange(process.NUM_PHASES))
  points = (np.arange(_POINTS) + 0.5) / _POINTS
  ranges = np.where(deep[:, None], process.DEEP, process.SHALLOW)
  sizes = ranges[:, :1] + points * np.diff(ranges)
  growth = growth_of(rules, net_of(rules, scale * sizes))[:, None]  # [K, 1, .]
  chance = np.where(deep, 1.0, process.DIP_CHANCE)[:, None]
  chances = process.transitions()
  value = np.zeros((process.NUM_PHASES, len(states)))
  table = np.zeros((num_days, *value.shape))
  for day in reversed(range(num_days)):
    ahead = chances @ value
    worth = np.where(is_free, ahead[:, skips] - ahead[:, takes], np.inf)
    gain = np.maximum(growth - worth[..., None], 0.0).mean(axis=-1)
    table[day] = worth
    value = ahead[:, skips] + chance * gain
  return table


def expected_sizes(falls: np.ndarray, scale: float) -> np.ndarray:
  """Returns the expected size of each stock's dip, [T, N].

  Args:
    falls: float [T, N], each stock's fall in log price from the previous close
      to the day's close, less the median fall of all stocks on the day.
    scale: the factor by which the sizes of all dips were multiplied.

  Returns:
    float [T, N], the posterior mean of the dip's size by Bayes' rule, where no
    dip counts as size 0. A fall nearer to the range of deep dips than to that
    of shallow ones is itself returned as the size.
  """

  def likely(size):
    return np.exp(-0.5 * ((falls - size) / process.STOCK_NOISE) ** 2)

  before = process.DIP_CHANCE / falls.shape[1]
  low, high = scale * np.array(process.SHALLOW)
  points = low + (high - low) * (np.arange(_POINTS) + 0.5) / _POINTS
  of_points = [before / _POINTS * likely(size) for size in points]
  total = (1.0 - before) * likely(0.0) + sum(of_points)
  weighted = sum(s * x for s, x in zip(points, of_points, strict=True))
  expected = weighted / np.maximum(total, np.finfo(np.float64).tiny)
  return np.where(falls > _middle(scale), falls, expected)


def phase_beliefs(
  herald: np.ndarray, falls: np.ndarray, scale: float
) -> np.ndarray:
  """Returns the K phases' probabilities on each day, [T, K].

  They are conditional on the data up to and including the day.

  A day's phase is taken to be deep if and only if the largest fall on that day
  is nearer to the sizes of deep dips than to those of shallow ones.

  Args:
    herald: closes of the column that rises before deep dips, float [T].
    falls: see `expected_sizes`.
    scale: the factor by which the sizes of all dips were multiplied.
  """
  reading = np.log(herald / process.QUIET)[:, None]
  far = (reading - process.levels()) / process.HERALD_NOISE
  likelihood = np.exp(-0.5 * far**2)
  deep = process.is_deep(np.arange(process.NUM_PHASES))
  fits = (falls.max(axis=1) > _middle(scale))[:, None] == deep
  likelihood = np.maximum(likelihood * fits, _UNLIKELY)
  chances = process.transitions()
  belief = np.full(process.NUM_PHASES, 1.0 / process.NUM_PHASES)
  beliefs = []
  for row in likelihood:
    belief = (belief @ chances) * row
    belief = belief / belief.sum()
    beliefs.append(belief)
  return np.stack(beliefs)


def _middle(scale: float) -> float:
  """Returns the midpoint of the largest shallow and the smallest deep dip."""
  return scale * 0.5 * (process.SHALLOW[1] + process.DEEP[0])

"""The hidden process of the embedded market `patience`, and its signal.

On most days one stock dips: it falls between its open and its close, and rises
by as much between open and close of the next day. Buying at the open after the
fall earns the size of the dip, and ties up the cash for as long as the trading
rules hold a position. Most dips are shallow. Deep ones come in pairs, on two
consecutive days, at irregular times; a column, the herald, rises for some days
before them. A shallow dip is therefore worth its size less the opportunity cost
of the cash. That cost is small in quiet times, and exceeds the size of the dip
shortly before deep ones.
"""

from typing import NamedTuple

import numpy as np

# Probabilities of a dip on a day without deep dips, and of a warning's start
# after a quiet day.
DIP_CHANCE, WARNING_CHANCE = 0.9, 1.0 / 25.0
WARNING_DAYS, DEEP_DAYS = 10, 2
# The phases of the process in order: 0 is quiet, then come the days of warning,
# then the days of deep dips, after which it is quiet again.
NUM_PHASES = 1 + WARNING_DAYS + DEEP_DAYS
# Ranges of the sizes of dips, in log price; sizes are uniform in them.
SHALLOW, DEEP = (0.006, 0.014), (0.03, 0.09)
# Standard deviations of the daily noise, common to all stocks and each stock's
# own. They are small, so that the size of a dip is visible on the day.
MARKET_NOISE, STOCK_NOISE = 0.002, 0.003
# The herald: its price in quiet times, the rise of its log price until the
# first deep dip, and the standard deviation of the daily noise in its log
# price, which is about two thirds of its daily rise.
QUIET, RISE, HERALD_NOISE = 15.0, np.log(2.0), 0.045


class Dips(NamedTuple):
  """The hidden process of the market.

  Attributes:
    sizes: float [T, N], the fall in log price of the stock that dips on a day,
      and its rise on the next day; 0 for the other stocks.
    phases: int [T], the phase of each day, from 0 to `NUM_PHASES` - 1.
    scale: the factor by which all sizes were multiplied.
  """

  sizes: np.ndarray
  phases: np.ndarray
  scale: float


def is_deep(phases: np.ndarray) -> np.ndarray:
  """Returns for each phase whether its dips are deep, bool [...]."""
  return phases > WARNING_DAYS


def draw(
  dips: np.random.Generator,
  times: np.random.Generator,
  num_days: int,
  num_stocks: int,
  scale: float,
) -> Dips:
  """Draws the process; the scale changes only the sizes of dips.

  The generator `times` draws the phases, `dips` everything else.

  The next stock to dip is drawn from the half of the stocks, rounded up, whose
  last dips are longest ago. Thus a stock rarely dips again while a position
  that was bought at its last dip is held.
  """
  phases = _phases(times.random(num_days))
  deep = is_deep(phases)
  low, high = np.where(deep, *np.array([DEEP, SHALLOW])[..., None])
  chance, share, place = dips.random((3, num_days))
  size = np.where(deep | (chance < DIP_CHANCE), low + share * (high - low), 0.0)
  sizes = np.zeros((num_days, num_stocks))
  order = [*dips.permutation(num_stocks)]  # the longest since a dip first
  rested = num_stocks - num_stocks // 2
  for day in np.flatnonzero(size):
    stock = order.pop(int(place[day] * rested))
    order.append(stock)
    sizes[day, stock] = scale * size[day]
  return Dips(sizes, phases, scale)


def moves(dips: Dips) -> np.ndarray:
  """Returns the changes of log prices that dips cause, [T, 2, N].

  The second axis has the changes from the previous close to the open, all 0,
  and those from the open to the close.
  """
  back = np.concatenate([np.zeros((1, dips.sizes.shape[1])), dips.sizes[:-1]])
  return np.stack([np.zeros_like(back), back - dips.sizes], axis=1)


def transitions() -> np.ndarray:
  """Returns the probability of each next phase (column) given a phase (row)."""
  chances = np.roll(np.eye(NUM_PHASES), 1, axis=1)
  chances[0, :2] = 1.0 - WARNING_CHANCE, WARNING_CHANCE
  return chances


def levels() -> np.ndarray:
  """Returns the herald's expected log(price / `QUIET`) in each phase."""
  phases = np.arange(NUM_PHASES)
  return RISE * np.minimum(phases / WARNING_DAYS, 1.0)


def herald(rng: np.random.Generator, phases: np.ndarray) -> np.ndarray:
  """Draws the log of the herald's price at each close, [T]."""
  noise = HERALD_NOISE * rng.standard_normal(len(phases))
  return np.log(QUIET) + levels()[phases] + noise


def _phases(drawn: np.ndarray) -> np.ndarray:
  """Maps uniform draws [T] to phases [T]; the day before day 0 is quiet."""
  phase, phases = 0, []
  for number in drawn:
    begins = phase > 0 or number < WARNING_CHANCE
    phase = (phase + 1) % NUM_PHASES if begins else 0
    phases.append(phase)
  return np.array(phases)

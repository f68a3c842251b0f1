"""What share of markets reaches what part of a yardstick's profit."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from scipy import stats

from eigen3.evaluation.statistics import Estimate

# The first of these that a market has: what the best policy of its kind earns.
YARDSTICKS = ('patient', 'informed')
SOLVED = 0.5  # of the yardstick's profit


class Scores(NamedTuple):
  """Profits in parts of what the yardstick earns on the same market.

  Attributes:
    yardstick: its name.
    values: float [R]; of markets on which it earned something.
  """

  yardstick: str
  values: np.ndarray

  @property
  def solved(self) -> int:
    """Markets on which half of the yardstick's profit is reached."""
    return int(np.sum(self.values >= SOLVED))


def scores(
  profits: np.ndarray, controls: Mapping[str, np.ndarray]
) -> Scores | None:
  """Profits in parts of the yardstick's.

  Args:
    profits: over initial cash, float [R], one a market.
    controls: of the same markets, by name.

  Returns:
    None without a yardstick, and where it earned nothing on all markets taken
    together: there is nothing to be found. Single markets on which it earned
    nothing are left out.
  """
  for name in YARDSTICKS:
    if name in controls:
      theirs = np.asarray(controls[name], np.float64)
      if theirs.sum() <= 0.0:
        return None
      can = theirs > 0.0
      return Scores(name, np.asarray(profits)[can] / theirs[can])
  return None


def share_above(count: int, size: int, confidence: float = 0.95) -> Estimate:
  """A share of markets, and its interval by the bootstrap over markets.

  The number of markets among `size` drawn ones is binomial, so its quantiles
  are known without a draw.
  """
  share = count / size
  tail = (1.0 - confidence) / 2
  low, high = stats.binom.ppf([tail, 1.0 - tail], size, share) / size
  return Estimate(share, float(low), float(high))


def profile(values: np.ndarray, thresholds: np.ndarray) -> list[Estimate]:
  """The performance profile: the share of markets at or above each threshold.

  Agarwal et al. (2021), and Dolan & Moré (2002). At `SOLVED` it is the share of
  markets solved.

  Args:
    values: of `Scores`, float [R].
    thresholds: float [M].
  """
  counts = (values[:, None] >= thresholds).sum(axis=0)
  return [share_above(int(count), len(values)) for count in counts]

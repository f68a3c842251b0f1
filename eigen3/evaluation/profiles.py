"""Performance profiles: profits as shares of a reference policy's."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from scipy import stats

from eigen3.evaluation.statistics import Estimate

# Yardsticks, the best first; the first that a market has is used.
YARDSTICKS = ('patient', 'informed')
SOLVED = 0.5  # of the yardstick's profit


class Scores(NamedTuple):
  """Profits divided by that of a reference policy on the same market.

  Attributes:
    yardstick: name of the reference policy.
    values: float [R], the ratios, on markets where it earned something.
  """

  yardstick: str
  values: np.ndarray

  @property
  def solved(self) -> int:
    """Returns the number of markets with half of the yardstick's profit."""
    return int(np.sum(self.values >= SOLVED))


def scores(
  profits: np.ndarray, controls: Mapping[str, np.ndarray]
) -> Scores | None:
  """Divides profits by the yardstick's.

  Args:
    profits: over initial cash, float [R], one a market.
    controls: of the same markets, by name.

  Returns:
    None without a yardstick, or if it earned nothing on all markets together.
    Single markets on which it earned nothing are left out.
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
  """Estimates a share of markets, with a bootstrap interval over markets.

  The number of such markets among `size` drawn ones is binomial, so its
  quantiles need no draws.
  """
  share = count / size
  tail = (1.0 - confidence) / 2
  low, high = stats.binom.ppf([tail, 1.0 - tail], size, share) / size
  return Estimate(share, float(low), float(high))


def profile(values: np.ndarray, thresholds: np.ndarray) -> list[Estimate]:
  """Returns the performance profile: shares of markets above thresholds.

  It counts markets at or above each threshold. At `SOLVED` it is the share of
  markets solved. Sources: Agarwal et al. (2021), Dolan & Moré (2002).

  Args:
    values: of `Scores`, float [R].
    thresholds: float [M].
  """
  counts = (values[:, None] >= thresholds).sum(axis=0)
  return [share_above(int(count), len(values)) for count in counts]

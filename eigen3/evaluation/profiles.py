"""Performance profiles of profits, divided by those of a reference policy."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from scipy import stats

from eigen3.evaluation.statistics import Estimate

# Names of reference policies, the best first; the first one available is used.
YARDSTICKS = ('patient', 'informed')
SOLVED = 0.5  # the least share of the yardstick's profit


class Scores(NamedTuple):
  """Profits divided by those of a reference policy on the same markets.

  Attributes:
    yardstick: name of the reference policy.
    values: float [R], the ratios on the R markets where the reference policy
      earned something.
  """

  yardstick: str
  values: np.ndarray

  @property
  def solved(self) -> int:
    """Counts the solved markets: those with a ratio of at least `SOLVED`."""
    return int(np.sum(self.values >= SOLVED))


def scores(
  profits: np.ndarray, controls: Mapping[str, np.ndarray]
) -> Scores | None:
  """Divides profits by the yardstick's.

  Args:
    profits: a policy's profit on each market, divided by initial cash, float
      [M].
    controls: the controls' profits on the same markets, by name.

  Returns:
    The ratios on the markets where the yardstick made a profit. None if no
    control is a yardstick, or if the yardstick's total profit over all markets
    is not positive.
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

  In a bootstrap the count is binomial, so its quantiles are computed exactly.

  Args:
    count: number of markets that have the property in question.
    size: number of all markets.
    confidence: nominal probability that the interval covers the true share.
  """
  share = count / size
  tail = (1.0 - confidence) / 2
  low, high = stats.binom.ppf([tail, 1.0 - tail], size, share) / size
  return Estimate(share, float(low), float(high))


def profile(values: np.ndarray, thresholds: np.ndarray) -> list[Estimate]:
  """Returns the performance profile: the share of markets at each threshold.

  This is the share of markets whose value reaches the threshold; at `SOLVED`,
  the share of markets solved. Sources: Agarwal et al. (2021), Dolan & Moré
  (2002).

  Args:
    values: the ratios in `Scores`, float [R].
    thresholds: float [Q].

  Returns:
    Q shares, each with its interval.
  """
  counts = (values[:, None] >= thresholds).sum(axis=0)
  return [share_above(int(count), len(values)) for count in counts]

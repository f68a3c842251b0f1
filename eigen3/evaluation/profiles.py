"""Performance profiles of profits, divided by those of a reference policy."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from scipy import stats

from eigen3.evaluation.statistics import Estimate

# Names of reference policies, the best first; the first one available is used.
YARDSTICKS = ('patient', 'informed')
# A market is solved if at least this share of the yardstick's profit is earned.
SOLVED = 0.5


class Scores(NamedTuple):
  """Profits divided by those of a reference policy on the same markets.

  Attributes:
    yardstick: name of the reference policy.
    values: float [R], the ratios on the R markets where the reference policy
      made a profit.
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
  """Divides profits by those of the first of `YARDSTICKS` among the controls.

  Args:
    profits: a policy's profit on each of M markets, divided by initial cash,
      float [M].
    controls: the controls' profits on the same markets, float [M], by name.

  Returns:
    The ratios on the markets where this yardstick made a profit. None if no
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

  In a bootstrap the count is binomial, so its quantiles are computed exactly,
  without draws.

  Args:
    count: number of markets that have the property in question.
    size: number of all markets, at least 1.
    confidence: nominal probability that the interval covers the true share.
  """
  share = count / size
  tail = (1.0 - confidence) / 2
  low, high = stats.binom.ppf([tail, 1.0 - tail], size, share) / size
  return Estimate(share, float(low), float(high))


def profile(values: np.ndarray, thresholds: np.ndarray) -> list[Estimate]:
  """Returns the performance profile: shares of markets that reach thresholds.

  At the threshold `SOLVED` this is the share of markets solved. Sources:
  Agarwal et al. (2021), Dolan & Moré (2002).

  Args:
    values: the ratios of `Scores`, float [R].
    thresholds: Q ratios, float [Q].

  Returns:
    For each threshold, the share of markets whose value is at least as large,
    with its interval.
  """
  counts = (values[:, None] >= thresholds).sum(axis=0)
  return [share_above(int(count), len(values)) for count in counts]

"""What a handful of seeds can and cannot say."""

from typing import NamedTuple

import numpy as np
from scipy import stats


class Interval(NamedTuple):
  """A mean and the interval that holds the true one.

  Attributes:
    mean: of what was seen.
    low: lower end.
    high: upper end.
    size: how many numbers there were.
  """

  mean: float
  low: float
  high: float
  size: int


def mean_interval(values: np.ndarray, confidence: float = 0.95) -> Interval:
  """Student's interval of a mean; for pairs, of their differences.

  Args:
    values: float [n], independent, n at least 2.
    confidence: the share of such intervals that hold the true mean.

  Returns:
    The interval.

  Raises:
    ValueError: there are fewer than two values, or one is not finite.
  """
  values = np.asarray(values, np.float64)
  if values.ndim != 1 or len(values) < 2 or not np.isfinite(values).all():
    raise ValueError(
      f'values: found {values.tolist()}, expected at least two finite numbers'
    )
  mean, size = float(values.mean()), len(values)
  error = float(values.std(ddof=1)) / np.sqrt(size)
  reach = float(stats.t.ppf(0.5 + confidence / 2.0, size - 1)) * error
  return Interval(mean, mean - reach, mean + reach, size)

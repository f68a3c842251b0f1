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


class Estimate(NamedTuple):
  """A number and the interval that holds the true one.

  Attributes:
    value: of what was seen.
    low: lower end.
    high: upper end.
  """

  value: float
  low: float
  high: float


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


def interquartile_mean(
  scores: np.ndarray,
  seed: int,
  confidence: float = 0.95,
  repeats: int = 10_000,
) -> Estimate:
  """The mean of the middle half of all runs' scores, with its interval.

  Agarwal et al. (2021), "Deep reinforcement learning at the edge of the
  statistical precipice", NeurIPS: more robust than the mean, and it needs fewer
  runs than the median. As there, a quarter of the runs, rounded down, is left
  out at either end of all tasks taken together, and the interval is that of a
  bootstrap that draws runs anew within each task.

  Args:
    scores: float [R, K], of R runs (seeds) on K tasks (splits, markets), on one
      scale.
    seed: of the draws.
    confidence: the share of such intervals that hold the true number.
    repeats: how often runs are drawn.

  Returns:
    The interquartile mean; of one run a task the interval is its value.

  Raises:
    ValueError: there is no score, or one is not finite.
  """
  scores = np.asarray(scores, np.float64)
  if scores.ndim != 2 or not scores.size or not np.isfinite(scores).all():
    raise ValueError(
      f'scores: found {scores.tolist()}, expected finite numbers, runs x tasks'
    )
  rng = np.random.default_rng(seed)
  runs = rng.integers(len(scores), size=(repeats, *scores.shape))
  drawn = np.take_along_axis(scores[None], runs, axis=1)
  means = stats.trim_mean(drawn.reshape(repeats, -1), 0.25, axis=1)
  low, high = np.quantile(means, [0.5 - confidence / 2, 0.5 + confidence / 2])
  middle = float(stats.trim_mean(scores, 0.25, axis=None))
  return Estimate(middle, float(low), float(high))

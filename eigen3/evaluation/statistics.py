"""Confidence intervals and detectable effects, for few seeds."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import special, stats

DRAWS = 100_000  # number of samples of a bootstrap over runs
POWER = 0.8


class Interval(NamedTuple):
  """A mean and its confidence interval.

  Attributes:
    mean: mean of the values.
    low: lower end.
    high: upper end.
    size: number of values.
  """

  mean: float
  low: float
  high: float
  size: int


class Estimate(NamedTuple):
  """An estimate and its confidence interval.

  Attributes:
    value: the estimate.
    low: lower end.
    high: upper end.
  """

  value: float
  low: float
  high: float


def described(values: np.ndarray) -> str:
  """Describes an array of any shape, for an error message about its values."""
  count = np.sum(~np.isfinite(values))
  entries = 'entry' if count == 1 else 'entries'
  return f'shape {values.shape} with {count} NaN or infinite {entries}'


def mean_interval(values: np.ndarray, confidence: float = 0.95) -> Interval:
  """Returns Student's confidence interval of a mean.

  Args:
    values: float [n], independent, n at least 2; for a paired comparison, the
      differences.
    confidence: probability that the interval covers the true mean.

  Returns:
    The interval.

  Raises:
    ValueError: `values` is not one-dimensional, has fewer than two values, or
      one that is not finite.
  """
  values = np.asarray(values, np.float64)
  if values.ndim != 1 or len(values) < 2 or not np.isfinite(values).all():
    raise ValueError(
      f'values: found {described(values)}, expected a one-dimensional array '
      'of two or more finite values'
    )
  mean, size = float(values.mean()), len(values)
  error = float(values.std(ddof=1)) / np.sqrt(size)
  reach = float(stats.t.ppf(0.5 + confidence / 2.0, size - 1)) * error
  return Interval(mean, mean - reach, mean + reach, size)


def detectable(
  error: float, freedom: float, tail: float = 0.025, power: float = POWER
) -> float:
  """Computes the smallest true mean that a t-test detects with a given power.

  Args:
    error: standard error of the mean.
    freedom: degrees of freedom of the error; for n independent values, n - 1.
    tail: significance level of one tail; for a two-sided test, half the level.
    power: the probability with which the test detects that mean.

  Returns:
    The distance of that mean from the null hypothesis, in the same units as
    `error`.
  """
  critical = stats.t.isf(tail, freedom)
  return error * float(special.nctdtrinc(freedom, 1.0 - power, critical))


def interquartile_mean(
  scores: np.ndarray,
  seed: int,
  confidence: float = 0.95,
  repeats: int = DRAWS,
) -> Estimate:
  """Estimates the mean of the middle half of all runs' scores.

  This statistic is more robust than the mean and needs fewer runs than the
  median (Agarwal et al., 2021, "Deep reinforcement learning at the edge of the
  statistical precipice", NeurIPS). As in that paper, the scores of all tasks
  are pooled, and a quarter of them, rounded down, is left out at each end. See
  `stratified` for the arguments, the interval and the errors raised.
  """

  def middle(drawn: np.ndarray) -> np.ndarray:
    return stats.trim_mean(drawn, 0.25, axis=-1)

  return stratified(scores, middle, seed, confidence, repeats)


def stratified(
  scores: np.ndarray,
  statistic: Callable[[np.ndarray], np.ndarray],
  seed: int,
  confidence: float = 0.95,
  repeats: int = DRAWS,
) -> Estimate:
  """Estimates a statistic of all scores, with a bootstrap interval.

  The bootstrap is stratified: runs are resampled within each task, as in
  Agarwal et al. (2021). If each seed makes a market of its own, the runs are
  markets, and the tasks are kinds of markets.

  With few runs these intervals are too narrow. In simulations of 10 runs of one
  task, 95 % intervals of the interquartile mean covered the true value in 93 %
  of cases with normal scores and in 90 % with scores in two clusters. Intervals
  of the mean did so in about 88 % with either.

  Args:
    scores: float [R, K], of R runs (seeds) on K tasks (splits, kinds of
      markets), on one scale.
    statistic: maps scores, float [..., R * K], to a statistic over their last
      axis.
    seed: random seed of the draws.
    confidence: nominal probability that the interval covers the true value.
    repeats: number of bootstrap samples.

  Returns:
    The statistic of `scores` and its interval; with one run per task, both ends
    of the interval equal the statistic.

  Raises:
    ValueError: `scores` is not [R, K], is empty, or is not finite everywhere.
  """
  scores = np.asarray(scores, np.float64)
  if scores.ndim != 2 or not scores.size or not np.isfinite(scores).all():
    raise ValueError(
      f'scores: found {described(scores)}, expected finite numbers of shape '
      '(runs, tasks)'
    )
  rng = np.random.default_rng(seed)
  runs = rng.integers(len(scores), size=(repeats, *scores.shape))
  drawn = np.take_along_axis(scores[None], runs, axis=1)
  found = statistic(drawn.reshape(repeats, -1))
  low, high = np.quantile(found, [0.5 - confidence / 2, 0.5 + confidence / 2])
  return Estimate(float(statistic(scores.ravel())), float(low), float(high))

"""Significance of a Sharpe ratio, given the returns and the number of trials.

All Sharpe ratios here are daily, not annualised: the mean of daily returns over
their standard deviation, with a risk-free rate of 0.
"""

import math
from typing import NamedTuple

import numpy as np
from scipy import stats

# Returns count as equal if they differ by at most this share of the largest.
_ROUNDING = 1e-12


class TrackRecord(NamedTuple):
  """The moments of daily returns that a Sharpe ratio's significance needs.

  Attributes:
    sharpe: daily Sharpe ratio; NaN, like skew and kurtosis, if returns are
      constant or fewer than two.
    skew: skewness of daily returns.
    kurtosis: kurtosis of daily returns, 3 for a normal distribution.
    size: number of daily returns.
  """

  sharpe: float
  skew: float
  kurtosis: float
  size: int


class Deflated(NamedTuple):
  """The deflated Sharpe ratio of a champion, and its inputs.

  Sharpe ratios are daily, not scaled to a year.

  Attributes:
    trials: number of validated policies.
    deviation: standard deviation of the trials' Sharpe ratios.
    expected: expected maximum Sharpe ratio of as many trials without skill.
    sharpe: the champion's Sharpe ratio; NaN as in `TrackRecord`.
    probability: the deflated Sharpe ratio, which is the probability that the
      champion's true Sharpe ratio exceeds `expected`.
  """

  trials: int
  deviation: float
  expected: float
  sharpe: float
  probability: float


def has_spread(values: np.ndarray) -> bool:
  """Returns whether any two values differ by more than rounding."""
  if len(values) < 2:
    return False
  return bool(np.ptp(values) > _ROUNDING * np.abs(values).max())


def track_record(returns: np.ndarray) -> TrackRecord:
  """Computes the track record of daily returns, float [S]."""
  returns = np.asarray(returns, np.float64)
  if not has_spread(returns):
    return TrackRecord(math.nan, math.nan, math.nan, len(returns))
  return TrackRecord(
    float(returns.mean() / returns.std(ddof=1)),
    float(stats.skew(returns)),
    float(stats.kurtosis(returns, fisher=False)),
    len(returns),
  )


def probabilistic_sharpe(record: TrackRecord, benchmark: float = 0.0) -> float:
  """Returns the probability that the true Sharpe ratio exceeds a benchmark.

  Source: Bailey & Lopez de Prado (2012), "The Sharpe ratio efficient frontier",
  Journal of Risk 15(2). The result allows for skew and fat tails, but not for
  autocorrelation.

  Args:
    record: track record of the observed returns.
    benchmark: daily Sharpe ratio.

  Returns:
    The probability; NaN if the record has fewer than two days or no Sharpe
    ratio, or if the ratio's estimated variance is 0.
  """
  variance = _unit_variance(record)
  if not (variance > 0.0 and record.size > 1):
    return math.nan
  error = math.sqrt(variance / (record.size - 1))
  return float(stats.norm.cdf((record.sharpe - benchmark) / error))


def expected_maximum_sharpe(deviation: float, trials: int) -> float:
  """Returns the expected maximum Sharpe ratio of trials without skill.

  The maximum is approximated by a Gumbel distribution (Bailey & Lopez de Prado,
  2014, "The deflated Sharpe ratio", Journal of Portfolio Management 40(5)). The
  trials are assumed to be independent; for correlated trials the result is too
  high.

  Args:
    deviation: standard deviation of the trials' daily Sharpe ratios.
    trials: number of trials, at least 1; a single one gives 0.

  Raises:
    ValueError: an argument is out of range.
  """
  if trials < 1 or not deviation >= 0.0:
    raise ValueError(
      f'trials and deviation: found {trials} and {deviation}, expected at '
      'least one trial and a deviation of at least 0'
    )
  if trials == 1:
    return 0.0
  first = stats.norm.isf(1.0 / trials)
  second = stats.norm.isf(1.0 / (trials * math.e))
  weight = np.euler_gamma
  return float(deviation * ((1.0 - weight) * first + weight * second))


def deflated_sharpe(
  record: TrackRecord, deviation: float, trials: int
) -> float:
  """Returns the deflated Sharpe ratio of the best of many trials.

  This is `probabilistic_sharpe` with the benchmark `expected_maximum_sharpe`.
  Source: Bailey & Lopez de Prado (2014).

  Args:
    record: track record of the trial that was chosen as the best.
    deviation: standard deviation of all trials' daily Sharpe ratios.
    trials: number of trials, including the chosen one.

  Raises:
    ValueError: an argument is out of range.
  """
  expected = expected_maximum_sharpe(deviation, trials)
  return probabilistic_sharpe(record, expected)


def deflate(ratios: np.ndarray, champion: TrackRecord) -> Deflated:
  """Computes a champion's deflated Sharpe ratio on the validation days.

  Args:
    ratios: float [n], finite daily Sharpe ratios of the n trials that the
      champion was chosen from, including its own; see `eigen3.runs.trials`.
    champion: the champion's track record on the validation days.

  Returns:
    The deflated Sharpe ratio and its inputs. Without trials, all but the number
    of trials and the champion's Sharpe ratio are NaN.
  """
  size = len(ratios)
  if not size:
    return Deflated(0, np.nan, np.nan, champion.sharpe, np.nan)
  deviation = float(ratios.std(ddof=1)) if size > 1 else 0.0
  return Deflated(
    trials=size,
    deviation=deviation,
    expected=expected_maximum_sharpe(deviation, size),
    sharpe=champion.sharpe,
    probability=deflated_sharpe(champion, deviation, size),
  )


def _unit_variance(record: TrackRecord) -> float:
  """Returns (days - 1) times the variance of the estimated Sharpe ratio."""
  sharpe = record.sharpe
  fourth = (record.kurtosis - 1.0) / 4.0
  return 1.0 - record.skew * sharpe + fourth * sharpe**2

"""How much a Sharpe ratio says, given its record and the trials before it.

All Sharpe ratios here are those of a day, not annualised: the mean of daily
returns over their deviation, cash earning nothing.
"""

import math
from typing import NamedTuple

import numpy as np
from scipy import stats

# Returns that differ by less, as a share of the largest, are all the same.
_ROUNDING = 1e-12


class TrackRecord(NamedTuple):
  """What the probability of a Sharpe ratio rests on.

  Attributes:
    sharpe: of a day; NaN, like the moments, where nothing moved.
    skew: of daily returns.
    kurtosis: of daily returns, 3 for a normal distribution.
    size: number of daily returns.
  """

  sharpe: float
  skew: float
  kurtosis: float
  size: int


class Deflated(NamedTuple):
  """What a champion's Sharpe ratio says after so many trials.

  Sharpe ratios are those of a day.

  Attributes:
    trials: policies that were validated.
    deviation: of their Sharpe ratios.
    expected: the best to be expected of as many without any skill.
    sharpe: the champion's; NaN where its account never moved.
    probability: that the champion has any skill, the deflated Sharpe ratio.
  """

  trials: int
  deviation: float
  expected: float
  sharpe: float
  probability: float


def has_spread(values: np.ndarray) -> bool:
  """Whether there are two values, different beyond rounding."""
  if len(values) < 2:
    return False
  return bool(np.ptp(values) > _ROUNDING * np.abs(values).max())


def track_record(returns: np.ndarray) -> TrackRecord:
  """The record of daily returns, float [S]."""
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
  """Probability that the true Sharpe ratio is above a benchmark's.

  Bailey & Lopez de Prado (2012), "The Sharpe ratio efficient frontier",
  Journal of Risk 15(2). It allows for skew and fat tails, not for
  autocorrelation.

  Args:
    record: what was seen.
    benchmark: Sharpe ratio of a day.

  Returns:
    The probability; NaN where the record has no Sharpe ratio or a single day.
  """
  variance = _unit_variance(record)
  if not (variance > 0.0 and record.size > 1):
    return math.nan
  error = math.sqrt(variance / (record.size - 1))
  return float(stats.norm.cdf((record.sharpe - benchmark) / error))


def expected_maximum_sharpe(deviation: float, trials: int) -> float:
  """The best Sharpe ratio to be expected of trials without any skill.

  Bailey & Lopez de Prado (2014), "The deflated Sharpe ratio", Journal of
  Portfolio Management 40(5): the mean of a Gumbel distribution. The trials are
  taken as independent, so correlated ones are judged too severely.

  Args:
    deviation: of the Sharpe ratios among the trials, of a day.
    trials: how many were made, at least 1; 0 is expected of a single one.

  Raises:
    ValueError: an argument is out of range.
  """
  if trials < 1 or not deviation >= 0.0:
    raise ValueError(
      f'found {trials} trials and a deviation of {deviation}, expected at '
      f'least one trial and a deviation of at least 0'
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
  """Probability that the best of many trials has any skill.

  `probabilistic_sharpe` against `expected_maximum_sharpe`, Bailey & Lopez de
  Prado (2014).

  Args:
    record: of the trial that was chosen for its Sharpe ratio.
    deviation: of the Sharpe ratios among all trials, of a day.
    trials: how many were made, the chosen one included.

  Raises:
    ValueError: an argument is out of range.
  """
  expected = expected_maximum_sharpe(deviation, trials)
  return probabilistic_sharpe(record, expected)


def deflate(ratios: np.ndarray, champion: TrackRecord) -> Deflated:
  """The deflated Sharpe ratio of a champion on the validation days.

  Args:
    ratios: float [n], of all that was tried before the champion was chosen,
      its own included; see `eigen3.runs.trials`.
    champion: its record on the validation days.

  Returns:
    The number of trials and what follows; NaN where there are none.
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
  """The variance of the estimated Sharpe ratio, times days less one."""
  sharpe = record.sharpe
  fourth = (record.kurtosis - 1.0) / 4.0
  return 1.0 - record.skew * sharpe + fourth * sharpe**2

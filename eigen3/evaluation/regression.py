"""Least squares over days, with standard errors allowing for autocorrelation.

The errors are those of Newey & West (1987), "A simple, positive semi-definite,
heteroskedasticity and autocorrelation consistent covariance matrix",
Econometrica 55(3), corrected for the number of parameters.
"""

from typing import NamedTuple

import numpy as np
from scipy import stats

from eigen3.evaluation import sharpe, statistics


class Fit(NamedTuple):
  """A regression on K regressors.

  Attributes:
    coefficients: float [1 + K], that of the constant first.
    errors: float [1 + K], standard errors of the coefficients.
    r_squared: share of the variance that is explained; NaN if all values are
      equal.
  """

  coefficients: np.ndarray
  errors: np.ndarray
  r_squared: float


class DailyMean(NamedTuple):
  """A mean over days.

  Attributes:
    mean: mean over the days that have a value; NaN without any.
    error: standard error of the mean; NaN if there are too few days.
    t: the mean divided by its error; NaN if the error is 0 or unknown.
    p: two-sided p-value of the hypothesis that the true mean is 0; NaN if `t`
      is NaN.
    detectable: the smallest true mean that a two-sided test at 5 % detects with
      a probability of 80 %; NaN if the error is unknown.
    days: number of days that have a value.
  """

  mean: float
  error: float
  t: float
  p: float
  detectable: float
  days: int


def default_lags(size: int) -> int:
  """Returns Newey & West's number of lags, 4 (size / 100)^(2/9), rounded down.

  Args:
    size: number of days.
  """
  return int(4 * (size / 100) ** (2 / 9))


def least_squares(
  values: np.ndarray, regressors: np.ndarray, lags: int | None = None
) -> Fit:
  """Regresses daily values on a constant and daily regressors.

  Args:
    values: float [S].
    regressors: float [S, K].
    lags: number of days over which the standard errors allow for
      autocorrelation, by default `default_lags`.
  """
  # Takes half a second to import.
  from statsmodels.regression.linear_model import OLS

  size = len(values)
  design = np.concatenate([np.ones((size, 1)), regressors], axis=1)
  fit = OLS(values, design).fit(
    cov_type='HAC',
    cov_kwds={
      'maxlags': default_lags(size) if lags is None else lags,
      'use_correction': True,
    },
  )
  varies = np.ptp(values) > 0  # not so if an account never trades
  return Fit(fit.params, fit.bse, float(fit.rsquared) if varies else np.nan)


def daily_mean(values: np.ndarray, horizon: int = 1) -> DailyMean:
  """Estimates the mean of daily values, and tests whether it is 0.

  If each value covers the next `horizon` days, successive values share all but
  one day. Newey & West's weights fall with the lag, so lags up to the horizon
  would leave out a third of the mean's variance. Lags up to at least twice the
  horizon, used here, leave out at most a sixth, and t is too large by at most a
  tenth. A standard error with so many lags is itself uncertain, so p is from
  Student's t distribution with 1.5 x days / lags degrees of freedom, but at
  most days - 1 (Lazarus, Lewis, Stock & Watson, 2018, "HAR inference:
  recommendations for practice", Journal of Business & Economic Statistics
  36(4)). In simulations without an effect and with a horizon of 20
  days, p was below 0.05 in 9 % of cases with 500 and with 1,000 days, in 8 %
  with 2,000 and in 7 % with 4,000.

  Args:
    values: float [S], NaN on days without one.
    horizon: number of days that each value covers.

  Returns:
    The mean and its test. The standard error is NaN if fewer than 3 days have a
    value, or fewer than twice the number of lags.
  """
  known = np.asarray(values, np.float64)
  known = known[np.isfinite(known)]
  size = len(known)
  mean = float(known.mean()) if size else np.nan
  lags = max(default_lags(size), 2 * horizon if horizon > 1 else 0)
  if size < max(3, 2 * lags):
    return DailyMean(mean, np.nan, np.nan, np.nan, np.nan, size)
  if not sharpe.has_spread(known):
    return DailyMean(mean, 0.0, np.nan, np.nan, 0.0, size)
  error = float(least_squares(known, np.zeros((size, 0)), lags).errors[0])
  t = mean / error if error > 0.0 else np.nan
  freedom = min(1.5 * size / max(lags, 1), size - 1.0)
  p = float(2.0 * stats.t.sf(abs(t), freedom))
  detectable = statistics.detectable(error, freedom)
  return DailyMean(mean, error, t, p, detectable, size)

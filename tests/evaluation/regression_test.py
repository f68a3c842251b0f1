"""Tests of eigen3.evaluation.regression."""

import numpy as np
import pytest
from scipy import stats

from eigen3.evaluation import regression


def slow_error(values, lags):
  """Returns Newey & West's error of a mean, as written in the paper."""
  size = len(values)
  apart = [value - sum(values) / size for value in values]
  total = sum(x * x for x in apart)
  for lag in range(1, lags + 1):
    weight = 1.0 - lag / (lags + 1.0)
    pairs = zip(apart[lag:], apart[:-lag], strict=True)
    total += 2.0 * weight * sum(x * y for x, y in pairs)
  # Of one parameter.
  return np.sqrt(total) / size * np.sqrt(size / (size - 1))


@pytest.mark.parametrize('horizon, lags', [(1, 4), (2, 4), (5, 10)])
def test_the_mean_beside_a_slow_formula(horizon, lags):
  values = np.random.default_rng(0).normal(0.2, 1.0, 130)
  values[1:] += 0.5 * values[:-1]
  found = regression.daily_mean(values, horizon)
  assert found.mean == pytest.approx(values.mean())
  assert found.error == pytest.approx(slow_error(values.tolist(), lags))
  assert found.t == pytest.approx(found.mean / found.error)
  freedom = 1.5 * 130 / lags
  assert found.p == pytest.approx(2 * stats.t.cdf(-abs(found.t), freedom))
  assert found.days == 130


def test_days_without_a_value_are_left_out():
  values = np.random.default_rng(1).normal(0.0, 1.0, 60)
  gaps = np.insert(values, [0, 7, 7, 60], np.nan)
  assert regression.daily_mean(gaps, 5) == regression.daily_mean(values, 5)


def test_little_says_little():
  assert np.isnan(regression.daily_mean(np.full(3, np.nan)).mean)
  few = regression.daily_mean(np.arange(39.0), horizon=10)
  assert few.mean == 19.0
  assert np.isnan([few.error, few.t, few.p, few.detectable]).all()
  same = regression.daily_mean(np.full(50, 0.1))
  assert (same.mean, same.error) == (pytest.approx(0.1), 0.0)
  assert np.isnan(same.t)


def overlapping(rng, mean, horizon=20, days=500):
  """Draws daily sums of noise over the next `horizon` days."""
  noise = rng.normal(mean / horizon, 1.0, days + horizon)
  path = np.concatenate([[0.0], np.cumsum(noise)])
  return path[horizon : horizon + days] - path[:days]


def test_nothing_is_seldom_taken_for_something():
  """Checks false positives if successive values share 19 of 20 days."""
  rng = np.random.default_rng(2)
  wrong = {1: 0, 20: 0}
  for _ in range(300):
    values = overlapping(rng, 0.0)
    for horizon in wrong:
      wrong[horizon] += regression.daily_mean(values, horizon).p < 0.05
  assert wrong[20] / 300 == pytest.approx(0.09, abs=0.04)
  assert wrong[1] / 300 > 0.3  # without the horizon


def test_what_is_detectable_is_detected():
  rng = np.random.default_rng(3)
  effect = np.mean(
    [regression.daily_mean(rng.normal(0, 1, 500)).detectable for _ in range(20)]
  )
  seen = [
    regression.daily_mean(rng.normal(effect, 1.0, 500)).p < 0.05
    for _ in range(300)
  ]
  assert np.mean(seen) == pytest.approx(0.8, abs=0.07)


def test_several_regressors_beside_a_slow_formula():
  rng = np.random.default_rng(4)
  regressors = rng.normal(0.0, 1.0, (90, 2))
  values = 0.3 + regressors @ [0.5, -2.0] + rng.normal(0.0, 1.0, 90)
  fit = regression.least_squares(values, regressors, lags=3)
  design = np.column_stack([np.ones(90), regressors])
  expected = np.linalg.solve(design.T @ design, design.T @ values)
  np.testing.assert_allclose(fit.coefficients, expected)
  scores = design * (values - design @ expected)[:, None]
  middle = scores.T @ scores
  for lag in (1, 2, 3):
    cross = scores[lag:].T @ scores[:-lag]
    middle += (1.0 - lag / 4.0) * (cross + cross.T)
  bread = np.linalg.inv(design.T @ design)
  covariance = bread @ middle @ bread * 90 / 87
  np.testing.assert_allclose(fit.errors, np.sqrt(np.diag(covariance)))


@pytest.mark.filterwarnings('error')
def test_an_account_that_never_trades_has_no_variance_to_explain():
  factors = np.random.default_rng(0).normal(size=(60, 2))
  fit = regression.least_squares(np.zeros(60), factors)
  np.testing.assert_array_equal(fit.coefficients, 0)
  assert np.isnan(fit.r_squared)

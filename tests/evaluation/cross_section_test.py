"""Tests of eigen3.evaluation.cross_section."""

import numpy as np
import pytest
from scipy import stats

from eigen3.evaluation import cross_section

DAYS, STOCKS = 30, 25


@pytest.fixture(scope='module')
def market():
  """Returns scores with ties, outcomes, and unknown cells."""
  rng = np.random.default_rng(0)
  scores = rng.integers(0, 12, (DAYS, STOCKS)).astype(float)
  outcomes = scores + rng.normal(0.0, 9.0, (DAYS, STOCKS))
  known = rng.random((DAYS, STOCKS)) < 0.8
  known[3] = np.arange(STOCKS) < 9  # too few
  scores[5] = 2.0  # carries no information
  scores[~known] = 1e9
  scores[7, 3] = outcomes[8, 4] = np.nan
  return scores, outcomes, known


def of_day(market, day):
  """Returns the known scores and outcomes of a day."""
  scores, outcomes, known = (x[day] for x in market)
  can = known & np.isfinite(scores) & np.isfinite(outcomes)
  return scores[can], outcomes[can]


def test_rank_ic_is_the_spearman_correlation_of_each_day(market):
  found = cross_section.rank_ic(*market)
  for day in range(DAYS):
    if day in (3, 5):
      assert np.isnan(found[day])
    else:
      expected = stats.spearmanr(*of_day(market, day)).statistic
      assert found[day] == pytest.approx(expected)


def test_the_excess_of_the_top_is_the_mean_over_ways_to_break_ties(market):
  found = cross_section.top_excess(*market, share=0.2)
  for day in range(DAYS):
    scores, outcomes = of_day(market, day)
    if len(scores) < 10:
      assert np.isnan(found[day])
      continue
    best = max(1, round(0.2 * len(scores)))
    limit = np.sort(scores)[-best]
    sure, maybe = outcomes[scores > limit], outcomes[scores == limit]
    top = (sure.sum() + (best - len(sure)) * maybe.mean()) / best
    assert found[day] == pytest.approx(top - outcomes.mean())
  assert found[5] == pytest.approx(0.0, abs=1e-12)


def test_residuals_are_those_of_a_regression_on_each_day(market):
  _, outcomes, known = market
  factors = np.random.default_rng(1).normal(0, 1, (DAYS, STOCKS, 2))
  factors[4, 2, 1] = np.nan
  known = known.copy()
  known[6] = np.arange(STOCKS) < 3  # no more than coefficients
  found = cross_section.residuals(outcomes, factors, known)
  assert np.isnan(found[6]).all()
  assert np.isnan(found[4, 2])
  for day in {*range(DAYS)} - {6}:
    can = known[day] & np.isfinite(outcomes[day])
    can &= np.isfinite(factors[day]).all(axis=1)
    design = np.column_stack([np.ones(can.sum()), factors[day, can]])
    fit = np.linalg.lstsq(design, outcomes[day, can], rcond=None)[0]
    expected = outcomes[day, can] - design @ fit
    np.testing.assert_allclose(found[day, can], expected, atol=1e-9)
    assert np.isnan(found[day, ~can]).all()


def made_of(rng, skill, days=400, stocks=40):
  """Draws outcomes of volatility and skill; scores know one or both."""
  volatility = rng.lognormal(0.0, 0.5, (days, stocks))
  talent = rng.normal(0.0, 1.0, (days, stocks))
  noise = rng.normal(0.0, 3.0, (days, stocks)) * volatility
  outcomes = 0.8 * volatility + 0.5 * talent + noise
  factors = np.stack([volatility, rng.normal(0, 1, (days, stocks))], axis=2)
  known = np.ones((days, stocks), bool)
  scores = np.log(volatility) + skill * talent
  return cross_section.quality(scores, outcomes, known, factors, horizon=1)


def test_skill_is_what_the_factors_leave():
  rng = np.random.default_rng(2)
  risk, skill = made_of(rng, 0.0), made_of(rng, 1.0)
  assert min(risk.ic.t, risk.top.t, skill.ic.t) > 4
  # A score that factors explain completely has no order left on any day.
  assert risk.adjusted_ic.days == 0
  assert risk.adjusted_top.mean == pytest.approx(0.0, abs=1e-12)
  assert skill.adjusted_ic.t > 4
  assert skill.adjusted_top.t > 4


def test_a_score_that_is_mostly_risk_has_little_left():
  """After removing risk only ranks of noise remain, which predict nothing."""
  rng = np.random.default_rng(3)
  volatility = rng.lognormal(0.0, 0.5, (400, 40))
  outcomes = volatility * (0.8 + rng.normal(0.0, 3.0, (400, 40)))
  scores = np.log(volatility) + rng.normal(0.0, 0.5, (400, 40))
  known = np.ones((400, 40), bool)
  found = cross_section.quality(
    scores, outcomes, known, volatility[..., None], horizon=1
  )
  assert found.ic.t > 4
  assert abs(found.adjusted_ic.t) < 3
  assert abs(found.adjusted_top.t) < 3


def test_a_day_knows_nothing_of_others(market):
  scores, outcomes, known = market
  factors = np.random.default_rng(4).normal(0, 1, (DAYS, STOCKS, 2))

  def measured(scores, outcomes, factors):
    ranked = cross_section.ranks(scores, known)
    left = cross_section.residuals(ranked, factors, known)
    return (
      cross_section.rank_ic(left, outcomes, known)[:10],
      cross_section.top_excess(left, outcomes, known)[:10],
    )

  changed = [x.copy() for x in (scores, outcomes, factors)]
  for array in changed:
    array[10:] = array[10:][::-1] * 7.0
  first = measured(scores, outcomes, factors)
  for one, other in zip(first, measured(*changed), strict=True):
    np.testing.assert_array_equal(one, other)

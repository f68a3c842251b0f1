"""Tests of the statistics of Sharpe ratios against their papers."""

import math

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from eigen3.evaluation import sharpe
from eigen3.evaluation.sharpe import TrackRecord

pytestmark = pytest.mark.filterwarnings('error')


def test_a_record_by_hand():
  # Mean 2, deviation sqrt(8/3); moments about the mean: 2, 2, 6.
  found = sharpe.track_record(np.array([1.0, 1.0, 2.0, 1.0, 5.0]) / 100)
  assert found.size == 5
  assert found.sharpe == pytest.approx(2.0 / math.sqrt(3.0))
  central = np.array([-1.0, -1.0, 0.0, -1.0, 3.0])
  assert found.skew == pytest.approx(np.mean(central**3) / 2.4**1.5)
  assert found.kurtosis == pytest.approx(np.mean(central**4) / 2.4**2)


def test_two_years_of_a_hedge_fund():
  # Bailey & Lopez de Prado (2012): months of a fund, 1.59 a year. Two years do
  # not suffice at 95 % once its tails are seen; three do.
  normal = TrackRecord(0.458, 0.0, 3.0, 24)
  fund = TrackRecord(0.458, -2.448, 10.164, 24)
  assert sharpe.probabilistic_sharpe(normal) == pytest.approx(0.982, abs=5e-4)
  assert sharpe.probabilistic_sharpe(fund) == pytest.approx(0.913, abs=5e-4)
  longer = fund._replace(size=36)
  assert sharpe.probabilistic_sharpe(longer) == pytest.approx(0.953, abs=6e-4)


@pytest.mark.parametrize(
  'trials, skew, kurtosis, probability',
  [(100, -3.0, 10.0, 0.9004), (46, -3.0, 10.0, 0.9505), (88, 0.0, 3.0, 0.9505)],
)
def test_a_deflated_discovery(trials, skew, kurtosis, probability):
  # Bailey & Lopez de Prado (2014), the numerical example: 2.5 a year over five
  # years of 250 days, variance of 1/2 a year among the trials.
  record = TrackRecord(2.5 / math.sqrt(250), skew, kurtosis, 1250)
  deviation = math.sqrt(0.5 / 250)
  found = sharpe.deflated_sharpe(record, deviation, trials)
  assert found == pytest.approx(probability, abs=5e-5)
  expected = sharpe.expected_maximum_sharpe(deviation, 100)
  assert expected == pytest.approx(0.1132, abs=5e-5)


def test_the_best_of_many_without_skill():
  # Bailey et al. (2014), "Pseudo-mathematics and financial charlatanism": 1.57
  # for ten trials of a year; after 45 trials on five years 1 is expected.
  assert sharpe.expected_maximum_sharpe(1.0, 10) == pytest.approx(
    1.57, abs=6e-3
  )
  five_years = 1.0 / math.sqrt(5.0)
  found = sharpe.expected_maximum_sharpe(five_years, 45)
  assert found == pytest.approx(1.0, abs=1e-3)
  drawn = np.random.default_rng(0).normal(0.0, 2.0, (4000, 50)).max(axis=1)
  found = sharpe.expected_maximum_sharpe(2.0, 50)
  assert found == pytest.approx(drawn.mean(), rel=0.02)


def test_one_trial_is_not_deflated():
  record = TrackRecord(0.1, 0.0, 3.0, 250)
  found = sharpe.deflated_sharpe(record, 0.05, 1)
  assert found == sharpe.probabilistic_sharpe(record)


RECORDS = st.builds(
  TrackRecord,
  sharpe=st.floats(-0.3, 0.3),
  skew=st.floats(-2.0, 2.0),
  kurtosis=st.floats(6.0, 30.0),
  size=st.integers(20, 2000),
)


@hypothesis.settings(max_examples=50, deadline=None)
@hypothesis.given(RECORDS, st.floats(0.001, 0.1), st.integers(1, 500))
def test_more_trials_are_worth_less(record, deviation, trials):
  fewer = sharpe.deflated_sharpe(record, deviation, trials)
  more = sharpe.deflated_sharpe(record, deviation, 2 * trials)
  assert 0.0 <= more <= fewer <= 1.0
  assert more < fewer or fewer < 1e-12 or more > 1 - 1e-12
  assert fewer <= sharpe.deflated_sharpe(record, deviation / 2, trials)


@hypothesis.settings(max_examples=30, deadline=None)
@hypothesis.given(st.integers(0, 1000), st.floats(1e-6, 1e6))
def test_a_record_knows_no_scale(seed, scale):
  returns = np.random.default_rng(seed).standard_t(4, 50)
  one, other = (sharpe.track_record(x) for x in (returns, scale * returns))
  assert one == pytest.approx(other)


@pytest.mark.parametrize(
  'returns', [[0.01], [0.0, 0.0], [0.1, 0.1 + 1e-16, 0.1], np.full(250, 1e-3)]
)
def test_where_nothing_moves_nothing_is_known(returns):
  record = sharpe.track_record(np.array(returns))
  assert record.size == len(returns)
  assert math.isnan(record.sharpe)
  assert math.isnan(sharpe.probabilistic_sharpe(record))
  assert math.isnan(sharpe.deflated_sharpe(record, 0.1, 10))


def test_a_single_day_is_no_record():
  record = TrackRecord(0.1, 0.0, 3.0, 1)
  assert math.isnan(sharpe.probabilistic_sharpe(record))


@pytest.mark.parametrize(
  'deviation, trials', [(0.1, 0), (-0.1, 5), (math.nan, 5)]
)
def test_impossible_trials_are_refused(deviation, trials):
  with pytest.raises(ValueError, match='expected at least one trial'):
    sharpe.expected_maximum_sharpe(deviation, trials)

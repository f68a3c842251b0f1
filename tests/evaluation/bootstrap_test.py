"""Tests of the bootstrap over blocks of days: coverage and p-values."""

import math

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from scipy import signal

from eigen3.evaluation import bootstrap, statistics

pytestmark = pytest.mark.filterwarnings('error')


def autoregressive(rng, days, correlation, mean=0.0):
  """Draws days of a first-order autoregression with standard deviation 1."""
  noise = rng.normal(size=days + 100) * math.sqrt(1.0 - correlation**2)
  return mean + signal.lfilter([1.0], [1.0, -correlation], noise)[100:]


def ratio(values):
  return values.mean() / values.std(ddof=1)


def test_blocks_are_as_long_as_days_hang_together():
  rng = np.random.default_rng(0)
  lengths = [
    bootstrap.block_length(autoregressive(rng, 1000, correlation))
    for correlation in (0.0, 0.5, 0.9)
  ]
  assert lengths[0] <= 5 < lengths[1] < lengths[2]
  both = np.stack([autoregressive(rng, 1000, x) for x in (0.0, 0.9)], axis=1)
  assert bootstrap.block_length(both) == bootstrap.block_length(both[:, 1])


def test_blocks_of_what_rests():
  moves = np.random.default_rng(0).normal(size=60)
  still = np.full(60, 0.1)
  assert bootstrap.block_length(still) == 1
  assert bootstrap.block_length(np.stack([still, moves], axis=1)) == (
    bootstrap.block_length(moves)
  )
  for place in (0, 30, 59):
    assert bootstrap.block_length(np.eye(60)[place]) >= 1
  for days in range(1, 40):
    assert 1 <= bootstrap.block_length(moves[:days]) <= max(1, days / 2)


def drawn_slowly(values, block, repeats, rng):
  """Returns means of resamples by Politis & Romano's scheme, day by day."""
  size = len(values)
  means = np.empty(repeats)
  for repeat in range(repeats):
    days = np.empty(size, int)
    for place in range(size):
      if place == 0 or rng.random() < 1.0 / block:
        days[place] = rng.integers(size)
      else:
        days[place] = (days[place - 1] + 1) % size
    means[repeat] = values[days].mean()
  return means


def test_the_interval_beside_a_slow_one():
  rng = np.random.default_rng(1)
  values = autoregressive(rng, 80, 0.8)
  found = bootstrap.interval(values, np.mean, 0, block=8, repeats=4000)
  slow = np.quantile(drawn_slowly(values, 8, 1000, rng), [0.025, 0.975])
  width = slow[1] - slow[0]
  np.testing.assert_allclose(found[1:], slow, atol=0.1 * width)
  # Resampling single days ignores autocorrelation: the interval is too narrow.
  naive = bootstrap.interval(values, np.mean, 0, block=1, repeats=4000)
  error = values.std() / math.sqrt(80)
  assert naive.high - naive.low == pytest.approx(2 * 1.96 * error, rel=0.06)
  assert naive.high - naive.low < 0.8 * width


def test_an_interval_is_a_matter_of_its_seed():
  values = np.random.default_rng(0).normal(0.1, 1.0, 100)

  def interval(seed, **options):
    return bootstrap.interval(values, ratio, seed, repeats=400, **options)

  found = interval(5)
  assert found == interval(5)
  assert found != interval(6)
  assert found.value == pytest.approx(ratio(values))
  narrow = interval(5, confidence=0.5)
  assert found.low < narrow.low < found.value < narrow.high < found.high


def test_columns_are_drawn_together():
  first = np.random.default_rng(0).normal(size=60)
  values = np.stack([first, first + 0.25], axis=1)
  found = bootstrap.interval(
    values, lambda x: (x[:, 1] - x[:, 0]).mean(), 0, repeats=50
  )
  assert found == pytest.approx((0.25, 0.25, 0.25))


@hypothesis.settings(max_examples=10, deadline=None)
@hypothesis.given(st.integers(0, 100), st.floats(1e-4, 1e4))
def test_a_ratio_knows_no_scale(seed, scale):
  values = np.random.default_rng(seed).normal(0.1, 1.0, 40)
  one, other = (
    bootstrap.interval(x, ratio, seed, repeats=50)
    for x in (values, scale * values)
  )
  assert one == pytest.approx(other)


def test_few_days_have_no_interval():
  values = np.linspace(-1.0, 2.0, bootstrap.FEWEST_DAYS)
  assert np.isfinite(bootstrap.interval(values, np.mean, 0, repeats=20)).all()
  found = bootstrap.interval(values[1:], np.mean, 0)
  assert found.value == pytest.approx(0.65)
  assert np.isnan(found[1:]).all()
  assert bootstrap.interval(np.full(50, 0.5), np.mean, 0, repeats=20) == (
    0.5,
    0.5,
    0.5,
  )


def test_a_statistic_that_a_draw_does_not_have():
  values = np.zeros(20)
  values[3] = 1.0
  found = bootstrap.interval(
    values, lambda x: 1.0 if x.any() else math.nan, 0, repeats=200
  )
  assert found.value == 1.0
  assert np.isnan(found[1:]).all()


@pytest.fixture(scope='module')
def market():
  """Returns a year of three seeds and of a control."""
  rng = np.random.default_rng(4)
  common = rng.normal(0.0, 0.01, 252)
  return common + rng.normal(0.0, 0.004, (3, 252)), common


def test_a_difference_by_hand(market):
  ours, theirs = market
  found = bootstrap.paired_difference(ours, theirs, 0, repeats=500)
  by_hand = 252 * (ours - theirs).mean(axis=1)
  np.testing.assert_allclose(found.by_seed, by_hand)
  assert found.mean == pytest.approx(by_hand.mean())
  assert found.low < found.mean < found.high
  pooled = (ours - theirs).mean(axis=0)
  assert found.block == bootstrap.block_length(pooled)
  error = 252 * pooled.std() / math.sqrt(252)
  assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.25)
  # A row for each seed, or the same for all.
  rows = np.broadcast_to(theirs, ours.shape)
  other = bootstrap.paired_difference(ours, rows, 0, repeats=500)
  np.testing.assert_array_equal(np.hstack(other), np.hstack(found))


def test_a_p_value_by_the_normal_distribution(market):
  ours, theirs = market
  for shift in (0.0, 0.0002, 0.0004):
    found = bootstrap.paired_difference(ours + shift, theirs, 0, block=1)
    pooled = (ours + shift - theirs).mean(axis=0)
    score = pooled.mean() / (pooled.std() / math.sqrt(252))
    expected = math.erfc(abs(score) / math.sqrt(2.0))
    assert found.p == pytest.approx(expected, abs=0.02)


def test_better_and_worse_are_the_same_difference(market):
  ours, theirs = market
  theirs = np.broadcast_to(theirs, ours.shape)
  more = bootstrap.paired_difference(ours + 0.001, theirs, 0, repeats=500)
  less = bootstrap.paired_difference(theirs, ours + 0.001, 0, repeats=500)
  assert more.p == less.p == 1 / 501
  assert less[:3] == pytest.approx((-more.mean, -more.high, -more.low))
  weak = bootstrap.paired_difference(ours, theirs, 0, repeats=500)
  assert weak.p > more.p


def test_the_same_seed_again_is_no_more_evidence(market):
  ours, theirs = market
  once = bootstrap.paired_difference(ours[:1], theirs, 0, repeats=500)
  often = bootstrap.paired_difference(
    np.repeat(ours[:1], 10, axis=0), theirs, 0, repeats=500
  )
  assert often.p == once.p
  assert often[:3] == pytest.approx(once[:3])


def test_days_speak_of_these_seeds_only(market):
  _, theirs = market
  # Seeds that differ this much prove nothing about others, but these three were
  # better on all days alike.
  ours = theirs + np.array([[0.003], [-0.001], [0.0001]])
  found = bootstrap.paired_difference(ours, theirs, 0, repeats=200)
  assert found.p == 1 / 201
  seeds = statistics.mean_interval(found.by_seed)
  assert seeds.low < 0.0 < seeds.mean == pytest.approx(found.mean)


def test_nothing_differs(market):
  ours, _ = market
  found = bootstrap.paired_difference(ours, ours, 0, repeats=50)
  assert found.p == 1.0
  assert found[:3] == (0.0, 0.0, 0.0)


def test_few_days_prove_nothing(market):
  ours, theirs = market
  for days in (1, bootstrap.FEWEST_DAYS - 1):
    found = bootstrap.paired_difference(ours[:, :days], theirs[:days], 0)
    assert np.isfinite([found.mean, *found.by_seed]).all()
    assert np.isnan([found.low, found.high, found.p]).all()
  days = bootstrap.FEWEST_DAYS
  found = bootstrap.paired_difference(
    ours[:, :days], theirs[:days], 0, repeats=20
  )
  assert np.isfinite([found.low, found.high, found.p]).all()


@pytest.mark.parametrize(
  'ours, theirs, message',
  [
    (np.ones(20), np.ones(20), r'shapes \(20,\) and \(20,\)'),
    (np.ones((3, 20)), np.ones(3), r'shapes \(3, 20\) and \(3,\)'),
    (np.ones((3, 20)), np.ones((2, 20)), r'shapes \(3, 20\) and \(2, 20\)'),
    (np.ones((3, 0)), np.ones(0), 'expected finite numbers for at'),
    (np.full((1, 20), np.nan), np.ones(20), 'with 20 NaN or infinite entries'),
  ],
)
def test_what_does_not_fit_is_refused(ours, theirs, message):
  with pytest.raises(ValueError, match=message):
    bootstrap.paired_difference(ours, theirs, 0)


@pytest.mark.long
@pytest.mark.parametrize(
  'days, correlation, share, false',
  [(250, 0.0, 0.945, 0.01), (1000, 0.3, 0.94, 0.02)],
)
def test_coverage_of_autocorrelated_days(days, correlation, share, false):
  """Coverage of the true ratio and false positives are as stated."""
  rng = np.random.default_rng(days)
  held, found = [], []
  for seed in range(600):
    values = autoregressive(rng, days, correlation, 0.1)
    ratios = bootstrap.interval(values, ratio, seed, repeats=500)
    held.append(ratios.low <= 0.1 <= ratios.high)
    pair = bootstrap.paired_difference(
      values[None], np.full(days, 0.1), seed, repeats=500
    )
    found.append(pair.p < 0.01)
  # Three standard errors of 600.
  assert np.mean(held) == pytest.approx(share, abs=0.028)
  assert np.mean(found) <= false + 0.015


def test_several_statistics_share_their_draws():
  values = np.random.default_rng(0).normal(size=50)
  both = bootstrap.intervals(
    values, lambda x: np.array([x.mean(), x.max()]), seed=3, repeats=200
  )
  for found, statistic in zip(both, (np.mean, np.max), strict=True):
    assert found == bootstrap.interval(values, statistic, seed=3, repeats=200)
  few = bootstrap.intervals(values[:5], lambda x: np.array([x.max()]), seed=3)
  assert few[0].value == values[:5].max()
  assert np.isnan(few[0].low)


def test_what_is_detectable_is_detected():
  """Checks the power on years of days without autocorrelation."""
  rng = np.random.default_rng(5)
  nothing = np.zeros(252)

  def pair(shift):
    returns = rng.normal(shift, 0.01, (1, 252))
    return bootstrap.paired_difference(returns, nothing, 0, 0.95, 300, 1)

  effect = np.mean([bootstrap.detectable(pair(0.0)) for _ in range(30)])
  assert effect == pytest.approx(2.8 * 252 * 0.01 / np.sqrt(252), rel=0.05)
  seen = [pair(effect / 252).low > 0.0 for _ in range(150)]
  assert np.mean(seen) == pytest.approx(0.8, abs=0.1)
  few = bootstrap.paired_difference(np.zeros((1, 5)), np.zeros(5), 0)
  assert np.isnan(bootstrap.detectable(few))

"""Tests the probability of overfitting against a published and a slow one."""

import itertools

import numpy as np
import pytest
from scipy import stats

from eigen3.evaluation import overfitting

pytestmark = pytest.mark.filterwarnings('error')


def normal_as_in_r(seed, count):
  """Draws as R's set.seed and rnorm: Mersenne Twister, inversion."""
  words = np.empty(676, np.uint64)
  word = seed
  for place in range(len(words)):
    word = (69069 * word + 1) % 2**32
    words[place] = word
  generator = np.random.MT19937()
  state = generator.state
  # R discards 50 words, then one where it keeps its place in the others.
  state['state'] = {'key': words[51:675].astype(np.uint32), 'pos': 624}
  generator.state = state
  uniform = generator.random_raw(2 * count) * 2.3283064365386963e-10
  coarse, fine = uniform.reshape(-1, 2).T
  return stats.norm.ppf((np.floor(2**27 * coarse) + fine) / 2**27)


def test_random_numbers_as_in_r():
  # set.seed(42); rnorm(3)
  expected = [1.37095845, -0.56469817, 0.36312841]
  np.testing.assert_allclose(normal_as_in_r(42, 3), expected, atol=5e-9)


@pytest.mark.parametrize(
  'blocks, intercept, fit', [(8, -0.0030456, 0.97), (4, -0.005909, 0.88)]
)
def test_the_published_run_of_the_r_package(blocks, intercept, fit):
  # CRAN's pbo, "Using the PBO package" (four blocks: its first edition): a
  # hundred policies of the same Sharpe ratio, 0.03 a year of interest. Its
  # "slope" is the constant of in-sample on out-of-sample ratios.
  returns = normal_as_in_r(765, 240_000).reshape(100, 2400).T
  returns /= returns.std(axis=0, ddof=1) * np.sqrt(252)
  returns -= returns.mean(axis=0)
  found = overfitting.backtest_overfitting(returns - 0.03 / 252, blocks)
  assert found.probability == 1.0
  assert found.loss == 1.0
  line = stats.linregress(found.out_of_sample, found.in_sample)
  assert line.intercept == pytest.approx(intercept, rel=1e-4)
  splits = len(found.logits)
  adjusted = 1 - (1 - line.rvalue**2) * (splits - 1) / (splits - 2)
  assert adjusted == pytest.approx(fit, abs=5e-3)


def test_the_published_test_of_the_r_package():
  # Its test expects a half of six splits, and a fit between -0.24 and -0.22.
  returns = normal_as_in_r(852, 8000).reshape(200, 40)
  found = overfitting.backtest_overfitting(returns - 0.03 / 252, 4)
  assert found.probability == 0.5
  assert found.loss == 0.5
  line = stats.linregress(found.out_of_sample, found.in_sample)
  assert 0.19 < line.intercept < 0.20
  assert -0.24 < 1 - (1 - line.rvalue**2) * 5 / 4 < -0.22


def test_two_blocks_by_hand():
  # The first is the best of the first half, sqrt(2), and the last of the other,
  # -sqrt(2). The third is the best of that half and the second of the first.
  returns = np.array(
    [
      [0.01, 0.00, 0.00],
      [0.03, -0.01, 0.01],
      [-0.01, -0.01, 0.00],
      [-0.03, 0.00, 0.01],
    ]
  )
  found = overfitting.backtest_overfitting(returns, 2)
  root = np.sqrt(2.0)
  np.testing.assert_allclose(found.in_sample, [root, 1 / root])
  np.testing.assert_allclose(found.out_of_sample, [-root, 1 / root])
  # Rank 1 of 3 is a quarter, rank 2 a half.
  np.testing.assert_allclose(found.logits, [np.log(1 / 3), 0.0])
  assert found.probability == 1.0
  assert found.loss == 0.5


def slowly(returns, blocks):
  """Computes it split by split, by the definition."""
  rest = len(returns) % blocks
  parts = np.split(returns[rest:], blocks)
  logits = []
  for chosen in itertools.combinations(range(blocks), blocks // 2):
    halves = [
      np.concatenate([parts[i] for i in range(blocks) if (i in chosen) is own])
      for own in (True, False)
    ]
    ours, theirs = (x.mean(axis=0) / x.std(axis=0, ddof=1) for x in halves)
    rank = stats.rankdata(theirs)[ours.argmax()]
    logits.append(np.log(rank / (len(ours) + 1 - rank)))
  return np.array(logits)


@pytest.mark.parametrize('days, policies, blocks', [(53, 7, 6), (120, 2, 8)])
def test_all_splits_agree_with_the_definition(days, policies, blocks):
  returns = np.random.default_rng(days).normal(0.001, 0.01, (days, policies))
  found = overfitting.backtest_overfitting(returns, blocks)
  np.testing.assert_allclose(found.logits, slowly(returns, blocks))
  assert found.probability == np.mean(slowly(returns, blocks) <= 0)


def test_noise_is_no_better_than_the_median():
  rng = np.random.default_rng(0)
  found = [
    overfitting.backtest_overfitting(rng.normal(size=(160, 21)), 8).probability
    for _ in range(150)
  ]
  # Single markets scatter by about 0.25.
  assert np.mean(found) == pytest.approx(0.5, abs=0.08)
  assert np.std(found) > 0.1


def test_skill_is_not_overfitting():
  returns = np.random.default_rng(0).normal(0.0, 0.01, (800, 20))
  returns[:, 7] += 0.003
  found = overfitting.backtest_overfitting(returns)
  assert len(found.logits) == 12_870
  assert found.probability == 0.0
  assert found.loss == 0.0
  scaled = overfitting.backtest_overfitting(1e-3 * returns)
  np.testing.assert_allclose(scaled.logits, found.logits)


def test_those_who_rest_share_their_rank():
  nothing = overfitting.backtest_overfitting(np.full((16, 3), 1e-3), 4)
  np.testing.assert_array_equal(nothing.logits, np.zeros(6))
  assert nothing.probability == 1.0
  np.testing.assert_array_equal(nothing.out_of_sample, np.zeros(6))
  # A policy that gains on all days always ranks above two that never trade.
  returns = np.zeros((16, 3))
  returns[:, 1] = np.tile([0.01, 0.02], 8)
  found = overfitting.backtest_overfitting(returns, 4)
  np.testing.assert_allclose(found.logits, np.log(3.0))


def test_rest_for_half_the_days_is_not_told_by_rounding():
  returns = np.zeros((12, 3))
  returns[6:, 0] = [0.036, 0.026, 0.007, -0.024, 0.0, 0.013]
  returns[6:, 2] = [-0.006, 0.028, 0.029, 0.034, -0.004, 0.007]
  found = overfitting.backtest_overfitting(returns, 2)
  assert found.out_of_sample[1] == 0.0
  # The third was chosen; on the other half all three are equal.
  assert found.in_sample[1] == pytest.approx(0.822, abs=1e-3)
  assert found.logits[1] == 0.0


@pytest.mark.parametrize(
  'shape, blocks, message',
  [
    ((100, 5), 7, 'blocks: found 7, expected an even number above 0'),
    ((100, 5), 0, 'blocks: found 0'),
    ((100, 1), 8, r'found shape \(100, 1\), .* at least 16 days'),
    ((15, 5), 8, r'found shape \(15, 5\)'),
    ((100,), 8, r'found shape \(100,\)'),
  ],
)
def test_too_little_is_refused(shape, blocks, message):
  with pytest.raises(ValueError, match=message):
    overfitting.backtest_overfitting(np.ones(shape), blocks)


def test_holes_are_refused():
  returns = np.ones((100, 3))
  returns[3, 1] = np.nan
  with pytest.raises(ValueError, match='found 1 NaN or infinite entry, e'):
    overfitting.backtest_overfitting(returns, 4)

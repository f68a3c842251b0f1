"""Checks that tests of many policies find planted skill, and nothing else."""

import numpy as np
import pytest

from eigen3.evaluation import contenders

pytestmark = pytest.mark.filterwarnings('error')


@pytest.fixture(scope='module')
def noise():
  """Returns two years of twenty policies without skill, around a market."""
  rng = np.random.default_rng(1)
  market = rng.normal(0.0003, 0.01, 500)
  return market[:, None] + rng.normal(0.0, 0.005, (500, 20)), market


def superior(returns, benchmark, **options):
  return contenders.superior_ability(
    returns, benchmark, 0, repeats=1000, **options
  )


def test_luck_among_many_is_not_superior(noise):
  returns, market = noise
  means = (returns - market[:, None]).mean(axis=0)
  best = returns[:, [means.argmax()]]
  # Tested alone, the luckiest would look significant.
  assert superior(best, market) < 0.05 < superior(returns, market)


def test_skill_among_many_is_found(noise):
  returns, market = noise
  skilled = returns.copy()
  skilled[:, 7] += 0.001
  assert superior(skilled, market) < 0.01


def test_the_consistent_p_value_beside_a_slow_one():
  """Very poor policies do not affect it, slightly poor ones do."""
  rng = np.random.default_rng(3)
  noise = rng.normal(size=(300, 16))
  noise = (noise - noise.mean(axis=0)) / noise.std(axis=0)
  # In standard errors of the mean: one good, five slightly and ten very poor.
  score = np.array([2.0] + [-0.5] * 5 + [-8.0] * 10)
  returns = noise + score / np.sqrt(300)
  days = rng.integers(300, size=(4000, 300))
  draws = np.sqrt(300) * returns[days].mean(axis=1)
  kept = score >= -np.sqrt(2 * np.log(np.log(300)))
  assert kept.sum() == 6
  best = (draws - np.where(kept, score, 0.0)).max(axis=1)
  found = superior(returns, np.zeros(300), block=1)
  assert found == pytest.approx(np.mean(best > 2.0), abs=0.03)


def test_restless_policies_do_not_hide_a_calm_one(noise):
  returns, market = noise
  calm = (
    market + (returns[:, 0] - market - (returns[:, 0] - market).mean()) / 20
  )
  wild = market[:, None] + 10 * (returns - market[:, None])
  both = np.column_stack([wild, calm + 1e-4])
  assert superior(both, market) < 0.01


def test_superior_ability_knows_no_scale(noise):
  returns, market = noise
  found = superior(returns, market, block=3)
  scaled = superior(1000 * returns, 1000 * market, block=3)
  assert found == pytest.approx(scaled, abs=2e-3)


def test_who_is_the_benchmark_does_not_beat_it(noise):
  returns, market = noise
  assert superior(np.stack([market, market], axis=1), market) == 1.0
  assert superior(np.zeros((50, 3)), np.zeros(50)) == 1.0
  found = superior(np.column_stack([market, returns]), market)
  assert found == superior(returns, market)
  assert superior(returns - 0.002, market) == 1.0


def test_the_best_stays_and_the_rest_leaves(noise):
  returns, _ = noise
  planted = returns[:, :6].copy()
  planted -= planted.mean(axis=0)
  planted[:, 2] += 0.002
  planted[:, 4] += 0.0018
  found = contenders.confidence_set(planted, 0, repeats=500)
  assert found[2] == 1.0
  assert found[4] > 0.05
  assert (found[[0, 1, 3, 5]] < 0.05).all()
  shuffled = [3, 2, 5, 4, 0, 1]
  again = contenders.confidence_set(planted[:, shuffled], 0, repeats=500)
  np.testing.assert_allclose(again, found[shuffled])


def test_equals_are_as_good_as_each_other(noise):
  returns, _ = noise
  planted = returns[:, :3] + [0.0, 0.004, 0.0]
  found = contenders.confidence_set(planted, 0, repeats=200)
  twice = contenders.confidence_set(planted[:, [0, 1, 1, 2]], 0, repeats=200)
  np.testing.assert_allclose(twice, found[[0, 1, 1, 2]])
  np.testing.assert_array_equal(
    contenders.confidence_set(np.zeros((30, 4)), 0), np.ones(4)
  )
  np.testing.assert_array_equal(
    contenders.confidence_set(returns[:, :1], 0), [1.0]
  )


def test_one_who_rests_is_a_contender(noise):
  returns, market = noise
  resting = np.column_stack([returns[:, :2] + 0.005, np.zeros(500)])
  found = contenders.confidence_set(resting, 0, repeats=200)
  assert found.max() == 1.0
  assert found[2] < 0.05
  assert 0.0 <= superior(resting, market) <= 1.0


def test_few_days_tell_nothing(noise):
  returns, market = noise
  for days in (1, 10):
    assert np.isnan(superior(returns[:days], market[:days]))
    assert np.isnan(contenders.confidence_set(returns[:days], 0)).all()


@pytest.mark.parametrize('bad', [np.ones(20), np.ones((20, 0)), [[np.inf]]])
def test_what_does_not_fit_is_refused(bad):
  with pytest.raises(ValueError, match=r'finite returns of shape \(days, pol'):
    contenders.superior_ability(bad, np.ones(20), 0)
  with pytest.raises(ValueError, match=r'finite returns of shape \(days, pol'):
    contenders.confidence_set(bad, 0)
  with pytest.raises(ValueError, match=r'benchmark: found shape \(3,\)'):
    contenders.superior_ability(np.ones((20, 2)), np.ones(3), 0)


@pytest.mark.long
def test_the_error_rates_of_many():
  """Checks false positives at 5 %, and that the best stays in the set."""
  rng = np.random.default_rng(0)
  superior_found, best_kept = [], []
  for seed in range(300):
    returns = rng.normal(0.0, 0.01, (250, 10))
    market = rng.normal(0.0, 0.01, 250)
    p = contenders.superior_ability(returns, market, seed, repeats=300)
    superior_found.append(p < 0.05)
    returns[:, 0] += 0.0005
    kept = contenders.confidence_set(returns, seed, repeats=300)
    best_kept.append(kept[0] > 0.05)
  assert np.mean(superior_found) <= 0.05 + 0.035
  assert np.mean(best_kept) >= 0.95 - 0.035

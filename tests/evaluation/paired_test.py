"""Tests of eigen3.evaluation.paired."""

import itertools

import numpy as np
import pytest
from statsmodels.stats import power

from eigen3.evaluation import paired, statistics

TEN = np.random.default_rng(5).normal(0.3, 1.0, 10)


def test_the_p_value_by_hand():
  # Of 8 sign patterns one has as large a mean, and one as small a mean.
  assert paired.sign_flip_p([1, 2, 4], alternative='greater') == 1 / 8
  assert paired.sign_flip_p([1, 2, 4]) == 2 / 8
  # Of -1 +- 1 the four with +2 +4 or with +2 -1 +4 are as large or larger.
  assert paired.sign_flip_p([-1, 2, 4], alternative='greater') == 2 / 8
  assert paired.sign_flip_p([-1, -2, -4], alternative='greater') == 1.0
  assert paired.sign_flip_p(np.ones(10)) == 2 / 1024


def test_the_p_value_enumerates_all_signs():
  signs = np.array([*itertools.product((-1, 1), repeat=10)])
  means = signs @ (TEN + 0.1)
  expected = np.mean(means >= means[-1] - 1e-9)
  assert paired.sign_flip_p(TEN, margin=-0.1, alternative='greater') == expected
  assert paired.sign_flip_p(TEN, margin=-0.1) == 2 * expected


def test_holm_by_hand():
  # The smallest times 3, the next times 2, and none below one before it.
  assert paired.corrected([0.01, 0.04, 0.03]) == pytest.approx(
    [0.03, 0.06, 0.06]
  )
  assert paired.corrected([0.04]) == pytest.approx([0.04])
  # An unknown p-value counts; corrected ones can only become smaller later.
  assert paired.corrected([0.01, None, 0.02]) == [
    pytest.approx(0.03), None, pytest.approx(0.04),
  ]  # fmt: skip


def test_the_probability_of_improvement_by_hand():
  found = paired.improvement(
    np.array([[0.2, -0.1], [0.0, 0.3]]), 0, repeats=500
  )
  assert found.value == 2.5 / 4
  # Each kind of market keeps two: 0.5 or 1 of the first, 0 or 1 of the other.
  assert (found.low, found.high) == (0.25, 1.0)
  sure = paired.improvement(np.array([[0.2], [0.1]]), 0, repeats=100)
  assert sure == (1.0, 1.0, 1.0)


@pytest.mark.parametrize('size', [4, 10, 30])
@pytest.mark.parametrize('level', [0.05, 0.0125])
@pytest.mark.parametrize(
  'alternative, theirs', [('two-sided', 'two-sided'), ('greater', 'larger')]
)
def test_the_detectable_difference_is_that_of_statsmodels(
  size, level, alternative, theirs
):
  differences = np.linspace(-2.0, 5.0, size)
  expected = power.TTestPower().solve_power(
    nobs=size, alpha=level, power=0.8, alternative=theirs
  )
  found = paired.detectable(differences, level, alternative=alternative)
  assert found == pytest.approx(expected * differences.std(ddof=1), rel=1e-4)


def test_what_is_detectable_is_detected():
  """A planted difference of that size is detected in 80 % of samples."""
  spread = paired.detectable(TEN) / TEN.std(ddof=1)
  rng = np.random.default_rng(0)
  samples = rng.normal(spread, 1.0, (200, 10))
  seen = np.mean([paired.sign_flip_p(sample) < 0.05 for sample in samples])
  assert seen == pytest.approx(0.8, abs=0.07)
  nothing = rng.normal(0.0, 1.0, (200, 10))
  seen = np.mean([paired.sign_flip_p(sample) < 0.05 for sample in nothing])
  assert seen == pytest.approx(0.05, abs=0.04)


def test_the_interval_holds_a_planted_difference():
  """Kinds of markets differ strongly, and seeds are correlated over kinds."""
  rng = np.random.default_rng(1)
  kinds = np.array([0.0, 5.0, -2.0])
  shared = rng.normal(0.0, 0.5, (1000, 10, 1))
  samples = kinds + shared + rng.normal(0.0, 1.0, (1000, 10, 3))
  ends = [
    statistics.mean_interval(sample.mean(axis=1))[1:3] for sample in samples
  ]
  held = np.mean([low <= 1.0 <= high for low, high in ends])
  assert held == pytest.approx(0.95, abs=0.02)

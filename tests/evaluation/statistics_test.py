"""Tests of eigen3.evaluation.statistics."""

import numpy as np
import pytest
from scipy import stats

from eigen3.evaluation import statistics


def test_by_hand():
  # t of 0.975 with 2 degrees of freedom is 4.302653; the error is 1/sqrt(3).
  found = statistics.mean_interval(np.array([1.0, 2.0, 3.0]))
  assert found.mean == 2.0
  assert found.size == 3
  assert found.high - 2.0 == pytest.approx(4.302653 / np.sqrt(3), rel=1e-6)
  assert found.mean - found.low == pytest.approx(found.high - found.mean)
  narrow = statistics.mean_interval(np.array([1.0, 2.0, 3.0]), 0.5)
  assert narrow.high - 2.0 == pytest.approx(0.816497 / np.sqrt(3), rel=1e-5)


def test_it_holds_the_mean_as_often_as_it_says():
  draws = np.random.default_rng(0).normal(3.0, 2.0, (2000, 5))
  intervals = [statistics.mean_interval(x, 0.9) for x in draws]
  share = np.mean([x.low <= 3.0 <= x.high for x in intervals])
  assert share == pytest.approx(0.9, abs=0.02)


@pytest.mark.parametrize('values', [[], [1.0], [1.0, np.nan], [[1.0, 2.0]]])
def test_too_little_is_refused(values):
  with pytest.raises(ValueError, match='expected a one-dimensional array'):
    statistics.mean_interval(np.array(values))


def middle(scores, **options):
  return statistics.interquartile_mean(np.array(scores), 0, **options)


def test_the_interquartile_mean_by_hand():
  # Of eight the middle four; of six all but one at either end.
  assert middle([[8, 2, 3, 900], [5, -70, 6, 4]]).value == 4.5
  assert middle([[1, 2, 3], [5, 10, 60]]).value == 5.0
  # Agarwal et al.'s own tests, in rliable.
  assert middle([[1, 2], [2, 2], [1, 1], [2, 1]]).value == 1.5
  assert middle([[1, 1], [2, 2], [3, 3]]).value == 2.0


def test_runs_are_drawn_within_their_task():
  # Runs of a task are equal, so there is no variance. Of 12 scores the middle
  # six are 0, four times 10, and 50.
  assert middle([[0.0, 10.0, 50.0]] * 4) == (15.0, 15.0, 15.0)
  assert middle([[1.0, 4.0]]) == (2.5, 2.5, 2.5)
  # Runs of a task differ by 1, so a mean over tasks cannot leave [0, 11].
  found = middle([[0.0, 10.0], [1.0, 11.0]], repeats=500)
  assert found.value == 5.5
  assert 0.0 < found.low < 5.5 < found.high < 11.0


def test_the_interval_of_the_interquartile_mean():
  scores = np.random.default_rng(3).normal(2.0, 1.0, (40, 5))
  found = middle(scores, repeats=2000)
  assert found == middle(scores, repeats=2000)
  assert found != statistics.interquartile_mean(scores, 1, repeats=2000)
  # The asymptotic error of a mean trimmed by a quarter, of normal numbers.
  error = 1.0 / np.sqrt(200) * 1.092
  assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.15)
  narrow = middle(scores, confidence=0.5, repeats=2000)
  assert found.low < narrow.low < found.value < narrow.high < found.high


@pytest.mark.parametrize('scores', [[], [1.0], [[]], [[1.0, np.inf]]])
def test_no_scores_are_refused(scores):
  with pytest.raises(ValueError, match='expected finite numbers of shape'):
    middle(scores)


@pytest.mark.parametrize('kinds', [[0.0], [0.0, 9.0, -5.0]])
def test_how_often_the_stratified_interval_holds_what_was_planted(kinds):
  """Kinds of markets differ strongly; coverage is slightly low, as stated."""
  rng = np.random.default_rng(2)
  samples = rng.normal(1.0, 1.0, (400, 10, len(kinds))) + kinds
  intervals = [middle(sample, repeats=500) for sample in samples]
  truth = stats.trim_mean(
    rng.normal(1.0, 1.0, (20_000, 10, len(kinds))).reshape(20_000, -1)
    + np.tile(kinds, 10),
    0.25,
    axis=1,
  ).mean()
  held = np.mean([found.low <= truth <= found.high for found in intervals])
  assert held == pytest.approx(0.93, abs=0.03)

"""Tests of eigen3.evaluation.profiles."""

import numpy as np
import pytest

from eigen3.evaluation import profiles

OURS = np.array([0.2, 0.1, -0.1, 0.5])


def test_scores_by_hand():
  controls = {
    'informed': np.array([0.2, 0.4, 0.1, -0.1]),
    'momentum': np.ones(4),
  }
  found = profiles.scores(OURS, controls)
  assert found.yardstick == 'informed'
  # The last market offered no profit.
  assert found.values == pytest.approx([1.0, 0.25, -1.0])
  assert found.solved == 1
  half = profiles.scores(np.array([0.1, 0.2]), {'informed': [0.2, 0.4]})
  assert half.solved == 2


def test_the_patient_policy_is_the_yardstick_where_there_is_one():
  controls = {'informed': OURS, 'patient': np.ones(4)}
  assert profiles.scores(OURS, controls).yardstick == 'patient'
  assert profiles.scores(OURS, controls).solved == 1


@pytest.mark.parametrize(
  'controls', [{'momentum': OURS}, {'informed': np.array([0.2, -0.1, -0.1, 0])}]
)
def test_no_scores_where_nothing_can_be_earned(controls):
  assert profiles.scores(OURS, controls) is None


def test_a_profile_by_hand():
  found = profiles.profile(
    np.array([0.2, 0.5, 0.5, 1.2]), np.array([0.0, 0.5, 0.6, 1.3])
  )
  assert [share.value for share in found] == [1.0, 0.75, 0.25, 0.0]
  assert found[0] == (1.0, 1.0, 1.0)
  assert found[3] == (0.0, 0.0, 0.0)


def test_the_interval_of_a_share_is_that_of_a_bootstrap():
  found = profiles.share_above(7, 10)
  drawn = np.random.default_rng(0).random((50_000, 10)) < 0.7
  expected = np.quantile(drawn.mean(axis=1), [0.025, 0.975])
  assert [found.low, found.high] == pytest.approx(expected)

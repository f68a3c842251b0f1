"""Tests of eigen3.evaluation.statistics."""

import numpy as np
import pytest

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
  with pytest.raises(ValueError, match='expected at least two finite numbers'):
    statistics.mean_interval(np.array(values))

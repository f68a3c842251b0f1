"""Tests of eigen3.data.splits."""

import numpy as np
import pytest

from eigen3.data import DataError, Splits, fit_normalisation, split_days
from experiments.configs.td3 import get_config


def test_splits_by_days():
  data = get_config().data
  assert split_days(5402, data) == Splits((0, 4899), (4899, 5151), (5151, 5402))
  # One day of training is the least.
  assert split_days(504, data).train == (0, 1)


def test_a_panel_too_short_is_one_clear_line():
  with pytest.raises(DataError, match='has 503 days, expected more than 252'):
    split_days(503, get_config().data)


def test_a_negative_length_is_refused():
  data = get_config().data
  data.holdout_days = -1
  with pytest.raises(DataError, match=r'data.holdout_days: found -1'):
    split_days(500, data)


def make_features():
  rng = np.random.default_rng(0)
  features = rng.normal(5.0, 2.0, (40, 3, 2)).astype(np.float32)
  features[:30, 1, 0] = np.nan  # not yet listed in training
  features[3:7, 2] = np.nan
  features[:, 2, 1] = 1234.567  # never moves
  return features


def test_normalisation_by_hand():
  features = np.zeros((5, 2, 1), np.float32)
  features[:, 0, 0] = [1, np.nan, 5, 99, 99]
  features[:, 1, 0] = [2, 2, np.nan, 99, 99]
  found = fit_normalisation(features, (0, 3))
  np.testing.assert_array_equal(found.mean, [[3], [2]])
  np.testing.assert_array_equal(found.std, [[2], [1]])  # constant: unit kept
  assert found.mean.dtype == found.std.dtype == np.float32


def test_normalised_training_has_mean_0_and_deviation_1():
  features = make_features()
  found = fit_normalisation(features, (0, 30))
  scaled = (features[:30] - found.mean) / found.std
  np.testing.assert_allclose(np.nanmean(scaled[:, 0], 0), 0.0, atol=1e-5)
  np.testing.assert_allclose(np.nanstd(scaled[:, 0], 0), 1.0, rtol=1e-5)
  assert (found.mean[1, 0], found.std[1, 0]) == (0.0, 1.0)  # never seen
  assert found.std[2, 1] == 1.0
  assert found.mean[2, 1] == np.float32(1234.567)
  assert np.isfinite(found.mean).all()
  assert (found.std > 0).all()


@pytest.mark.parametrize('value', [0.0, 1e9, np.nan])
def test_later_days_never_change_it(value):
  features = make_features()
  before = fit_normalisation(features, (0, 30))
  features[30:] = value
  after = fit_normalisation(features, (0, 30))
  np.testing.assert_array_equal(before.mean, after.mean)
  np.testing.assert_array_equal(before.std, after.std)
  features[29, 0, 0] = value
  changed = fit_normalisation(features, (0, 30))
  assert changed.mean[0, 0] != before.mean[0, 0]


@pytest.mark.parametrize('train', [(0, 41), (5, 5), (-1, 5)])
def test_a_range_outside_the_panel_is_refused(train):
  with pytest.raises(DataError, match='training days: found'):
    fit_normalisation(make_features(), train)


def test_a_large_level_does_not_hide_the_spread():
  values = 1e6 + np.array([0.0, 1.0] * 20, np.float32)
  found = fit_normalisation(values[:, None, None], (0, 40))
  assert found.std.item() == pytest.approx(0.5)

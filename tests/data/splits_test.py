"""Tests of eigen3.data.splits."""

import itertools
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eigen3.data import (
  DataError,
  MarketPanel,
  Splits,
  fit_normalisation,
  split_days,
  walk_forward,
)
from eigen3.environment import Market
from experiments.configs.td3 import get_config


def test_splits_by_days():
  data = get_config().data
  assert split_days(5402, data) == Splits((0, 4899), (4899, 5151), (5151, 5402))
  # Training needs at least one day.
  assert split_days(504, data).train == (0, 1)


def test_a_panel_too_short_is_one_clear_line():
  with pytest.raises(DataError, match='503 days, expected more than 503: 252 '):
    split_days(503, get_config().data)


def test_splits_that_know_more_than_training_are_refused():
  data = get_config().data
  splits = split_days(5402, data, training_days=4899)
  assert splits == split_days(5402, data)
  with pytest.raises(DataError) as caught:
    split_days(5402, data, training_days=4900)
  text = str(caught.value)
  assert 'data.validation_days and data.holdout_days: found 252 and 251' in text
  assert '4899 days for training, expected at least the 4900' in text
  assert '\n' not in text


def test_a_negative_length_is_refused():
  data = get_config().data
  data.holdout_days = -1
  with pytest.raises(DataError, match=r'data.holdout_days: found -1'):
    split_days(500, data)


def test_an_embargo_leaves_days_between_splits():
  data = get_config().data
  data.embargo_days = 5
  splits = split_days(5402, data)
  assert splits == Splits((0, 4889), (4894, 5146), (5151, 5402))
  # Decisions based on days that now lie in the embargo are refused, too.
  with pytest.raises(DataError, match='leave 4889 days for train') as caught:
    split_days(5402, data, training_days=4890)
  text = str(caught.value)
  assert 'found 252 and 251 with data.embargo_days 5, which leave' in text
  prepared = '--validation_days=262 --holdout_days=251'
  assert text.endswith(f'with {prepared} (262 includes both embargoes)')
  with pytest.raises(DataError, match=r'than 513: .*, and 5 of embargo before'):
    split_days(513, data)
  assert split_days(514, data).train == (0, 1)


def test_walk_forward_by_hand():
  data = get_config().data
  data.validation_days, data.holdout_days, data.embargo_days = 20, 10, 2
  folds = list(walk_forward(100, data, 50))
  assert folds == [
    Splits((0, 56), (58, 78), (80, 90)),
    Splits((0, 66), (68, 88), (90, 100)),
  ]
  # A third fold would train on 46 days.
  assert len(list(walk_forward(100, data, 46))) == 3
  assert len(list(walk_forward(100, data, 47))) == 2


@given(
  num_days=st.integers(1, 300),
  lengths=st.tuples(*[st.integers(0, 40)] * 3),
  least=st.integers(0, 60),
)
def test_folds_of_any_lengths(num_days, lengths, least):
  data = get_config().data
  data.validation_days, data.holdout_days, data.embargo_days = lengths
  try:
    folds = list(walk_forward(num_days, data, least))
  except DataError:
    too_long = num_days < max(least, 1) + sum(lengths) + lengths[2]
    assert too_long or not data.holdout_days
    return
  assert folds[-1].holdout[1] == num_days
  for fold in folds:
    assert fold.train[0] == 0
    assert fold.train[1] >= max(least, 1)
    assert fold.validation[0] - fold.train[1] == data.embargo_days
    assert fold.holdout[0] - fold.validation[1] == data.embargo_days
    for part, length in (('validation', 0), ('holdout', 1)):
      start, stop = getattr(fold, part)
      assert stop - start == lengths[length]
  for one, other in itertools.pairwise(folds):
    assert one.holdout[1] == other.holdout[0]
  # One more would train on too few days.
  assert folds[0].train[1] - data.holdout_days < max(least, 1)


def test_walk_forward_that_cannot_be():
  data = get_config().data
  with pytest.raises(DataError, match='expected at least 563 for one fold'):
    next(walk_forward(562, data, 60))
  data.holdout_days = 0
  with pytest.raises(DataError, match=r'data.holdout_days: found 0'):
    next(walk_forward(562, data, 60))


def make_features():
  rng = np.random.default_rng(0)
  features = rng.normal(5.0, 2.0, (100, 3, 2)).astype(np.float32)
  features[:31, 1] = np.nan  # listed late: known on 59 of 90 training days
  features[30, 1, 1] = 7.0  # and on 60
  features[3:7, 2] = np.nan
  features[:, 2, 1] = 1234.567  # never moves
  return features


def test_normalisation_by_hand():
  features = np.zeros((122, 2, 1), np.float32)
  features[:, 0, 0] = [1, np.nan, 5, 5, np.nan, 1] * 20 + [99, 99]
  features[:, 1, 0] = [2, 2, np.nan] * 40 + [99, 99]
  found = fit_normalisation(features, (0, 120))
  np.testing.assert_array_equal(found.mean, [[3], [2]])
  np.testing.assert_array_equal(found.std, [[2], [1]])  # constant: unit kept
  assert found.mean.dtype == found.std.dtype == np.float32


def test_normalised_training_has_mean_0_and_deviation_1():
  features = make_features()
  found = fit_normalisation(features, (0, 90))
  scaled = (features[:90] - found.mean) / found.std
  np.testing.assert_allclose(np.nanmean(scaled[:, 0], 0), 0.0, atol=1e-5)
  np.testing.assert_allclose(np.nanstd(scaled[:, 0], 0), 1.0, rtol=1e-5)
  assert found.std[2, 1] == 1.0
  assert found.mean[2, 1] == np.float32(1234.567)
  for values in (found.mean, found.std):
    unmeasured = np.isnan(values)
    assert unmeasured[1, 0]  # too few days
    assert unmeasured.sum() == 1
  assert (found.std[~np.isnan(found.std)] > 0).all()


def test_a_column_that_training_hardly_saw_is_missing_to_agents():
  rng = np.random.default_rng(0)
  close = np.exp(0.01 * rng.standard_normal((400, 3)).cumsum(axis=0))
  # Columns 1 and 2 list late and, after training, rise a hundredfold.
  close[:241, 1] = close[:240, 2] = np.nan
  close[320:, 1:] *= 100.0
  ohlc = np.repeat(close[..., None], 4, axis=-1)
  panel = MarketPanel(
    dates=np.datetime64('2020-01-01') + np.arange(400),
    columns=('OLD', 'NEW', 'JUST'),
    ohlc=ohlc,
    features=np.stack([close, np.log(close)], axis=-1),
    investable=(0, 3),
  )
  fitted = fit_normalisation(panel.features[..., 1:], (0, 300))
  with warnings.catch_warnings():
    warnings.simplefilter('error')
    market = Market.from_panel(panel, ('feature_1',), fitted, context_days=8)
  known = ~np.isnan(np.asarray(market.features))[..., 0]
  assert not known[:, 1].any()  # 59 days: missing in all splits
  assert known[:, 0].all()
  np.testing.assert_array_equal(known[:, 2], np.arange(400) >= 240)  # 60 days


@pytest.mark.parametrize('days', [1, 59])
def test_too_few_days_to_measure_by_are_one_clear_line(days):
  fit_normalisation(make_features(), (0, 60))
  with pytest.raises(DataError, match=f'days: found {days}, expected at leas'):
    fit_normalisation(make_features(), (3, 3 + days))


@pytest.mark.parametrize('value', [0.0, 1e9, np.nan])
def test_later_days_never_change_it(value):
  features = make_features()
  before = fit_normalisation(features, (0, 90))
  features[90:] = value
  after = fit_normalisation(features, (0, 90))
  np.testing.assert_array_equal(before.mean, after.mean)
  np.testing.assert_array_equal(before.std, after.std)
  features[89, 0, 0] = value
  changed = fit_normalisation(features, (0, 90))
  assert changed.mean[0, 0] != before.mean[0, 0]


@pytest.mark.parametrize('train', [(0, 101), (5, 5), (-1, 5)])
def test_a_range_outside_the_panel_is_refused(train):
  with pytest.raises(DataError, match='training days: found'):
    fit_normalisation(make_features(), train)


def test_a_large_level_does_not_hide_the_spread():
  values = 1e6 + np.array([0.0, 1.0] * 40, np.float32)
  found = fit_normalisation(values[:, None, None], (0, 80))
  assert found.std.item() == pytest.approx(0.5)

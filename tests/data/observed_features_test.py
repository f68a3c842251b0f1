"""Tests of eigen3.data.observed, against loops over a column's own rows."""

import dataclasses

import numpy as np
import pytest

from eigen3 import data
from eigen3.data import DataError
from experiments.configs import td3

NAMES = tuple(data.SCALED)


@pytest.fixture(scope='module')
def panel():
  """Returns four columns of 400 days: gaps, late listing, a negative rate."""
  config = td3.get_config('smoke').data.synthetic
  config.num_days, config.num_columns = 400, 4
  config.num_context, config.num_stocks = 1, 3
  ohlc = data.synthetic_market(config).panel.ohlc.astype(np.float64)
  ohlc[:, 0] = (ohlc[:, 0] - ohlc[200, 0, 3]) / 50  # a rate around zero
  ohlc[:90, 2] = np.nan
  ohlc[150:170, 3] = np.nan
  ohlc = ohlc.astype(np.float32)
  return _panel_of(ohlc)


def _panel_of(ohlc):
  return data.MarketPanel(
    dates=np.datetime64('2000-01-03') + np.arange(len(ohlc)),
    columns=tuple('ABCD')[: ohlc.shape[1]],
    ohlc=ohlc,
    features=data.eigen2_features(ohlc),
    investable=(0, ohlc.shape[1]),
  )


def _by_hand(panel, name):
  """Computes a feature column by column and day by day."""
  result = np.full(panel.ohlc.shape[:2], np.nan)
  for column in range(panel.num_columns):
    rows = np.flatnonzero(~np.isnan(panel.ohlc[:, column, 3]))
    close = panel.ohlc[rows, column, 3].astype(np.float64)
    for k in range(1, len(rows)):
      usual = np.abs(np.diff(close[: k + 1]))[-252:].mean()
      if name == 'scaled_change':
        value = close[k] - close[k - 1]
      elif name == 'scaled_close_minus_year':
        value = close[k] - close[max(0, k - 251) : k + 1].mean()
      else:
        place = data.FEATURES.index(name.removeprefix('scaled_'))
        value = float(panel.features[rows[k], column, place])
      result[rows[k], column] = value / usual
  return result


@pytest.mark.parametrize('name', NAMES)
def test_by_hand(panel, name):
  found = data.observe(panel, [name])[..., 0]
  expected = _by_hand(panel, name)
  assert found.dtype == np.float32
  np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
  np.testing.assert_allclose(found, expected, rtol=2e-4, atol=2e-5)
  assert np.nanstd(found) > 0.1


def test_features_of_the_panel_come_as_they_are_in_the_order_asked(panel):
  names = ('rsi', 'scaled_change', 'close')
  found = data.observe(panel, names)
  np.testing.assert_array_equal(found[..., 0], panel.features[..., 4])
  np.testing.assert_array_equal(found[..., 2], panel.features[..., 1])
  np.testing.assert_array_equal(
    found[..., 1], data.observe(panel, ('scaled_change',))[..., 0]
  )


@pytest.mark.parametrize('name', NAMES)
def test_the_unit_of_prices_does_not_count(panel, name):
  larger = _panel_of(np.float32(1000) * panel.ohlc)
  np.testing.assert_allclose(
    data.observe(larger, [name]),
    data.observe(panel, [name]),
    rtol=1e-3,
    atol=1e-4,
  )


@pytest.mark.parametrize('name', NAMES)
def test_no_day_knows_of_later_ones(panel, name):
  day = 300
  later = panel.ohlc.copy()
  later[day + 1 :] *= 2
  found = data.observe(_panel_of(later), [name])
  before = data.observe(panel, [name])
  np.testing.assert_array_equal(found[: day + 1], before[: day + 1])
  assert (found[day + 1 :] != before[day + 1 :]).any()


def test_a_price_that_stands_still_is_nowhere_far_from_itself():
  ohlc = np.full((80, 1, 4), 7.0, np.float32)
  found = data.observe(_panel_of(ohlc), NAMES)
  assert (found[40:] == 0).all()


def test_after_a_long_rest_a_move_is_large_but_finite():
  ohlc = np.full((600, 1, 4), 7.0, np.float32)
  ohlc[200:] = 9.0
  found = data.observe(_panel_of(ohlc), NAMES)[40:]
  assert np.isfinite(found).all()
  assert 20 < np.abs(found).max() <= 252


def test_an_unknown_name_is_refused_with_all_there_are(panel):
  with pytest.raises(DataError, match=r"found 'scaled_rsi'.*scaled_change"):
    data.observe(panel, ['scaled_rsi'])


def test_what_a_scaled_feature_is_made_of_must_be_there(panel):
  names = tuple(f'mine_{name}' for name in data.FEATURES)
  mine = dataclasses.replace(panel, feature_names=names)
  data.observe(mine, ['scaled_change', 'mine_rsi'])
  with pytest.raises(DataError, match=r"found 'scaled_macd'.*feature 'macd'"):
    data.observe(mine, ['scaled_macd'])

"""Tests of the market that networks observe."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import random_markets

from eigen3 import data
from eigen3.data.splits import Normalisation
from eigen3.environment import Market
from experiments.configs import td3

NAMES = ('feature_3', 'feature_0')


def _panel():
  panel = random_markets.panel(0)
  object.__setattr__(
    panel, 'feature_names', tuple(f'feature_{i}' for i in range(9))
  )
  return panel


def _normalisation(num_features):
  rng = np.random.default_rng(0)
  shape = (random_markets.NUM_COLUMNS, num_features)
  return Normalisation(rng.normal(size=shape), rng.uniform(1, 2, shape))


def test_windows_end_on_their_day():
  panel, normalisation = _panel(), _normalisation(2)
  market = Market.from_panel(panel, NAMES, normalisation, context_days=4)
  days = jnp.array([3, 10, 47])
  windows = jax.jit(Market.windows)(market, days)
  assert windows.shape == (3, 4, 6, 2)
  assert windows.dtype == jnp.float32
  observed = panel.features[:, :, [3, 0]]
  expected = (observed - normalisation.mean) / normalisation.std
  assert np.isnan(expected).any()
  for window, day in zip(windows, days.tolist(), strict=True):
    np.testing.assert_allclose(
      window, expected[day - 3 : day + 1], rtol=1e-5, atol=1e-6
    )


def test_a_market_is_an_argument_not_a_constant():
  market = Market.from_panel(_panel(), NAMES, _normalisation(2), 4)
  leaves, structure = jax.tree.flatten(market)
  assert [leaf.shape for leaf in leaves] == [(48, 6, 2)]
  assert jax.tree.unflatten(structure, leaves).context_days == 4


def test_a_market_is_normalised_by_the_days_it_is_fitted_to():
  """Later days have no influence."""
  config = td3.get_config('smoke').data
  panel = data.synthetic_market(config.synthetic).panel
  start, stop = days = (5, 90)
  names = config.observed_features
  fitted = Market.fit(panel, names, days, context_days=4)
  early = np.asarray(fitted.features[start:stop], np.float64)
  np.testing.assert_allclose(np.nanmean(early, 0), 0, atol=1e-5)
  np.testing.assert_allclose(np.nanstd(early, 0), 1, rtol=1e-3)
  later = panel.features.copy()
  later[stop:] *= 3
  later = dataclasses.replace(panel, features=later)
  again = Market.fit(later, names, days, context_days=4)
  np.testing.assert_array_equal(again.features[:stop], fitted.features[:stop])
  assert (again.features[stop:] != fitted.features[stop:]).any()


def test_what_does_not_fit_is_refused():
  with pytest.raises(ValueError, match=r'normalisation\.mean: found shape'):
    Market.from_panel(_panel(), NAMES, _normalisation(5), 4)
  with pytest.raises(ValueError, match="feature: found 'volume'"):
    Market.from_panel(_panel(), ('volume',), _normalisation(1), 4)


def _weekends():
  """Returns a panel of two pairs, and of two stocks that rest on weekends."""
  days = np.datetime64('2024-01-01') + np.arange(63)  # from a Monday
  rests = np.arange(63) % 7 > 4
  rng = np.random.default_rng(0)
  features = rng.normal(size=(63, 4, 2)).astype(np.float32)
  features[30, 2] = np.nan  # a gap on a day of its market
  features[rests, 2:] = np.nan
  ohlc = np.ones((63, 4, 4), np.float32)
  ohlc[rests, 2:] = np.nan
  return data.MarketPanel(
    dates=days,
    columns=('P', 'Q', 'A', 'B'),
    ohlc=ohlc,
    features=features,
    investable=(0, 4),
    feature_names=('x', 'y'),
    markets=(0, 0, 1, 1),
  )


UNCHANGED = Normalisation(np.zeros((4, 2)), np.ones((4, 2)))


def test_a_weekend_of_pairs_is_no_gap_in_stocks():
  """On a Monday, a stock's window ends with its Friday and its Monday."""
  panel = _weekends()
  market = Market.from_panel(panel, ('x', 'y'), UNCHANGED, context_days=4)
  days = np.array([4, 6, 7, 31, 62])  # Friday, Sunday, Monday, Thursday, Sunday
  found = np.asarray(jax.jit(Market.windows)(market, days))
  last = {4: (1, 2, 3, 4), 6: (1, 2, 3, 4), 7: (2, 3, 4, 7),
          31: (28, 29, 30, 31), 62: (57, 58, 59, 60)}  # fmt: skip
  for window, day in zip(found, days.tolist(), strict=True):
    np.testing.assert_array_equal(
      window[:, :2], panel.features[day - 3 : day + 1, :2]
    )
    np.testing.assert_array_equal(
      window[:, 2:], panel.features[list(last[day]), 2:]
    )
  monday = np.isnan(found[2])
  assert not monday.any()


def test_days_before_the_first_are_missing():
  panel = _weekends()
  market = Market.from_panel(panel, ('x', 'y'), UNCHANGED, context_days=8)
  window = np.asarray(market.window(jnp.int32(7)))
  np.testing.assert_array_equal(window[:, 0], panel.features[:8, 0])
  assert np.isnan(window[:2, 2]).all()
  np.testing.assert_array_equal(
    window[2:, 2], panel.features[[0, 1, 2, 3, 4, 7], 2]
  )


def test_columns_of_one_market_are_observed_as_without_markets():
  """Equal bits where all columns are open on all days."""
  panel = _panel()
  market = Market.from_panel(panel, NAMES, _normalisation(2), 4)
  several = dataclasses.replace(panel, markets=(0, 0, 0, 1, 1, 1))
  others = Market.from_panel(several, NAMES, _normalisation(2), 4)
  assert market.own is None
  open_days = np.asarray(others.own.until)[-1] == panel.num_days
  assert open_days.any()
  for day in (3, 20, 47):
    np.testing.assert_array_equal(
      np.asarray(market.window(day))[:, open_days],
      np.asarray(others.window(day))[:, open_days],
    )


def test_the_last_window_is_the_market_s():
  panel = _weekends()
  market = Market.from_panel(panel, ('y', 'x'), UNCHANGED, context_days=5)
  for some in (panel, dataclasses.replace(panel, markets=())):
    market = Market.from_panel(some, ('y', 'x'), UNCHANGED, context_days=5)
    np.testing.assert_array_equal(
      data.last_window(some, ('y', 'x'), 5), market.window(62)
    )

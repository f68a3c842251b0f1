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

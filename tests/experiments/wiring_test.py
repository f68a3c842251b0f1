"""The parts of an experiment fit together, or are refused in one line."""

import dataclasses

import numpy as np
import pytest

from eigen3 import data
from experiments import wiring
from experiments.configs import td3


def test_splits_longer_than_the_panel_was_prepared_for(tmp_path):
  config = td3.get_config('smoke')
  panel = data.synthetic_market(config.data.synthetic).panel
  assert panel.training_days == 0  # any splits will do
  # 300 days less 70 for validation and 70 for holdout are 160.
  file = tmp_path / 'panel.parquet'
  dataclasses.replace(panel, training_days=161).save(file)
  config.data.panel = str(file)
  with pytest.raises(ValueError, match=r'data\.holdout_days: found 70 and 70'):
    wiring.build(config)
  config.data.holdout_days = 69
  experiment = wiring.build(config)
  assert experiment.panel.training_days == 161
  assert experiment.panel.fingerprint == panel.fingerprint


def test_a_late_listing_does_not_reach_agents_by_its_raw_values():
  config = td3.get_config('smoke')
  config.data.synthetic.late_listings = 1.0
  experiment = wiring.build(config)
  panel, market = experiment.panel, experiment.learner._market
  first, stop = panel.investable
  seen = ~np.isnan(panel.features[:, first:stop]).any(axis=2)
  measured = seen[:160].sum(axis=0) >= data.MIN_TRAINING_DAYS
  assert measured.any()
  assert not measured.all()
  features = np.asarray(market.features)[:, first:stop]
  known = ~np.isnan(features).any(axis=2)
  np.testing.assert_array_equal(known, seen & measured)
  assert np.abs(features[known]).max() < 100.0

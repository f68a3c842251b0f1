"""Tests of the proof on features that a panel came with."""

import dataclasses

import gappy_market
import numpy as np
import pytest

from eigen3 import data
from eigen3.evaluation.lookahead import check_given_features
from experiments.configs import td3


def shifted(panel, days, names=data.FEATURES):
  """Returns the panel with features of `days` later, from column 3 on."""
  features = panel.features.copy()
  places = list(panel.feature_indices(names))
  features[:-days, 3:, places] = panel.features[days:, 3:, places]
  return dataclasses.replace(panel, features=features)


@pytest.fixture(scope='module')
def panel():
  return data.synthetic_market(td3.get_config('smoke').data.synthetic).panel


def test_features_of_their_own_day_pass(panel):
  check_given_features(panel)
  check_given_features(gappy_market.panel())


@pytest.mark.parametrize('name', data.FEATURES)
def test_each_feature_of_tomorrow_is_found(panel, name):
  with pytest.raises(ValueError, match='look-ahead: ') as raised:
    check_given_features(shifted(panel, 1, (name,)))
  assert str(raised.value) == (
    f'look-ahead: feature {name} of {panel.columns[3]}: found on most days '
    'the value of 1 day later, expected that of the same day'
  )


def test_so_are_those_of_three_days_later_and_those_of_yesterday_are_not(panel):
  with pytest.raises(ValueError, match='3 days later'):
    check_given_features(shifted(panel, 3))
  late = np.roll(panel.features, 1, axis=0)
  check_given_features(dataclasses.replace(panel, features=late))


def test_features_of_other_names_are_not_judged(panel):
  names = tuple(f'mine_{name}' for name in data.FEATURES)
  check_given_features(
    dataclasses.replace(shifted(panel, 1), feature_names=names)
  )

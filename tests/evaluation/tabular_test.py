"""Tests of eigen3.evaluation.tabular."""

import sys
from typing import ClassVar

import numpy as np
import priced_market
import pytest

from eigen3 import data
from eigen3.evaluation import tabular
from eigen3.learner.ranker import Labels

NAMES = ('scaled_change', 'rsi')


@pytest.fixture(scope='module')
def panel():
  return priced_market.make_panel(320)


def test_lagged_features_are_those_of_days_before(panel):
  lags = (0, 3)
  found = tabular.lagged_features(panel, NAMES, lags)
  observed = data.observe(panel, NAMES)
  assert found.shape == (320, 12, 4)
  for day in (0, 2, 3, 200):
    for stock in (0, 2, 11):
      for place, lag in enumerate(lags):
        expected = np.full(2, np.nan)
        if day >= lag:
          expected = observed[day - lag, 1 + stock]
        got = found[day, stock, 2 * place : 2 * place + 2]
        np.testing.assert_array_equal(got, expected)


def test_excess_is_over_the_mean_of_what_is_known():
  outcomes = np.array([[1.0, 3.0, 99.0], [2.0, 5.0, -1.0]])
  known = np.array([[True, True, False], [False, False, False]])
  found = tabular.excess(outcomes, known)
  np.testing.assert_array_equal(found[0], [-1.0, 1.0, np.nan])
  assert np.isnan(found[1]).all()


class Spy:
  """Predicts the number of the fit, and stores its arguments."""

  fits: ClassVar[list] = []

  def __init__(self, seed):
    self.seed = seed

  def fit(self, features, labels):
    Spy.fits.append((features, labels, self.seed))
    self.number = len(Spy.fits)

  def predict(self, features):
    return np.full(len(features), float(self.number))


def test_each_day_is_predicted_by_a_model_of_days_before_it():
  """Features and labels encode their day."""
  Spy.fits = []
  day = np.arange(50.0)[:, None]
  features = np.stack([np.tile(day, 4), np.full((50, 4), np.nan)], axis=2)
  features[:, 3] = np.nan  # the last stock has no data
  labels = np.tile(day, 4) + np.array([0.0, 0.25, 0.5, 0.75])
  labels[5, 1] = np.nan
  found = tabular.predict_forward(
    Spy, features, labels, [20, 30], purge=6, seed=3, stride=2
  )
  assert [fit[2] for fit in Spy.fits] == [3, 3]
  for (rows, targets, _), last in zip(Spy.fits, (13, 23), strict=True):
    assert {*rows[:, 0]} == {float(d) for d in range(0, last + 1, 2)}
    assert rows.shape == (3 * (last // 2 + 1), 2)
    np.testing.assert_array_equal(np.floor(targets), rows[:, 0])
  assert np.isnan(found[:20]).all()
  assert np.isnan(found[:, 3]).all()
  assert (found[20:30, :3] == 1.0).all()
  assert (found[30:, :3] == 2.0).all()


def test_refits_that_know_nothing_are_refused():
  features, labels = np.zeros((30, 4, 1)), np.zeros((30, 4))
  with pytest.raises(
    ValueError, match='to fit on for day 5, expected at least'
  ):
    tabular.predict_forward(Spy, features, labels, [5, 20], purge=5)
  for refits in ([], [20, 10]):
    with pytest.raises(ValueError, match='expected at least one day'):
      tabular.predict_forward(Spy, features, labels, refits, purge=5)


@pytest.mark.parametrize('name', [*tabular.MODELS])
def test_models_learn_what_is_there(name):
  """Fits a linear effect of one feature with a third of values missing."""
  rng = np.random.default_rng(0)
  features = rng.normal(0.0, 1.0, (600, 20, 3)).astype(np.float32)
  labels = 0.5 * features[..., 1] + rng.normal(0.0, 1.0, (600, 20))
  features[rng.random(features.shape) < 1 / 3] = np.nan
  labels[300] = np.nan
  make = tabular.MODELS[name]
  found = tabular.predict_forward(make, features, labels, [500], purge=10)
  known = np.isfinite(found)
  assert known[500:].mean() == pytest.approx(1 - 1 / 27, abs=0.02)
  there = known & np.isfinite(features[..., 1])
  assert np.corrcoef(found[there], features[there][:, 1])[0, 1] > 0.9
  again = tabular.predict_forward(make, features, labels, [500], purge=10)
  np.testing.assert_array_equal(found, again)


def test_scikit_learn_is_asked_for(monkeypatch):
  monkeypatch.setitem(sys.modules, 'sklearn', None)
  with pytest.raises(ValueError, match=r'scikit-learn: .*eigen3\[study\]'):
    tabular.boosting()


def make_labels(days, returns, known=None):
  known = np.isfinite(returns) if known is None else known
  return Labels(days, np.nan_to_num(returns), known)


@pytest.mark.parametrize('name', [*tabular.MODELS])
def test_a_model_in_the_ranker_s_place(name, panel):
  """The label is a feature of three days before, and noise."""
  rng = np.random.default_rng(0)
  signal = data.observe(panel, NAMES)[:, 1:, 1]
  returns = np.full(signal.shape, np.nan)
  returns[3:] = signal[:-3] + rng.normal(0.0, 0.1, signal[3:].shape)
  days = np.arange(40, 240)
  training = make_labels(days, returns[40:240])
  validation = make_labels(np.arange(240, 300), returns[240:300])
  ranker = tabular.TabularRanker(
    panel, NAMES, training, validation, name, 0, stride=1
  )
  fitted = ranker.train()
  again = ranker.train()
  assert bytes(fitted.weights) == bytes(again.weights)
  found = ranker.predictions(fitted, np.arange(300, 320))
  assert found.shape == (20, 12)
  row = fitted.rows[0]
  if name == 'boosting':  # leaves of 2,000 rows are more than there are
    assert row['validation_loss'] == pytest.approx(1.0, abs=0.2)
    return
  expected = signal[297:317]
  known = np.isfinite(found) & np.isfinite(expected)
  assert np.corrcoef(found[known], expected[known])[0, 1] > 0.95
  assert row['validation_loss'] < 0.5
  # A stock without features comes last.
  assert np.isneginf(ranker.predictions(fitted, np.array([0]))[0, 0])


def test_nothing_to_learn_from_is_named(panel):
  nothing = make_labels(np.arange(9), np.full((9, 12), np.nan))
  ranker = tabular.TabularRanker(panel, NAMES, nothing, nothing, 'ridge', 0, 1)
  with pytest.raises(ValueError, match='training days: found no trade'):
    ranker.train()

"""No day after the training days changes anything that is learned."""

import dataclasses

import jax
import numpy as np
import pytest
import small_run

from eigen3 import data, evaluation
from experiments import panels, wiring

ITERATIONS = 2


@pytest.fixture(scope='module')
def settings():
  config = small_run.make_config(learning_starts=40)
  config.data.validation_days = 30
  config.data.holdout_days = 30
  return config.lock()


@pytest.fixture(scope='module')
def panel(settings):
  return data.synthetic_market(settings.data.synthetic).panel


@pytest.fixture(scope='module')
def train(settings):
  """Returns a function from a panel to the trained state, on the host.

  All parts are put together as in a run, but for small networks and without
  those who judge.
  """

  def small_networks(config, spec, mesh):
    return small_run.make_networks(config, spec)

  def train(panel):
    with pytest.MonkeyPatch.context() as patch:
      patch.setattr(wiring, 'make_networks', small_networks)
      patch.setattr(evaluation, 'Judge', lambda *unused, **also: None)
      patch.setattr(panels, 'load', lambda config: (panel, None))
      learner = wiring.build(settings).learner
    state = learner.init(jax.random.PRNGKey(0))
    for _ in range(ITERATIONS):
      state, _ = learner.iterate(state)
    return small_run.on_host(state)

  return train


@pytest.fixture(scope='module')
def learnt(train, panel):
  return train(panel)


def changed_from(panel, first):
  """Returns the panel with other prices and features from `first` on."""
  rng = np.random.default_rng(0)
  ohlc, features = panel.ohlc.copy(), panel.features.copy()
  ohlc[first:] *= rng.uniform(0.1, 10, ohlc[first:].shape)
  features[first:] = rng.normal(5, 9, features[first:].shape)
  for values in (ohlc[first:], features[first:]):
    values[rng.random(values.shape) < 0.2] = np.nan
  return dataclasses.replace(panel, ohlc=ohlc, features=features)


def test_later_days_change_nothing(train, learnt, panel, settings):
  stop = data.split_days(panel.num_days, settings.data).train[1]
  assert stop == panel.num_days - 60
  changed = changed_from(panel, stop)
  assert changed.fingerprint != panel.fingerprint
  small_run.assert_equal_bits(train(changed), learnt)


def test_the_last_training_day_does(train, learnt, panel, settings):
  """The same measure detects a change of a training day."""
  stop = data.split_days(panel.num_days, settings.data).train[1]
  with pytest.raises(AssertionError):
    small_run.assert_equal_bits(train(changed_from(panel, stop - 1)), learnt)

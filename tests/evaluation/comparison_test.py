"""Tests of the ranking, averages and report of policies."""

import numpy as np
import pandas as pd
import pytest
import tiny_market

from eigen3.evaluation import Judge, comparison
from eigen3.evaluation.comparison import Comparison, Policy
from eigen3.evaluation.training_slices import TrainingSlices

NUM_DAYS = 24


@pytest.fixture(scope='module')
def panel():
  """Returns a panel: A rises by half a percent a day, B falls by as much."""
  steps = np.arange(NUM_DAYS)[:, None]
  return tiny_market.panel(100.0 * np.array([1.005, 0.995]) ** steps)


@pytest.fixture(scope='module')
def settings():
  return {
    'environment': tiny_market.config(trading_days=3, commission_bp=0.0),
    'evaluation': {'momentum_days': 2, 'random_entries': 2},
    'seed': 0,
  }


@pytest.fixture(scope='module')
def judge(panel, settings):
  return Judge(panel, settings, (0, NUM_DAYS))


def always(name, wants):
  """Returns a policy with the coefficients `wants` of A and B on all days."""

  def actions(days):
    action = np.array([[want, 50.0] for want in wants], np.float32)
    return np.broadcast_to(action, (len(days), 2, 2))

  return Policy(name, actions, f'digest of {name}')


RISING, FALLING = always('rising', (2.0, 0.0)), always('falling', (0.0, 2.0))
NOTHING = always('nothing', (0.0, 0.0))


def test_the_best_comes_first(judge):
  given = [FALLING, NOTHING, RISING]
  order, results = comparison.ranked(given, judge, 'profit')
  assert [p.name for p in order] == ['rising', 'nothing', 'falling']
  assert list(results) == ['rising', 'nothing', 'falling']
  profits = [tests[0].summary['profit'] for tests in results.values()]
  assert profits[0] > 0 == profits[1] > profits[2]
  equals = [always('b', (0.0, 0.0)), always('a', (0.0, 0.0))]
  order, _ = comparison.ranked(equals, judge, 'sharpe')
  assert [p.name for p in order] == ['b', 'a']


def test_a_committee_acts_by_the_mean():
  chosen = comparison.committee([RISING, always('half', (1.0, 1.0))])
  actions = chosen.actions(np.arange(3))
  assert actions.shape == (3, 2, 2)
  np.testing.assert_array_equal(actions[0], [[1.5, 50.0], [0.5, 50.0]])
  # Other members make another policy; another order of them does not.
  other = comparison.committee([RISING, FALLING])
  assert other.digest != chosen.digest
  assert other.name == chosen.name == comparison.COMMITTEE


def test_slices_of_the_training_days(panel, settings):
  slices = TrainingSlices(panel, settings['environment'], (0, NUM_DAYS), 3)
  profits = comparison.training_profits([RISING, NOTHING, FALLING], slices)
  assert [len(x) for x in profits.values()] == [3, 3, 3]
  assert (profits['rising'] > 0).all()
  assert (profits['nothing'] == 0).all()
  assert (profits['falling'] < 0).all()
  # An episode has 3 + 4 days. The first starts after the context, and the last
  # ends a day before the last.
  days = slices.days.reshape(3, 7)
  assert days[0, 0] == 1
  assert days[-1, -1] == NUM_DAYS - 2
  assert (np.diff(days) == 1).all()


def test_rows(judge):
  _, results = comparison.ranked([RISING, FALLING], judge, 'profit')
  training = {'rising': np.array([0.02, 0.04]), 'falling': np.array([-0.01])}
  compared = Comparison({**results, **judge.controls}, training)
  rows = comparison.rows(compared)
  assert rows['split'].value_counts().to_dict() == {
    'validation': 5,
    'training': 2,
  }
  row = rows[(rows['split'] == 'training') & (rows['name'] == 'rising')]
  assert row['profit'].item() == pytest.approx(0.03)
  both = comparison.rows(compared._replace(holdout=results))
  assert (both['split'] == 'holdout').sum() == 2
  assert isinstance(rows, pd.DataFrame)

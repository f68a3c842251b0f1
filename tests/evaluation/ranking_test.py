"""Tests of eigen3.evaluation.ranking."""

import numpy as np
import pytest
import tiny_market

from eigen3.evaluation import Judge
from eigen3.evaluation.ranking import Ranking

NUM_DAYS = 26
EVALUATION = {'momentum_days': 3, 'random_entries': 1}


def make_judge(*rates, **settings):
  """Returns a judge of three stocks that grow by so much a day."""
  day = np.arange(NUM_DAYS)[:, None]
  config = {
    'environment': tiny_market.config(**settings),
    'evaluation': EVALUATION,
    'seed': 0,
  }
  panel = tiny_market.panel(100.0 * (1 + np.array(rates)) ** day)
  return Judge(panel, config, (0, NUM_DAYS))


def always(*predictions):
  """Returns the same predictions on all days."""
  return lambda days: np.tile(np.array(predictions, float), (len(days), 1))


@pytest.fixture(scope='module')
def judge():
  return make_judge(0.01, -0.01, 0.02, entry_choice='best')


def test_the_best_prediction_above_the_costs_is_bought(judge):
  policy = Ranking(tiny_market.config(), judge, always(3.0, -1.0, 5.0))
  actions = policy.actions(judge.days)
  assert actions.shape == (len(judge.days), 3, 2)
  assert actions.dtype == np.float32
  coefficient, target = actions[0].T
  assert coefficient[2] == 2.0 > coefficient[0] > 1.97
  assert coefficient[1] == 0.0
  assert (target == 50.0).all()


def test_what_is_held_is_passed_over(judge):
  """While C, the best, is held, A is bought, and B never."""
  policy = Ranking(tiny_market.config(), judge, always(3.0, -1.0, 5.0))
  trades = policy.backtest(judge).trades
  assert set(trades['ticker']) == {'A', 'C'}
  assert trades.sort_values('entry_date')['ticker'].iloc[0] == 'C'


def test_nothing_is_bought_where_nothing_covers_the_costs(judge):
  policy = Ranking(tiny_market.config(), judge, always(0.0, -1.0, -5.0))
  assert policy.threshold == 0.0
  assert not policy.actions(judge.days)[..., 0].any()
  assert len(policy.backtest(judge).trades) == 0


def test_the_threshold_is_what_earned_most_on_validation_days():
  """B falls although 1 % is predicted; on other days A rises by 9 %."""
  judge = make_judge(0.02, -0.02, 0.0)

  def predict(days):
    predictions = np.full((len(days), 3), -1.0)
    rises = days % 2 == 0
    predictions[rises, 0] = 9.0
    predictions[~rises, 1] = 1.0
    return predictions

  policy = Ranking(tiny_market.config(), judge, predict)
  # The quartiles of the days' best predictions are 1, 1 or 9, and 9. Only a
  # threshold above 1 excludes B.
  assert 1.0 <= policy.threshold < 9.0
  assert policy.profit == policy.backtest(judge).summary['profit'] > 0.0
  assert set(policy.backtest(judge).trades['ticker']) == {'A'}
  # If B rises and A falls, any predicted gain is bought.
  other = make_judge(-0.0001, 0.03, 0.0)
  policy = Ranking(tiny_market.config(), other, predict)
  assert policy.threshold == 0.0


def test_a_given_threshold_is_not_chosen(judge):
  environment = tiny_market.config()
  predict = always(0.0, -1.0, -5.0)
  policy = Ranking(environment, judge, predict, threshold=-np.inf)
  assert policy.threshold == -np.inf
  assert policy.profit == policy.backtest(judge).summary['profit'] != 0.0


def test_what_cannot_be_bought_sets_no_threshold():
  """B has no price, so its prediction of 50 % must not raise the threshold."""

  def predict(days):
    a = np.where(days % 2 == 0, 9.0, 1.0)
    return np.stack([a, np.full_like(a, 50.0), np.zeros_like(a)], axis=1)

  close = np.full((NUM_DAYS, 3), 100.0)
  close[:, 0] *= 0.99 ** np.arange(NUM_DAYS)
  close[:, 1] = np.nan
  config = {
    'environment': tiny_market.config(),
    'evaluation': EVALUATION,
    'seed': 0,
  }
  judge = Judge(tiny_market.panel(close), config, (0, NUM_DAYS))
  assert judge.buyable.shape == (len(judge.days), 3)
  assert (judge.buyable == [True, False, True]).all()
  # Buying A loses. If B counted, the threshold would be 50, and nothing would
  # be bought.
  policy = Ranking(tiny_market.config(), judge, predict)
  assert policy.threshold == 9.0


def test_held_out_days_do_not_choose_the_threshold(judge):
  asked = []

  def predict(days):
    asked.append(days)
    return always(1.0, 1.0, 1.0)(days)

  policy = Ranking(tiny_market.config(), judge, predict)
  assert [list(days) for days in asked] == [list(judge.days)]
  before = policy.threshold
  policy.backtest(make_judge(-0.5, -0.5, -0.5))
  assert policy.threshold == before

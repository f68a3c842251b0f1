"""Tests of eigen3.evaluation.measures."""

import json

import numpy as np
import priced_market
import pytest

from eigen3.environment import TradingEnvironment
from eigen3.evaluation import Judge, cross_section, measures, metrics
from eigen3.evaluation.characteristics import risks
from eigen3.evaluation.controls import by_rank
from experiments import measuring
from experiments.configs import td3

SPLIT = (330, 400)


@pytest.fixture(scope='module')
def config():
  config = td3.get_config('smoke')
  config.environment.update(reward='entry_excess', max_position_fraction=0.1)
  config.evaluation.random_entries = 2
  return config


@pytest.fixture(scope='module')
def panel():
  return priced_market.make_panel(400, 12)


@pytest.fixture(scope='module')
def judge(panel, config):
  return Judge(panel, config.to_dict(), SPLIT)


@pytest.fixture(scope='module')
def outcomes(panel, config, judge):
  return measuring.outcomes(config, panel, SPLIT, judge.days)


def measure(panel, config, judge, outcomes, scores):
  rules = TradingEnvironment(panel, config.environment, SPLIT).rules
  actions = by_rank(rules, scores, np.isfinite(scores))
  backtest = judge.backtest(actions, account_aware=True)
  found = measures.measure(
    panel, judge, scores, outcomes, backtest, config.environment.to_dict(), 0
  )
  assert json.loads(json.dumps(found, allow_nan=False)) == found
  return found, backtest


def test_outcomes_are_unknown_where_they_settle_later(judge, outcomes, config):
  unknown = np.isnan(outcomes).all(axis=1)
  assert unknown.any()
  assert not unknown[: -unknown.sum()].any()
  # The longest trade is filled the next day, and may wait to be sold.
  held = config.environment.max_holding_days
  assert held < unknown.sum() < held + 10
  # The mean trade of a day is taken out, but for that of all days.
  can = judge.buyable & np.isfinite(outcomes)
  means = [
    row[mask].mean()
    for row, mask in zip(outcomes, can, strict=True)
    if mask.any()
  ]
  assert len(means) == (~unknown).sum()
  np.testing.assert_allclose(means, means[0], atol=1e-4)


def test_perfect_scores_have_perfect_measures(panel, config, judge, outcomes):
  scores = np.where(np.isfinite(outcomes), outcomes, -1e3)
  found, backtest = measure(panel, config, judge, outcomes, scores)
  daily = {name: np.array(x, float) for name, x in found['daily'].items()}
  known = np.isfinite(daily['ic'])
  assert 40 < known.sum() < len(judge.days)
  np.testing.assert_allclose(daily['ic'][known], 1.0)
  can = judge.buyable & np.isfinite(outcomes)
  expected = cross_section.daily(
    scores, outcomes, can, risks(panel)[judge.days]
  )
  np.testing.assert_allclose(daily['top'], expected.top, atol=1e-6)
  np.testing.assert_allclose(
    daily['adjusted_ic'], expected.adjusted_ic, atol=1e-6
  )
  assert (daily['top'][known] > 0).all()
  # Its account does better than random entries of the same risk.
  ours = metrics.daily_returns(backtest)
  assert ours.sum() > daily['matched_entry'].sum() + 0.02
  assert len(daily['market']) == len(ours)
  assert found['horizon'] == config.environment.max_holding_days
  assert found['stocks'] == pytest.approx(judge.buyable.sum(axis=1).mean())
  assert 0 < found['exposure'] == backtest.summary['exposure']
  trades = backtest.trades
  bought = sum(trades['shares'] * trades['entry_price'])
  years = len(judge.days) / backtest.year
  assert found['turnover'] == pytest.approx(
    bought / backtest.equity.mean() / years, rel=0.05
  )


def test_who_orders_nothing_is_not_measured(panel, config, judge, outcomes):
  scores = np.zeros(outcomes.shape)
  found, _ = measure(panel, config, judge, outcomes, scores)
  assert {*found['daily']['ic']} == {None}
  known = np.array(found['daily']['top'], float)
  np.testing.assert_allclose(known[np.isfinite(known)], 0.0, atol=1e-6)

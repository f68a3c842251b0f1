"""Tests of eigen3.evaluation.judge."""

import numpy as np
import pytest
import tiny_market

from eigen3.evaluation import Judge

CLOSE = 100.0 * np.array([1.01, 0.99]) ** np.arange(14)[:, None]


@pytest.fixture(scope='module')
def judge():
  config = {
    'environment': tiny_market.config(),
    'evaluation': {'momentum_days': 2, 'random_entries': 2},
    'seed': 0,
  }
  return Judge(tiny_market.panel(CLOSE), config, (0, 14), np.ones((14, 2)))


def test_other_rules_on_the_same_days(judge):
  free = judge.under(commission_bp=0.0, slippage_bp=0.0)
  np.testing.assert_array_equal(free.days, judge.days)
  assert free.controls.keys() == judge.controls.keys()
  assert 'informed' in free.controls
  actions = np.full((len(judge.days), 2, 2), 2.0, np.float32)
  paid = judge.backtest(actions).summary
  assert paid['costs'] > 0
  assert free.backtest(actions).summary['costs'] == 0
  assert free.backtest(actions).summary['profit'] > paid['profit']
  # The first judge's rules are still its own.
  assert judge.backtest(actions).summary == paid


def test_a_wrong_rule_is_refused(judge):
  with pytest.raises(ValueError, match=r"environment.fill: found 'never'"):
    judge.under(fill='never')

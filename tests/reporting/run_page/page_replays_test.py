"""Tests of replays under other rules, by hand."""

import pathlib

import numpy as np
import pytest
import tiny_market

from eigen3.evaluation import Judge, sharpe
from eigen3.reporting.run_page import Champion, replays

# A rises by 1 % a day, B falls by as much; opens are half a percent higher.
CLOSE = 100.0 * np.array([1.01, 0.99]) ** np.arange(16)[:, None]
RULES = tiny_market.config(commission_bp=2.0, slippage_bp=4.0)


@pytest.fixture(scope='module')
def judge():
  config = {
    'environment': RULES,
    'evaluation': {'momentum_days': 2, 'random_entries': 2},
    'seed': 0,
  }
  panel = tiny_market.panel(CLOSE, opening=1.005 * CLOSE, high=1.01 * CLOSE)
  return Judge(panel, config, (0, 16))


@pytest.fixture(scope='module')
def champion(judge):
  """Returns a champion that buys A on the first day and nothing else."""
  actions = np.zeros((len(judge.days), 2, 2), np.float32)
  actions[..., 1] = 10.0
  actions[0, 0, 0] = 2.0
  return Champion(
    pathlib.Path('run'),
    judge.backtest(actions),
    lambda other: other.backtest(actions),
    sharpe.Deflated(0, np.nan, np.nan, np.nan, np.nan),
  )


def test_the_cost_ladder(judge, champion):
  rungs = replays.cost_ladder([champion], judge, RULES)
  assert [rung.rules for rung in rungs] == [
    '0 bp',
    '5 bp',
    '6 bp, as the run',
    '10 bp',
    '12 bp, doubled',
    '25 bp',
  ]
  assert [rung.is_own for rung in rungs].index(True) == 2
  assert rungs[2].numbers['agent'] == champion.backtest.summary
  # Half of the cash, costs included, buys at the first open, and is sold at the
  # open after the second day; both fills pay costs.
  growth = 1.01**3
  for rung, cost in zip(rungs, (0, 5, 6, 10, 12, 25), strict=True):
    rate = cost / 1e4
    value = 0.5 / (1 + rate)
    agent = rung.numbers['agent']
    assert agent['trades'] == 1
    profit = value * growth * (1 - rate) - 0.5
    assert agent['profit'] == pytest.approx(profit, abs=1e-6)
    costs = rate * value * (1 + growth)
    assert agent['costs'] == pytest.approx(costs, abs=1e-6)
    assert rung.numbers.keys() == {'agent', *judge.controls}
  profits = [rung.numbers['momentum']['profit'] for rung in rungs]
  assert profits == sorted(profits, reverse=True)
  assert len(set(profits)) == 6


def test_a_run_without_costs_has_one_rung_of_them(judge, champion):
  free = tiny_market.config(commission_bp=0.0, slippage_bp=0.0)
  rungs = replays.cost_ladder(
    [champion], judge.under(commission_bp=0.0, slippage_bp=0.0), free
  )
  assert [rung.is_own for rung in rungs] == [True, False, False, False]


def test_fill_timings(judge, champion):
  found = replays.fill_timings([champion], judge, RULES)
  assert [replay.rules for replay in found] == ['close', 'next open']
  assert [replay.is_own for replay in found] == [False, True]
  # At the close it is the rise of two days, less costs.
  rate = 6e-4
  profit = 0.5 / (1 + rate) * 1.01**2 * (1 - rate) - 0.5
  agent = found[0].numbers['agent']
  assert agent['profit'] == pytest.approx(profit, abs=1e-6)
  assert found[1].numbers['agent'] == champion.backtest.summary


def test_several_seeds_are_averaged(judge, champion):
  rests = champion._replace(
    play=lambda other: other.backtest(
      np.zeros((len(judge.days), 2, 2), np.float32)
    )
  )
  both = replays.fill_timings([champion, rests], judge, RULES)
  one = replays.fill_timings([champion], judge, RULES)
  for mean, whole in zip(both, one, strict=True):
    assert mean.numbers['agent']['profit'] == pytest.approx(
      whole.numbers['agent']['profit'] / 2
    )
    assert mean.numbers['momentum'] == whole.numbers['momentum']

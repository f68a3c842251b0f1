"""Tests of eigen3.evaluation.matched, and of the control that uses it."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import priced_market
import pytest
import tiny_market

from eigen3.evaluation import Backtester, Judge, controls, matched

EVALUATION = {'momentum_days': 3, 'random_entries': 3}


def draw(bought, available, factors, seed=0, rest=3, nearest=4):
  rng = np.random.default_rng(seed)
  return matched.draw(bought, available, factors, rng, rest, nearest)


@pytest.fixture(scope='module')
def case():
  """Returns choices, availability and factors of 30 stocks."""
  rng = np.random.default_rng(0)
  bought = rng.random((40, 30)) < 0.05
  available = rng.random((40, 30)) < 0.8
  factors = rng.normal(0.0, 1.0, (40, 30, 2))
  return bought, available, factors


def test_choices_are_among_the_nearest_that_are_free(case):
  bought, available, factors = case
  found = draw(*case)
  np.testing.assert_array_equal(found.sum(axis=1), bought.sum(axis=1))
  assert found.sum() > 40
  assert available[found].all()
  for day in range(40):
    free = available[day] & ~found[max(day - 3, 0) : day].any(axis=0)
    near = set()
    for stock in np.flatnonzero(bought[day]):
      apart = np.linalg.norm(factors[day] - factors[day, stock], axis=1)
      # A stock drawn for another choice of the day frees one more place.
      room = 4 + bought[day].sum() - 1
      near |= {*np.argsort(np.where(free, apart, np.inf))[:room]}
    assert {*np.flatnonzero(found[day])} <= near
    assert not (found[day] & found[max(day - 3, 0) : day].any(axis=0)).any()


def test_draws_are_even_and_follow_their_seed(case):
  bought, available, factors = (x[:1] for x in case)
  bought = np.arange(30)[None] == 7
  draws = np.stack([draw(bought, available, factors, s)[0] for s in range(400)])
  counts = draws.sum(axis=0)
  assert (counts > 0).sum() == 4
  assert counts[counts > 0].min() > 70
  np.testing.assert_array_equal(
    draws[3], draw(bought, available, factors, 3)[0]
  )


def test_what_knows_no_factors_is_replaced_by_any(case):
  bought, available, factors = (x[:1] for x in case)
  bought = np.arange(30)[None] == 7
  unknown = np.full_like(factors, np.nan)
  draws = [draw(bought, available, unknown, s)[0] for s in range(300)]
  assert (np.any(draws, axis=0) == available[0]).all()
  assert not draw(bought, np.zeros_like(available), factors).any()


@pytest.fixture(scope='module')
def judged():
  panel = priced_market.make_panel(320, num_stocks=24, members=False)
  config = {
    'environment': tiny_market.config(
      max_position_fraction=0.1, max_holding_days=5, settlement_days=8
    ),
    'evaluation': EVALUATION,
    'seed': 0,
  }
  judge = Judge(panel, config, (260, 320))
  # The most volatile stocks, on some days.
  risky = matched.risk(panel, judge.days)[..., 0]
  wanted = (np.nan_to_num(risky, nan=-1.0) > 0.35) & (
    np.arange(len(judge.days))[:, None] % 3 == 0
  )
  actions = np.zeros((*wanted.shape, 2), np.float32)
  actions[..., 0] = np.where(wanted, 2.0 + 0.001 * risky, 0.0)
  actions[..., 1] = 50.0
  return panel, judge, judge.backtest(actions, account_aware=True)


def test_matched_entry_buys_as_often_and_as_risky(judged):
  panel, judge, backtest = judged
  found = judge.matched_entry(backtest, seed=0, nearest=6)
  assert len(found) == EVALUATION['random_entries']
  assert len(backtest.trades) > 10

  def mean_risk(test):
    bought = matched.ordered(test, panel, judge.days, fills_at_open=True)
    return np.nanmean(matched.risk(panel, judge.days)[bought], axis=0)

  def dates(test):
    return sorted(test.trades['entry_date'])

  for one in found:
    assert dates(one) == dates(backtest)
    np.testing.assert_allclose(mean_risk(one), mean_risk(backtest), atol=0.2)
  assert mean_risk(backtest)[0] > 0.3
  anyone = judge.controls['random_entry'][0]
  assert mean_risk(anyone)[0] < 0.15
  profits = {one.summary['profit'] for one in found}
  assert len(profits) > 1
  again = judge.matched_entry(backtest, seed=0, nearest=6)
  assert {one.summary['profit'] for one in again} == profits


def test_what_was_ordered_is_read_from_the_trades(judged):
  """Expects each trade to be decided on the day before its entry."""
  panel, judge, backtest = judged
  found = matched.ordered(backtest, panel, judge.days, fills_at_open=True)
  assert found.sum() == len(backtest.trades)
  for _, trade in backtest.trades.iterrows():
    entry = list(panel.dates).index(trade['entry_date'].to_datetime64())
    stock = panel.columns.index(trade['ticker']) - 1
    assert found[entry - 1 - judge.days[0], stock]


def test_at_exposure():
  returns = np.array([0.02, -0.01])
  np.testing.assert_allclose(
    controls.at_exposure(returns, 0.3), [0.006, -0.003]
  )


def test_an_order_that_waited_was_decided_before_its_market_closed():
  """Orders of a Friday, whose stock opens on the Monday after."""
  close = np.full((21, 3), 100.0)
  close[np.arange(21) % 7 > 4, :2] = np.nan
  panel = tiny_market.panel(close, opening=close)
  panel = dataclasses.replace(panel, markets=(0, 1, 1, 0))
  actions = np.zeros((21, 3, 2), np.float32)
  actions[4, 0] = 2.0, 50.0  # A on a Friday
  actions[8, 2] = 2.0, 50.0  # C on a Tuesday
  backtester = Backtester(panel, tiny_market.config(), (0, 21))
  days = backtester.days
  backtest = backtester.run(jnp.asarray(actions[days]))
  assert backtest.trades['entry_date'].dt.day.tolist() == [8, 10]
  found = matched.ordered(backtest, panel, days, fills_at_open=True)
  np.testing.assert_array_equal(
    np.argwhere(found), [[4 - days[0], 0], [8 - days[0], 2]]
  )

"""Tests of eigen3.evaluation.controls."""

import dataclasses

import numpy as np
import pytest
import tiny_market

from eigen3 import data
from eigen3.evaluation import Backtester, Controls, Judge, mean_summary
from experiments.configs import td3

NUM_DAYS = 26
EVALUATION = {'momentum_days': 3, 'random_entries': 4}


def run(panel, drift=None, seed=0, days=None, **settings):
  config = tiny_market.config(**settings)
  backtester = Backtester(panel, config, days or (0, panel.num_days))
  return Controls(panel, backtester, config, EVALUATION, seed, drift).run()


def growing(*rates):
  """Returns closes from 100 that grow by so much a day."""
  day = np.arange(NUM_DAYS)[:, None]
  return 100.0 * (1 + np.array(rates)) ** day


@pytest.fixture(scope='module')
def riser_panel():
  """Returns a panel: A rises, B stays, C falls."""
  return tiny_market.panel(growing(0.01, 0.0, -0.01))


@pytest.fixture(scope='module')
def riser(riser_panel):
  drift = np.zeros((NUM_DAYS, 3))
  drift[:, 1] = 0.01  # not visible in prices
  return run(riser_panel, drift)


def assert_never_twice(trades):
  """Checks that no stock is held twice at once."""
  for _, own in trades.groupby('ticker'):
    own = own.sort_values('entry_date')
    entered = own['entry_date'].to_numpy()[1:]
    assert (entered >= own['exit_date'].to_numpy()[:-1]).all()


def test_momentum_buys_the_riser(riser):
  (momentum,) = riser['momentum']
  assert len(momentum.trades) > 3
  assert set(momentum.trades['ticker']) == {'A'}
  # The largest position and the widest target.
  assert momentum.trades['coefficient'].min() > 1.97
  first = momentum.trades.iloc[0]
  assert first['shares'] * first['entry_price'] * 1.01 == pytest.approx(
    0.5 * tiny_market.CASH, rel=0.01
  )
  assert (momentum.trades['reason'] == 'max_holding').all()


def test_momentum_buys_nothing_where_nothing_rises():
  falling = run(tiny_market.panel(growing(-0.01, -0.02)))
  assert len(falling['momentum'][0].trades) == 0
  assert falling['momentum'][0].summary['profit'] == 0


def test_momentum_knows_what_it_holds():
  """If both rise, the other is bought while the better is held."""
  panel = tiny_market.panel(growing(0.02, 0.01, -0.01))
  (momentum,) = run(panel, entry_choice='best')['momentum']
  assert set(momentum.trades['ticker']) == {'A', 'B'}
  assert momentum.trades.sort_values('entry_date')['ticker'].iloc[0] == 'A'
  assert_never_twice(momentum.trades)


def test_momentum_sees_only_the_past():
  """Later prices do not change earlier purchases."""
  close = growing(0.01, -0.01, -0.01)
  crash = close.copy()
  crash[14:, 0] = 1.0
  crash[14:, 1] = 900.0
  trades = [
    run(tiny_market.panel(c))['momentum'][0].trades for c in (close, crash)
  ]
  # Orders decided up to the close of day 13 fill at the open of day 14.
  early = [
    t[t['entry_date'] <= np.datetime64('2024-01-15')][['ticker', 'entry_date']]
    for t in trades
  ]
  assert len(early[0]) > 2
  assert early[0].values.tolist() == early[1].values.tolist()


def test_the_informed_use_the_drift_and_not_the_prices(riser):
  (informed,) = riser['informed']
  assert set(informed.trades['ticker']) == {'B'}
  assert len(informed.trades) > 3


def test_the_informed_stay_out_of_a_market_without_drift(riser_panel):
  results = run(riser_panel, np.zeros((NUM_DAYS, 3)))
  assert len(results['informed'][0].trades) == 0
  assert 'informed' not in run(riser_panel)


def test_random_entry_takes_any_stock_by_its_seed(riser_panel, riser):
  backtests = riser['random_entry']
  assert len(backtests) == EVALUATION['random_entries']
  for backtest in backtests:
    assert_never_twice(backtest.trades)
  assert {t for b in backtests for t in b.trades['ticker']} == {'A', 'B', 'C'}
  profits = [b.summary['profit'] for b in backtests]
  assert len(set(profits)) > 1

  def profits_of(seed):
    return [
      b.summary['profit'] for b in run(riser_panel, seed=seed)['random_entry']
    ]

  assert profits_of(0) == profits
  assert profits_of(1) != profits


def test_random_entry_avoids_stocks_without_a_price():
  close = growing(0.0, 0.0)
  close[:, 1] = np.nan
  results = run(tiny_market.panel(close))
  for backtest in results['random_entry']:
    assert set(backtest.trades['ticker']) == {'A'}


def edge(name, **settings):
  """Returns the t-statistic of a control's trades before costs."""
  synthetic = td3.get_config('smoke').data.synthetic
  synthetic.update({'num_days': 1200} | settings)
  market = data.synthetic_market(synthetic)
  results = run(
    market.panel,
    market.drift,
    max_holding_days=5,
    settlement_days=7,
    max_position_fraction=0.1,
    commission_bp=0.0,
    slippage_bp=0.0,
  )
  weeks = []
  for backtest in results[name]:
    trades = backtest.trades
    week = (trades['entry_date'] - trades['entry_date'].min()).dt.days // 7
    weeks.append(trades.groupby(week)['return_percent'].mean())
  weekly = sum(weeks) / len(weeks)
  error = weekly.std() / np.sqrt(len(weekly))
  assert error < 0.3  # percent
  return weekly.mean() / error


def test_random_entry_has_no_edge_without_a_signal():
  """Without a signal there is no edge; with one the same measure sees it."""
  assert abs(edge('random_entry', signal=0.0)) < 3.5
  assert edge('informed') > 5


@pytest.mark.parametrize('market', ['leading', 'some', 'regime'])
def test_the_informed_have_an_edge_where_there_is_a_signal(market):
  assert edge('informed', market=market) > 4


def test_nobody_has_an_edge_where_days_were_shuffled():
  for name in ('informed', 'momentum', 'random_entry'):
    assert abs(edge(name, market='none')) < 3.5


def test_buy_and_hold_by_hand():
  close = np.full((NUM_DAYS, 2), [100.0, 40.0])
  close[10:, 0] = 130.0
  close[20:, 1] = 30.0
  opening = np.concatenate([close[:1], close[:-1]])
  opening[2] = 104.0, 41.0
  (hold,) = run(tiny_market.panel(close, opening))['buy_and_hold']
  # 5,000 for each at the open of day 2, costs included.
  shares = 5_000 / (np.array([104.0, 41.0]) * 1.01)
  expected = close[1:25] @ shares
  expected[0] = 10_000
  end = expected[-1]
  expected[-1] = 0.99 * end
  np.testing.assert_allclose(hold.equity, expected, rtol=1e-9)
  assert hold.summary['costs'] == pytest.approx(
    0.01 * (shares @ [104, 41] + end) / 10_000
  )
  assert hold.summary['exposure'] == 1
  trades = hold.trades
  assert trades['ticker'].tolist() == ['A', 'B']
  # Profits are net of the costs of both fills, like the agent's.
  np.testing.assert_allclose(
    trades['net_profit'],
    shares * (0.99 * np.array([130, 30]) - 1.01 * np.array([104, 41])),
  )
  assert trades['net_profit'].sum() == pytest.approx(hold.equity[-1] - 10_000)
  assert hold.summary['win_rate'] == 0.5


def test_a_gain_below_the_costs_is_no_win():
  close = np.full((NUM_DAYS, 1), 100.0)
  close[10:] = 101.0  # costs are 1 % twice
  (hold,) = run(tiny_market.panel(close))['buy_and_hold']
  assert hold.summary['profit'] < 0
  assert hold.summary['win_rate'] == 0


def test_buy_and_hold_at_the_close():
  close = growing(0.01)
  (hold,) = run(tiny_market.panel(close), fill='close')['buy_and_hold']
  shares = 10_000 / (close[1, 0] * 1.01)
  np.testing.assert_allclose(hold.equity[:-1], shares * close[1:24, 0])
  np.testing.assert_allclose(hold.equity[-1], 0.99 * shares * close[24, 0])


def test_buy_and_hold_of_stocks_that_come_and_go():
  close = np.full((NUM_DAYS, 3), 100.0)
  close[:5, 1] = np.nan  # lists too late to be bought
  close[12:, 2] = np.nan  # vanishes at 80
  close[11, 2] = 80.0
  panel = tiny_market.panel(close)
  (hold,) = run(panel, delisting_return=-0.5)['buy_and_hold']
  assert hold.trades['ticker'].tolist() == ['A', 'C']
  shares = 5_000 / 101
  # Gone on its third day without a price, day 14, for half of 80 less costs.
  np.testing.assert_allclose(hold.equity[12], shares * (100 + 80))
  np.testing.assert_allclose(hold.equity[13:-1], shares * (100 + 0.99 * 40))
  np.testing.assert_allclose(hold.equity[-1], 0.99 * shares * (100 + 40))
  assert hold.trades['exit_date'].dt.day.tolist() == [25, 15]
  assert hold.trades['holding_days'].tolist() == [22, 12]
  assert hold.trades['exit_price'].tolist() == [100, 40]
  assert hold.trades['net_profit'].sum() == pytest.approx(
    hold.equity[-1] - 10_000
  )
  costs = 0.01 * shares * (100 + 100 + 100 + 40) / 10_000
  assert hold.summary['costs'] == pytest.approx(costs)
  # All is invested for 11 of 23 days; cash earns nothing.
  share = 100 / (100 + 0.99 * 40)
  assert hold.summary['exposure'] == pytest.approx((12 + 11 * share) / 23)


@pytest.mark.parametrize(
  'price, worth', [('last_close', 80), ('entry_price', 100)]
)
def test_buy_and_hold_is_paid_the_delisting_price(price, worth):
  close = np.full((NUM_DAYS, 2), 100.0)
  close[11, 1] = 80.0
  close[12:, 1] = np.nan
  panel = tiny_market.panel(close)
  features = panel.features.copy()
  features[12:, 2] = np.nan  # no data at all
  panel = dataclasses.replace(panel, features=features)
  (hold,) = run(panel, delisting_price=price)['buy_and_hold']
  assert hold.trades['exit_price'].tolist() == [100, worth]


def test_a_holiday_sells_nothing():
  """Three days without a price are a delisting, unless the market is closed."""
  close = np.full((NUM_DAYS, 3), 100.0)
  close[8:20, 1:] = np.nan
  panel = tiny_market.panel(close)
  sold = run(panel)['buy_and_hold'][0].trades
  assert sold['exit_date'].dt.day.tolist() == [25, 11, 11]
  panel = dataclasses.replace(panel, markets=(2, 0, 1, 1))
  kept = run(panel)['buy_and_hold'][0].trades
  assert kept['exit_date'].dt.day.tolist() == [25, 25, 25]


def test_momentum_looks_back_over_a_weekend():
  """On a Tuesday, three days before was a Saturday: Friday's close stands."""
  close = np.full((NUM_DAYS, 3), 100.0)
  close[8:, 0] = 110.0
  closed = np.arange(NUM_DAYS) % 7 > 4
  close[closed, :2] = np.nan
  panel = tiny_market.panel(close)
  panel = dataclasses.replace(panel, markets=(0, 1, 1, 0))
  trades = run(panel)['momentum'][0].trades
  assert trades['ticker'][0] == 'A'
  assert trades['entry_date'][0].day == 10  # the Wednesday


def test_a_stock_that_comes_back_was_sold():
  close = np.full((NUM_DAYS, 2), 100.0)
  close[12:15, 1] = np.nan
  close[15:, 1] = 900.0
  (hold,) = run(tiny_market.panel(close))['buy_and_hold']
  assert hold.trades['exit_price'].tolist() == [100, 100]


@pytest.mark.parametrize('field', ['momentum_days', 'random_entries'])
@pytest.mark.parametrize('found', [0, -1])
def test_settings_out_of_range_are_named(riser_panel, field, found):
  config = {
    'environment': tiny_market.config(),
    'evaluation': {**EVALUATION, field: found},
    'seed': 0,
  }
  with pytest.raises(ValueError, match='evaluation') as error:
    Judge(riser_panel, config, (0, NUM_DAYS))
  assert str(error.value) == (
    f'evaluation.{field}: found {found}, expected at least 1'
  )


def test_buy_and_hold_of_nothing():
  close = np.full((NUM_DAYS, 1), np.nan)
  (hold,) = run(tiny_market.panel(close))['buy_and_hold']
  np.testing.assert_array_equal(hold.equity, 10_000)
  assert set(hold.summary.values()) == {0.0}


def test_a_judge_scores_beside_the_controls(riser_panel):
  config = {
    'environment': tiny_market.config(),
    'evaluation': EVALUATION,
    'seed': 0,
  }
  judge = Judge(riser_panel, config, (0, NUM_DAYS))
  actions = np.zeros((len(judge.days), 3, 2), np.float32)
  actions[:, 0] = 2.0, 50.0
  scores = judge.scores(actions, 'validation')
  backtest = judge.backtest(actions)
  assert scores['validation_profit'] == backtest.summary['profit'] > 0
  assert scores['validation_trades'] == len(backtest.trades)
  for name in ('random_entry', 'buy_and_hold', 'momentum'):
    assert (
      scores[f'validation_{name}']
      == (mean_summary(judge.controls[name])['profit'])
    )
  profits = [b.summary['profit'] for b in judge.controls['random_entry']]
  assert scores['validation_random_entry'] == pytest.approx(np.mean(profits))

"""Tests of the hidden signals of embedded markets, and of their features."""

import functools

import numpy as np
import pytest

from eigen3.data import DataError, synthetic_market
from experiments.configs.td3 import get_config

HORIZON = 20
# Digest of 1,500 days of the only market of earlier versions.
FINGERPRINT = '8bd3288f30567d2504bbc33e4123a8e95b825a22a215e2fe1be193db764d4425'
REVEALED = ('drift', 'leading', 'some', 'regime')
MARKETS = (*REVEALED, 'none', 'patience')


@functools.cache
def make_market(market, **changes):
  """Returns 3,000 days of three context columns and 50 stocks by default."""
  config = get_config().data.synthetic
  wide = {
    'num_days': 3000, 'num_columns': 53, 'num_context': 3, 'num_stocks': 50,
  }  # fmt: skip
  config.update(wide | {'market': market} | changes)
  return synthetic_market(config)


def stock_returns(market, horizon=1):
  """Computes returns [T - horizon, N] from the close of each day."""
  first, stop = market.panel.investable
  close = market.panel.ohlc[:, first:stop, 3].astype(np.float64)
  return close[horizon:] / close[:-horizon] - 1.0


def correlation(one, other):
  return np.corrcoef(one.ravel(), other.ravel())[0, 1]


def seen(market, columns, feature='trix'):
  """Returns a feature [T - HORIZON, columns] of past moves."""
  index = market.panel.feature_indices((feature,))[0]
  return market.panel.features[:-HORIZON, columns, index]


def predicts(market, column, feature='trix'):
  """Correlates a column's past with the mean stock's next 20 days."""
  ahead = stock_returns(market, HORIZON).mean(axis=1)
  return correlation(seen(market, column, feature), ahead)


def own_predicts(market, stocks=slice(None)):
  """Correlates each stock's past with its own next 20 days."""
  first, stop = market.panel.investable
  past = seen(market, slice(first, stop))
  return correlation(past[:, stocks], stock_returns(market, HORIZON)[:, stocks])


def test_the_market_of_old_has_kept_its_bits():
  config = get_config().data.synthetic
  config.num_days = 1500
  market = synthetic_market(config)
  assert config.market == 'drift'
  assert market.panel.fingerprint == FINGERPRINT
  assert market.panel.columns[:3] == ('INDEX', 'NOISE001', 'NOISE002')


@pytest.mark.parametrize('name', MARKETS)
def test_a_seed_is_a_market(name):
  one, other = (
    make_market(name, num_days=300),
    make_market(name, num_days=300, seed=1),
  )
  again = make_market.__wrapped__(name, num_days=300)
  assert again.panel.fingerprint == one.panel.fingerprint
  assert again.drift.tobytes() == one.drift.tobytes()
  assert other.panel.fingerprint != one.panel.fingerprint
  assert other.panel.source_hash != one.panel.source_hash
  assert np.isfinite(one.panel.features).all()
  assert (one.panel.ohlc > 0).all()
  assert f"'{name}'" in one.panel.notes


def test_markets_are_another_s_neighbours():
  panels = [make_market(name, num_days=300).panel for name in MARKETS]
  assert len({panel.fingerprint for panel in panels}) == len(MARKETS)
  assert len({panel.source_hash for panel in panels}) == len(MARKETS)
  second = [panel.columns[1] for panel in panels]
  assert second == [
    'NOISE001', 'LEADER', 'NOISE001', 'GAUGE', 'NOISE001', 'HERALD',
  ]  # fmt: skip
  assert {panel.columns[2] for panel in panels} == {'NOISE002'}
  assert {panel.columns[3] for panel in panels} == {'STOCK000'}


@pytest.mark.parametrize('name', REVEALED)
def test_the_drift_is_the_expected_return_of_the_next_day(name):
  market = make_market(name)
  drift = market.drift[:-1].astype(np.float64)
  returns = stock_returns(market)
  follows = drift.any(axis=0)
  assert drift[:, follows].std() == pytest.approx(0.0035, rel=0.15)
  slope = (drift * returns).mean() / (drift**2).mean()
  # The drift of `leading` is one for all stocks: 3,000 days of about 0.9 %
  # shared noise are an error of 0.05.
  assert slope == pytest.approx(1.0, abs=0.15 if name == 'leading' else 0.06)
  assert (returns - drift).std() == pytest.approx(
    0.0184 if name == 'leading' else 0.015, rel=0.05
  )
  assert (returns - drift).mean() == pytest.approx(0.0, abs=7e-4)


@pytest.mark.parametrize('name', MARKETS)
def test_without_signal_nothing_drifts(name):
  market = make_market(name, signal=0.0)
  assert not market.drift.any()
  returns = stock_returns(market)
  assert returns.mean() == pytest.approx(0.0, abs=4e-4)
  deviation = 0.0036 if name == 'patience' else 0.015
  assert returns.std() == pytest.approx(deviation, rel=0.05)
  assert abs(own_predicts(market)) < 0.05


def test_only_the_leader_tells_of_stocks_it_leads():
  market = make_market('leading')
  assert (market.drift == market.drift[:, :1]).all()
  assert predicts(market, 1) > 0.4
  assert predicts(market, 1, 'rsi') > 0.3
  for column in (0, 2):  # the index and a walk
    assert abs(predicts(market, column)) < 0.2
  assert abs(own_predicts(market)) < 0.05
  # Nor by any single past day.
  returns = stock_returns(market)
  for lag in range(1, HORIZON + 1):
    assert abs(correlation(returns[lag:], returns[:-lag])) < 0.03
  # A rise of the drift lowers the stocks at once.
  leader = np.diff(np.log(market.panel.ohlc[:, 1, 3].astype(np.float64)))
  assert correlation(leader, returns.mean(axis=1)) < -0.7


def test_half_the_stocks_follow():
  market = make_market('some')
  follows = market.drift.any(axis=0)
  assert follows.sum() == 25
  # The same cycles as where all follow, and the same noise.
  all_follow = make_market('drift')
  np.testing.assert_array_equal(
    market.drift[:, follows], all_follow.drift[:, follows]
  )
  np.testing.assert_array_equal(
    stock_returns(market)[:, follows], stock_returns(all_follow)[:, follows]
  )
  assert own_predicts(market, follows) > 0.3
  assert abs(own_predicts(market, ~follows)) < 0.06
  odd = make_market('some', num_stocks=5, num_columns=8, num_days=300)
  assert odd.drift.any(axis=0).sum() == 3
  # Another seed, other stocks.
  other = make_market('some', num_days=300, seed=1).drift.any(axis=0)
  assert (other != follows).any()


def test_the_gauge_tells_whether_moves_go_on():
  market = make_market('regime')
  gauge = market.panel.ohlc[:, 1, 3]
  calm = gauge < 15.0 * np.sqrt(2.0)
  assert 0.2 < calm.mean() < 0.8
  # 3,000 days are about 25 regimes; the gauge lags by a few days.
  switches = (calm[1:] != calm[:-1]).sum()
  assert 8 < switches < 60
  first, stop = market.panel.investable
  past, ahead = seen(market, slice(first, stop)), stock_returns(market, HORIZON)
  calm = calm[:-HORIZON]
  assert correlation(past[calm], ahead[calm]) > 0.2
  assert correlation(past[~calm], ahead[~calm]) < -0.1
  # Regimes of equal length hide the signal unless the gauge is observed.
  weights = [past[calm], past[~calm]]
  assert min(map(len, weights)) > 500
  assert abs(predicts(market, 1, 'close')) < 0.2
  assert abs(predicts(market, 0)) < 0.3


def test_shuffled_days_tell_nothing():
  market, before = make_market('none'), make_market('drift')
  np.testing.assert_array_equal(market.drift, before.drift)
  returns = stock_returns(market)
  # Whole days of `drift`, in another order.
  ours, theirs = (
    np.sort(stock_returns(m).astype(np.float32)[:, 0]) for m in (market, before)
  )
  assert np.isin(ours.round(6), theirs.round(6)).mean() > 0.9
  assert correlation(returns[1:], returns[:-1]) == pytest.approx(0, abs=0.02)
  assert correlation(stock_returns(before)[1:], stock_returns(before)[:-1]) > (
    0.04
  )
  assert abs(own_predicts(market)) < 0.05
  for column in range(3):
    assert abs(predicts(market, column)) < 0.2
  assert abs(correlation(market.drift[:-1], returns)) < 0.02
  # The index is still the mean of the stocks.
  closes = market.panel.ohlc[:, 0, 3].astype(np.float64)
  np.testing.assert_allclose(
    closes[1:] / closes[:-1] - 1.0, returns.mean(axis=1), atol=1e-6
  )


def test_dips_are_taken_back_after_the_next_open():
  market = make_market('patience')
  sizes, first = market.drift, market.panel.investable[0]
  ohlc = market.panel.ohlc[:, first:].astype(np.float64)
  rises = np.log(ohlc[..., 3] / ohlc[..., 0])
  nights = np.log(ohlc[1:, :, 0] / ohlc[:-1, :, 3])
  dips, day_after = sizes > 0, np.roll(sizes > 0, 1, axis=0)
  assert (dips.sum(axis=1) <= 1).all()
  # By hand: between open and close are three quarters of a day's variance.
  deviation = np.sqrt(0.75 * (0.002**2 + 0.003**2))
  for moved in ((rises + sizes)[dips], (rises[1:] - sizes[:-1])[dips[:-1]]):
    assert moved.mean() == pytest.approx(0.0, abs=2e-4)
    assert moved.std() == pytest.approx(deviation, rel=0.05)
  assert nights[dips[:-1]].std() < 0.0025
  assert rises[~dips & ~day_after].std() == pytest.approx(deviation, rel=0.05)


def test_deep_dips_come_after_the_herald_has_risen():
  market = make_market('patience')
  size, phases = market.drift.max(axis=1), market.dips.phases
  np.testing.assert_array_equal(market.dips.sizes.astype('f4'), market.drift)
  deep = size > 0.02
  assert (deep == (phases > 10)).all()
  assert size[deep].min() > 0.03
  assert size[deep].max() < 0.09
  shallow = size[~deep & (size > 0)]
  assert 0.006 < shallow.min() < shallow.max() < 0.014
  assert (size[~deep] > 0).mean() == pytest.approx(0.9, abs=0.02)
  # Two days in a row; quiet times between them last 25 days on average, and
  # are as uneven as they can be.
  starts = np.flatnonzero(np.diff(deep.astype(int)) == 1) + 1
  assert (deep[starts[:-1] + 1] & ~deep[starts[:-1] + 2]).all()
  quiet = np.diff(starts) - 12
  assert quiet.mean() == pytest.approx(25.0, rel=0.25)
  assert quiet.std() == pytest.approx(25.0, rel=0.4)
  herald = np.log(market.panel.ohlc[:, 1, 3].astype(np.float64) / 15.0)
  for phase, level in ((0, 0.0), (1, 0.1), (5, 0.5), (10, 1.0), (12, 1.0)):
    read = herald[phases == phase]
    assert read.mean() == pytest.approx(level * np.log(2.0), abs=0.02)
    assert read.std() == pytest.approx(0.045, rel=0.25)


def test_a_stock_that_dipped_rests():
  _, stocks = np.nonzero(make_market('patience').drift)  # day by day
  for one in range(50):
    # The other half of the stocks dip before it does again.
    assert np.diff(np.flatnonzero(stocks == one)).min() > 25
  alone = make_market('patience', num_stocks=1, num_columns=4, num_days=300)
  assert (alone.drift > 0).mean() > 0.8


def test_signal_scales_dips_and_nothing_else():
  one, two = (make_market('patience', signal=x, num_days=300) for x in (1, 2))
  np.testing.assert_allclose(2.0 * one.drift, two.drift, rtol=1e-6)
  assert (one.dips.scale, two.dips.scale) == (1, 2)
  np.testing.assert_array_equal(one.dips.phases, two.dips.phases)
  closes = [np.log(m.panel.ohlc[:, 3:, 3].astype('f8')) for m in (one, two)]
  moves = np.diff(closes[1] - closes[0], axis=0)
  added = np.diff(one.drift, axis=0, prepend=one.drift[:1])[1:]
  np.testing.assert_allclose(moves, -added, atol=1e-6)


@pytest.mark.parametrize(
  'changes, message',
  [
    (
      {'market': 'drfit'},
      "market: found 'drfit', expected one of drift, leading, some, "
      'regime, none, patience',
    ),
    (
      {'market': 'leading', 'num_context': 1},
      "num_context: found 1, expected at least 2 in the market 'leading': "
      'the second column is LEADER',
    ),
  ],
)
def test_a_wrong_setting_is_one_clear_line(changes, message):
  config = get_config().data.synthetic
  config.update(changes)
  with pytest.raises(DataError) as error:
    synthetic_market(config)
  assert str(error.value) == f'data.synthetic.{message}'

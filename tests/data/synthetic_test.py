"""Tests of eigen3.data.synthetic, the embedded market."""

import dataclasses

import numpy as np
import pytest

from eigen3.data import DataError, split_days, synthetic_market
from experiments.benchmark.settings import spec_of
from experiments.configs.td3 import SIZES, get_config

HORIZON = 20
WIDE = {
  'num_days': 3000,
  'num_columns': 52,
  'num_context': 2,
  'num_stocks': 50,
}


def make_market(**changes):
  config = get_config().data.synthetic
  config.update({'num_days': 1500} | changes)
  return synthetic_market(config)


def forward_returns(panel, horizon=HORIZON):
  """Computes returns [T - horizon, N] from the close of each day."""
  first, stop = panel.investable
  close = panel.ohlc[:, first:stop, 3].astype(np.float64)
  return close[horizon:] / close[:-horizon] - 1.0


@pytest.fixture(scope='module')
def market():
  return make_market()


@pytest.fixture(scope='module')
def wide_market():
  return make_market(**WIDE)


@pytest.fixture(scope='module')
def fair_market():
  return make_market(**WIDE, signal=0.0)


def test_shapes_and_names(market):
  panel = market.panel
  assert panel.ohlc.shape == (1500, 12, 4)
  assert panel.features.shape == (1500, 12, 9)
  assert market.drift.shape == (1500, 8)
  assert market.drift.dtype == np.float32
  assert panel.investable == (4, 12)
  assert panel.columns[:5] == (
    'INDEX', 'NOISE001', 'NOISE002', 'NOISE003', 'STOCK000',
  )  # fmt: skip
  assert panel.column_kinds == ('context',) * 4 + ('stock',) * 8
  assert not panel.survivors_only
  assert np.is_busday(panel.dates).all()
  assert np.isfinite(panel.features).all()
  assert (panel.ohlc > 0).all()


def test_a_seed_is_a_market(market):
  again, other = make_market(), make_market(seed=1)
  assert again.panel.fingerprint == market.panel.fingerprint
  assert again.drift.tobytes() == market.drift.tobytes()
  assert again.panel.source_hash == market.panel.source_hash
  assert other.panel.fingerprint != market.panel.fingerprint
  assert other.panel.source_hash != market.panel.source_hash
  assert (other.drift != market.drift).mean() > 0.99


def test_open_and_close_lie_within_the_range(market):
  opening, high, low, close = np.moveaxis(market.panel.ohlc, -1, 0)
  assert (high >= np.maximum(opening, close)).all()
  assert (low <= np.minimum(opening, close)).all()
  gap = opening[1:, 4:] / close[:-1, 4:] - 1.0
  assert 0.005 < gap.std() < 0.01  # a quarter of a day's variance


def test_the_drift_is_the_expected_return_of_the_next_day(wide_market):
  drift = wide_market.drift[:-1].ravel().astype(np.float64)
  returns = forward_returns(wide_market.panel, 1).ravel()
  assert drift.std() == pytest.approx(0.0035, rel=0.1)
  assert returns.std() == pytest.approx(0.0154, rel=0.05)
  slope = (drift * returns).mean() / (drift**2).mean()
  # 150,000 returns: the error of the slope is about 0.012.
  assert slope == pytest.approx(1.0, abs=0.05)
  noise = returns - drift
  assert noise.mean() == pytest.approx(0.0, abs=4e-4)


def test_the_drift_lasts(wide_market):
  drift = wide_market.drift.astype(np.float64)
  unit = (drift - drift.mean()) / drift.std()
  # By hand: exp(-20 / 120) cos(2 pi 20 / 250).
  assert (unit[20:] * unit[:-20]).mean() == pytest.approx(0.742, abs=0.04)


def test_the_past_predicts_only_with_signal(wide_market, fair_market):
  def correlation(market, feature):
    panel = market.panel
    index = panel.feature_indices((feature,))[0]
    first, stop = panel.investable
    seen = panel.features[:-HORIZON, first:stop, index]
    return np.corrcoef(seen.ravel(), forward_returns(panel).ravel())[0, 1]

  assert correlation(wide_market, 'trix') > 0.3
  assert correlation(wide_market, 'rsi') > 0.2
  assert abs(correlation(fair_market, 'trix')) < 0.05
  assert abs(correlation(fair_market, 'rsi')) < 0.05


def test_without_signal_the_market_is_a_fair_game(fair_market):
  assert not fair_market.drift.any()
  returns = forward_returns(fair_market.panel, 1)
  # The market's part is shared: 3,000 days of 0.6 % are an error of 0.011 %.
  assert returns.mean() == pytest.approx(0.0, abs=4e-4)
  assert returns.std() == pytest.approx(0.015, rel=0.05)


def test_signal_scales_the_drift_and_nothing_else():
  one, two = make_market(signal=0.5), make_market(signal=1.0)
  np.testing.assert_allclose(2.0 * one.drift, two.drift, rtol=1e-6)
  first, stop = one.panel.investable
  log_close = [
    np.log(m.panel.ohlc[:, first:stop, 3].astype(np.float64))
    for m in (one, two)
  ]
  moves = np.diff(log_close[1] - log_close[0], axis=0)
  np.testing.assert_allclose(moves, one.drift[:-1], atol=1e-6)


def test_the_index_is_the_mean_of_the_stocks(market):
  first, _ = market.panel.investable
  closes = market.panel.ohlc[..., 3].astype(np.float64)
  returns = closes[1:] / closes[:-1] - 1.0
  np.testing.assert_allclose(
    returns[:, 0], returns[:, first:].mean(axis=1), atol=1e-6
  )
  assert abs(np.corrcoef(returns[:, 0], returns[:, 1])[0, 1]) < 0.1


def first_columns(panel, num):
  return dataclasses.replace(
    panel,
    columns=panel.columns[:num],
    column_kinds=panel.column_kinds[:num],
    ohlc=panel.ohlc[:, :num],
    features=panel.features[:, :num],
    volume=panel.volume[:, :num],
  )


def test_columns_after_the_stocks_change_nothing_else(market):
  wider = make_market(num_columns=15)
  panel = wider.panel
  assert panel.investable == (4, 12)
  assert panel.columns == (
    *market.panel.columns, 'NOISE004', 'NOISE005', 'NOISE006',
  )  # fmt: skip
  assert panel.column_kinds == (
    ('context',) * 4 + ('stock',) * 8 + ('context',) * 3
  )
  np.testing.assert_array_equal(wider.drift, market.drift)
  for name in ('ohlc', 'features'):
    ours = getattr(panel, name)[:, :12]
    np.testing.assert_array_equal(ours, getattr(market.panel, name))
  assert np.isnan(panel.volume[:, [*range(4), 12, 13, 14]]).all()
  assert np.isfinite(panel.volume[:, 4:12]).all()
  # Independent walks, of each other and of the stocks.
  closes = np.log(panel.ohlc[..., 3].astype(np.float64))
  correlation = np.corrcoef(np.diff(closes, axis=0).T)
  after = np.abs(correlation[12:] - np.eye(15)[12:])
  assert after.max() < 0.12  # 1,500 days: four times the error of 0.026
  assert np.isfinite(panel.features).all()


@pytest.mark.parametrize('size', SIZES)
def test_a_preset_s_market_is_what_its_networks_are_told(size):
  config = get_config(size)
  panel = synthetic_market(config.data.synthetic).panel
  spec = spec_of(config)
  assert panel.investable == spec.investable
  assert panel.num_columns == spec.num_columns
  assert len(config.data.observed_features) == spec.num_features
  assert panel.num_days == config.data.synthetic.num_days
  split_days(panel.num_days, config.data)  # is long enough
  if size == 'full':
    assert (panel.num_columns, panel.num_investable) == (669, 108)
  other = get_config(f'{size}+eigen2')
  assert other.data.synthetic.to_dict() == config.data.synthetic.to_dict()
  for name in ('num_columns', 'num_features', 'investable'):
    assert getattr(spec_of(other), name) == getattr(spec, name)
  assert len(other.data.observed_features) == spec.num_features


def test_late_listings_and_delistings():
  sizes = {'num_columns': 46, 'num_stocks': 40}
  whole = make_market(**sizes).panel
  market = make_market(**sizes, late_listings=0.25, delistings=0.5)
  panel = market.panel
  assert np.isfinite(panel.ohlc[:, 44:]).all()
  panel, whole = first_columns(panel, 44), first_columns(whole, 44)
  listed = ~np.isnan(panel.ohlc[:, 4:, 3])  # [T, 40]
  late, gone = ~listed[0], ~listed[-1]
  assert (late.sum(), gone.sum()) == (10, 20)
  assert not (late & gone).any()
  # One listing, without gaps.
  assert (np.abs(np.diff(listed.astype(int), axis=0)).sum(0) <= 1).all()
  assert listed.sum(axis=0).min() >= 68
  assert np.isnan(panel.ohlc[:, 4:][~listed]).all()
  assert np.isnan(panel.volume[:, 4:][~listed]).all()
  assert np.isfinite(panel.ohlc[:, :4]).all()
  # A late listing warms up on its own rows.
  known = ~np.isnan(panel.features[:, 4:]).any(axis=2)
  assert (known[:, late].argmax(0) == listed[:, late].argmax(0) + 34).all()
  np.testing.assert_array_equal(known[:, ~late], listed[:, ~late])
  # Listings do not change prices.
  np.testing.assert_array_equal(
    panel.ohlc[:, 4:][listed], whole.ohlc[:, 4:][listed]
  )
  assert np.isfinite(market.drift).all()


@pytest.mark.parametrize(
  'changes, message',
  [
    ({'num_days': 0}, 'num_days: found 0'),
    ({'num_columns': 11}, r'num_columns: found 11, .* num_stocks, 12'),
    ({'num_stocks': 9}, r'num_columns: found 12, .* num_stocks, 13'),
    ({'num_stocks': 0}, 'num_stocks: found 0, expected at least 1'),
    ({'num_context': -1}, 'num_context: found -1'),
    ({'signal': -1.0}, 'signal: found -1.0'),
    ({'signal': float('nan')}, 'signal: found nan'),
    ({'late_listings': 1.5}, r'late_listings: found 1.5, .* \[0, 1\]'),
    (
      {'delistings': 0.5, 'num_days': 200},
      'delistings: .* num_days=200; .* at least 272 days',
    ),
  ],
)
def test_a_wrong_setting_is_one_clear_line(changes, message):
  with pytest.raises(DataError, match=rf'data\.synthetic\.{message}'):
    make_market(**changes)


@pytest.mark.parametrize(
  'num_context, num_columns, columns',
  [
    (0, 1, 'STOCK000'),
    (0, 2, 'STOCK000 NOISE001'),
    (1, 2, 'INDEX STOCK000'),
    (2, 5, 'INDEX NOISE001 STOCK000 NOISE002 NOISE003'),
  ],
)
def test_small_markets(num_context, num_columns, columns):
  market = make_market(
    num_days=1, num_columns=num_columns, num_context=num_context, num_stocks=1
  )
  assert np.isfinite(market.panel.features).all()
  assert market.panel.columns == tuple(columns.split())
  assert market.panel.investable == (num_context, num_context + 1)


def test_what_reports_say_of_who_is_missing(market):
  assert market.panel.survivorship.startswith('no company is missing')
  changed = {'num_days': 300, 'late_listings': 0.5}
  assert make_market(**changed).panel.survivorship == market.panel.survivorship
  some = make_market(num_days=300, delistings=0.5).panel.survivorship
  assert some == 'includes companies that left the market before the last day'

"""Tests of eigen3.evaluation.planted."""

import dataclasses

import numpy as np
import priced_market
import pytest
from scipy import stats

from eigen3.data import eigen2_features, observe
from eigen3.evaluation import characteristics, cross_section, planted

DAYS, STOCKS = 600, 40


@pytest.fixture(scope='module')
def panel():
  return priced_market.make_panel(DAYS, STOCKS)


@pytest.fixture(scope='module')
def copies(panel):
  """Returns panels by requested IC, from the same draws."""
  return {ic: planted.plant(panel, ic, seed=1) for ic in (0.0, 0.05, 0.2)}


def slow_ics(found, scores, horizon=20):
  """Returns each day's Spearman correlation with the returns of trades."""
  panel, ics = found.panel, []
  prices = panel.ohlc[:, 1:].astype(float)
  for day in range(panel.num_days - horizon):
    brought = prices[day + horizon, :, 3] / prices[day + 1, :, 0]
    can = np.isfinite(brought) & np.isfinite(scores[day]) & panel.members[day]
    if can.sum() >= 10:
      pair = stats.spearmanr(scores[day, can], brought[can])
      ics.append(pair.statistic)
  return np.array(ics)


@pytest.mark.parametrize('ic', [0.05, 0.2])
def test_the_planted_ic_is_what_was_asked(copies, ic):
  """Compares with the same draws without a signal, to cancel their noise."""
  found = slow_ics(copies[ic], copies[ic].signal).mean()
  luck = slow_ics(copies[0.0], copies[0.0].signal).mean()
  assert found - luck == pytest.approx(ic, rel=0.01)


def test_the_mean_over_draws_is_what_was_asked(panel):
  found = []
  for seed in range(8):
    copy = planted.plant(panel, 0.1, seed)
    daily = cross_section.rank_ic(
      copy.signal,
      planted.forward_returns(copy.panel.ohlc[:, 1:].astype(float), 20),
      characteristics.buyable(copy.panel),
    )
    found.append(np.nanmean(daily))
  error = np.std(found, ddof=1) / np.sqrt(8)
  assert error < 0.02
  assert np.mean(found) == pytest.approx(0.1, abs=3 * error)


def test_the_signal_is_in_the_prices_and_the_features(copies):
  """Uses each close's distance below its 20-day mean, in typical moves."""
  found = copies[0.2]
  close = np.log(found.panel.ohlc[:, 1:, 3].astype(float))
  below = np.full_like(close, np.nan)
  for day in range(19, DAYS):
    below[day] = close[day - 19 : day + 1].mean(axis=0) - close[day]
  below /= np.nanstd(np.diff(close, axis=0), axis=0)
  seen = -observe(found.panel, ('scaled_close_minus_mean',))[:, 1:, 0]
  for day in range(300, DAYS, 50):
    can = np.isfinite(found.signal[day]) & np.isfinite(seen[day])
    assert can.sum() > 25
    for told in (below, seen):
      pair = stats.spearmanr(found.signal[day, can], told[day, can])
      assert pair.statistic > 0.9
  np.testing.assert_array_equal(
    found.panel.features[:, 1:],
    eigen2_features(found.panel.ohlc[:, 1:]).astype(np.float32),
  )


def test_days_are_shuffled_whole(panel, copies):
  """Moves of all stocks on a day are from one day, except for their means."""
  moves = np.diff(np.log(panel.ohlc[:, 1:, 3].astype(float)), axis=0)
  copied = np.diff(
    np.log(copies[0.0].panel.ohlc[:, 1:, 3].astype(float)), axis=0
  )
  always = np.isfinite(moves).all(axis=0)
  assert always.sum() >= 30
  moves, copied = moves[:, always], copied[:, always]
  np.testing.assert_allclose(  # the overall mean does not change
    moves.mean(), copied.mean(), atol=4 * moves.std() / np.sqrt(DAYS)
  )
  moves = moves - moves.mean(axis=0)
  sources = []
  for day in range(0, DAYS - 1, 29):
    apart = np.ptp(moves - copied[day], axis=1)
    sources.append(apart.argmin())
    assert apart.min() < 1e-5
  assert len({*sources}) > 10
  assert np.abs(np.diff(sources)).min() != 29


def test_bars_and_listings_are_kept(panel, copies):
  for found in copies.values():
    ohlc = found.panel.ohlc[:, 1:]
    np.testing.assert_array_equal(np.isnan(ohlc), np.isnan(panel.ohlc[:, 1:]))
    can = np.isfinite(ohlc[..., 3])
    opening, high, low, close = np.moveaxis(ohlc[can], -1, 0)
    assert (high >= np.maximum(opening, close)).all()
    assert (low <= np.minimum(opening, close)).all()
    np.testing.assert_array_equal(found.panel.ohlc[:, 0], panel.ohlc[:, 0])
    np.testing.assert_array_equal(found.panel.members, panel.members)
  traded = [
    np.nanmedian(p.ohlc[..., 3] * p.volume, axis=0)[1:]
    for p in (panel, copies[0.05].panel)
  ]
  assert stats.spearmanr(*traded).statistic > 0.95


def test_nothing_predicts_without_a_signal(panel):
  """Checks past returns and volatility over many draws."""
  scores = {'reversal': [], 'momentum': [], 'volatility': []}
  for seed in range(12):
    copy = planted.plant(panel, 0.0, seed).panel
    outcomes = planted.forward_returns(copy.ohlc[:, 1:].astype(float), 20)
    known = characteristics.characteristics(copy)
    for name, found in scores.items():
      daily = cross_section.rank_ic(
        getattr(known, name), outcomes, characteristics.buyable(copy)
      )
      found.append(np.nanmean(daily))
  for name, found in scores.items():
    error = np.std(found, ddof=1) / np.sqrt(12)
    assert abs(np.mean(found)) < 3 * error < 0.06, name


def test_a_seed_is_a_panel(panel, copies):
  again = planted.plant(panel, 0.05, seed=1)
  assert again.panel.fingerprint == copies[0.05].panel.fingerprint
  other = planted.plant(panel, 0.05, seed=2)
  assert other.panel.fingerprint != again.panel.fingerprint
  assert 'rank IC 0.05' in again.panel.notes


def test_what_cannot_be_planted_is_refused(panel):
  for ic in (-0.1, 1.0, float('nan')):
    with pytest.raises(ValueError, match=r'ic: found .* expected at least 0'):
      planted.plant(panel, ic, seed=0)
  with pytest.raises(ValueError, match=r'ic: found 0\.98, expected a rank IC'):
    planted.plant(panel, 0.98, seed=0)
  strange = dataclasses.replace(
    panel, features=panel.features[..., :2], feature_names=('a', 'b')
  )
  with pytest.raises(ValueError, match="feature_names: found 'a, b', expected"):
    planted.plant(strange, 0.05, seed=0)
  few = priced_market.make_panel(100, 5)
  with pytest.raises(ValueError, match='panel: found no day on which at'):
    planted.plant(few, 0.05, seed=0)

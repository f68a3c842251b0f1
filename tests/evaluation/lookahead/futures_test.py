"""Tests of other futures of a panel."""

import dataclasses

import gappy_market
import numpy as np
import pytest

from eigen3.evaluation.lookahead import scramble

LAST = 50
ARRAYS = ('ohlc', 'features', 'volume', 'members')


@pytest.fixture(scope='module')
def panel():
  return gappy_market.panel()


@pytest.fixture(scope='module')
def futures(panel):
  return [scramble(panel, LAST, seed) for seed in range(20)]


def test_the_past_stays(panel, futures):
  for future in futures:
    assert future.columns == panel.columns
    assert future.investable == panel.investable
    np.testing.assert_array_equal(future.dates, panel.dates)
    for name in ARRAYS:
      kept = getattr(future, name)[: LAST + 1]
      assert kept.tobytes() == getattr(panel, name)[: LAST + 1].tobytes()


def test_every_later_value_changes(panel, futures):
  for future in futures:
    for name in ('ohlc', 'features', 'volume'):
      before = getattr(panel, name)[LAST + 1 :]
      after = getattr(future, name)[LAST + 1 :]
      # Except values that are missing in both, or 0 in both.
      both_missing = np.isnan(before) & np.isnan(after)
      assert both_missing.mean() < 0.2
      assert not ((before == after) & (before != 0)).any()
    stay = panel.members[LAST + 1 :] == future.members[LAST + 1 :]
    assert 0.3 < stay.mean() < 0.7


def test_seeds_and_days_have_futures_of_their_own(panel, futures):
  ends = [future.ohlc[-1, -1].tobytes() for future in futures]
  ends.append(scramble(panel, LAST + 1, 0).ohlc[-1, -1].tobytes())
  assert len(set(ends)) > 15
  again = scramble(panel, LAST, 3)
  assert again.fingerprint == futures[3].fingerprint


def test_all_that_prices_can_do_happens(panel, futures):
  later = np.concatenate([f.ohlc[LAST + 1 :, :, 3] for f in futures], axis=1)
  assert np.nanmin(later) < 0
  assert (later == 0).any()
  assert np.nanmax(later) > 1000
  absent = np.isnan([f.features[LAST + 1 :] for f in futures]).all(-1)
  absent &= np.isnan([f.ohlc[LAST + 1 :] for f in futures]).all(-1)
  now, always = ~np.isnan(panel.ohlc[LAST, :, 3]), absent.all(1)
  assert (always & now).any()  # gone from the first changed day on
  assert (absent[:, -1] & ~absent[:, 0]).any()  # leaves later
  assert (absent[:, 0] & ~absent[:, -1]).any()  # lists, or comes back
  assert (absent[:, 1:-1].any(1) & ~absent[:, 0] & ~absent[:, -1]).any()


def test_a_column_without_a_past_gets_a_future(panel):
  ohlc = panel.ohlc.copy()
  ohlc[: LAST + 1, 3] = np.nan
  unlisted = dataclasses.replace(panel, ohlc=ohlc)
  prices = [scramble(unlisted, LAST, seed).ohlc[-1, 3, 3] for seed in range(5)]
  assert np.isfinite(prices).any()


def test_what_a_panel_has_not_stays_away(panel):
  without = dataclasses.replace(panel, volume=None, members=None)
  future = scramble(without, 3, 0)
  assert future.volume is None
  assert future.members is None


@pytest.mark.parametrize('last_day', [-1, gappy_market.NUM_DAYS - 1])
def test_a_day_without_a_future_is_refused(panel, last_day):
  with pytest.raises(
    ValueError, match=f'last_day: found {last_day} in a panel of '
  ):
    scramble(panel, last_day, 0)

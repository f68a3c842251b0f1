"""Tests of eigen3.data.repairs: each changes what it should, and no more."""

import numpy as np
import pytest
from zigzag import make_zigzag

from eigen3.data import DataError, Repairs, Source, repair


def make_source(*tickers):
  return Source(tickers, refused=(), ignored=(), source_hash='abc')


def repaired(ticker, **choices):
  """Returns the repaired ticker; checks that `ticker` itself is unchanged."""
  before = ticker.ohlc.copy(), ticker.volume.copy()
  source = repair(make_source(ticker), Repairs(**choices))
  np.testing.assert_array_equal(ticker.ohlc, before[0])
  np.testing.assert_array_equal(ticker.volume, before[1])
  assert source.source_hash == 'abc'
  return source.tickers[0]


def test_nothing_is_repaired_by_default():
  source = make_source(make_zigzag())
  assert repair(source, Repairs()) is source
  assert str(Repairs()) == 'none'
  assert str(Repairs(order='widen', splits='adjust')) == (
    'splits=adjust, order=widen'
  )


@pytest.mark.parametrize('field', ['bad_ticks', 'splits', 'order'])
def test_an_unknown_choice_is_one_clear_line(field):
  with pytest.raises(DataError, match=f"{field}: found 'fix', expected one of"):
    Repairs(**{field: 'fix'})


@pytest.mark.parametrize(
  'choices',
  [{'bad_ticks': 'mask'}, {'splits': 'adjust'}, {'order': 'widen'}],
)
def test_what_is_right_stays_as_it_is(choices):
  ticker = make_zigzag()
  ticker.ohlc[3] = np.nan
  ticker.ohlc[50:] *= 1.3  # unexplained
  found = repaired(ticker, **choices)
  np.testing.assert_array_equal(found.ohlc, ticker.ohlc)
  np.testing.assert_array_equal(found.volume, ticker.volume)


def test_of_a_bad_tick_the_cells_near_it_are_masked():
  """Masks only a wrong close, as in LNT, or all of two rows, as in TRMB."""
  ticker = make_zigzag()
  ticker.ohlc[60, 3] *= 0.5
  ticker.ohlc[90:92] *= 2.0
  expected = ticker.ohlc.copy()
  expected[60, 3] = np.nan
  expected[90:92] = np.nan
  found = repaired(ticker, bad_ticks='mask')
  np.testing.assert_array_equal(found.ohlc, expected)
  np.testing.assert_array_equal(found.volume, ticker.volume)


def test_of_a_spike_the_high_or_the_low_is_masked():
  ticker = make_zigzag()
  ticker.ohlc[10, 1] = 200.0
  ticker.ohlc[20, 2] = 1.0
  expected = ticker.ohlc.copy()
  expected[10, 1] = expected[20, 2] = np.nan
  found = repaired(ticker, bad_ticks='mask')
  np.testing.assert_array_equal(found.ohlc, expected)


def test_prices_before_a_split_are_adjusted():
  """A 2-for-1 split before row 40 and a 1-for-3 before row 80."""
  clean, ticker = make_zigzag(), make_zigzag()
  ticker.ohlc[:40] *= 2.0 / 3.0
  ticker.volume[:40] *= 3.0 / 2.0
  ticker.ohlc[40:80] /= 3.0
  ticker.volume[40:80] *= 3.0
  found = repaired(ticker, splits='adjust')
  np.testing.assert_allclose(found.ohlc, clean.ohlc, rtol=1e-12)
  np.testing.assert_allclose(found.volume, clean.volume, rtol=1e-12)


def test_high_and_low_are_widened_and_missing_ones_stay():
  nan = np.nan
  ticker = make_zigzag(rows=5)
  ticker.ohlc[:] = [
    [10, 12, 9, 13],
    [8, 12, 9, 11],
    [13, nan, 9, 8],
    [nan, 9, 12, 11],
    [10, 12, 9, 11],
  ]
  expected = [
    [10, 13, 9, 13],
    [8, 12, 8, 11],
    [13, nan, 8, 8],
    [nan, 12, 9, 11],
    [10, 12, 9, 11],
  ]
  found = repaired(ticker, order='widen')
  np.testing.assert_array_equal(found.ohlc, expected)


def test_a_masked_tick_does_not_widen_its_row():
  ticker = make_zigzag()
  ticker.ohlc[60, 3] *= 0.5
  found = repaired(ticker, bad_ticks='mask', order='widen')
  np.testing.assert_array_equal(found.ohlc[60, :3], ticker.ohlc[60, :3])
  assert repaired(ticker, order='widen').ohlc[60, 2] == 50.0

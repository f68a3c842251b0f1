"""Tests of eigen3.data.alignment, on panels computed by hand."""

import numpy as np
import pytest

from eigen3.data import DataError, MarketPanel
from eigen3.data.alignment import aligned, price_ratio


def make_panel(columns, first_day, num_days, investable, **changes):
  """Returns a panel: a column's values are its place in the alphabet + day."""
  codes = np.array([ord(name) - ord('A') for name in columns], float)
  numbers = 100 * codes + np.arange(num_days)[:, None] + 1
  ohlc = np.repeat(numbers[..., None], 4, axis=2)
  arguments = {
    'dates': np.datetime64(first_day) + np.arange(num_days),
    'columns': columns,
    'ohlc': ohlc,
    'features': numbers[..., None] * [1, -1],
    'investable': investable,
    'volume': 10 * numbers,
    **changes,
  }
  return MarketPanel(**arguments)


TRAINED = make_panel('XAB', '2024-01-01', 3, (1, 3))


def test_columns_are_known_by_name():
  panel = make_panel('BYCXA', '2024-01-02', 4, (2, 4))
  found = aligned(panel, TRAINED)
  assert found.columns == ('X', 'A', 'B')
  assert found.investable == (1, 3)
  assert found.column_kinds == ('context', 'stock', 'stock')
  np.testing.assert_array_equal(found.ohlc[0, :, 3], [2301, 1, 101])
  np.testing.assert_array_equal(found.features[3, :, 1], [-2304, -4, -104])
  np.testing.assert_array_equal(found.volume[1], [23020, 20, 1020])
  np.testing.assert_array_equal(found.dates, panel.dates)
  assert found.members is None


def test_a_panel_like_itself_stays_as_it_is():
  assert aligned(TRAINED, TRAINED).fingerprint == TRAINED.fingerprint


def test_members_go_with_their_stocks():
  """A stock that is not investable in the new panel is never a member."""
  members = np.array([[True, False], [False, True]])
  panel = make_panel(
    'AXCB', '2024-01-01', 2, (2, 4), volume=None, members=members
  )
  found = aligned(panel, TRAINED)
  np.testing.assert_array_equal(found.members, [[False, False], [False, True]])
  assert found.volume is None


def test_a_missing_column_is_refused():
  panel = make_panel('XBC', '2024-01-01', 2, (1, 3))
  with pytest.raises(
    DataError, match=r'found no column A \(1 missing\), expected all 3'
  ):
    aligned(panel, TRAINED)


def test_the_ratio_is_of_the_last_day_that_both_know():
  """Days 2 and 3 are common; B is missing on the last of them."""
  panel = make_panel('XAB', '2024-01-02', 4, (1, 3))
  ohlc = panel.ohlc.copy()
  ohlc[:, 1] /= 4  # split
  ohlc[1, 2] = np.nan
  panel = make_panel('XAB', '2024-01-02', 4, (1, 3), ohlc=ohlc)
  np.testing.assert_allclose(
    price_ratio(panel, TRAINED), [2302 / 2303, 0.25 * 2 / 3, 101 / 102]
  )


def test_without_common_days_there_is_no_ratio():
  panel = make_panel('XAB', '2025-01-02', 4, (1, 3))
  assert np.isnan(price_ratio(panel, TRAINED)).all()

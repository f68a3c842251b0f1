"""Tests of eigen3.data.calendars: the number of days a year."""

import numpy as np
import pandas as pd
import pytest

from eigen3.data.calendars import (
  LONGEST_CLOSED,
  find_markets,
  open_days,
  own_days,
  periods_a_year,
  run_length,
)


@pytest.mark.parametrize(
  ('frequency', 'expected'),
  [
    ('B', 252),
    ('W-FRI', 52),
    ('2W-FRI', 26),
    ('MS', 12),
    ('QS', 4),
    ('D', 365),
    ('W-MON W-THU', 104),
    ('B300', 252),
  ],
)
@pytest.mark.parametrize('count', [30, 300])
def test_periods_a_year(frequency, expected, count):
  parts = [
    pd.date_range('2019-01-02', periods=count, freq=one.removesuffix('300'))
    for one in frequency.split()
  ]
  dates = np.unique(np.concatenate(parts)).astype('datetime64[D]')
  if frequency == 'B300':  # holidays, one of them long
    dates = np.delete(dates, np.r_[3, 9, 12:20, 25])
  assert periods_a_year(dates) == expected
  slip = np.append(dates, dates[-1] + 20_000)
  assert periods_a_year(slip) == expected


def test_a_few_days_do_not_say():
  days = np.datetime64('2019-01-02') + 7 * np.arange(19)
  assert periods_a_year(days) == 252


def days_of(first, count, holidays=(), frequency='B'):
  days = pd.date_range(first, periods=count, freq=frequency)
  days = days.to_numpy().astype('datetime64[D]')
  return np.delete(days, list(holidays))


SHARES = days_of('2019-01-02', 300, [9, 60, 100, 101, 200])
OTHERS = days_of('2019-01-02', 300, [*range(20, 28), 90, *range(150, 156)])
EVERY = days_of('2019-01-02', 420, frequency='D')
CALENDAR = np.unique(np.concatenate([SHARES, OTHERS, EVERY]))


def test_columns_with_the_same_days_are_a_market():
  gaps = np.delete(SHARES, [30, 31, 77])
  late = OTHERS[150:]
  histories = [EVERY, SHARES, OTHERS, gaps, EVERY[7:], late, OTHERS]
  assert find_markets(histories, CALENDAR) == (0, 1, 2, 1, 0, 2, 2)


def test_one_market_is_no_market():
  assert find_markets([SHARES, SHARES[40:], SHARES[:90]], CALENDAR) == ()
  assert find_markets([SHARES, EVERY], CALENDAR) == ()


def test_one_pair_beside_stocks():
  assert find_markets([EVERY, SHARES, SHARES], CALENDAR) == (0, 1, 1)


def test_what_is_like_no_other_belongs_to_what_is_nearest():
  rng = np.random.default_rng(0)
  gaps = SHARES[rng.random(len(SHARES)) < 0.8]
  none = EVERY[:0]
  histories = [EVERY, EVERY, SHARES, SHARES, gaps, none]
  assert find_markets(histories, CALENDAR) == (0, 0, 1, 1, 1, 0)


def test_later_days_do_not_decide():
  histories = [EVERY, EVERY[:300], SHARES, SHARES[:150]]
  early = CALENDAR[:200]
  cut = [days[days <= early[-1]] for days in histories]
  assert find_markets(histories, early) == find_markets(cut, early)


def test_a_market_is_open_where_any_of_it_has_a_price():
  has_price = np.ones((60, 3), bool)
  has_price[[5, 6], 0] = False
  has_price[6, 1] = False
  has_price[20:, :2] = False
  found = open_days(has_price, (1, 1, 0))
  expected = np.ones(60, bool)
  expected[6] = expected[20 : 20 + LONGEST_CLOSED] = False
  np.testing.assert_array_equal(found[:, 0], expected)
  np.testing.assert_array_equal(found[:, 1], expected)
  assert found[:, 2].all()
  has_price[40, 2] = False  # a single stock: a holiday looks like its end
  assert open_days(has_price, (1, 1, 0))[:, 2].all()
  assert open_days(has_price, ()).all()


def test_run_lengths_skip_what_does_not_count():
  flags = np.array([[1, 1, 0, 1, 1, 1]], bool).T
  counted = np.array([[1, 0, 1, 0, 1, 1]], bool).T
  assert run_length(flags)[:, 0].tolist() == [1, 2, 0, 1, 2, 3]
  assert run_length(flags, counted)[:, 0].tolist() == [1, 1, 0, 0, 1, 2]


def test_own_days_leave_out_those_on_which_a_market_is_closed():
  has_price = np.ones((7, 3), bool)
  has_price[[2, 3], :2] = False  # the market of two columns is closed
  has_price[5, 0] = False  # a gap in one of them
  has_price[4, 2] = False  # alone in its market
  own = own_days(has_price, (1, 1, 0), context_days=3)
  none = 7
  for day, *expected in (
    (0, [none, none, 0], [none, none, 0]),
    (3, [none, 0, 1], [1, 2, 3]),
    (4, [0, 1, 4], [1, 2, 3]),
    (6, [4, 5, 6], [3, 5, 6]),
  ):
    found = own.last(day, 3)
    assert found[:, 0].tolist() == found[:, 1].tolist() == expected[0]
    assert found[:, 2].tolist() == expected[1]
  assert own_days(has_price, (), context_days=3) is None

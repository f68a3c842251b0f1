"""Tests of eigen3.data.calendars: how many days are a year."""

import numpy as np
import pandas as pd
import pytest

from eigen3.data.calendars import periods_a_year


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

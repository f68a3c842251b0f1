"""Tests of eigen3.data.membership."""

import datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eigen3.data import DataError, read_universe

DAYS = np.datetime64('2020-01-01') + np.arange(10)
HEADER = 'ticker,start_date,end_date\n'


def universe(tmp_path, *lines):
  path = tmp_path / 'universe.csv'
  path.write_text(HEADER + '\n'.join(lines) + '\n')
  return read_universe(path)


def days_of(members):
  return [np.flatnonzero(column).tolist() for column in members.T]


def test_by_hand(tmp_path):
  found = universe(
    tmp_path,
    'A,2019-05-01,',
    'B,2020-01-03,2020-01-05',  # in on the 3rd and the 4th
    'B,2020-01-09,',
    '',
    'C,2000-01-01,2019-12-31',
    'BRK.B,2020-01-10,2021-01-01',
  )
  members = found.members(DAYS, ('B', 'A', 'C', 'brk-b', 'UNKNOWN'))
  assert members.dtype == bool
  assert days_of(members) == [[2, 3, 8, 9], list(range(10)), [], [9], []]
  assert found.size(DAYS).tolist() == [1, 1, 2, 2, 1, 1, 1, 1, 2, 3]


@given(
  intervals=st.lists(
    st.tuples(st.integers(-5, 12), st.integers(1, 9)), min_size=1, max_size=4
  )
)
def test_like_a_slow_count(tmp_path_factory, intervals):
  epoch = datetime.date(2020, 1, 1)
  days = [
    (epoch + datetime.timedelta(a), epoch + datetime.timedelta(a + n))
    for a, n in intervals
  ]
  found = universe(
    tmp_path_factory.mktemp('u'), *(f'X,{a},{b}' for a, b in days)
  )
  expected = [any(a <= day < b for a, b in days) for day in DAYS.tolist()]
  assert found.members(DAYS, ['X'])[:, 0].tolist() == expected


@pytest.mark.parametrize(
  'content, words',
  [
    (
      '',
      "row 1: found the header '', expected 'ticker, start_date, end_date'",
    ),
    ('a,b\n', "row 1: found the header 'a, b', expected 'ticker"),
    (HEADER, 'found no row below the header, expected at least'),
    (HEADER + 'A,2020-01-01\n', 'row 2: found 2 cells, expected 3'),
    (HEADER + '\nA,May,\n', "row 3, column 'start_date': found 'May'"),
    (HEADER + 'A,2020-01-01,no\n', "row 2, column 'end_date': found 'no'"),
    (
      HEADER + 'A,2020-01-02,2020-01-02\n',
      "row 2, column 'end_date': found 2020-01-02, expected a day after",
    ),
    (HEADER + ',2020-01-02,\n', "row 2, column 'ticker': found nothing, exp"),
  ],
)
def test_errors_name_file_row_and_column(tmp_path, content, words):
  path = tmp_path / 'universe.csv'
  path.write_text(content)
  with pytest.raises(DataError) as error:
    read_universe(path)
  assert str(error.value).startswith(f'{path}: ')
  assert words in str(error.value)
  assert '\n' not in str(error.value)


def test_files_that_cannot_be_read(tmp_path):
  with pytest.raises(
    DataError, match=r'absent\.csv: cannot be read \(No such file'
  ):
    read_universe(tmp_path / 'absent.csv')
  (tmp_path / 'binary.csv').write_bytes(b'\xff\xfe\x00\x01')
  with pytest.raises(DataError, match='found a file that cannot be read'):
    read_universe(tmp_path / 'binary.csv')


def test_the_real_intervals(shared_dir):
  found = read_universe(shared_dir / 'data/macro/sp500_ticker_start_end.csv')
  days = np.arange('2000-01-01', '2020-01-01', 30, dtype='datetime64[D]')
  size = found.size(days)
  assert size.min() > 480  # the index had 500; a few intervals are lost
  assert size.max() < 510
  days = np.array(['2020-12-18', '2020-12-21'], 'datetime64[D]')
  members = found.members(days, ('TSLA', 'AAPL'))  # Tesla joined on the 21st
  assert members.tolist() == [[False, True], [True, True]]

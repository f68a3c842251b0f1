"""Tests of eigen3.data.series: context series besides the stocks."""

import gzip
import hashlib

import numpy as np
import pandas as pd
import pytest

from eigen3.data import DataError, read_context, read_series

DAYS = np.array(['2020-01-02', '2020-01-03', '2020-01-06'], 'datetime64[D]')


def write(path, text):
  path.write_text(text)
  return path


def test_one_value_a_day(tmp_path):
  """Values need not be positive like prices; oil was negative once."""
  path = write(
    tmp_path / 'oil.csv',
    'Date,Price\n2020-01-03,-36.98\n2020-01-02,0\n2020-01-06,5\n',
  )
  (series,) = read_series(path, lag=3)
  assert (series.name, series.lag, series.masked) == ('oil', 3, ())
  np.testing.assert_array_equal(series.dates, DAYS)
  np.testing.assert_array_equal(
    series.ohlc, np.repeat([[0.0], [-36.98], [5.0]], 4, axis=1)
  )
  assert np.isnan(series.volume).all()
  assert series.source_hash == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_day_without_a_value_is_no_row(tmp_path):
  path = write(
    tmp_path / 'rates.csv',
    'DATE,DGS10\n2020-01-01,.\n2020-01-02,1.9\n2020-01-03,NA\n2020-01-06,1.8\n'
    '2020-01-07,inf\n2020-01-08,\n2020-01-09,-1e16\n',
  )
  (series,) = read_series(path)
  np.testing.assert_array_equal(series.dates, DAYS[[0, 2]])
  np.testing.assert_array_equal(series.ohlc[:, 3], [1.9, 1.8])
  found = [(m.column, m.count, m.row, m.found) for m in series.masked]
  assert found == [('DGS10', 3, 2, 'nothing'), ('DGS10', 2, 6, 'inf')]


def test_open_high_low_and_close(tmp_path):
  path = write(
    tmp_path / 'vix.csv',
    'DATE,OPEN,HIGH,LOW,CLOSE\n2020-01-02,12,14,11,13\n2020-01-03,13,,0,-1\n',
  )
  (series,) = read_series(path)
  np.testing.assert_array_equal(
    series.ohlc, [[12, 14, 11, 13], [13, np.nan, 0, -1]]
  )


def test_an_adjusted_close_makes_prices_of_values(tmp_path):
  path = write(
    tmp_path / 'SPY.csv',
    'Date,Open,High,Low,Close,Adj Close,Volume\n'
    '2020-01-02,100,120,80,100,50,10\n2020-01-03,0,60,50,56,56,20\n',
  )
  (series,) = read_series(path)
  np.testing.assert_array_equal(
    series.ohlc, [[50, 60, 40, 50], [np.nan, 60, 50, 56]]
  )
  np.testing.assert_array_equal(series.volume, [20, 20])
  assert [m.column for m in series.masked] == ['Open']


FRED = (
  '"","date","series_id","value","realtime_start"\n'
  '"1",2020-01-02,"DGS2",1.5,2021-02-24\n"2",2020-01-03,"DGS2",NA,2021-02-24\n'
)
WIDE = ',two,ten,source\n2020-01-02,1,2,Fed\n2020-01-03,1.5,NA,Fed\n'


@pytest.mark.parametrize(
  'text, name, expected',
  [
    (FRED, '', {'DGS2': [1.5]}),
    (FRED, 'T2', {'T2': [1.5]}),
    (WIDE, '', {'two': [1, 1.5], 'ten': [2]}),
    (WIDE, 'us', {'us_two': [1, 1.5], 'us_ten': [2]}),
    (
      'date,symbol,value\n2020-01-02,A,1\n2020-01-02,B,2\n2020-01-03,A,3\n',
      '',
      {'A': [1, 3], 'B': [2]},
    ),
    (
      'Price,Close,Close\nTicker,^VIX,^TNX\nDate,,\n2020-01-02,,4\n'
      '2020-01-03,13,5\n',
      '',
      {'^VIX': [13], '^TNX': [4, 5]},
    ),
    ('date,name,close\n2020-01-02,USD,1\n', '', {'USD': [1]}),
    ('Date,10,2\n2020-01-02,1.9,1.5\n', '', {'10': [1.9], '2': [1.5]}),
    ('index,Index\n2020-01-02,1\n', '', {'file': [1]}),
    ('date,close\n2020-01-02,1\n', '', {'file': [1]}),
  ],
)
def test_names_and_values(tmp_path, text, name, expected):
  found = read_series(write(tmp_path / 'file.csv', text), name=name)
  assert {s.name: s.ohlc[:, 3].tolist() for s in found} == expected


def test_a_folder_of_series(tmp_path):
  write(tmp_path / 'b.csv', FRED)
  pd.read_csv(write(tmp_path / 'notes.txt', WIDE), index_col=0).to_parquet(
    tmp_path / 'a.parquet'
  )
  packed = gzip.compress(b'date,value\n2020-01-02,1\n')
  (tmp_path / 'oil.csv.gz').write_bytes(packed)
  expected = ['two', 'ten', 'DGS2', 'oil']
  assert [s.name for s in read_series(tmp_path)] == expected
  names = [s.name for s in read_series(tmp_path, name='us')]
  assert names == [f'us_{name}' for name in expected]


def test_options_of_a_context(tmp_path):
  path = write(tmp_path / 'a:b=c.csv', FRED)
  for options, name, lag in (
    ('', 'DGS2', 0),
    (':lag=1', 'DGS2', 1),
    (':name=T2', 'T2', 0),
    (':lag=12:name=T2', 'T2', 12),
    (':name=a=b:lag=0', 'a=b', 0),
  ):
    (series,) = read_context(f'{path}{options}')
    assert (series.name, series.lag) == (name, lag)
  for lag in ('-1', '1.5', 'x', '', '3651', '10000'):
    with pytest.raises(DataError, match=f"lag '{lag}', expected a whole num"):
      read_context(f'{path}:lag={lag}')
  with pytest.raises(DataError, match=f"found the name '{'x' * 37}...', "):
    read_context(f'{path}:name={"x" * 65}')
  with pytest.raises(DataError, match=r'lags=1: cannot be read \(No such file'):
    read_context(f'{path}:lags=1')


REFUSED = {
  'empty': ('', 'found an empty file or only blank lines, exp'),
  'no_date': ('day,value\n1,2\n', "found no date column among 'day, value'"),
  'nothing': ('date\n2020-01-02\n', 'found no number in any column'),
  'texts': ('date,a\n2020-01-02,x\n', 'found no number in any column'),
  'missing': ('date,value\n2020-01-02,NA\n', "column 'value': found no valid"),
  'text': (
    'date,a\n2020-01-02,1\n2020-01-03,x\n',
    "row 3, column 'a': found 'x', expected a number",
  ),
  'again': (
    'date,a\n' + ''.join(f'2020-01-0{i % 4 + 1},{i}\n' for i in range(8)),
    "row 6, column 'date': found 2020-01-01 in several rows with different",
  ),
  'twice': ('date,a,a\n2020-01-02,1,2\n', "column 'a': found several columns"),
  'name': (
    'date,a\x7f,b\n2020-01-02,1,2\n', "found the series name 'a\ufffd', "
  ),
  'no_close': (
    'Price,Volume,Open\nTicker,^VIX,^VIX\nDate,,\n2020-01-02,1,2\n',
    "found no close column of series '^VIX', expected one",
  ),
  'cut': ('date,a\n2020-01-02\n', 'row 2: found 1 cells, expected 2'),
}  # fmt: skip


@pytest.mark.parametrize('case', REFUSED)
def test_refusals_say_where_and_what(tmp_path, case):
  text, message = REFUSED[case]
  path = write(tmp_path / 'file.csv', text)
  for place in (path, tmp_path):
    with pytest.raises(DataError) as caught:
      read_series(place)
    assert str(caught.value).startswith(f'{path}: {message}')


def test_places_without_a_series(tmp_path):
  with pytest.raises(DataError, match=r'absent: cannot be read \(No such file'):
    read_series(tmp_path / 'absent')
  with pytest.raises(DataError, match=f'{tmp_path}: found no .csv, .tsv or .p'):
    read_series(tmp_path)

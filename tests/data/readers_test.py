"""Tests of eigen3.data.readers and csv_files: accepted and refused files."""

import gzip
import hashlib
import io
import re
import tarfile

import numpy as np
import pandas as pd
import pytest

from eigen3.data import DataError, Days, Refused, read_folder
from eigen3.data.csv_files import read_ticker

HEADER = 'date,open,high,low,close,volume,Name\n'
ROWS = (
  '2020-01-02,10,12,9,11,1000,A\n',
  '2020-01-03,11,13,10,12,2000,A\n',
  '2020-01-06,12,14,11,13,3000,A\n',
)
GOOD = HEADER + ''.join(ROWS)
PACKED = gzip.compress(GOOD.encode())


def timed(time):
  """Returns `GOOD` with a time of day after each date."""
  return re.sub(r'(?m)^2020-01-\d\d', rf'\g<0> {time}', GOOD)


def since_1970(per_second):
  """Returns `GOOD` with times since 1970 instead of dates."""

  def time(day):
    since = np.datetime64(day[0]) - np.datetime64('1970-01-01')
    return str(since.astype(int) * 86400 * per_second)

  return re.sub(r'(?m)^2020-01-\d\d', time, GOOD)


def read(text):
  content = text.encode() if isinstance(text, str) else text
  return read_ticker('A', content)


def test_a_plain_file():
  ticker = read(GOOD)
  np.testing.assert_array_equal(
    ticker.dates,
    np.array(['2020-01-02', '2020-01-03', '2020-01-06'], 'datetime64[D]'),
  )
  np.testing.assert_array_equal(
    ticker.ohlc, [[10, 12, 9, 11], [11, 13, 10, 12], [12, 14, 11, 13]]
  )
  np.testing.assert_array_equal(ticker.volume, [1000, 2000, 3000])
  assert (ticker.splits, ticker.dividends, ticker.adjusted) == (0, 0, 0)
  assert ticker.masked == ()
  assert ticker.suspicious == ()


@pytest.mark.parametrize(
  'text',
  [
    GOOD.replace('date,open', 'Date,OPEN'),
    GOOD.replace('date,open', 'timestamp, Open '),
    GOOD.replace('\n', '\r\n'),
    '\n\n' + GOOD.replace('\n', '\n\n'),
    '\ufeff' + GOOD,
    GOOD.rstrip('\n'),
    GOOD.replace(',10,', ', 10 ,'),
    GOOD.replace('2020-01-03', '2020-01-03 00:00:00'),
    GOOD.replace('2020-01-0', '2020010'),
    re.sub(r',(?=\d)', ',$', GOOD),
    re.sub(
      r';(?=\d)', ';€ ', GOOD.replace(',', ';').replace(';10;', ';10,00;')
    ),
    since_1970(1),
    since_1970(1000).replace('date', 'Unix'),
    since_1970(1000).replace('date', 'open_time'),
    re.sub(r'(....)-(..)-0(.)', r'\1/\2/\3', GOOD),
    GOOD.replace('-', '.').replace('date', 'trade_date'),
    GOOD.replace('volume', 'Vol'),
    '<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>,<OPENINT>\n'
    + re.sub(r'(....)-(..)-(..)', r'\1\2\3,000000', ''.join(ROWS)),
    GOOD.replace(',', '\t'),
    GOOD.replace(',', ';'),
    GOOD.replace(',', ';').replace(';10;', ';10,00;'),
    GOOD.replace(',', '|'),
    GOOD.replace(',', ';').replace('1000', '1.000').replace(';9;', ';9,0;'),
    re.sub(r'(\d)000;', r'\1.000,00;', GOOD.replace(',', ';')),
    PACKED,
    gzip.compress(GOOD.replace(',', '\t').encode('utf-16')),
    GOOD.encode('utf-16'),
    b'\xfe\xff' + GOOD.encode('utf-16-be'),
    GOOD.encode('utf-32'),
    GOOD + '2020-01-07,,,,,5,A\n',
    GOOD.replace(ROWS[2], '2020-01-06,,,,,,A\n' + ROWS[2]),
    GOOD + '2020-01-06,,,,,,A\n',
    GOOD + '2020-01-06,0,0,0,0,0,A\n',
    GOOD.replace(ROWS[2], ROWS[2].replace('3000', '1') + ROWS[2]),
    # Dates as written, not converted to UTC.
    timed('00:00:00+09:00'),
    timed('23:30:00-05:00'),
    timed('00:00:00'),
    timed('23:59:59'),
    timed('16:00:00Z'),
    timed('00:00:00+09:00').replace('00:00:00+09:00', '00:00:00-05:00', 1),
    HEADER + ROWS[2] + ROWS[0] + ROWS[1],
    'close,low,high,open,extra,date,volume\n'
    '11,9,12,10,x,2020-01-02,1000\n'
    '12,10,13,11,,2020-01-03,2000\n'
    '13,11,14,12,?,2020-01-06,3000\n',
  ],
)
def test_ways_to_write_the_same_file(text):
  expected, found = read(GOOD), read(text)
  np.testing.assert_array_equal(expected.dates, found.dates)
  np.testing.assert_array_equal(expected.ohlc, found.ohlc)
  np.testing.assert_array_equal(expected.volume, found.volume)


DAY_FORMATS = {
  'dd/mm/yyyy': r'\3/\2/\1',
  'mm/dd/yyyy': r'\2/\3/\1',
  'dd/mm': r'\3/\2/\1 00:00:00',
  'D.M.YY': r'\3.01.20',
  '%d %b %Y': r'\3 Jan \1',
}


@pytest.mark.parametrize('written', DAY_FORMATS)
def test_days_that_end_with_the_year(written):
  text = re.sub(r'(....)-(..)-(..)', DAY_FORMATS[written], GOOD)
  for days in (text, GOOD):  # a day that begins with the year is unambiguous
    found = read_ticker('A', days.encode(), Days(written))
    np.testing.assert_array_equal(found.dates, read(GOOD).dates)


def test_midnights_of_an_exchange_in_utc():
  """Days of Tokyo begin at 15:00 of the day before."""
  days = np.array(['2020-01-03', '2020-01-04', '2020-01-07'], 'datetime64[D]')
  for text in (timed('15:00:00+00:00'), timed('15:00:00Z'), timed('15:00:00')):
    found = read_ticker('A', text.encode(), Days(zone='Asia/Tokyo'))
    np.testing.assert_array_equal(found.dates, days)
    np.testing.assert_array_equal(read(text).dates, read(GOOD).dates)
  found = read_ticker('A', GOOD.encode(), Days(zone='Asia/Tokyo'))
  np.testing.assert_array_equal(found.dates, read(GOOD).dates)


@pytest.mark.parametrize(
  ('settings', 'message'),
  [
    ({'format': 'dd/mm/dd'}, "date_format: found 'dd/mm/dd', expected day,"),
    ({'format': '%H'}, "date_format: found '%H', expected day, month and year"),
    ({'zone': 'Tokyo'}, "time_zone: found 'Tokyo', expected the name of a"),
    ({'zone': '../x'}, "time_zone: found '../x', expected the name of"),
  ],
)
def test_formats_of_days_are_checked(settings, message):
  with pytest.raises(DataError, match=re.escape(message)):
    Days(**settings)


@pytest.mark.parametrize(
  'name', ['adjusted_close', 'Adj Close', '5. adj close']
)
def test_adjustment_by_hand(name):
  """A 2-for-1 split on the second day, a dividend on the third."""
  ticker = read(
    f'timestamp,open,high,low,close,{name},volume,dividend_amount,'
    'split_coefficient\n'
    '2020-01-02,100,120,80,110,44,1000,0.0,1.0\n'
    '2020-01-03,52,60,50,56,44.8,2000,0.0,2.0\n'
    '2020-01-06,56,61,55,60,60,3000,1.5,1.0\n'
  )
  expected = [[40, 48, 32, 44], [41.6, 48, 40, 44.8], [56, 61, 55, 60]]
  np.testing.assert_allclose(ticker.ohlc, expected, rtol=1e-12)
  # The traded value does not change: 1,000 shares of 110.
  np.testing.assert_allclose(ticker.volume, [2500, 2500, 3000])
  assert (ticker.splits, ticker.dividends, ticker.adjusted) == (1, 1, 2)


def test_impossible_prices_are_masked_and_reported():
  ticker = read(
    HEADER + ROWS[0] + '2020-01-03,0,13,,12,2000,A\n'
    '2020-01-06,12,14,11,-3,-1,A\n2020-01-07,12,inf,NaN,12,0,A\n'
  )
  expected = [
    [10, 12, 9, 11],
    [np.nan, 13, np.nan, 12],
    [12, 14, 11, np.nan],
    [12, np.nan, np.nan, 12],
  ]
  np.testing.assert_array_equal(ticker.ohlc, expected)
  np.testing.assert_array_equal(ticker.volume, [1000, 2000, np.nan, 0])
  found = [(m.column, m.count, m.row, m.found) for m in ticker.masked]
  assert found == [
    ('open', 1, 3, '0'),
    ('high', 1, 5, 'inf'),
    ('low', 2, 3, 'nothing'),
    ('close', 1, 4, '-3'),
    ('volume', 1, 4, '-1'),
  ]


def test_unlikely_moves_and_ranges_are_reported_and_kept():
  ticker = read(
    HEADER + ROWS[0] + '2020-01-03,11,13,10,24,1,A\n2020-01-06,5,9,6,8,1,A\n'
  )
  assert ticker.outside == 2
  assert [day for day, _ in ticker.suspicious] == ['2020-01-03', '2020-01-06']
  assert ticker.suspicious[0][1] == pytest.approx(24 / 11)
  np.testing.assert_array_equal(ticker.ohlc[:, 3], [11, 24, 8])


def test_empty_and_impossible_cells_are_told_apart():
  ticker = read(
    HEADER + ROWS[0] + '2020-01-03,,13,0,12,2000,A\n'
    '2020-01-06,0,14,,13,-5,A\n2020-01-07,-2,14,11,13,1,A\n'
  )
  found = [(m.column, m.count, m.row, m.found) for m in ticker.masked]
  assert found == [
    ('open', 1, 3, 'nothing'),
    ('open', 2, 4, '0'),
    ('low', 1, 4, 'nothing'),
    ('low', 1, 3, '0'),
    ('volume', 1, 4, '-5'),
  ]


def test_equal_rows_of_a_day_are_one_row_and_reported():
  empty = '2020-01-07,12,14,,13,,A\n'
  text = HEADER + ROWS[2] * 2 + empty + ROWS[0] + ROWS[1] + ROWS[2]
  expected = read(HEADER + ''.join(ROWS) + empty)
  found = read(text + empty)
  np.testing.assert_array_equal(expected.dates, found.dates)
  np.testing.assert_array_equal(expected.ohlc, found.ohlc)
  np.testing.assert_array_equal(expected.volume, found.volume)
  assert expected.repeated == ()
  assert found.repeated == ('2020-01-06', '2020-01-06', '2020-01-07')
  # An empty cell of a dropped row is not counted.
  assert [(m.column, m.count, m.row) for m in found.masked] == [
    ('low', 1, 4),
    ('volume', 1, 4),
  ]


def test_odd_rows_of_a_day_are_reported():
  empty, other = '2020-01-06,,,,,3,A\n', ROWS[1].replace('2000', '7')
  found = read(GOOD + other + ROWS[0] + empty + '2020-01-08,,,,,,\n')
  np.testing.assert_array_equal(found.volume, [1000, 7, 3000])
  assert found.revised == ('2020-01-03',)
  assert found.repeated == ('2020-01-02',)
  assert found.unpriced == ('2020-01-06', '2020-01-08')
  assert found.masked == ()


MANY = ''.join([*ROWS, '2020-01-07,12,14,11,13,3000,A\n'])
REFUSED = {
  'empty': ('', None, '', 'found an empty file or only blank lines'),
  'blank': ('\n \n', None, '', 'found an empty file or only blank lines'),
  'binary': (b'PK\x03\x04\x00\x01\xff' * 50, None, '', 'found a zip archive'),
  'latin': (b'\xe9\xe8\xff\xfe,\xe9\n1,2\n', None, '', 'not UTF-8 text'),
  'json': ('{\nError Message\n}\n', None, '', "not a table of prices: "),
  'html': ('<html>' * 20, None, '', 'not a table of prices'),
  'no_close': (
    GOOD.replace('close', 'last'), None, '',
    "found no close column among 'date, open, high, low, last, volume, Name', "
    'expected one; if one',
  ),
  'no_date': (GOOD.replace('date', 'when'), None, '', 'no date column'),
  'no_low': (GOOD.replace('low', 'bottom'), None, '', 'no low column'),
  'two_closes': (
    GOOD.replace('volume', 'Close'), None, 'Close', 'a second close column'
  ),
  'header_only': (HEADER, None, '', 'found no rows below the header'),
  'text': (
    GOOD.replace('2020-01-03,11,', '2020-01-03,abc,'), 3, 'open',
    "found 'abc', expected a number",
  ),
  'text_after_blank_lines': (
    GOOD.replace('\n', '\n\n').replace(',13,300', ',13x,300'), 7, 'close',
    "found '13x', expected a number",
  ),
  'thousands': (
    GOOD.replace(',13,10,', ',"1,300",10,'), 3, 'high', "found '1,300'",
  ),
  'underscore': (GOOD.replace(',13,10,', ',1_3,10,'), 3, 'high', "'1_3'"),
  'true': (
    GOOD.replace(',11,1000', ',true,1000'), 2, 'close', "found 'true'"
  ),
  'all_true': (
    HEADER + '2020-01-02,true,1,1,1,1,A\n', 2, 'open', "found 'true'"
  ),
  'date_as_price': (
    HEADER + '2020-01-02,2020-01-02,1,1,1,1,A\n', 2, 'open', "'2020-01-02'"
  ),
  'several_tickers': (
    HEADER + MANY + MANY.replace(',A', ',B').replace(',12,', ',13,'), 6, 'date',
    'in several rows with different numbers (this is true of 4 of 4 days), '
    'expected one',
  ),
  'several_tickers_beside_each_other': (
    ",A,B\n,Close,Close\n2020-01-02,1,2\n", None, '',
    'found 2 tickers (A, B), expected one; give the file itself',
  ),
  'bad_date': (
    GOOD.replace('2020-01-03', '03/01/2020'), 3, 'date',
    "found '03/01/2020', expected a date as YYYY-MM-DD, in the years 1700 to "
    "2199 (other formats need ",
  ),
  'no_such_day': (
    GOOD.replace('2020-01-03', '2020-02-30'), 3, 'date', "'2020-02-30'"
  ),
  'no_day': (GOOD.replace('2020-01-03', ''), 3, 'date', "found ''"),
  'number_among_days': (
    GOOD.replace('2020-01-02', '20200102'), 2, 'date', "found '20200102'"
  ),
  'decimal_comma': (
    GOOD.replace(',10,12,', ',"10,5",12,'), 2, 'open', "found '10,5'"
  ),
  'point_beside_decimal_commas': (
    GOOD.replace(',', ';').replace(';10;12;', ';10,5;12,5;').replace(
      ';11;13;', ';11.5;13;'
    ),
    2, 'open', "found '10,5'",
  ),
  'thousands_of_a_tab': (
    GOOD.replace(',', '\t').replace('\t1000\t', '\t1,000\t'), 2, 'volume',
    "found '1,000'",
  ),
  'title': (
    f'A, daily\n{GOOD}', None, '', 'expected names such as date, open, high'
  ),
  'no_mark': (GOOD.encode('utf-16-le'), None, '', 'save it as CSV in UTF-8'),
  'archive': (b'PK\x03\x04' + bytes(50), None, '', 'unpack it or save it as'),
  'cut_gzip': (PACKED[:-20], None, '', 'found a damaged gzip file'),
  'bomb': (
    gzip.compress(bytes(1 << 27)), None, '',
    'found a gzip file that unpacks to more than 67,108,864 bytes, expected at '
    'most that many; if it is meant',
  ),
  'half_a_letter': (
    GOOD.encode('utf-16')[:-1], None, '', 'bytes that are not UTF-16 text'
  ),
  'cut': (GOOD[:-8], 4, '', 'found 5 cells, expected 7'),
  'cut_after_blank_lines': (
    '\n\n' + GOOD[:-8].replace('\n', '\n\n'), 9, '', 'found 5 cells'
  ),
  'too_long': (
    GOOD.replace('1000,A', '1000,A,B'), 2, '', 'found 8 cells, expected 7'
  ),
  'no_price': (
    HEADER + '2020-01-02,1,1,1,,1,A\n', None, 'close', 'found no valid price'
  ),
}  # fmt: skip


@pytest.mark.parametrize('case', REFUSED)
def test_refusals_say_where_and_what(case):
  text, row, column, reason = REFUSED[case]
  with pytest.raises(Refused) as caught:
    read(text)
  error = caught.value
  assert reason in error.reason
  assert (error.row, error.column) == (row, column)
  assert '\n' not in str(error)
  assert error.reason in str(error)


def write(folder, **files):
  for name, content in files.items():
    content = content if isinstance(content, bytes) else content.encode()
    (folder / name).write_bytes(content)


def test_a_folder_reads_what_it_can_and_reports_the_rest(tmp_path):
  (tmp_path / 'folder.csv').mkdir()
  files = {
    'DA-BRK.B-T-2021-04-21.csv': GOOD,
    'AAL_data.csv': GOOD,
    'x.y.CSV': GOOD,
    'bad.csv': GOOD.replace(',13,10,', ',no,10,'),
    'AAL.csv': GOOD,
    'notes.txt': 'hello',
  }
  write(tmp_path, **files)
  source = read_folder(tmp_path)
  assert [t.name for t in source.tickers] == ['AAL', 'BRK.B', 'x.y']
  assert [str(refusal) for refusal in source.refused] == [
    'AAL_data.csv: found a second file of ticker AAL, expected one',
    "bad.csv: row 3, column 'high': found 'no', expected a number",
  ]
  assert source.ignored == ('folder.csv', 'notes.txt')


@pytest.mark.parametrize(
  ('kind', 'name'),
  [('.csv.gz', 'A'), ('.tsv', 'A'), ('.us.txt', 'A.us'), ('.TXT.GZ', 'A')],
)
def test_other_kinds_of_files(tmp_path, kind, name):
  content = (
    gzip.compress(GOOD.encode()) if kind.lower().endswith('gz') else GOOD
  )
  write(tmp_path, **{f'A{kind}': content, 'b.json': ''})
  source = read_folder(tmp_path)
  assert [ticker.name for ticker in source.tickers] == [name]
  assert source.ignored == ('b.json',)


def test_a_folder_of_parquet_files(tmp_path):
  frame = pd.read_csv(io.StringIO(GOOD), parse_dates=['date'])
  frame.set_index('date').to_parquet(tmp_path / 'A.parquet')
  (ticker,) = read_folder(tmp_path).tickers
  assert ticker.name == 'A'
  np.testing.assert_array_equal(ticker.volume, read(GOOD).volume)
  write(tmp_path, **{'B.csv': GOOD})  # counts first
  assert read_folder(tmp_path).ignored == ('A.parquet',)


def test_source_hash_follows_names_and_bytes(tmp_path):
  write(tmp_path, **{'A.csv': GOOD, 'B.csv': GOOD})
  original = read_folder(tmp_path).source_hash
  expected = hashlib.sha256(
    b''.join(
      f'{name}\0{len(GOOD)}\0{GOOD}'.encode() for name in ('A.csv', 'B.csv')
    )
  ).hexdigest()
  assert original == expected
  (tmp_path / 'notes.txt').write_text('not a part of the source')
  assert read_folder(tmp_path).source_hash == original
  (tmp_path / 'B.csv').rename(tmp_path / 'C.csv')
  assert read_folder(tmp_path).source_hash != original


def test_an_unreadable_file_is_refused(tmp_path, monkeypatch):
  write(tmp_path, **{'A.csv': GOOD, 'B.csv': GOOD})
  read_bytes = type(tmp_path).read_bytes

  def denied(path):
    if path.name == 'A.csv':
      raise PermissionError(13, 'Permission denied')
    return read_bytes(path)

  monkeypatch.setattr(type(tmp_path), 'read_bytes', denied)
  source = read_folder(tmp_path)
  assert str(source.refused[0]) == (
    'A.csv: cannot be read (Permission denied), expected a readable file'
  )
  assert len(source.tickers) == 1


def test_folders_without_a_ticker_are_one_clear_line(tmp_path):
  cases = {
    'absent': 'found no such folder',
    'file': 'found something that is not a folder',
  }
  (tmp_path / 'file').write_text('x')
  for name, message in cases.items():
    with pytest.raises(DataError, match=f'{tmp_path / name}: {message}'):
      read_folder(tmp_path / name)
  (tmp_path / 'none').mkdir()
  with pytest.raises(
    DataError, match=r'found no \.csv, .* expected one per ti'
  ):
    read_folder(tmp_path / 'none')
  (tmp_path / 'none' / 'Stocks').mkdir()
  with pytest.raises(DataError, match=r'inside it instead \(Stocks\)$'):
    read_folder(tmp_path / 'none')
  (tmp_path / 'one').mkdir()
  write(tmp_path / 'one', **{'A.csv.bz2': ''})
  with pytest.raises(DataError, match=r'such as A\.csv\.bz2: unpack them,'):
    read_folder(tmp_path / 'one')
  (tmp_path / 'bad').mkdir()
  write(tmp_path / 'bad', **{'A.csv': '', 'B.csv': 'x'})
  with pytest.raises(DataError) as caught:
    read_folder(tmp_path / 'bad')
  assert str(caught.value) == (
    f'{tmp_path / "bad"}: found no usable ticker, expected at least one; '
    'refused files: 2, the first is A.csv: found an empty file or only blank '
    'lines, expected a CSV'
  )


def test_the_five_year_set(shared_dir, tmp_path):
  """All 505 files; the defects are those its SOURCE.md counts."""
  archive = shared_dir / 'data/sp500_5yr/individual_stocks_5yr.tar.xz'
  with tarfile.open(archive, 'r:xz') as tar:
    tar.extractall(tmp_path, filter='data')
  folder = next(tmp_path.rglob('AAPL_data.csv')).parent
  source = read_folder(folder)
  assert len(source.tickers) == 505
  assert source.refused == ()
  assert sum(len(t.dates) for t in source.tickers) == 619_040
  missing = [np.isnan(t.ohlc).any(axis=1).sum() for t in source.tickers]
  assert sum(missing) == 11
  assert sum(ticker.outside for ticker in source.tickers) == 12
  moves = {t.name: t.suspicious for t in source.tickers if t.suspicious}
  assert moves['EBAY'][0][0] == '2015-07-20'
  assert moves['EBAY'][0][1] == pytest.approx(0.431, abs=1e-3)
  assert moves['LNT'][0][0] == '2016-05-20'

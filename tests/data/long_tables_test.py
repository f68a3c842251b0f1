"""Tests of eigen3.data.long_tables: one file with many stocks."""

import dataclasses
import decimal
import hashlib
import re

import mutations
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from eigen3.data import (
  DataError,
  MarketPanel,
  open_source,
  read_folder,
  read_table,
)

DAYS = np.array(['2020-01-02', '2020-01-03', '2020-01-06'], 'datetime64[D]')
FIELDS = ('open', 'high', 'low', 'close', 'adj_close', 'volume')


def make_frame():
  """Returns two stocks as a long frame: B has no row on the second day."""
  rows = [
    ('2020-01-02', 'A', 10, 12, 9, 11, 5.5, 1000),
    ('2020-01-02', 'B', 20, 22, 19, 21, 21, 100),
    ('2020-01-03', 'A', 11, 13, 10, 12, 6, 2000),
    ('2020-01-06', 'A', 12, 14, 11, 13, 13, 3000),
    ('2020-01-06', 'B', 21, 23, 20, 22, 22, 300),
  ]
  frame = pd.DataFrame(rows, columns=['date', 'symbol', *FIELDS])
  numbers = dict.fromkeys(FIELDS, np.float64)
  return frame.astype({'date': 'datetime64[us]'} | numbers)


def assert_the_two_stocks(source):
  a, b = source.tickers
  assert (a.name, b.name) == ('A', 'B')
  np.testing.assert_array_equal(a.dates, DAYS)
  np.testing.assert_array_equal(
    a.ohlc, [[5, 6, 4.5, 5.5], [5.5, 6.5, 5, 6], [12, 14, 11, 13]]
  )
  np.testing.assert_array_equal(a.volume, [2000, 4000, 3000])
  np.testing.assert_array_equal(b.dates, DAYS[[0, 2]])
  np.testing.assert_array_equal(b.ohlc, [[20, 22, 19, 21], [21, 23, 20, 22]])
  assert (a.adjusted, b.adjusted, a.masked, b.masked) == (2, 0, (), ())
  assert source.refused == source.ignored == ()


def wide_frame():
  """Returns the two stocks as yfinance does."""
  frame = make_frame().pivot(index='date', columns='symbol')
  frame.columns = frame.columns.set_names(['Price', 'Ticker'])
  frame.index.name = 'Date'
  names = {'adj_close': 'Adj Close'} | {f: f.capitalize() for f in FIELDS[:4]}
  return frame.rename(columns=names | {'volume': 'Volume'}, level=0)


SPELLINGS = {
  'pandas': lambda f: f.to_csv(index=False),
  'pandas_index': lambda f: f.set_index(['date', 'symbol']).to_csv(),
  'unnamed_index': lambda f: f.set_index('date').rename_axis(None).to_csv(),
  'shuffled': lambda f: f.sample(frac=1, random_state=1).to_csv(index=False),
  'columns': lambda f: f[f.columns[::-1]].to_csv(index=False),
  'polars': lambda f: f.assign(
    date=f.date.dt.strftime('%Y-%m-%dT%H:%M:%S.%f')
  ).to_csv(index=False),
  'finrl': lambda f: f.rename(columns={'symbol': 'tic'}).to_csv(index=False),
  'name': lambda f: f.rename(columns={'symbol': 'Name'}).to_csv(index=False),
  'company': lambda f: f.rename(columns={'symbol': 'Ticker'})
  .assign(Name='Company, Inc. "X"')
  .to_csv(index=False),
  'spaces': lambda f: f.to_csv(index=False).replace(',', ' , '),
  'windows': lambda f: '\ufeff' + f.to_csv(index=False).replace('\n', '\r\n'),
  'quoted': lambda f: f.to_csv(index=False, quoting=1),
  'qlib': lambda f: f.rename(
    columns={'symbol': 'instrument', 'date': 'datetime'}
    | {name: f'${name}' for name in FIELDS}
  ).to_csv(index=False),
  'tushare': lambda f: f.assign(date=f.date.dt.strftime('%Y%m%d')).rename(
    columns={'symbol': 'ts_code', 'date': 'trade_date', 'volume': 'vol'}
  ).to_csv(index=False),
  'yfinance': lambda f: wide_frame().to_csv(),
  'yfinance_by_ticker': lambda f: wide_frame().swaplevel(axis=1).to_csv(),
  'yfinance_unnamed': lambda f: wide_frame()
  .rename_axis(columns=[None, None])
  .to_csv(),
  'yfinance_no_names': lambda f: wide_frame()
  .rename_axis(index=None, columns=[None, None])
  .to_csv(),
  'yfinance_long': lambda f: wide_frame()
  .stack(level=1, future_stack=True)
  .dropna()
  .reset_index()
  .to_csv(index=False),
}  # fmt: skip


@pytest.mark.parametrize('spelling', SPELLINGS)
def test_ways_to_write_the_same_csv(tmp_path, spelling):
  path = tmp_path / 'prices'
  path.write_text(SPELLINGS[spelling](make_frame()), newline='')
  assert_the_two_stocks(read_table(path))


def as_table(**kinds):
  """Returns the two stocks in Arrow, with columns of other types."""
  table = pa.Table.from_pandas(make_frame(), preserve_index=False)
  for name, kind in kinds.items():
    place = table.schema.get_field_index(name)
    table = table.set_column(place, name, table.column(name).cast(kind))
  return table


CENTS = pa.decimal128(12, 2)
TABLES = {
  'pandas': lambda: as_table(),
  'days': lambda: as_table(date=pa.date32()),
  'nanoseconds': lambda: as_table(date=pa.timestamp('ns')),
  'zone': lambda: as_table(date=pa.timestamp('us', 'UTC')),
  'texts': lambda: as_table(date=pa.string(), volume=pa.string()),
  'large_string': lambda: as_table(symbol=pa.large_string()),
  'string_view': lambda: as_table(symbol=pa.string_view()),
  'polars_categorical': lambda: as_table(
    symbol=pa.dictionary(pa.uint32(), pa.large_string())
  ),
  'pandas_categorical': lambda: as_table(
    symbol=pa.dictionary(pa.int8(), pa.string())
  ),
  'decimals': lambda: as_table(close=CENTS, low=CENTS, open=pa.float32()),
  'days_as_integers': lambda: as_table(date=pa.date32()).set_column(
    0,
    'trade_date',
    pa.array([20200102, 20200102, 20200103, 20200106, 20200106]),
  ),
  'integers': lambda: as_table(volume=pa.int64(), high=pa.uint8()),
  'spelling': lambda: as_table().rename_columns(
    ['Date', 'Ticker', 'Open', 'High', 'Low', 'Close', 'adj.close', 'Volume']
  ),
}


@pytest.mark.parametrize('kind', TABLES)
def test_ways_to_write_the_same_parquet(tmp_path, kind):
  if kind == 'string_view' and not mutations.writes_views():
    pytest.skip('this pyarrow reads views of texts, but writes none')
  path = tmp_path / 'prices'
  pq.write_table(TABLES[kind](), path, row_group_size=2)
  assert_the_two_stocks(read_table(path))


@pytest.mark.parametrize(
  'write',
  [
    lambda path: make_frame().to_parquet(path),
    lambda path: make_frame().set_index(['date', 'symbol']).to_parquet(path),
    lambda path: wide_frame().to_parquet(path),
    lambda path: wide_frame().swaplevel(axis=1).to_parquet(path),
    lambda path: wide_frame()
    .stack(future_stack=True).dropna().to_parquet(path),
    lambda path: make_frame()
    .set_index('date').rename_axis(None).to_parquet(path),
  ],
)  # fmt: skip
def test_frames_of_pandas_in_parquet(tmp_path, write):
  write(tmp_path / 'prices')
  assert_the_two_stocks(read_table(tmp_path / 'prices'))


def test_a_long_file_and_a_folder_are_read_alike(tmp_path):
  frame = make_frame()
  frame.to_csv(tmp_path / 'all', index=False)
  (tmp_path / 'each').mkdir()
  for name, part in frame.groupby('symbol'):
    own = part.drop(columns='symbol')
    own.to_csv(tmp_path / 'each' / f'{name}.csv', index=False)
  one, other = read_table(tmp_path / 'all'), read_folder(tmp_path / 'each')
  for ours, theirs in zip(one.tickers, other.tickers, strict=True):
    for field in dataclasses.fields(ours):
      np.testing.assert_array_equal(
        getattr(ours, field.name), getattr(theirs, field.name), field.name
      )


def test_a_refused_symbol_does_not_refuse_the_file(tmp_path):
  path = tmp_path / 'prices.csv'
  lines = make_frame().to_csv(index=False).splitlines()
  lines[2] = lines[2].replace('21.0', 'x', 1)
  path.write_text('\n'.join(['', *lines, '2020-01-06,C,1,1,1,,1,1\n']))
  source = read_table(path)
  assert [ticker.name for ticker in source.tickers] == ['A']
  assert [str(refusal) for refusal in source.refused] == [
    "prices.csv, B: row 4, column 'close': found 'x', expected a number",
    "prices.csv, C: column 'close': found no valid price in any row, "
    'expected at least one',
  ]
  assert source.refused[0].symbol == 'B'
  assert source.source_hash == hashlib.sha256(path.read_bytes()).hexdigest()


def test_masks_name_the_row_of_the_file(tmp_path):
  frame = make_frame()
  frame.loc[4, 'open'] = -1.0
  frame.to_csv(tmp_path / 'csv', index=False)
  frame.to_parquet(tmp_path / 'parquet')
  for name, row in (('csv', 6), ('parquet', 5)):
    masked = read_table(tmp_path / name).tickers[1].masked
    assert [(m.column, m.row, m.found) for m in masked] == [('open', row, '-1')]


def test_a_wide_symbol_that_is_no_name(tmp_path):
  text = (
    wide_frame().to_csv().replace(',B,', ',B\x07,').replace(',B\n', ',B\x07\n')
  )
  (tmp_path / 'prices').write_text(text)
  source = read_table(tmp_path / 'prices')
  assert [str(r) for r in source.refused] == [
    "prices, B\ufffd: found 'B\ufffd', expected a symbol of 1 to 64 printable "
    'characters'
  ]
  text = wide_frame().to_csv().replace(',B', ',Ölwerke')
  (tmp_path / 'prices').write_text(text)
  assert read_table(tmp_path / 'prices').tickers[1].name == 'Ölwerke'


def test_a_wide_symbol_without_a_price_is_refused(tmp_path):
  frame = wide_frame()
  frame.loc[:, (slice(None), 'B')] = np.nan
  frame.to_csv(tmp_path / 'prices')
  source = read_table(tmp_path / 'prices')
  assert [ticker.name for ticker in source.tickers] == ['A']
  assert str(source.refused[0]) == (
    "prices, B: column '('Close', 'B')': found no valid price in any row, "
    'expected at least one'
  )
  frame.drop(columns=('Low', 'B')).to_csv(tmp_path / 'prices')
  source = read_table(tmp_path / 'prices')
  assert str(source.refused[0]).startswith('prices, B: found no low column ')


GOOD = make_frame().to_csv(index=False)
REFUSED = {
  'empty': ('', 'found an empty file or only blank lines, exp'),
  'no_symbol': (
    GOOD.replace('symbol', 'who'),
    'found no symbol column among date',
  ),
  'no_close': (
    GOOD.replace(',close', ',last'),
    "found no close column among 'date,",
  ),
  'no_date': (GOOD.replace('date', 'when'), 'found no date column among'),
  'two_opens': (GOOD.replace('volume', 'Open'), "column 'Open': found a sec"),
  'not_prices': (
    'a,b\n1,2\n', "not a table of prices: found the column names 'a, b' ("
  ),
  'header_only': (GOOD.splitlines()[0], 'found no rows below the header'),
  'cut': (GOOD[:-20], 'row 6: found 5 cells, expected 8'),
  'unnamed': (
    GOOD.replace(',B,', ',,', 1), "row 3, column 'symbol': found '', expected"
  ),
  'quote': (
    GOOD.replace(',B,', ',"B,', 1), 'row 3: found an opening quote, expected'
  ),
  'zero': (GOOD.replace('11.0', '\0', 1), 'row 2: found a NUL byte'),
  'all_refused': (
    re.sub('2020-(..)-(..)', r'\1/\2/2020', GOOD),
    'found no usable ticker, expected at least one; refused tickers: 2, the '
    "first is prices, A: row 2, column 'date': found '01/02/2020', "
    'expected a date as YYYY-MM-DD',
  ),
}  # fmt: skip


@pytest.mark.parametrize('case', REFUSED)
def test_refused_files_say_where_and_what(tmp_path, case):
  text, message = REFUSED[case]
  path = tmp_path / 'prices'
  path.write_text(text)
  with pytest.raises(DataError) as caught:
    read_table(path)
  assert str(caught.value).startswith(f'{path}: {message}')
  assert '\n' not in str(caught.value)


def test_quoted_line_breaks_are_refused_where_they_begin(tmp_path):
  """Arrow would join the rows, and silently lose one."""
  lines = GOOD.replace('symbol', 'symbol,"a ""name"""').splitlines()
  lines[1:] = [f'{line[:12]},"c, d"{line[12:]}' for line in lines[1:]]
  lines[2] = lines[2].replace(' d"', ' d')
  lines[3] = lines[3].replace('"c, d"', 'c"')
  (tmp_path / 'prices').write_text('\n'.join(lines))
  with pytest.raises(DataError, match='row 3: found an opening quote'):
    read_table(tmp_path / 'prices')


def test_a_quote_that_another_hides(tmp_path):
  """Covers two quotes on a line if the second opens a quoted line break."""
  lines = [f'{line},1' for line in GOOD.replace('volume', 'note').splitlines()]
  lines[2] = lines[2].replace('100.0,1', '5" pipe,"1')
  lines[3] = lines[3] + '"'
  (tmp_path / 'prices').write_text('\n'.join(lines))
  with pytest.raises(DataError, match='rows that span several lines'):
    read_table(tmp_path / 'prices')


def test_parquet_refusals(tmp_path):
  path = tmp_path / 'prices'
  make_frame().to_parquet(path)
  content = path.read_bytes()
  path.write_bytes(content[: len(content) // 2])
  with pytest.raises(DataError, match=f'{path}: found a damaged file or one t'):
    read_table(path)
  pq.write_table(as_table().slice(0, 0), path)
  with pytest.raises(DataError, match=f'{path}: found no rows'):
    read_table(path)
  table = as_table()
  pq.write_table(table.append_column('symbol', table.column('symbol')), path)
  with pytest.raises(DataError, match="column 'symbol': found 2 columns of"):
    read_table(path)
  names = ['date', 'symbol', *FIELDS[:4], 'close', 'volume']
  pq.write_table(table.rename_columns(names), path)
  with pytest.raises(DataError, match="column 'close': found a second close"):
    read_table(path)
  text = pa.array([decimal.Decimal(1)] * 5).cast(pa.string())
  pq.write_table(table.set_column(2, 'open', text).append_column(
    'split', pa.array(['1', '1', None, 'x', '1'])
  ), path)  # fmt: skip
  assert str(read_table(path).refused[0]) == (
    "prices, A: row 4, column 'split': found 'x', expected a number, or new "
    'shares for old ones such as 4:1'
  )


def test_many_batches(tmp_path, monkeypatch):
  monkeypatch.setattr('eigen3.data.tables._BATCH_ROWS', 2)
  monkeypatch.setattr('eigen3.data.tables._BLOCK_BYTES', 120)
  make_frame().to_parquet(tmp_path / 'parquet')
  (tmp_path / 'csv').write_text(GOOD)
  for name in ('parquet', 'csv'):
    assert_the_two_stocks(read_table(tmp_path / name))
  bad = GOOD.splitlines()
  bad[5] = bad[5].replace('300.0', '')[:-1]
  (tmp_path / 'csv').write_text('\n\n'.join(bad))
  with pytest.raises(DataError, match='row 11: found 7 cells, expected 8'):
    read_table(tmp_path / 'csv')


def test_whatever_is_there_is_recognised(tmp_path):
  (tmp_path / 'folder').mkdir()
  frame = make_frame()
  for name in ('A', 'B'):
    own = frame[frame.symbol == name]
    own.to_csv(tmp_path / 'folder' / f'{name}.csv', index=False)
  frame.to_csv(tmp_path / 'prices.parquet', index=False)  # by content
  frame.to_parquet(tmp_path / 'prices.csv')
  seen = []

  def progress(items):
    seen.append(len(items))
    return items

  for name in ('folder', 'prices.parquet', 'prices.csv'):
    assert_the_two_stocks(open_source(tmp_path / name, progress))
  assert seen == [2, 2, 2]
  with pytest.raises(DataError, match=r'absent: found no such file or folder'):
    open_source(tmp_path / 'absent')


def test_a_panel_is_no_source_of_prices(tmp_path):
  panel = MarketPanel(
    dates=DAYS,
    columns=('A',),
    ohlc=np.ones((3, 1, 4)),
    features=np.ones((3, 1, 9)),
    investable=(0, 1),
  )
  panel.save(tmp_path / 'panel')
  with pytest.raises(DataError, match='panel: found a prepared panel, '):
    open_source(tmp_path / 'panel')

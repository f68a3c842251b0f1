"""Tests of eigen3.data.headers: columns recognised by their names."""

import numpy as np
import pandas as pd
import pytest

from eigen3.data import DataError, read_folder, read_table

FIELDS = ('Close', 'High', 'Low', 'Open', 'Volume')
DAYS = ['2020-01-02', '2020-01-03']
ROWS = [[11.0, 12.0, 9.0, 10.0, 1000.0], [12.0, 13.0, 10.0, 11.0, 2000.0]]
OHLC = [[10, 12, 9, 11], [11, 13, 10, 12]]


def frame_of(*tickers):
  """Returns a frame as yfinance: days as index, two levels of columns."""
  parts = [pd.DataFrame(ROWS, index=DAYS, columns=FIELDS) for _ in tickers]
  frame = pd.concat(parts, axis=1, keys=tickers).swaplevel(axis=1)
  frame.index.name = 'Date'
  return frame.rename_axis(columns=['Price', 'Ticker'])


def reordered(text, *order):
  """Returns `text` with its first lines in another order."""
  lines = text.splitlines()
  return '\n'.join([*(lines[i] for i in order), *lines[len(order) :]])


WAYS = {
  'as_it_comes': lambda f: f.to_csv(),
  'tickers_first': lambda f: f.swaplevel(axis=1).to_csv(),
  'no_names': lambda f: f.rename_axis(columns=[None, None]).to_csv(),
  'other_names': lambda f: f.rename_axis(
    columns=['Attributes', 'Symbols']
  ).to_csv(),
  'no_name_of_days': lambda f: f.rename_axis(index=None).to_csv(),
  'no_names_at_all': lambda f: f.swaplevel(axis=1)
  .rename_axis(index=None, columns=[None, None])
  .to_csv(),
  'days_a_column': lambda f: f.reset_index().to_csv(index=False),
  'days_the_last_column': lambda f: f.reset_index()
  .iloc[:, ::-1]
  .to_csv(index=False),
  'numbered_rows': lambda f: f.reset_index().to_csv(),
  'numbered_rows_tickers_first': lambda f: f.swaplevel(axis=1)
  .reset_index()
  .to_csv(),
  'days_named_first': lambda f: reordered(f.to_csv(), 2, 0, 1),
  'days_named_between': lambda f: reordered(f.to_csv(), 1, 2, 0),
  'semicolons': lambda f: f.to_csv(sep=';', decimal=','),
}  # fmt: skip


@pytest.mark.parametrize(
  'ticker', ['AAA', 'LOW', 'CLOSE', '600519', 'DATE', "O'"]
)
@pytest.mark.parametrize('way', WAYS)
def test_header_of_levels(tmp_path, way, ticker):
  """Reads levels in any order, and tickers with any name."""
  (tmp_path / 'one.csv').write_text(WAYS[way](frame_of(ticker)))
  (found,) = read_folder(tmp_path).tickers
  assert found.name == 'one'
  (same,) = read_table(tmp_path / 'one.csv').tickers
  assert same.name == ticker
  for history in (found, same):
    np.testing.assert_array_equal(history.dates.astype(str), DAYS)
    np.testing.assert_array_equal(history.ohlc, OHLC)
    np.testing.assert_array_equal(history.volume, [1000, 2000])


@pytest.mark.parametrize(
  'names',
  [('LOW', 'OPEN', 'VOL'), ('CLOSE', 'HIGH', 'LOW', 'OPEN'), ('6758', '7203')],
)
@pytest.mark.parametrize('way', WAYS)
def test_several_tickers(tmp_path, way, names):
  """Includes names equal to those of prices, or without a letter."""
  (tmp_path / 'all').write_text(WAYS[way](frame_of(*reversed(names))))
  found = read_table(tmp_path / 'all').tickers
  assert tuple(ticker.name for ticker in found) == names
  for ticker in found:
    np.testing.assert_array_equal(ticker.ohlc, OHLC)


def test_a_row_without_prices_is_no_level_of_a_header(tmp_path):
  lines = frame_of('AAA').rename_axis(index=None).to_csv().splitlines()
  text = '\n'.join([*lines[:2], '2020-01-01,,,,,', *lines[2:]])
  (tmp_path / 'A.csv').write_text(text)
  (ticker,) = read_folder(tmp_path).tickers
  np.testing.assert_array_equal(ticker.dates.astype(str), DAYS)
  assert ticker.unpriced == ('2020-01-01',)


def test_a_damaged_first_row_is_no_level_of_a_header(tmp_path):
  header = ','.join(['Date', *FIELDS])
  (tmp_path / 'A.csv').write_text(f'{header}\n,11,12,9,10,1000\n')
  with pytest.raises(DataError, match="row 2, column 'Date': found ''"):
    read_folder(tmp_path)


def test_a_weaker_name_counts_where_there_is_no_other(tmp_path):
  """Additional columns do not change how a file is read."""
  lines = ['Date,Open,High,Low,Close,Volume,Vol,Time,trade_date']
  lines += [f'{day},10,12,9,11,1000,x,y,z' for day in DAYS]
  (tmp_path / 'A.csv').write_text('\n'.join(lines))
  (ticker,) = read_folder(tmp_path).tickers
  np.testing.assert_array_equal(ticker.volume, [1000, 1000])
  assert ticker.ignored == ('Vol', 'Time', 'trade_date')

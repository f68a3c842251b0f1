"""Tests of eigen3.data.download against recorded responses."""

import builtins
import inspect
import os

import numpy as np
import pandas as pd
import pytest

from eigen3.data import DataError, read_table
from eigen3.data.download import _yfinance, download_prices, is_download

DAYS = pd.DatetimeIndex(['2020-01-02', '2020-01-03', '2020-01-06'], name='Date')
FIELDS = (
  'Adj Close', 'Close', 'Dividends', 'High', 'Low', 'Open', 'Stock Splits',
  'Volume',
)  # fmt: skip
# All prices are adjusted for a split; only the adjusted close for a dividend.
AAA = [
  [55.0, 110.0, 0.0, 120.0, 100.0, 105.0, 0.0, 1000.0],
  [56.0, 112.0, 0.0, 121.0, 101.0, 106.0, 2.0, 2000.0],
  [113.0, 113.0, 1.5, 122.0, 102.0, 107.0, 0.0, 3000.0],
]
BBB = [[20.0, 20.0, 0.0, 21.0, 19.0, 20.0, 0.0, 10.0], None, None]


def response(**rows):
  """Returns a frame as yfinance.download: columns (Price, Ticker), sorted."""
  nothing = [np.nan] * len(FIELDS)
  frame = pd.concat(
    {
      name: pd.DataFrame([r or nothing for r in of], DAYS, list(FIELDS))
      for name, of in rows.items()
    },
    axis=1,
    names=['Ticker', 'Price'],
  )
  return frame.swaplevel(axis=1).sort_index(axis=1)


class Recorded:
  """Returns recorded responses in order, and stores the requests."""

  def __init__(self, *responses):
    self.responses, self.calls, self.waits = list(responses), [], []

  def __call__(self, symbols, start, end):
    self.calls.append((tuple(symbols), start, end))
    found = self.responses.pop(0)
    if isinstance(found, Exception):
      raise found
    return found


def run(recorded, path, *symbols, **span):
  return download_prices(
    symbols, path, **span, fetch=recorded, sleep=recorded.waits.append
  )


def test_what_is_saved_is_read_like_any_file(tmp_path):
  path = tmp_path / 'raw.parquet'
  recorded = Recorded(response(AAA=AAA, BBB=BBB))
  assert run(recorded, path, 'aaa', ' BBB', 'AAA') == ()
  assert recorded.calls == [(('AAA', 'BBB'), None, None)]
  assert recorded.waits == []
  source = read_table(path)
  one, other = source.tickers
  np.testing.assert_array_equal(
    one.ohlc, [[52.5, 60, 50, 55], [53, 60.5, 50.5, 56], [107, 122, 102, 113]]
  )
  np.testing.assert_array_equal(one.volume, [2000, 4000, 3000])
  assert (one.splits, one.dividends, one.adjusted) == (1, 1, 2)
  assert other.dates.tolist() == DAYS[:1].date.tolist()
  assert (one.masked, other.masked, source.refused) == ((), (), ())
  assert is_download(path)
  assert os.listdir(tmp_path) == ['raw.parquet']


def test_the_days_that_are_asked_for(tmp_path):
  """The last day of yfinance is exclusive."""
  recorded = Recorded(response(AAA=AAA))
  first, last = np.datetime64('2020-01-01'), np.datetime64('2020-02-29')
  run(recorded, tmp_path / 'raw', 'AAA', first_day=first, last_day=last)
  assert recorded.calls == [(('AAA',), '2020-01-01', '2020-03-01')]


def test_what_does_not_come_is_asked_for_again(tmp_path):
  recorded = Recorded(
    response(AAA=AAA, BBB=[None] * 3),
    ConnectionError('reset\nby peer'),
    response(CCC=AAA, BBB=[None] * 3),
    pd.DataFrame(),
  )
  seen = []
  missing = download_prices(
    ['AAA', 'BBB', 'CCC'],
    tmp_path / 'raw',
    fetch=recorded,
    sleep=recorded.waits.append,
    advance=seen.append,
  )
  assert missing == ('BBB',)
  assert [call[0] for call in recorded.calls] == [
    ('AAA', 'BBB', 'CCC'), ('BBB', 'CCC'), ('BBB', 'CCC'), ('BBB',),
  ]  # fmt: skip
  assert recorded.waits == sorted(recorded.waits)
  assert len(recorded.waits) == 3
  assert sum(seen) == 3
  assert [t.name for t in read_table(tmp_path / 'raw').tickers] == [
    'AAA',
    'CCC',
  ]


def test_many_symbols_are_asked_for_in_parts(tmp_path):
  names = [f'T{i}' for i in range(45)]
  parts = [names[:20], names[20:40], names[40:]]
  recorded = Recorded(*(response(**dict.fromkeys(p, AAA)) for p in parts))
  assert run(recorded, tmp_path / 'raw', *names) == ()
  assert [list(call[0]) for call in recorded.calls] == parts
  assert len(read_table(tmp_path / 'raw').tickers) == 45


@pytest.mark.parametrize(
  'answer, message',
  [
    (
      None,
      'no prices of AAA, BBB, expected prices of at least one symbol; check '
      'the network, the range of days, and the spelling',
    ),
    (
      ValueError('no\nnet'),
      r'BBB, .* one symbol; the last error: no\ufffdnet$',
    ),
    (response(AAA=[None] * 3), '^download: found no prices of AAA, BBB'),
    (response(XXX=AAA), '^download: found no prices of AAA, BBB'),
  ],
)
def test_nothing_at_all_is_one_line_and_no_file(tmp_path, answer, message):
  with pytest.raises(DataError, match=message):
    run(Recorded(*[answer] * 4), tmp_path / 'raw', 'AAA', 'BBB')
  assert os.listdir(tmp_path) == []


def test_what_is_no_ticker(tmp_path):
  with pytest.raises(DataError, match="download: found '', expected a symbol"):
    run(Recorded(), tmp_path / 'raw', 'AAA', ' ')


def test_a_place_that_cannot_be_written(tmp_path):
  path = tmp_path / 'absent' / 'raw'
  with pytest.raises(
    DataError, match=f'{path}: cannot be written .* expected a'
  ):
    run(Recorded(response(AAA=AAA)), path, 'AAA')


def test_other_files_are_no_downloads(tmp_path):
  (tmp_path / 'text').write_text('x')
  pd.DataFrame({'a': [1]}).to_parquet(tmp_path / 'other')
  for name in ('text', 'other', 'absent'):
    assert not is_download(tmp_path / name)


def test_without_yfinance_a_line_says_what_to_install(tmp_path, monkeypatch):
  found = builtins.__import__

  def absent(name, *args, **kwargs):
    if name == 'yfinance':
      raise ImportError(name)
    return found(name, *args, **kwargs)

  monkeypatch.setattr(builtins, '__import__', absent)
  with pytest.raises(DataError, match=r"pip install 'eigen3\[download\]'"):
    download_prices(['AAA'], tmp_path / 'raw')


def test_what_yfinance_is_asked(monkeypatch):
  """The call fits yfinance's signature, if it is installed."""
  yfinance = pytest.importorskip('yfinance')
  calls = []
  download_of = yfinance.download

  def recorded(*args, **kwargs):
    inspect.signature(download_of).bind(*args, **kwargs)
    calls.append((args, kwargs))

  monkeypatch.setattr(yfinance, 'download', recorded)
  _yfinance()(['AAA'], None, None)
  _yfinance()(['AAA'], '2020-01-01', None)
  unadjusted = {'auto_adjust': False, 'actions': True, 'progress': False}
  assert calls == [
    ((['AAA'],), {'period': 'max'} | unadjusted),
    ((['AAA'],), {'start': '2020-01-01', 'end': None} | unadjusted),
  ]

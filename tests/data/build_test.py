"""Tests of eigen3.data.build: alignment, indicators, what may be bought."""

import dataclasses

import numpy as np
import pytest

from eigen3.data import (
  DataError,
  Source,
  Ticker,
  build_panel,
  eigen2_features,
  parse_day,
  summarise,
)

DAYS = np.datetime64('2020-01-01') + np.arange(200)
SPLITS = {'validation_days': 30, 'holdout_days': 20}  # 150 training days


def make_ticker(name, days, seed=0):
  """A ticker with rows on `DAYS[days]`."""
  rng = np.random.default_rng(seed)
  dates = DAYS[days]
  close = 50.0 * np.exp(0.02 * rng.standard_normal(len(dates)).cumsum())
  ohlc = np.stack([close, 1.1 * close, 0.9 * close, close + 0.1], axis=-1)
  return Ticker(
    name=name,
    dates=dates,
    ohlc=ohlc,
    volume=np.arange(len(dates), dtype=np.float64),
    splits=0,
    dividends=0,
    adjusted=0,
    outside=0,
    suspicious=(),
    masked=(),
  )


def make_source(*tickers):
  ordered = tuple(sorted(tickers, key=lambda ticker: ticker.name))
  return Source(ordered, refused=(), ignored=(), source_hash='abc')


def test_alignment_on_the_union_of_days():
  odd = make_ticker('ODD', np.arange(1, 200, 2), seed=1)
  even = make_ticker('EVEN', np.arange(0, 200, 2), seed=2)
  panel = build_panel(make_source(even, odd), **SPLITS)
  np.testing.assert_array_equal(panel.dates, DAYS)
  assert panel.columns == ('EVEN', 'ODD')
  assert panel.investable == (0, 2)
  np.testing.assert_array_equal(
    panel.ohlc[1::2, 1], odd.ohlc.astype(np.float32)
  )
  assert np.isnan(panel.ohlc[::2, 1]).all()
  np.testing.assert_array_equal(panel.volume[::2, 0], even.volume)
  assert np.isnan(panel.volume[1::2, 0]).all()
  # Indicators run on a ticker's own rows and are then put on their days.
  own = eigen2_features(even.ohlc[:, None])[:, 0].astype(np.float32)
  np.testing.assert_array_equal(panel.features[::2, 0], own)
  assert np.isfinite(own[34:]).all()
  assert np.isnan(panel.features[1::2, 0]).all()


def test_sixty_training_days_make_a_column_investable():
  tickers = [
    make_ticker('B59', np.arange(91, 200)),  # 59 of the first 150 days
    make_ticker('A60', np.arange(90, 200)),
    make_ticker('C', np.arange(200)),
    make_ticker('AFTER', np.arange(150, 200)),
  ]
  panel = build_panel(make_source(*tickers), **SPLITS)
  assert panel.columns == ('AFTER', 'B59', 'A60', 'C')
  assert panel.training_days == 150
  assert panel.investable == (2, 4)
  assert panel.column_kinds == ('stock',) * 4
  assert panel.source_hash == 'abc'
  np.testing.assert_array_equal(
    panel.ohlc[91:, 1], tickers[0].ohlc.astype(np.float32)
  )


def test_a_missing_close_is_not_a_training_day():
  short = make_ticker('SHORT', np.arange(90, 200))
  short.ohlc[0, 3] = np.nan
  panel = build_panel(
    make_source(short, make_ticker('C', np.arange(200))), **SPLITS
  )
  assert panel.columns == ('SHORT', 'C')
  assert panel.investable == (1, 2)


def test_more_tickers_than_a_block():
  tickers = [make_ticker(f'T{i:03d}', np.arange(200), i) for i in range(130)]
  panel = build_panel(make_source(*tickers), **SPLITS)
  for column in (0, 63, 64, 129):
    own = eigen2_features(tickers[column].ohlc[:, None])[:, 0]
    np.testing.assert_array_equal(
      panel.features[:, column], own.astype(np.float32)
    )


def test_first_and_last_day_cut_the_panel_not_the_history():
  source = make_source(make_ticker('C', np.arange(200)))
  whole = build_panel(source, **SPLITS)
  part = build_panel(source, 10, 10, first_day=DAYS[40], last_day=DAYS[150])
  np.testing.assert_array_equal(part.dates, DAYS[40:151])
  assert part.training_days == 91
  np.testing.assert_array_equal(part.features, whole.features[40:151])
  assert np.isfinite(part.features).all()


def test_the_survivorship_stamp():
  stays = make_ticker('STAYS', np.arange(200))
  leaves = make_ticker('LEAVES', np.arange(150))
  both = make_source(stays, leaves)
  assert build_panel(both, **SPLITS).survivors_only
  told = build_panel(both, **SPLITS, includes_delisted=True)
  assert not told.survivors_only
  with pytest.raises(DataError, match='every ticker has a row on the last da'):
    build_panel(make_source(stays), **SPLITS, includes_delisted=True)


def test_too_few_days_are_one_clear_line():
  source = make_source(make_ticker('C', np.arange(200)))
  assert build_panel(source, 90, 50).num_days == 200
  with pytest.raises(DataError, match=r'200 days .* at least 60 for training'):
    build_panel(source, 90, 51)
  with pytest.raises(DataError, match='0 days from 2021-01-01'):
    build_panel(source, 0, 0, first_day=np.datetime64('2021-01-01'))


def test_nothing_to_buy_is_one_clear_line():
  tickers = [
    make_ticker('A', np.arange(50)),
    make_ticker('B', np.arange(140, 200)),
  ]
  with pytest.raises(DataError, match='none of 2 tickers has 60 closes'):
    build_panel(make_source(*tickers), 20, 10)


def test_days_are_parsed():
  assert parse_day(None, 'first_day') is None
  assert parse_day('2020-02-29', 'first_day') == np.datetime64('2020-02-29')
  for text in ('2020-02-30', '29.2.2020', '', 'today'):
    with pytest.raises(DataError, match=f"last_day: found '{text}'"):
      parse_day(text, 'last_day')


def test_the_summary_counts():
  one = dataclasses.replace(
    make_ticker('ONE', np.arange(200)),
    splits=2,
    dividends=3,
    adjusted=1234,
    outside=1,
    suspicious=(('2020-02-03', 2.0), ('2020-02-04', 0.49)),
    repeated=('2020-03-01', '2020-03-02'),
  )
  source = make_source(one, make_ticker('TWO', np.arange(100, 190)))
  lines = summarise(source, build_panel(source, **SPLITS))
  assert lines[0] == (
    'read: 2 tickers, 290 rows, 2020-01-01 to 2020-07-18; '
    '1 have a row on the last day'
  )
  assert lines[1] == 'adjusted: 1,234 rows, for 2 splits and 3 dividends'
  assert '  ONE: 2, the first on 2020-03-01' in lines
  assert '  ONE 2020-02-03: +100%' in lines
  assert '  ONE 2020-02-04: -51%' in lines
  assert 'refused: 0 files' in lines
  assert '  TWO' in lines
  assert lines[-1].startswith('survivors only')
